-- Where deeds came from, and how often somebody's secret was guessed.

-- NULL for what jobs do.
ALTER TABLE users.audit_log ADD COLUMN ip inet;

-- Failures in a row. Unlogged: after a crash they are forgotten, which gives a guesser a few tries more.
CREATE UNLOGGED TABLE users.failed_attempts (
    -- HMAC over what was guessed and whose it is, whether there is such an account or not.
    key        bytea       PRIMARY KEY CHECK (octet_length(key) = 32),
    attempts   integer     NOT NULL CHECK (attempts > 0),
    last_at    timestamptz NOT NULL
);
CREATE INDEX failed_attempts_last_at ON users.failed_attempts (last_at);

-- How long to wait after so many failures in a row: 1 s after the free ones, then twice as long each time.
CREATE FUNCTION users.wait_after(attempts integer, free integer, longest_seconds integer) RETURNS interval
    LANGUAGE sql IMMUTABLE
    RETURN CASE
        WHEN attempts < free THEN interval '0'
        ELSE make_interval(secs => least(power(2, least(attempts - free, 20)), longest_seconds))
    END;
