-- People whom a trusted issuer knows: used instead of our own logins where [users.issuer] is configured.

CREATE TABLE users.external_identities (
    -- Made of issuer and subject, so that a token alone leads to it.
    id           uuid PRIMARY KEY,
    issuer       text NOT NULL CHECK (char_length(issuer) BETWEEN 1 AND 2048),
    -- What the issuer calls the person; never reused for somebody else.
    subject      text NOT NULL CHECK (char_length(subject) BETWEEN 1 AND 255),
    account_id   uuid NOT NULL REFERENCES users.accounts (id) ON DELETE CASCADE,
    created_at   timestamptz NOT NULL,
    -- One person of an issuer for each account: an address that the issuer gave to somebody else leads nowhere.
    CONSTRAINT external_identities_account_unique UNIQUE (account_id, issuer)
);

-- Processes remember whose identity it is by its own id, as they do not know the account before.
CREATE FUNCTION users.tell_identity_changed() RETURNS trigger
    LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('changes', 'users.standing:' || OLD.id);
    RETURN NULL;
END
$$;

CREATE TRIGGER external_identities_tell_when_changed
    AFTER UPDATE OR DELETE ON users.external_identities FOR EACH ROW
    EXECUTE FUNCTION users.tell_identity_changed();

CREATE OR REPLACE FUNCTION users.tell_account_changed() RETURNS trigger
    LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('changes', 'users.standing:' || OLD.id);
    PERFORM pg_notify('changes', 'users.standing:' || id) FROM users.external_identities WHERE account_id = OLD.id;
    RETURN NULL;
END
$$;
