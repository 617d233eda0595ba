//! The operator's side of the queue: what waits, runs and died, and what a person on call may do about it.

mod store;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::WAKE_CHANNEL;
use crate::db::Tx;
use crate::ids::first_uuid_at;

/// How a job is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum JobState {
    /// Due; a worker takes it as soon as one is free. Also when the worker that had it vanished.
    Waiting,
    /// A worker has it.
    Running,
    /// Not due yet: planned for later, or failed and to be tried again.
    Scheduled,
    /// Failed for good; kept until an operator retries or discards it.
    Dead,
}

impl JobState {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Waiting, Self::Running, Self::Scheduled, Self::Dead];

    /// The spoken name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Scheduled => "scheduled",
            Self::Dead => "dead",
        }
    }
}

/// A job as operators see it.
#[derive(Clone, Debug, Serialize)]
pub struct JobEntry {
    /// Names the job, over all its tries and deaths.
    pub id: Uuid,
    /// How it is doing.
    pub state: JobState,
    /// The queue it waits in.
    pub queue: String,
    /// What it is to do.
    pub name: String,
    /// With what.
    pub args: Value,
    /// 0 goes first, 2 last.
    pub priority: i16,
    /// How often it was tried, the running try included.
    pub attempts: i32,
    /// How often it is tried at most.
    pub max_attempts: i32,
    /// While a job of the same name and key waits or runs, no second one is added.
    pub unique_key: Option<String>,
    /// The request that caused it.
    pub request_id: Option<String>,
    /// The trace it belongs to.
    pub traceparent: Option<String>,
    /// The last error with its causes.
    pub error: Option<String>,
    /// When it was enqueued.
    pub created_at: DateTime<Utc>,
    /// When it is due; while it runs, when its lease ends.
    pub run_at: Option<DateTime<Utc>>,
    /// When it was given up.
    pub died_at: Option<DateTime<Utc>>,
}

/// Which jobs.
#[derive(Clone, Debug)]
pub struct JobFilter {
    /// In one of these states.
    pub states: Vec<JobState>,
    /// In this queue.
    pub queue: Option<String>,
    /// Of this name.
    pub name: Option<String>,
    /// The dead: given up since then. All others: enqueued since then.
    pub since: Option<DateTime<Utc>>,
}

impl Default for JobFilter {
    fn default() -> Self {
        Self { states: JobState::ALL.to_vec(), queue: None, name: None, since: None }
    }
}

/// What became of a job that an operator wanted something of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum Outcome {
    /// What was wanted.
    Done,
    /// Nothing: a worker has it.
    Running,
    /// Nothing: there is none.
    Missing,
}

/// Jobs with a smaller id than `before`, the newest first.
///
/// # Errors
/// When the database is away.
pub async fn list(
    connection: &mut PgConnection,
    filter: &JobFilter,
    before: Uuid,
    limit: i64,
) -> Result<Vec<JobEntry>, sqlx::Error> {
    store::list(connection, filter, before, limit).await
}

/// How many jobs a filter lets through.
///
/// # Errors
/// When the database is away.
pub async fn count(connection: &mut PgConnection, filter: &JobFilter) -> Result<i64, sqlx::Error> {
    store::count(connection, filter).await
}

/// One job, alive or dead.
///
/// # Errors
/// When the database is away.
pub async fn find(connection: &mut PgConnection, id: Uuid) -> Result<Option<JobEntry>, sqlx::Error> {
    store::find(connection, id).await
}

/// Of jobs with a unique key, by name and key, those that there are: the living one, else the one that died last.
///
/// # Errors
/// When the database is away.
pub async fn find_keyed(
    connection: &mut PgConnection,
    wanted: &[(String, String)],
) -> Result<Vec<JobEntry>, sqlx::Error> {
    store::find_keyed(connection, wanted).await
}

/// Jobs of one name whose unique key is smaller than `before`, in the order of their keys, the greatest first.
///
/// # Errors
/// When the database is away.
pub async fn list_keyed(
    connection: &mut PgConnection,
    name: &str,
    states: &[JobState],
    before: &str,
    limit: i64,
) -> Result<Vec<JobEntry>, sqlx::Error> {
    store::list_keyed(connection, (name, states), before, limit).await
}

/// Makes jobs due now: the dead with all their tries, those that are scheduled ahead of their time. If a twin with the unique key
/// of a dead one waits already, that one does the work.
///
/// # Errors
/// When the database is away.
pub async fn retry(tx: &mut Tx, ids: &[Uuid]) -> Result<Vec<(Uuid, Outcome)>, sqlx::Error> {
    tx.wake(WAKE_CHANNEL);
    store::retry(tx, ids).await
}

/// Throws jobs away, whatever they were to do.
///
/// # Errors
/// When the database is away.
pub async fn discard(connection: &mut PgConnection, ids: &[Uuid]) -> Result<Vec<(Uuid, Outcome)>, sqlx::Error> {
    store::discard(connection, ids).await
}

impl JobFilter {
    /// The living are found by their ids, which begin with the time of their making.
    fn oldest_id(&self) -> Option<Uuid> {
        self.since.map(first_uuid_at)
    }
}
