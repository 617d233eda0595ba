-- The inbox: what others told us, each event once, exactly as it was sent. A row is a receipt and never changes; how far its
-- handling is, the job says that is written in the same transaction.

CREATE TABLE webhooks.inbox (
    id          uuid        PRIMARY KEY,
    -- The name of a source in the configuration.
    source      text        NOT NULL CHECK (char_length(source) BETWEEN 1 AND 32),
    -- The sender's own id of the event.
    external_id text        NOT NULL CHECK (char_length(external_id) BETWEEN 1 AND 255),
    event_type  text        NOT NULL CHECK (char_length(event_type) BETWEEN 1 AND 255),
    -- What it is about, whether it is more than a test, and in which dialect it speaks; where the sender says so.
    object_id   text        CHECK (char_length(object_id) BETWEEN 1 AND 255),
    livemode    boolean,
    api_version text        CHECK (char_length(api_version) BETWEEN 1 AND 255),
    occurred_at timestamptz NOT NULL,
    -- The exact bytes that were signed.
    payload     bytea       NOT NULL CHECK (octet_length(payload) BETWEEN 1 AND 1048576),
    -- The request that brought it.
    request_id  text        CHECK (char_length(request_id) <= 64),
    received_at timestamptz NOT NULL DEFAULT now(),
    -- Senders repeat themselves, at the same time as well: this decides who was first.
    CONSTRAINT inbox_source_external_id_unique UNIQUE (source, external_id)
);

-- Old receipts are found along the primary key: an id begins with the time of its making (webhooks.first_id).

-- Operators look for events of one type.
CREATE INDEX inbox_event_type ON webhooks.inbox (event_type, id);

CREATE FUNCTION webhooks.refuse_change() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION 'a receipt in % is never changed', TG_RELID::regclass;
END
$$;

CREATE TRIGGER inbox_is_immutable BEFORE UPDATE ON webhooks.inbox
    FOR EACH STATEMENT EXECUTE FUNCTION webhooks.refuse_change();

REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA webhooks FROM PUBLIC;
