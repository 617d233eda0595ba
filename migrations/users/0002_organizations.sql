-- Organizations are the tenants; a membership says who belongs to one and in which role.

CREATE TABLE users.organizations (
    id           uuid PRIMARY KEY,
    name         text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 100),
    version      bigint NOT NULL DEFAULT 1,
    created_at   timestamptz NOT NULL
);

CREATE TABLE users.memberships (
    organization_id   uuid NOT NULL REFERENCES users.organizations (id) ON DELETE CASCADE,
    account_id        uuid NOT NULL REFERENCES users.accounts (id) ON DELETE CASCADE,
    role              text NOT NULL CHECK (role IN ('owner', 'admin', 'member', 'billing', 'viewer')),
    created_at        timestamptz NOT NULL,
    PRIMARY KEY (organization_id, account_id)
);
-- "Organizations of a person, newest first" reads along this index.
CREATE INDEX memberships_account ON users.memberships (account_id, organization_id);
