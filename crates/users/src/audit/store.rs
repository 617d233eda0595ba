use chrono::{DateTime, Utc};
use platform::caller::{OrgId, UserId};
use platform::telemetry::RequestContext;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Deed, Entry, EntryId};

pub(super) async fn insert(
    connection: &mut PgConnection,
    deed: &Deed,
    cause: Option<&RequestContext>,
    at: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "INSERT INTO users.audit_log (id, organization_id, account_id, action, request_id, ip, details, at)
         VALUES ($1, $2, $3, $4, $5, ($6::text)::inet, $7, $8)",
        platform::ids::uuid_at(at),
        deed.organization.map(OrgId::uuid),
        deed.account.map(UserId::uuid),
        deed.action.as_str(),
        cause.map(|cause| &*cause.request_id),
        cause.and_then(|cause| cause.client).map(|client| client.to_string()),
        deed.details,
        at,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Which entries to read: a range of ids, which is a span of time.
pub(super) struct Wanted<'a> {
    pub(super) action: Option<&'a str>,
    pub(super) from: Uuid,
    pub(super) before: Uuid,
    pub(super) limit: i64,
}

/// Reads along the organization's own entries.
pub(super) async fn list(
    connection: &mut PgConnection,
    organization: OrgId,
    wanted: &Wanted<'_>,
) -> Result<Vec<Entry>, sqlx::Error> {
    sqlx::query_as!(
        Entry,
        r#"SELECT id AS "id: EntryId", account_id AS "actor: UserId", action, request_id, host(ip) AS ip, details, at
           FROM users.audit_log
           WHERE organization_id = $1 AND id >= $2 AND id < $3 AND ($4::text IS NULL OR action = $4)
           ORDER BY id DESC LIMIT $5"#,
        organization.uuid(),
        wanted.from,
        wanted.before,
        wanted.action,
        wanted.limit,
    )
    .fetch_all(connection)
    .await
}

/// Reads along the entries of one person: a query of its own, so that either index can serve it.
pub(super) async fn list_of(
    connection: &mut PgConnection,
    organization: OrgId,
    actor: UserId,
    wanted: &Wanted<'_>,
) -> Result<Vec<Entry>, sqlx::Error> {
    sqlx::query_as!(
        Entry,
        r#"SELECT id AS "id: EntryId", account_id AS "actor: UserId", action, request_id, host(ip) AS ip, details, at
           FROM users.audit_log
           WHERE organization_id = $1 AND account_id = $6 AND id >= $2 AND id < $3
             AND ($4::text IS NULL OR action = $4)
           ORDER BY id DESC LIMIT $5"#,
        organization.uuid(),
        wanted.from,
        wanted.before,
        wanted.action,
        wanted.limit,
        actor.uuid(),
    )
    .fetch_all(connection)
    .await
}

/// Removes a batch of entries that are older than so many days; returns how many.
pub(crate) async fn prune(connection: &mut PgConnection, days: i32, batch: i64) -> Result<u64, sqlx::Error> {
    let pruned = sqlx::query_scalar!(
        r#"SELECT users.prune_audit_log(make_interval(days => $1), $2) AS "pruned!""#,
        days,
        i32::try_from(batch).unwrap_or(i32::MAX),
    )
    .fetch_one(connection)
    .await?;
    Ok(pruned.unsigned_abs())
}
