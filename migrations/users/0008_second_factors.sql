-- Something people have besides knowing their password.

CREATE TABLE users.second_factors (
    account_id      uuid PRIMARY KEY REFERENCES users.accounts (id) ON DELETE CASCADE,
    -- The secret that the person's app shares (RFC 6238), sealed with the root secret.
    sealed_secret   bytea NOT NULL CHECK (octet_length(sealed_secret) <= 128),
    -- NULL until a first code shows that the app has the secret; only then logins ask for codes.
    confirmed_at    timestamptz,
    -- The newest step whose code was accepted: neither that one nor one before it is accepted again.
    last_step       bigint,
    created_at      timestamptz NOT NULL,
    CHECK ((confirmed_at IS NULL) = (last_step IS NULL))
);

CREATE TABLE users.recovery_codes (
    account_id   uuid NOT NULL REFERENCES users.second_factors (account_id) ON DELETE CASCADE,
    -- SHA-256 of 120 random bits; the row goes when the code is used.
    code_hash    bytea NOT NULL CHECK (octet_length(code_hash) = 32),
    PRIMARY KEY (account_id, code_hash)
);

-- Goes into the tokens of the session (amr).
ALTER TABLE users.sessions ADD COLUMN with_second_factor boolean NOT NULL DEFAULT false;
