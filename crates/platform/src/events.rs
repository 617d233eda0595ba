//! Facts that modules tell each other: announced in the producer's transaction, heard by jobs.
//!
//! There is no relay and no second queue. Announcing inserts one job for each subscriber, in the transaction of the fact;
//! from then on the job queue's leases, retries, dead letters and metrics serve the event. Each hearer has a queue of its
//! own, so that a sick one never delays another.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, PoisonError, RwLock};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::db::Tx;
use crate::jobs::{self, JobError, Jobs, NamedJob, Running};

/// A fact, in the past tense, as its producer publishes it.
///
/// Yesterday's rows are read by today's binary: only add fields that have a default; anything else is a new version.
pub trait Event: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// Module, fact and version: `module.something_happened.v1`.
    const NAME: &'static str;
}

/// Who hears what in this binary. Wiring adds the hearers; modules keep a clone to announce with.
#[derive(Clone, Debug, Default)]
pub struct Events(Arc<RwLock<BTreeMap<&'static str, Vec<Hearing>>>>);

/// One subscription.
#[derive(Clone, Debug)]
struct Hearing {
    job: String,
    queue: String,
}

impl Events {
    /// Without subscribers.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Subscribes `hearer` to an event: from now on every announcement runs the handler as a job.
    ///
    /// The job is named `{hearer} hears {event}`; rows outlive the binary, so the name of a hearer never changes.
    pub fn hear<E, F, Fut>(&self, jobs: &mut Jobs, hearer: &str, handler: F)
    where
        E: Event,
        F: Fn(E, Running) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), JobError>> + Send + 'static,
    {
        let hearing = Hearing { job: format!("{hearer} hears {}", E::NAME), queue: format!("events.{hearer}") };
        jobs.add(hearing.job.clone(), hearing.queue.clone(), jobs::TIME_LIMIT, handler);
        self.0.write().unwrap_or_else(PoisonError::into_inner).entry(E::NAME).or_default().push(hearing);
    }

    /// Records a fact: every subscriber hears it if, and only if, the transaction commits.
    ///
    /// # Errors
    /// When the database refuses or is away.
    pub async fn announce<E: Event>(&self, tx: &mut Tx, event: &E) -> Result<(), sqlx::Error> {
        let hearings = self.0.read().unwrap_or_else(PoisonError::into_inner).get(E::NAME).cloned().unwrap_or_default();
        if hearings.is_empty() {
            return Ok(());
        }
        let jobs: Result<Vec<NamedJob>, sqlx::Error> =
            hearings.into_iter().map(|Hearing { job, queue }| NamedJob::new(job, queue, event)).collect();
        jobs::enqueue_named(tx, &jobs?).await
    }
}
