//! Background work, kept in PostgreSQL: a job is a row that is written in the transaction that causes it, claimed by a
//! worker of any replica, tried again when it fails and kept as a dead letter when it fails for good.
//!
//! How a row lives: `enqueue` inserts it; a claim gives it a lease and moves `run_at` to the end of that lease, so that the
//! work of a killed worker becomes due again by itself; a success deletes the row, a failure moves `run_at` into the future.
//! Whoever settles must still hold the lease, so a worker that comes back too late changes nothing. A job may therefore run
//! more than once: make it idempotent, or settle it inside its own transaction with [`Running::settle`].

mod config;
mod dispatch;
mod lanes;
pub mod operator;
mod pump;
mod registry;
mod run;
mod schedules;
mod settling;
mod store;
mod worker;

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use uuid::Uuid;

use crate::db::Tx;
use crate::telemetry::{self, RequestContext};

pub use config::JobsConfig;
pub use pump::Pump;
pub use registry::{InvalidJobs, Jobs};
pub use store::queue_metrics;
pub use worker::Worker;

/// The channel that wakes idle workers.
pub(crate) const WAKE_CHANNEL: &str = "jobs";

/// How often a job is tried unless it says otherwise: over about eight hours.
const MAX_ATTEMPTS: i32 = 20;

/// How long one try may take unless the job says otherwise.
pub(crate) const TIME_LIMIT: Duration = Duration::from_mins(1);

/// An error of any kind.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A piece of work for later: its arguments are the fields, stored as JSON.
///
/// Yesterday's rows are read by today's binary: only add fields that have a default.
pub trait Job: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The name in the database, `module.do_something`. Rows outlive the binary, so it never changes.
    const NAME: &'static str;
    /// Jobs of one queue share their slots; give slow work a queue of its own. Drain a queue before renaming it.
    const QUEUE: &'static str = "default";
    /// After so many tries the job becomes a dead letter.
    const MAX_ATTEMPTS: i32 = MAX_ATTEMPTS;
    /// A try that takes longer is stopped and counts as failed.
    const TIME_LIMIT: Duration = TIME_LIMIT;
}

/// Which of the due jobs of a queue go first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Priority {
    /// Before all others.
    High,
    /// The usual.
    #[default]
    Normal,
    /// When nothing else is due.
    Low,
}

impl Priority {
    fn stored(self) -> i16 {
        match self {
            Priority::High => 0,
            Priority::Normal => 1,
            Priority::Low => 2,
        }
    }
}

/// What is special about one job.
#[derive(Clone, Debug, Default)]
pub struct EnqueueOptions {
    /// Not before this moment; at once unless given.
    pub run_at: Option<DateTime<Utc>>,
    /// Before or after the others.
    pub priority: Priority,
    /// While a job of the same name and key waits or runs, this one is not added.
    pub unique_key: Option<String>,
}

/// Adds a job to the transaction: it runs if, and only if, the transaction commits.
///
/// # Errors
/// When the database refuses or is away.
pub async fn enqueue<J: Job>(tx: &mut Tx, job: &J) -> Result<(), sqlx::Error> {
    enqueue_with(tx, job, EnqueueOptions::default()).await
}

/// Adds a job with a due time, a priority or a unique key.
///
/// # Errors
/// When the database refuses or is away.
pub async fn enqueue_with<J: Job>(tx: &mut Tx, job: &J, options: EnqueueOptions) -> Result<(), sqlx::Error> {
    let (name, queue, max_attempts) = (J::NAME, J::QUEUE, J::MAX_ATTEMPTS);
    insert(tx, NewJob { name, queue, args: to_json(job)?, max_attempts, options }).await
}

/// A job whose name is made of configuration; [`Jobs::register_named`] says what to do with it.
#[derive(Clone, Debug)]
pub struct NamedJob {
    name: String,
    queue: String,
    args: Value,
    unique_key: Option<String>,
    context: Option<RequestContext>,
}

impl NamedJob {
    /// A job on behalf of the request that this code runs for.
    ///
    /// # Errors
    /// When the arguments are not JSON.
    pub fn new<A: Serialize>(name: String, queue: String, args: &A) -> Result<Self, sqlx::Error> {
        Ok(Self { name, queue, args: to_json(args)?, unique_key: None, context: telemetry::current_context() })
    }

    /// While a job of the same name and key waits or runs, this one is not added.
    #[must_use]
    pub fn unique(self, key: String) -> Self {
        Self { unique_key: Some(key), ..self }
    }
}

/// Adds jobs to the transaction, in one statement. They are due at once and have the usual priority.
///
/// # Errors
/// When the database refuses or is away.
pub async fn enqueue_named(tx: &mut Tx, jobs: &[NamedJob]) -> Result<(), sqlx::Error> {
    store::insert_named(tx, jobs).await?;
    tx.wake(WAKE_CHANNEL);
    Ok(())
}

/// A row to be written.
pub(crate) struct NewJob<'a> {
    pub(crate) name: &'a str,
    pub(crate) queue: &'a str,
    pub(crate) args: Value,
    pub(crate) max_attempts: i32,
    pub(crate) options: EnqueueOptions,
}

pub(crate) async fn insert(tx: &mut Tx, new: NewJob<'_>) -> Result<(), sqlx::Error> {
    store::insert(tx, &new, telemetry::current_context()).await?;
    if new.options.run_at.is_none() {
        tx.wake(WAKE_CHANNEL);
    }
    Ok(())
}

pub(crate) fn to_json<T: Serialize>(value: &T) -> Result<Value, sqlx::Error> {
    serde_json::to_value(value).map_err(|error| sqlx::Error::Encode(Box::new(error)))
}

/// Why a try failed. Every error that `?` meets is a `Retry`.
#[derive(Debug)]
pub enum JobError {
    /// Try again later; a dead letter after the last try.
    Retry(BoxError),
    /// Trying again cannot help: a dead letter at once, with this reason. Work that is merely no longer wanted is `Ok`.
    Discard(String),
}

impl<E: std::error::Error + Send + Sync + 'static> From<E> for JobError {
    fn from(error: E) -> Self {
        JobError::Retry(Box::new(error))
    }
}

/// The try that is running.
#[derive(Clone, Debug)]
pub struct Running {
    /// The job, the same over all its tries: a good idempotency key towards others.
    pub id: Uuid,
    /// Which try this is, from 1.
    pub attempt: i32,
    /// Which try is the last one.
    pub max_attempts: i32,
    lease: Uuid,
}

impl Running {
    /// Marks the job as done inside the handler's own transaction, so that effect and "done" commit together and the effect
    /// happens exactly once. Call it last before the commit.
    ///
    /// # Errors
    /// When the lease was lost, as another worker has taken over. PostgreSQL then refuses to commit the transaction.
    pub async fn settle(&self, tx: &mut Tx) -> Result<(), sqlx::Error> {
        store::settle_within(tx, self.id, self.lease).await
    }

    /// Marks several jobs as done inside one transaction, that of their common effect: as [`Self::settle`], all or none.
    ///
    /// # Errors
    /// When the lease of one of them was lost.
    pub async fn settle_all<'a>(running: impl IntoIterator<Item = &'a Self>, tx: &mut Tx) -> Result<(), sqlx::Error> {
        let held: Vec<(Uuid, Uuid)> = running.into_iter().map(|running| (running.id, running.lease)).collect();
        store::settle_all_within(tx, &held).await
    }
}
