use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc::UnboundedReceiver;
use uuid::Uuid;

use super::run::{Finished, Verdict};
use super::store::{self, Claimed, Failure};
use crate::db::Db;

/// How often settling is tried during a shutdown; broken connections must not make finished jobs run again. Each try may meet
/// another of them, so it is one more than the platform's pool has unless configured otherwise.
const LAST_TRIES: u32 = 5;

/// The most tries settled in one statement.
const BATCH: usize = 1_000;

/// The leases this worker holds, from claim to settlement: what the heartbeat extends and a shutdown gives back.
#[derive(Clone, Default)]
pub(super) struct Leases(Arc<Mutex<HashMap<Uuid, Uuid>>>);

impl Leases {
    pub(super) fn add(&self, claimed: &[Claimed]) {
        self.lock().extend(claimed.iter().map(|job| (job.id, job.lease)));
    }

    pub(super) fn all(&self) -> Vec<(Uuid, Uuid)> {
        self.lock().iter().map(|(id, lease)| (*id, *lease)).collect()
    }

    pub(super) fn remove(&self, settled: &[(Uuid, Uuid)]) {
        let mut held = self.lock();
        for (id, lease) in settled {
            // The same job may have been claimed again after this lease was lost.
            if held.get(id) == Some(lease) {
                held.remove(id);
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Uuid, Uuid>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Settles what arrives, all that waits in one go, until nobody can send any more.
pub(super) async fn run(mut arriving: UnboundedReceiver<Finished>, db: Db, leases: Leases, pause: Duration) {
    let mut batch = Vec::new();
    while arriving.recv_many(&mut batch, BATCH).await > 0 {
        let mut failures = 0;
        while let Err(error) = settle(&db, &batch).await {
            failures += 1;
            tracing::warn!(%error, waiting = batch.len(), "finished jobs could not be settled");
            // At the end of the process there is no time for more; the jobs run again.
            if arriving.is_closed() && failures >= LAST_TRIES {
                batch.clear();
                break;
            }
            tokio::time::sleep(pause).await;
        }
        let settled: Vec<(Uuid, Uuid)> = batch.drain(..).map(|finished| (finished.id, finished.lease)).collect();
        leases.remove(&settled);
    }
}

/// Writes down how tries ended. Those whose lease was lost in the meantime change nothing.
pub(super) async fn settle(db: &Db, batch: &[Finished]) -> Result<(), sqlx::Error> {
    let mut successes = Vec::new();
    let mut failures = Vec::new();
    for Finished { id, lease, verdict, .. } in batch {
        let (error, retry_in) = match verdict {
            Verdict::Succeeded => {
                successes.push((*id, *lease));
                continue;
            }
            Verdict::Retry { error, after } => (error.clone(), Some(*after)),
            Verdict::Dead { error } => (error.clone(), None),
        };
        failures.push(Failure { id: *id, lease: *lease, error, retry_in });
    }
    let mut connection = db.read().await?;
    if !successes.is_empty() {
        store::settle_successes(&mut connection, &successes).await?;
    }
    if !failures.is_empty() {
        store::settle_failures(&mut connection, &failures).await?;
    }
    Ok(())
}
