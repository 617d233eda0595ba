-- Who did what (OWASP logging vocabulary). Written in the transaction of the deed, never changed afterwards.

CREATE TABLE users.audit_log (
    id                uuid PRIMARY KEY,
    organization_id   uuid,
    account_id        uuid,
    action            text NOT NULL CHECK (char_length(action) BETWEEN 1 AND 64),
    request_id        text CHECK (char_length(request_id) <= 64),
    details           jsonb NOT NULL DEFAULT '{}' CHECK (octet_length(details::text) <= 8192),
    at                timestamptz NOT NULL
);
CREATE INDEX audit_log_organization ON users.audit_log (organization_id, id);
CREATE INDEX audit_log_account ON users.audit_log (account_id, id);

CREATE FUNCTION users.refuse_change() RETURNS trigger
    LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit log is append-only' USING ERRCODE = 'insufficient_privilege';
END
$$;

CREATE TRIGGER audit_log_is_append_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON users.audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION users.refuse_change();
