-- Endpoints: the addresses that organizations want to be told at, and the secrets that sign what is sent there.

CREATE TABLE webhooks.endpoints (
    id              uuid        PRIMARY KEY,
    organization_id uuid        NOT NULL,
    url             text        NOT NULL CHECK (char_length(url) BETWEEN 1 AND 2048),
    description     text        NOT NULL CHECK (char_length(description) <= 255),
    -- Names from the public catalogue, which stands in the code.
    event_types     text[]      NOT NULL CHECK (cardinality(event_types) BETWEEN 1 AND 50),
    max_in_flight   integer     NOT NULL CHECK (max_in_flight BETWEEN 1 AND 100),
    -- Counts the changes that its owners can see.
    version         bigint      NOT NULL CHECK (version > 0),
    created_at      timestamptz NOT NULL,
    updated_at      timestamptz NOT NULL,
    -- Nothing is sent while it is disabled.
    disabled_at     timestamptz,
    -- The first failure since the last success.
    failing_since   timestamptz,
    -- How many of its due deliveries are leased. Whoever gives or takes a lease holds the lock on this row.
    in_flight       integer     NOT NULL DEFAULT 0 CHECK (in_flight >= 0),
    -- When it is worth looking for something to send: the earliest due delivery, or the end of a lease while every slot is
    -- taken. NULL: nothing waits.
    next_ready_at   timestamptz
);

-- "Endpoints of an organization, newest first" and "who subscribed?" read along this index.
CREATE INDEX endpoints_organization ON webhooks.endpoints (organization_id, id);

-- The delivery loop starts here: it must not cost more when a thousand idle endpoints are added.
CREATE INDEX endpoints_ready ON webhooks.endpoints (next_ready_at) WHERE disabled_at IS NULL;

-- Every claim and every settlement writes this table: leave room on the pages and vacuum early.
ALTER TABLE webhooks.endpoints
    SET (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);

CREATE TABLE webhooks.endpoint_secrets (
    id          uuid        PRIMARY KEY,
    endpoint_id uuid        NOT NULL REFERENCES webhooks.endpoints (id) ON DELETE CASCADE,
    -- The signing key, sealed: the database alone cannot sign.
    sealed      bytea       NOT NULL CHECK (octet_length(sealed) BETWEEN 1 AND 256),
    created_at  timestamptz NOT NULL,
    -- Set when a newer secret took over; until then both sign.
    expires_at  timestamptz
);

CREATE INDEX endpoint_secrets_endpoint ON webhooks.endpoint_secrets (endpoint_id);
