-- Processes remember for a few seconds who is logged in and who is what where (docs/decisions/0019-caches-listen.md). Whatever
-- takes something away says so here, with the commit, also when it is plain SQL. What is added needs no word: that somebody
-- is nothing is not remembered.

CREATE FUNCTION users.tell_standing_changed() RETURNS trigger
    LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('changes', 'users.standing:' || OLD.account_id);
    RETURN NULL;
END
$$;

-- Not when a session is refreshed, which happens all the time and takes nothing away.
CREATE TRIGGER sessions_tell_when_less
    AFTER UPDATE ON users.sessions FOR EACH ROW
    WHEN (NEW.revoked_at IS DISTINCT FROM OLD.revoked_at
          OR NEW.account_id <> OLD.account_id
          OR NEW.authenticated_at <> OLD.authenticated_at
          OR NEW.idle_expires_at < OLD.idle_expires_at
          OR NEW.expires_at < OLD.expires_at)
    EXECUTE FUNCTION users.tell_standing_changed();

-- Not when those are removed that ended long ago.
CREATE TRIGGER sessions_tell_when_gone
    AFTER DELETE ON users.sessions FOR EACH ROW
    WHEN (OLD.revoked_at IS NULL AND OLD.expires_at > now())
    EXECUTE FUNCTION users.tell_standing_changed();

CREATE TRIGGER memberships_tell_when_changed
    AFTER UPDATE OR DELETE ON users.memberships FOR EACH ROW
    EXECUTE FUNCTION users.tell_standing_changed();

CREATE FUNCTION users.tell_account_changed() RETURNS trigger
    LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('changes', 'users.standing:' || OLD.id);
    RETURN NULL;
END
$$;

CREATE TRIGGER accounts_tell_when_disabled
    AFTER UPDATE OF disabled_at ON users.accounts FOR EACH ROW
    WHEN (NEW.disabled_at IS DISTINCT FROM OLD.disabled_at)
    EXECUTE FUNCTION users.tell_account_changed();

CREATE TRIGGER accounts_tell_when_gone
    AFTER DELETE ON users.accounts FOR EACH ROW
    EXECUTE FUNCTION users.tell_account_changed();
