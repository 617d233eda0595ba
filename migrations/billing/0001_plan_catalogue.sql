-- The plan catalogue: what can be bought, what it grants and what it costs. Seeded from configuration.

CREATE TABLE billing.plans (
    code       text        PRIMARY KEY CHECK (length(code) BETWEEN 1 AND 64),
    name       text        NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
    -- Higher is better: among several subscriptions the highest rank counts.
    rank       integer     NOT NULL CHECK (rank >= 0),
    -- Plans that left the configuration are kept, as somebody may still be on them.
    active     boolean     NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);

CREATE TABLE billing.plan_features (
    plan    text   NOT NULL REFERENCES billing.plans (code),
    feature text   NOT NULL CHECK (length(feature) BETWEEN 1 AND 64),
    -- NULL: without limit.
    "limit" bigint CHECK ("limit" >= 0),
    PRIMARY KEY (plan, feature)
);

CREATE TABLE billing.prices (
    id                uuid        PRIMARY KEY,
    provider          text        NOT NULL CHECK (length(provider) BETWEEN 1 AND 32),
    provider_price_id text        NOT NULL CHECK (length(provider_price_id) BETWEEN 1 AND 255),
    plan              text        NOT NULL REFERENCES billing.plans (code),
    currency          text        NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    -- In the currency's minor unit, for one seat and one interval.
    unit_amount       bigint      NOT NULL CHECK (unit_amount >= 0),
    "interval"        text        NOT NULL CHECK ("interval" IN ('month', 'year')),
    active            boolean     NOT NULL,
    created_at        timestamptz NOT NULL,
    updated_at        timestamptz NOT NULL,
    CONSTRAINT prices_provider_price UNIQUE (provider, provider_price_id)
);

CREATE INDEX prices_plan ON billing.prices (plan);

-- A price somebody pays must not change under them; it can only stop being offered.
CREATE FUNCTION billing.refuse_price_change() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, billing, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION 'price % cannot be changed, only activated and deactivated', OLD.id USING ERRCODE = 'restrict_violation';
END
$$;

CREATE TRIGGER prices_are_immutable
    BEFORE UPDATE ON billing.prices
    FOR EACH ROW
    WHEN ((OLD.id, OLD.provider, OLD.provider_price_id, OLD.plan, OLD.currency, OLD.unit_amount, OLD."interval")
        IS DISTINCT FROM (NEW.id, NEW.provider, NEW.provider_price_id, NEW.plan, NEW.currency, NEW.unit_amount, NEW."interval"))
    EXECUTE FUNCTION billing.refuse_price_change();
