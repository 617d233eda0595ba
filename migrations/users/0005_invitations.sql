-- Roles change, and people are invited.

ALTER TABLE users.memberships ADD COLUMN version bigint NOT NULL DEFAULT 1;

CREATE TABLE users.invitations (
    id                uuid PRIMARY KEY,
    organization_id   uuid NOT NULL REFERENCES users.organizations (id) ON DELETE CASCADE,
    -- Canonical form; only the account with this address may accept.
    email             text NOT NULL CHECK (char_length(email) BETWEEN 3 AND 254),
    -- As the inviter wrote it.
    mail_to           text NOT NULL CHECK (char_length(mail_to) BETWEEN 3 AND 254),
    role              text NOT NULL CHECK (role IN ('owner', 'admin', 'member', 'billing', 'viewer')),
    token_hash        bytea NOT NULL CHECK (octet_length(token_hash) = 32),
    expires_at        timestamptz NOT NULL,
    accepted_at       timestamptz,
    revoked_at        timestamptz,
    created_at        timestamptz NOT NULL,
    CONSTRAINT invitations_token_unique UNIQUE (token_hash)
);
-- An address has at most one open invitation to an organization; the index also counts them.
CREATE UNIQUE INDEX invitations_one_open ON users.invitations (organization_id, email)
    WHERE accepted_at IS NULL AND revoked_at IS NULL;
CREATE INDEX invitations_organization ON users.invitations (organization_id, id);
CREATE INDEX invitations_expires_at ON users.invitations (expires_at);
-- Whoever erases their account takes their address out of the invitations they got.
CREATE INDEX invitations_email ON users.invitations (email);
