//! Dead letters: jobs that failed for good. An operator lists them, sees the error, and retries or discards each.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{WAKE_CHANNEL, store};
use crate::db::Tx;
use crate::http::{Page, PageRequest};

/// A job that failed for good.
#[derive(Clone, Debug, Serialize)]
pub struct DeadJob {
    /// The job, the same as when it lived.
    pub id: Uuid,
    /// The queue it ran in.
    pub queue: String,
    /// What it was to do.
    pub name: String,
    /// With what.
    pub args: Value,
    /// How often it was tried.
    pub attempts: i32,
    /// The request that caused it.
    pub request_id: Option<String>,
    /// The last error with its causes.
    pub error: String,
    /// When it was enqueued.
    pub created_at: DateTime<Utc>,
    /// When it was given up.
    pub died_at: DateTime<Utc>,
}

/// A page of dead letters, the newest jobs first.
///
/// # Errors
/// When the database is away.
pub async fn list(connection: &mut PgConnection, page: &PageRequest) -> Result<Page<DeadJob>, sqlx::Error> {
    let rows = store::list_dead(connection, page).await?;
    Ok(Page::of(rows, page, |dead| dead.id))
}

/// Makes a dead letter due again, with all its tries; false when there is none of this id.
///
/// # Errors
/// When the database is away.
pub async fn retry(tx: &mut Tx, id: Uuid) -> Result<bool, sqlx::Error> {
    tx.wake(WAKE_CHANNEL);
    store::revive(tx, id).await
}

/// Throws a dead letter away; false when there is none of this id.
///
/// # Errors
/// When the database is away.
pub async fn discard(connection: &mut PgConnection, id: Uuid) -> Result<bool, sqlx::Error> {
    store::delete_dead(connection, id).await
}
