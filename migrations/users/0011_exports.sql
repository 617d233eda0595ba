-- What people take with them, and an audit log that does not grow for ever.

CREATE TABLE users.exports (
    id            uuid PRIMARY KEY,
    account_id    uuid NOT NULL REFERENCES users.accounts (id) ON DELETE CASCADE,
    state         text NOT NULL CHECK (state IN ('pending', 'ready', 'failed')),
    -- Everything about a person in one place, so it is sealed.
    sealed_data   bytea CHECK (octet_length(sealed_data) <= 67108864),
    expires_at    timestamptz NOT NULL,
    created_at    timestamptz NOT NULL,
    CONSTRAINT exports_data CHECK ((sealed_data IS NOT NULL) = (state = 'ready'))
);
CREATE UNIQUE INDEX exports_one_pending ON users.exports (account_id) WHERE state = 'pending';
CREATE INDEX exports_account ON users.exports (account_id);
CREATE INDEX exports_expires_at ON users.exports (expires_at);

-- The log stays append-only for everybody, its owner included, but for the function below.
CREATE OR REPLACE FUNCTION users.refuse_change() RETURNS trigger
    LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND current_setting('users.pruning_audit_log', true) = 'on'
        AND current_user = (SELECT pg_catalog.pg_get_userbyid(relowner) FROM pg_catalog.pg_class WHERE oid = TG_RELID)
    THEN
        RETURN NULL;
    END IF;
    RAISE EXCEPTION 'the audit log is append-only' USING ERRCODE = 'insufficient_privilege';
END
$$;

-- Removes a batch of what is older than this, and says how many. The module's role may call it but can remove nothing by
-- itself, and nothing younger than 30 days can be lost through it. Ids are made of time, so the oldest are found along them.
CREATE FUNCTION users.prune_audit_log(older_than interval, batch integer) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, users, pg_temp
    SET users.pruning_audit_log = 'on'
AS $$
DECLARE
    pruned bigint;
BEGIN
    IF older_than IS NULL OR older_than < interval '30 days' THEN
        RAISE EXCEPTION 'the audit log is kept for 30 days at least, not for %', older_than;
    END IF;
    DELETE FROM users.audit_log WHERE id IN (
        SELECT id FROM users.audit_log
        WHERE id < (lpad(to_hex((extract(epoch FROM now() - older_than) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid
            AND at < now() - older_than
        ORDER BY id LIMIT least(batch, 10000));
    GET DIAGNOSTICS pruned = ROW_COUNT;
    RETURN pruned;
END
$$;

REVOKE EXECUTE ON FUNCTION users.prune_audit_log FROM PUBLIC;
