-- Rate limits that hold over all replicas (GCRA): of each caller and limit one moment.

-- Unlogged: writing it costs no wait for the disk. After a crash every bucket is full, which gives a guesser a few tries more.
CREATE UNLOGGED TABLE platform.rate_limits (
    -- HMAC over the limit's name and on whom it counts.
    key bytea       PRIMARY KEY CHECK (octet_length(key) = 32),
    -- The theoretical arrival time: when the bucket is full again.
    tat timestamptz NOT NULL
);

CREATE INDEX rate_limits_tat ON platform.rate_limits (tat);

-- Rows change with every turn: vacuum early.
ALTER TABLE platform.rate_limits SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);

-- Takes a turn of each limit, in order, until one refuses; those behind it are not touched. Answers with the place of the one
-- that refused and how long to wait for it, or with NULLs. The time is the clock's and not that of the transaction's start, as a
-- statement may have waited for its twin.
CREATE FUNCTION platform.take_turns(
    limit_keys   bytea[],
    intervals_us bigint[],
    bursts       integer[],
    OUT refused  integer,
    OUT wait_us  bigint
)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, platform, pg_temp
AS $$
DECLARE
    one     interval;
    moment  timestamptz;
    -- The latest arrival time that a turn may begin from.
    latest  timestamptz;
    arrival timestamptz;
BEGIN
    FOR place IN 1 .. cardinality(limit_keys) LOOP
        one := intervals_us[place] * interval '1 microsecond';
        moment := clock_timestamp();
        latest := moment + (bursts[place] - 1) * one;
        -- Who is to be refused is so by reading alone: a storm takes no locks and writes nothing.
        SELECT tat INTO arrival FROM platform.rate_limits WHERE key = limit_keys[place];
        IF arrival IS NULL OR arrival <= latest THEN
            INSERT INTO platform.rate_limits AS known (key, tat) VALUES (limit_keys[place], moment + one)
            ON CONFLICT (key) DO UPDATE SET tat = greatest(known.tat, moment) + one WHERE known.tat <= latest;
            CONTINUE WHEN FOUND;
            -- A twin took the last turn in between.
            SELECT tat INTO arrival FROM platform.rate_limits WHERE key = limit_keys[place];
        END IF;
        refused := place;
        wait_us := greatest(1, (extract(epoch FROM arrival - latest) * 1000000)::bigint);
        RETURN;
    END LOOP;
END
$$;

REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA platform FROM PUBLIC;
