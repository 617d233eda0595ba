pub(super) mod lists;

use std::time::Duration;

use chrono::{DateTime, Utc};
use platform::caller::UserId;
use sqlx::PgConnection;

use super::{ExportId, State};

/// An export as it is stored.
pub(super) struct Row {
    pub(super) id: ExportId,
    pub(super) state: State,
    pub(super) created_at: DateTime<Utc>,
    pub(super) expires_at: DateTime<Utc>,
    pub(super) sealed_data: Option<Vec<u8>>,
}

pub(super) async fn insert(
    connection: &mut PgConnection,
    account: UserId,
    id: ExportId,
    kept_for: Duration,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "INSERT INTO users.exports (id, account_id, state, expires_at, created_at)
         VALUES ($1, $2, 'pending', now() + make_interval(secs => $3), now())",
        id.uuid(),
        account.uuid(),
        kept_for.as_secs_f64(),
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Whether one is being gathered. One whose worker died in every try waits for nothing any more.
pub(super) async fn has_running(connection: &mut PgConnection, account: UserId) -> Result<bool, sqlx::Error> {
    sqlx::query!(
        "UPDATE users.exports SET state = 'failed'
         WHERE account_id = $1 AND state = 'pending' AND created_at < now() - interval '1 hour'",
        account.uuid(),
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM users.exports WHERE account_id = $1 AND state = 'pending') AS "running!""#,
        account.uuid(),
    )
    .fetch_one(connection)
    .await
}

pub(super) async fn find(
    connection: &mut PgConnection,
    account: UserId,
    id: ExportId,
) -> Result<Option<Row>, sqlx::Error> {
    sqlx::query_as!(
        Row,
        r#"SELECT id AS "id: ExportId", state AS "state: State", created_at, expires_at, sealed_data
           FROM users.exports WHERE account_id = $1 AND id = $2 AND expires_at > now()"#,
        account.uuid(),
        id.uuid(),
    )
    .fetch_optional(connection)
    .await
}

/// Keeps what was gathered; `false` when nobody waits for it any more.
pub(super) async fn save_ready(
    connection: &mut PgConnection,
    account: UserId,
    id: ExportId,
    sealed_data: &[u8],
) -> Result<bool, sqlx::Error> {
    let saved = sqlx::query!(
        "UPDATE users.exports SET state = 'ready', sealed_data = $3
         WHERE account_id = $1 AND id = $2 AND state = 'pending'",
        account.uuid(),
        id.uuid(),
        sealed_data,
    )
    .execute(connection)
    .await?;
    Ok(saved.rows_affected() == 1)
}

pub(super) async fn fail(connection: &mut PgConnection, account: UserId, id: ExportId) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE users.exports SET state = 'failed' WHERE account_id = $1 AND id = $2 AND state = 'pending'",
        account.uuid(),
        id.uuid(),
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Removes a batch of exports that can no longer be fetched; returns how many.
pub(crate) async fn delete_expired(connection: &mut PgConnection, batch: i64) -> Result<u64, sqlx::Error> {
    let deleted = sqlx::query!(
        "DELETE FROM users.exports WHERE id IN
             (SELECT id FROM users.exports WHERE expires_at < now() ORDER BY expires_at LIMIT $1)",
        batch,
    )
    .execute(connection)
    .await?;
    Ok(deleted.rows_affected())
}
