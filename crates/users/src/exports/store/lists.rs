//! The lists of an export, as they stand in it. They are a person's own, so these functions take no organization.

use platform::caller::{OrgId, UserId};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

const PAGE: i64 = 500;

/// What is kept about a person in many rows. What is gone within hours (mailed secrets, failed attempts, limits) is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::exports) enum List {
    Sessions,
    SecondFactor,
    PersonalTokens,
    ExternalIdentities,
    Memberships,
    Invitations,
    AuditLog,
}

impl List {
    pub(in crate::exports) const ALL: [Self; 7] = [
        Self::Sessions,
        Self::SecondFactor,
        Self::PersonalTokens,
        Self::ExternalIdentities,
        Self::Memberships,
        Self::Invitations,
        Self::AuditLog,
    ];

    /// What it is called in the export.
    pub(in crate::exports) fn name(self) -> &'static str {
        match self {
            Self::Sessions => "sessions",
            Self::SecondFactor => "second_factor",
            Self::PersonalTokens => "personal_tokens",
            Self::ExternalIdentities => "external_identities",
            Self::Memberships => "memberships",
            Self::Invitations => "invitations_received",
            Self::AuditLog => "audit_log",
        }
    }
}

/// An entry of a list; the next page begins below its id.
pub(in crate::exports) struct Row {
    pub(in crate::exports) id: Uuid,
    pub(in crate::exports) entry: Value,
}

/// Those of a list below an id, newest first.
pub(in crate::exports) async fn page(
    connection: &mut PgConnection,
    account: UserId,
    list: List,
    before: Uuid,
) -> Result<Vec<Row>, sqlx::Error> {
    match list {
        List::Sessions => sessions(connection, account, before).await,
        List::SecondFactor => second_factor(connection, account, before).await,
        List::PersonalTokens => personal_tokens(connection, account, before).await,
        List::ExternalIdentities => external_identities(connection, account, before).await,
        List::Memberships => memberships(connection, account, before).await,
        List::Invitations => invitations(connection, account, before).await,
        List::AuditLog => audit_log(connection, account, before).await,
    }
}

async fn sessions(connection: &mut PgConnection, account: UserId, before: Uuid) -> Result<Vec<Row>, sqlx::Error> {
    sqlx::query_as!(
        Row,
        r#"SELECT id, jsonb_build_object('id', id, 'created_at', created_at, 'last_used_at', rotated_at,
                  'expires_at', least(idle_expires_at, expires_at), 'revoked_at', revoked_at,
                  'with_second_factor', with_second_factor) AS "entry!"
           FROM users.sessions WHERE account_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3"#,
        account.uuid(),
        before,
        PAGE,
    )
    .fetch_all(connection)
    .await
}

async fn second_factor(connection: &mut PgConnection, account: UserId, before: Uuid) -> Result<Vec<Row>, sqlx::Error> {
    sqlx::query_as!(
        Row,
        r#"SELECT account_id AS id, jsonb_build_object('created_at', created_at, 'confirmed_at', confirmed_at) AS "entry!"
           FROM users.second_factors WHERE account_id = $1 AND account_id < $2 LIMIT $3"#,
        account.uuid(),
        before,
        PAGE,
    )
    .fetch_all(connection)
    .await
}

async fn personal_tokens(
    connection: &mut PgConnection,
    account: UserId,
    before: Uuid,
) -> Result<Vec<Row>, sqlx::Error> {
    sqlx::query_as!(
        Row,
        r#"SELECT id, jsonb_build_object('id', id, 'name', name, 'scope', scope, 'ends_with', ends_with,
                  'created_at', created_at, 'expires_at', expires_at, 'last_used_at', last_used_at) AS "entry!"
           FROM users.personal_tokens WHERE account_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3"#,
        account.uuid(),
        before,
        PAGE,
    )
    .fetch_all(connection)
    .await
}

async fn external_identities(
    connection: &mut PgConnection,
    account: UserId,
    before: Uuid,
) -> Result<Vec<Row>, sqlx::Error> {
    sqlx::query_as!(
        Row,
        r#"SELECT id, jsonb_build_object('issuer', issuer, 'subject', subject, 'created_at', created_at) AS "entry!"
           FROM users.external_identities WHERE account_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3"#,
        account.uuid(),
        before,
        PAGE,
    )
    .fetch_all(connection)
    .await
}

async fn memberships(connection: &mut PgConnection, account: UserId, before: Uuid) -> Result<Vec<Row>, sqlx::Error> {
    sqlx::query_as!(
        Row,
        r#"SELECT o.id, jsonb_build_object('organization_id', o.id, 'organization', o.name, 'role', m.role,
                  'created_at', m.created_at) AS "entry!"
           FROM users.memberships m JOIN users.organizations o ON o.id = m.organization_id
           WHERE m.account_id = $1 AND m.organization_id < $2 ORDER BY m.organization_id DESC LIMIT $3"#,
        account.uuid(),
        before,
        PAGE,
    )
    .fetch_all(connection)
    .await
}

/// Those that went to the person's address. Those that they sent stand in the audit log.
async fn invitations(connection: &mut PgConnection, account: UserId, before: Uuid) -> Result<Vec<Row>, sqlx::Error> {
    sqlx::query_as!(
        Row,
        r#"SELECT i.id, jsonb_build_object('id', i.id, 'organization_id', o.id, 'organization', o.name,
                  'email', i.mail_to, 'role', i.role, 'created_at', i.created_at, 'expires_at', i.expires_at,
                  'accepted_at', i.accepted_at, 'revoked_at', i.revoked_at) AS "entry!"
           FROM users.accounts a
           JOIN users.invitations i ON i.email = a.email
           JOIN users.organizations o ON o.id = i.organization_id
           WHERE a.id = $1 AND i.id < $2 ORDER BY i.id DESC LIMIT $3"#,
        account.uuid(),
        before,
        PAGE,
    )
    .fetch_all(connection)
    .await
}

/// What the person did, wherever.
async fn audit_log(connection: &mut PgConnection, account: UserId, before: Uuid) -> Result<Vec<Row>, sqlx::Error> {
    sqlx::query_as!(
        Row,
        r#"SELECT id, jsonb_build_object('at', at, 'action', action, 'organization_id', organization_id,
                  'ip', host(ip), 'request_id', request_id, 'details', details) AS "entry!"
           FROM users.audit_log WHERE account_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3"#,
        account.uuid(),
        before,
        PAGE,
    )
    .fetch_all(connection)
    .await
}

/// The organizations to which nobody else belongs.
pub(in crate::exports) async fn list_owned_alone(
    connection: &mut PgConnection,
    account: UserId,
    limit: usize,
) -> Result<Vec<OrgId>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT m.organization_id AS "id: OrgId"
           FROM users.memberships m
           WHERE m.account_id = $1 AND m.role = 'owner' AND NOT EXISTS (
               SELECT FROM users.memberships other
               WHERE other.organization_id = m.organization_id AND other.account_id <> $1
           )
           ORDER BY m.organization_id DESC LIMIT $2"#,
        account.uuid(),
        i64::try_from(limit).unwrap_or(i64::MAX),
    )
    .fetch_all(connection)
    .await
}
