-- People, how they prove who they are, and the keys their access tokens are signed with.

CREATE TABLE users.accounts (
    id             uuid PRIMARY KEY,
    -- Canonical form (trimmed, NFC, IDNA, lower case); what makes two spellings one person.
    email          text NOT NULL CHECK (char_length(email) BETWEEN 3 AND 254),
    -- As the person wrote it; mail goes here.
    mail_to        text NOT NULL CHECK (char_length(mail_to) BETWEEN 3 AND 254),
    name           text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 100),
    password_hash  text NOT NULL CHECK (char_length(password_hash) <= 512),
    disabled_at    timestamptz,
    version        bigint NOT NULL DEFAULT 1,
    created_at     timestamptz NOT NULL,
    CONSTRAINT accounts_email_unique UNIQUE (email)
);

-- One row an attempt, each with its own password: whoever proves the address decides which password counts.
CREATE TABLE users.registrations (
    id             uuid PRIMARY KEY,
    email          text NOT NULL CHECK (char_length(email) BETWEEN 3 AND 254),
    mail_to        text NOT NULL CHECK (char_length(mail_to) BETWEEN 3 AND 254),
    name           text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 100),
    password_hash  text NOT NULL CHECK (char_length(password_hash) <= 512),
    token_hash     bytea NOT NULL CHECK (octet_length(token_hash) = 32),
    expires_at     timestamptz NOT NULL,
    created_at     timestamptz NOT NULL,
    CONSTRAINT registrations_token_unique UNIQUE (token_hash)
);
CREATE INDEX registrations_email ON users.registrations (email);
CREATE INDEX registrations_expires_at ON users.registrations (expires_at);

CREATE TABLE users.sessions (
    id                 uuid PRIMARY KEY,
    account_id         uuid NOT NULL REFERENCES users.accounts (id) ON DELETE CASCADE,
    -- The newest refresh token's generation; older ones are spent.
    generation         integer NOT NULL DEFAULT 0 CHECK (generation >= 0),
    rotated_at         timestamptz NOT NULL,
    authenticated_at   timestamptz NOT NULL,
    idle_expires_at    timestamptz NOT NULL,
    expires_at         timestamptz NOT NULL,
    revoked_at         timestamptz,
    created_at         timestamptz NOT NULL
);
CREATE INDEX sessions_account ON users.sessions (account_id);
CREATE INDEX sessions_expires_at ON users.sessions (expires_at);

CREATE TABLE users.refresh_tokens (
    token_hash   bytea PRIMARY KEY CHECK (octet_length(token_hash) = 32),
    session_id   uuid NOT NULL REFERENCES users.sessions (id) ON DELETE CASCADE,
    generation   integer NOT NULL CHECK (generation >= 0),
    created_at   timestamptz NOT NULL
);
CREATE INDEX refresh_tokens_session ON users.refresh_tokens (session_id);

CREATE TABLE users.signing_keys (
    id             text PRIMARY KEY CHECK (char_length(id) BETWEEN 1 AND 64),
    state          text NOT NULL CHECK (state IN ('next', 'current', 'retired')),
    public_key     bytea NOT NULL CHECK (octet_length(public_key) = 32),
    -- PKCS#8, sealed with the root secret.
    sealed_key     bytea NOT NULL CHECK (octet_length(sealed_key) <= 512),
    created_at     timestamptz NOT NULL,
    retired_at     timestamptz
);
CREATE UNIQUE INDEX signing_keys_one_current ON users.signing_keys (state) WHERE state IN ('next', 'current');
