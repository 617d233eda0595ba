-- Idempotency keys: the answer to a request, kept so that its repetition gets the same answer and no second effect.

CREATE TABLE platform.idempotency_keys (
    -- Hash over caller, concrete path and key.
    scope        bytea       PRIMARY KEY CHECK (octet_length(scope) = 32),
    request_hash bytea       NOT NULL CHECK (octet_length(request_hash) = 32),
    answer       jsonb       NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX idempotency_keys_created_at ON platform.idempotency_keys (created_at);

-- Takes the key until the end of the transaction: 'fresh' (go ahead), 'replay' (with the stored answer), 'reused' (another
-- request holds the key) or 'in_progress' (a twin is running). The lock is asked for first and the row read by a statement of
-- its own, so that a twin that has just committed is seen; a stored answer counts whoever holds the lock.
CREATE FUNCTION platform.once_begin(key_scope bytea, key_request_hash bytea, OUT state text, OUT stored_answer jsonb)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, platform, pg_temp
AS $$
DECLARE
    stored_hash bytea;
    is_ours     boolean := pg_try_advisory_xact_lock(('x' || encode(substr(key_scope, 1, 8), 'hex'))::bit(64)::bigint);
BEGIN
    SELECT request_hash, answer INTO stored_hash, stored_answer FROM platform.idempotency_keys WHERE scope = key_scope;
    IF stored_hash = key_request_hash THEN
        state := 'replay';
    ELSIF stored_hash IS NOT NULL THEN
        state := 'reused';
        stored_answer := NULL;
    ELSIF is_ours THEN
        state := 'fresh';
    ELSE
        state := 'in_progress';
    END IF;
END
$$;

-- Stores the answer in the transaction that holds the effect.
CREATE FUNCTION platform.once_settle(key_scope bytea, key_request_hash bytea, new_answer jsonb) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, platform, pg_temp
AS $$
BEGIN
    INSERT INTO platform.idempotency_keys (scope, request_hash, answer) VALUES (key_scope, key_request_hash, new_answer);
END
$$;

REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA platform FROM PUBLIC;
