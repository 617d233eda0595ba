-- Secrets that are mailed and work once, and a count of passwords that a login can be bound to.

CREATE TABLE users.one_time_secrets (
    -- SHA-256 of 256 random bits; the secret itself only stands in the mail.
    token_hash   bytea PRIMARY KEY CHECK (octet_length(token_hash) = 32),
    -- A secret made for one thing never serves another.
    purpose      text NOT NULL CHECK (purpose IN ('password_reset', 'email_change')),
    account_id   uuid NOT NULL REFERENCES users.accounts (id) ON DELETE CASCADE,
    -- The address to move to, canonical and as written.
    email        text CHECK (char_length(email) BETWEEN 3 AND 254),
    mail_to      text CHECK (char_length(mail_to) BETWEEN 3 AND 254),
    expires_at   timestamptz NOT NULL,
    created_at   timestamptz NOT NULL,
    CHECK ((purpose = 'email_change') = (email IS NOT NULL) AND (email IS NULL) = (mail_to IS NULL))
);
CREATE INDEX one_time_secrets_account ON users.one_time_secrets (account_id);
CREATE INDEX one_time_secrets_expires_at ON users.one_time_secrets (expires_at);

-- Counts passwords, not hashes: renewing the hash of the same password does not change it.
ALTER TABLE users.accounts ADD COLUMN password_version bigint NOT NULL DEFAULT 1;
