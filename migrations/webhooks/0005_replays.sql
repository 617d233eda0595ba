-- Replays: what an endpoint would have been told in a period, told once more. One row for each endpoint: its last replay.

CREATE TABLE webhooks.replays (
    id              uuid        PRIMARY KEY,
    organization_id uuid        NOT NULL,
    endpoint_id     uuid        NOT NULL UNIQUE REFERENCES webhooks.endpoints (id) ON DELETE CASCADE,
    -- The period: messages made from then on, and before that.
    since           timestamptz NOT NULL,
    until           timestamptz NOT NULL,
    -- The cursor: messages up to this id were looked at.
    reached         uuid        NOT NULL,
    -- How many deliveries it began.
    deliveries      bigint      NOT NULL DEFAULT 0 CHECK (deliveries >= 0),
    started_at      timestamptz NOT NULL DEFAULT now(),
    -- When its job last came by. One that never comes again must not keep the endpoint from being replayed.
    checked_at      timestamptz NOT NULL DEFAULT now(),
    finished_at     timestamptz,
    CHECK (since < until)
);
