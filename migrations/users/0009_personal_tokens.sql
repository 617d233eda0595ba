-- Tokens that people make for their programs. One that is revoked goes at once, one that expired some weeks later.

CREATE TABLE users.personal_tokens (
    id             uuid PRIMARY KEY,
    account_id     uuid NOT NULL REFERENCES users.accounts (id) ON DELETE CASCADE,
    -- SHA-256 of the whole token; it holds 256 random bits.
    token_hash     bytea NOT NULL CHECK (octet_length(token_hash) = 32),
    name           text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 100),
    scope          text NOT NULL CHECK (scope IN ('read', 'write')),
    -- The last characters, by which a person recognises it.
    ends_with      text NOT NULL CHECK (char_length(ends_with) = 4),
    expires_at     timestamptz NOT NULL,
    last_used_at   timestamptz,
    created_at     timestamptz NOT NULL,
    CONSTRAINT personal_tokens_hash_unique UNIQUE (token_hash)
);
-- "Tokens of a person, newest first" reads along this index.
CREATE INDEX personal_tokens_account ON users.personal_tokens (account_id, id);
CREATE INDEX personal_tokens_expires_at ON users.personal_tokens (expires_at);
