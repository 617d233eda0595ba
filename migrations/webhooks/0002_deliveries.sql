-- Messages, their deliveries and the attempts made, kept for 90 days; and what is waiting to be sent.
--
-- The first three are partitioned by week along their UUIDv7 key, which begins with the time of its making: a primary key
-- needs no second column, and retention drops a partition instead of deleting row by row. There are no foreign keys between
-- them, on purpose: PostgreSQL drops a partition that something may refer to only after reading everything that could.

CREATE TABLE webhooks.messages (
    id              uuid        NOT NULL PRIMARY KEY,
    organization_id uuid        NOT NULL,
    event_type      text        NOT NULL CHECK (char_length(event_type) BETWEEN 1 AND 64),
    -- The exact bytes that are signed and sent.
    body            bytea       NOT NULL CHECK (octet_length(body) BETWEEN 1 AND 65536),
    -- The request that caused it.
    request_id      text        CHECK (char_length(request_id) <= 64),
    traceparent     text        CHECK (char_length(traceparent) <= 64),
    created_at      timestamptz NOT NULL DEFAULT now()
) PARTITION BY RANGE (id);

-- Replaying a period reads along this index.
CREATE INDEX messages_organization ON webhooks.messages (organization_id, id);

-- One message to one endpoint. The row is written twice: when it begins and when it ends.
CREATE TABLE webhooks.deliveries (
    id              uuid        NOT NULL PRIMARY KEY,
    organization_id uuid        NOT NULL,
    endpoint_id     uuid        NOT NULL,
    message_id      uuid        NOT NULL,
    event_type      text        NOT NULL CHECK (char_length(event_type) BETWEEN 1 AND 64),
    status          text        NOT NULL CHECK (status IN ('pending', 'delivered', 'dead')),
    created_at      timestamptz NOT NULL DEFAULT now(),
    finished_at     timestamptz CHECK ((finished_at IS NULL) = (status = 'pending'))
) PARTITION BY RANGE (id);

-- Lists read each status along this index, newest first, and merge when all are wanted.
CREATE INDEX deliveries_endpoint ON webhooks.deliveries (endpoint_id, status, id);

-- Operators look for the dead of every endpoint among the many that arrived.
CREATE INDEX deliveries_dead ON webhooks.deliveries (id) WHERE status = 'dead';

CREATE TABLE webhooks.delivery_attempts (
    id          uuid        NOT NULL PRIMARY KEY,
    delivery_id uuid        NOT NULL,
    sent_at     timestamptz NOT NULL,
    -- NULL: no complete answer came.
    http_status smallint    CHECK (http_status BETWEEN 100 AND 999),
    duration_ms integer     NOT NULL CHECK (duration_ms >= 0),
    -- Why it failed; NULL when it did not.
    error       text        CHECK (char_length(error) BETWEEN 1 AND 32),
    -- The beginning of the answer.
    answer      text        CHECK (char_length(answer) <= 4096)
) PARTITION BY RANGE (id);

CREATE INDEX delivery_attempts_delivery ON webhooks.delivery_attempts (delivery_id);

-- What waits to be sent or is being sent; gone when the delivery ends. Small, whatever is kept above.
CREATE TABLE webhooks.due_deliveries (
    delivery_id  uuid        PRIMARY KEY,
    endpoint_id  uuid        NOT NULL REFERENCES webhooks.endpoints (id) ON DELETE CASCADE,
    message_id   uuid        NOT NULL,
    -- How many attempts failed.
    attempts     integer     NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    next_at      timestamptz NOT NULL,
    -- Names the claim that is sending it. Whoever settles must still hold the lease; one that ended is taken over.
    lease        uuid,
    leased_until timestamptz,
    CHECK ((lease IS NULL) = (leased_until IS NULL))
) WITH (fillfactor = 70);

-- A claim changes neither column, so that it stays a heap-only update on the page.
CREATE INDEX due_deliveries_endpoint ON webhooks.due_deliveries (endpoint_id, next_at);

ALTER TABLE webhooks.due_deliveries
    SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);

-- The smallest UUIDv7 of a moment: 48 bits of milliseconds, then nothing (RFC 9562, section 5.7).
CREATE FUNCTION webhooks.first_id(moment timestamptz) RETURNS uuid
    LANGUAGE sql IMMUTABLE
    RETURN (lpad(to_hex((extract(epoch FROM moment) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid;

-- Makes the partitions of last week, this week and the given number of weeks ahead, those that are missing; says until when
-- rows can be written. The module's role may call it but can neither make nor drop tables by itself.
CREATE FUNCTION webhooks.make_partitions(weeks_ahead integer) RETURNS timestamptz
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, webhooks, pg_temp
AS $$
DECLARE
    this_week timestamp := date_trunc('week', now() AT TIME ZONE 'UTC');
    parent    text;
    child     text;
    first     timestamptz;
    last      timestamptz;
BEGIN
    IF weeks_ahead IS NULL OR weeks_ahead NOT BETWEEN 1 AND 52 THEN
        RAISE EXCEPTION 'partitions can be made for 1 to 52 weeks ahead, not for %', weeks_ahead;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('webhooks.partitions', 0));
    FOREACH parent IN ARRAY ARRAY['messages', 'deliveries', 'delivery_attempts'] LOOP
        FOR week IN -1 .. weeks_ahead LOOP
            first := (this_week + make_interval(weeks => week)) AT TIME ZONE 'UTC';
            last := first + interval '168 hours';
            child := parent || '_' || to_char(first AT TIME ZONE 'UTC', 'YYYYMMDD');
            CONTINUE WHEN to_regclass('webhooks.' || child) IS NOT NULL;
            -- Attaching a table takes a weaker lock on the parent than making it in place: writers go on.
            EXECUTE format('CREATE TABLE webhooks.%I (LIKE webhooks.%I INCLUDING ALL)', child, parent);
            EXECUTE format('ALTER TABLE webhooks.%I ATTACH PARTITION webhooks.%I FOR VALUES FROM (%L) TO (%L)',
                parent, child, webhooks.first_id(first), webhooks.first_id(last));
        END LOOP;
    END LOOP;
    RETURN last;
END
$$;

-- Drops the partitions in which everything is older than this, and says how many. Nothing younger than 30 days can be lost
-- through it.
CREATE FUNCTION webhooks.drop_partitions(older_than interval) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, webhooks, pg_temp
AS $$
DECLARE
    child   text;
    dropped integer := 0;
BEGIN
    IF older_than IS NULL OR older_than < interval '30 days' THEN
        RAISE EXCEPTION 'partitions are kept for 30 days at least, not for %', older_than;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('webhooks.partitions', 0));
    FOR child IN
        SELECT c.relname
          FROM pg_inherits i
          JOIN pg_class c ON c.oid = i.inhrelid
         WHERE i.inhparent IN ('webhooks.messages'::regclass, 'webhooks.deliveries'::regclass,
                               'webhooks.delivery_attempts'::regclass)
           AND to_date(right(c.relname, 8), 'YYYYMMDD') + 7 <= ((now() - older_than) AT TIME ZONE 'UTC')::date
    LOOP
        EXECUTE format('DROP TABLE webhooks.%I', child);
        dropped := dropped + 1;
    END LOOP;
    RETURN dropped;
END
$$;

REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA webhooks FROM PUBLIC;

SELECT webhooks.make_partitions(3);
