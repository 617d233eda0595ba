-- Organizations that are gone. They buy nothing any more, and what is still paid for them, perhaps on a page that was open, is
-- canceled.

CREATE TABLE billing.closed_organizations (
    organization_id uuid        PRIMARY KEY,
    closed_at       timestamptz NOT NULL
);
