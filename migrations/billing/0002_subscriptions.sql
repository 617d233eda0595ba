-- Subscriptions: a mirror of what the payment provider says, and a record of what was asked of it. What an organization may use
-- is derived from these rows, the catalogue and the time; it stands in no column.

CREATE TABLE billing.customers (
    organization_id      uuid        NOT NULL,
    provider             text        NOT NULL CHECK (length(provider) BETWEEN 1 AND 32),
    provider_customer_id text        NOT NULL CHECK (length(provider_customer_id) BETWEEN 1 AND 255),
    created_at           timestamptz NOT NULL,
    PRIMARY KEY (organization_id, provider),
    CONSTRAINT customers_provider_customer UNIQUE (provider, provider_customer_id)
);

-- The order in which an object of the provider was fetched. Whoever fetched with the higher ticket saw the newer state, and only
-- that may be written over what an earlier ticket brought. An event may come before the row it is about, hence a table of its own.
CREATE TABLE billing.sync_tickets (
    provider  text   NOT NULL CHECK (length(provider) BETWEEN 1 AND 32),
    object_id text   NOT NULL CHECK (length(object_id) BETWEEN 1 AND 255),
    issued    bigint NOT NULL CHECK (issued > 0),
    applied   bigint NOT NULL DEFAULT 0 CHECK (applied BETWEEN 0 AND issued),
    PRIMARY KEY (provider, object_id)
);

-- An organization may have several: a mirror holds what is.
CREATE TABLE billing.subscriptions (
    id                       uuid        PRIMARY KEY,
    organization_id          uuid        NOT NULL,
    provider                 text        NOT NULL CHECK (length(provider) BETWEEN 1 AND 32),
    provider_subscription_id text        NOT NULL CHECK (length(provider_subscription_id) BETWEEN 1 AND 255),
    provider_customer_id     text        NOT NULL CHECK (length(provider_customer_id) BETWEEN 1 AND 255),
    -- The provider's word, even one that was not known when this was written.
    status                   text        NOT NULL CHECK (length(status) BETWEEN 1 AND 64),
    -- The provider's price, whether the catalogue knows it or not. NULL: not one price.
    provider_price_id        text        CHECK (length(provider_price_id) BETWEEN 1 AND 255),
    quantity                 integer     NOT NULL CHECK (quantity >= 0),
    current_period_end       timestamptz,
    trial_end                timestamptz,
    cancel_at                timestamptz,
    ended_at                 timestamptz,
    -- When it was first seen to be past due; the days of grace count from here.
    past_due_since           timestamptz,
    created_at               timestamptz NOT NULL,
    updated_at               timestamptz NOT NULL,
    CONSTRAINT subscriptions_provider_subscription UNIQUE (provider, provider_subscription_id),
    CONSTRAINT subscriptions_end CHECK ((ended_at IS NOT NULL) = (status IN ('canceled', 'incomplete_expired'))),
    CONSTRAINT subscriptions_past_due CHECK ((past_due_since IS NOT NULL) = (status = 'past_due'))
);

CREATE INDEX subscriptions_organization ON billing.subscriptions (organization_id, id);

CREATE TABLE billing.operations (
    id                 uuid        PRIMARY KEY,
    organization_id    uuid        NOT NULL,
    kind               text        NOT NULL CHECK (length(kind) BETWEEN 1 AND 32),
    -- What it is about: two wishes for the same are one operation.
    subject            text        NOT NULL CHECK (length(subject) BETWEEN 1 AND 255),
    -- What is asked for, so that asking again says the same.
    wish               jsonb       NOT NULL,
    state              text        NOT NULL CHECK (state IN ('pending', 'in_flight', 'unknown', 'succeeded', 'rejected')),
    error              text        CHECK (length(error) BETWEEN 1 AND 64),
    provider_object_id text        CHECK (length(provider_object_id) BETWEEN 1 AND 255),
    url                text        CHECK (length(url) BETWEEN 1 AND 4096),
    -- Providers forget idempotency keys after a day: long after this moment, asking again would be asking twice.
    first_sent_at      timestamptz,
    created_at         timestamptz NOT NULL,
    updated_at         timestamptz NOT NULL,
    CONSTRAINT operations_error CHECK ((error IS NOT NULL) = (state = 'rejected'))
);

CREATE UNIQUE INDEX operations_open ON billing.operations (organization_id, subject)
    WHERE state IN ('pending', 'in_flight', 'unknown');

CREATE INDEX operations_provider_object ON billing.operations (provider_object_id);

-- The idempotency keys that clients sent, kept as long as the operations they led to. Several may lead to one.
CREATE TABLE billing.operation_keys (
    -- Hash over caller, concrete path and key.
    scope        bytea       PRIMARY KEY CHECK (octet_length(scope) = 32),
    request_hash bytea       NOT NULL CHECK (octet_length(request_hash) = 32),
    operation_id uuid        NOT NULL REFERENCES billing.operations (id),
    created_at   timestamptz NOT NULL
);

CREATE INDEX operation_keys_operation ON billing.operation_keys (operation_id);
