//! Writing down how calls went, many at a time: whoever finishes while others are being written joins the next batch.

use std::time::Duration;

use platform::db::Tx;
use platform::ids::random_bytes;
use tokio::time::sleep;
use uuid::Uuid;

use super::health::Turn;
use super::sending::LEASE;
use super::store::settlements::{self, Change, Disabled, Settled};
use super::verdict::Outcome;
use crate::batches::Batches;
use crate::endpoints::EndpointId;
use crate::events::{EndpointDisabled, origin};
use crate::jobs::CHANNEL;
use crate::{Error, Webhooks};

/// The most outcomes written at once.
const BATCH: usize = 200;

/// How long an outcome waits for others: calls that began together end at about the same time, and what a transaction costs
/// depends little on how many it writes down. Nobody waits for it, as the receiver has its message.
const LINGER: Duration = Duration::from_millis(2);

/// How often writing is tried, a pause apart. By then the leases have ended and others do the work.
const TRIES: usize = 60;
const PAUSE: Duration = Duration::from_secs(1);

/// Collects outcomes and writes them in batches.
pub(super) struct Settling {
    webhooks: Webhooks,
    outcomes: Batches<Outcome>,
}

impl Settling {
    pub(super) fn new(webhooks: Webhooks) -> Self {
        Self { webhooks, outcomes: Batches::of(BATCH, LINGER) }
    }

    /// Returns when the outcome is written down, by this call or by the one before it.
    pub(super) async fn settle(&self, outcome: Outcome) {
        self.outcomes.join(outcome, |batch| self.write(batch)).await;
    }

    async fn write(&self, batch: Vec<Outcome>) {
        for _ in 0..TRIES {
            match self.webhooks.settle(&batch).await {
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
        let known = settlements::lock(&mut tx, &endpoints).await?;
        let settled = settlements::settle(&mut tx, batch).await?;
        let turn = |Settled { change, signs }: &Settled| {
            let known = known.get(&change.endpoint)?;
            let turn = known.health.after(*signs, known.now, u32::from_le_bytes(random_bytes()))?;
            Some((change.endpoint, turn))
        };
        let turns: Vec<(EndpointId, Turn)> = settled.iter().filter_map(turn).collect();
        if !turns.is_empty() {
            self.save_health(&mut tx, &turns).await?;
        }
        let changes: Vec<Change> = settled.into_iter().map(|settled| settled.change).collect();
        if settlements::change_endpoints(&mut tx, &changes, LEASE).await? {
            tx.wake(CHANNEL);
        }
        tx.commit().await?;
        for (endpoint, _) in turns.iter().filter(|(_, turn)| turn.paused) {
            metrics::counter!("webhook_breaker_openings_total").increment(1);
            tracing::info!(%endpoint, "an endpoint that fails is left alone for a while");
        }
        Ok(())
    }

    /// Keeps how endpoints are doing, and tells others of those that are disabled.
    async fn save_health(&self, tx: &mut Tx, turns: &[(EndpointId, Turn)]) -> Result<(), Error> {
        for disabled in settlements::save_health(tx, turns).await? {
            let Disabled { endpoint, organization, url, at, reason } = disabled;
            tracing::warn!(%endpoint, %organization, reason, "an endpoint is disabled");
            let event = EndpointDisabled {
                endpoint_id: endpoint.uuid(),
                organization_id: organization,
                reason,
                url: origin(&url),
                disabled_at: at,
            };
            self.0.events.announce(tx, &event).await?;
        }
        Ok(())
    }
}
