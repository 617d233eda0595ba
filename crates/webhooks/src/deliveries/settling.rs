//! Writing down how calls went, many at a time: whoever finishes while others are being written joins the next batch.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::sleep;
use uuid::Uuid;

use super::sending::LEASE;
use super::store::settlements;
use super::verdict::Outcome;
use crate::jobs::CHANNEL;
use crate::{Error, Webhooks};

/// The most outcomes written at once.
const BATCH: usize = 200;

/// How often writing is tried, a pause apart. By then the leases have ended and others do the work.
const TRIES: usize = 60;
const PAUSE: Duration = Duration::from_secs(1);

/// Collects outcomes and writes them in batches.
pub(super) struct Settling {
    webhooks: Webhooks,
    waiting: Mutex<Vec<Outcome>>,
    turn: tokio::sync::Mutex<()>,
}

impl Settling {
    pub(super) fn new(webhooks: Webhooks) -> Self {
        Self { webhooks, waiting: Mutex::default(), turn: tokio::sync::Mutex::default() }
    }

    /// Returns when the outcome is written down, by this call or by the one before it.
    pub(super) async fn settle(&self, outcome: Outcome) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push(outcome);
        let _turn = self.turn.lock().await;
        loop {
            let batch = self.take_batch();
            if batch.is_empty() {
                return;
            }
            self.write(&batch).await;
        }
    }

    fn take_batch(&self) -> Vec<Outcome> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let count = waiting.len().min(BATCH);
        waiting.drain(..count).collect()
    }

    async fn write(&self, batch: &[Outcome]) {
        for _ in 0..TRIES {
            match self.webhooks.settle(batch).await {
                Ok(()) => return,
                Err(error) => tracing::warn!(%error, waiting = batch.len(), "attempts could not be written down"),
            }
            sleep(PAUSE).await;
        }
        tracing::error!(lost = batch.len(), "attempts were not written down; their leases end and they are made again");
    }
}

impl Webhooks {
    async fn settle(&self, batch: &[Outcome]) -> Result<(), Error> {
        let mut tx = self.0.db.begin().await?;
        let endpoints: Vec<Uuid> = batch.iter().map(|outcome| outcome.endpoint.uuid()).collect();
        settlements::prefer_indexes(&mut tx).await?;
        settlements::lock(&mut tx, &endpoints).await?;
        let changes = settlements::settle(&mut tx, batch).await?;
        if settlements::change_endpoints(&mut tx, &changes, LEASE).await? {
            tx.wake(CHANNEL);
        }
        tx.commit().await?;
        Ok(())
    }
}
