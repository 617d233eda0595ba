//! Deliveries that wait for longer than messages are kept, as those of disabled endpoints may: nobody can send them any more.

use sqlx::PgConnection;
use uuid::Uuid;

use super::sending::LEASE;
use super::store::expiry;
use super::store::settlements::{self, Change, Look};
use crate::{Error, Webhooks};

/// They are removed in steps of so many.
const BATCH: usize = 1_000;

impl Webhooks {
    /// Gives up what waits although its message is past the retention; says how much that was. The list says that it is dead,
    /// as long as its partition is there.
    pub(crate) async fn give_up_expired(&self) -> Result<usize, Error> {
        let mut all = 0;
        loop {
            let mut tx = self.0.db.begin().await?;
            let expired = expiry::list(&mut tx, self.0.config.retention_days, BATCH).await?;
            let endpoints: Vec<Uuid> = expired.iter().map(|expired| expired.endpoint).collect();
            let deliveries: Vec<Uuid> = expired.iter().map(|expired| expired.delivery).collect();
            settlements::lock(&mut tx, &endpoints).await?;
            let GivenUp { count, .. } = give_up(&mut tx, &deliveries).await?;
            tx.commit().await?;
            all += count;
            if count == 0 || expired.len() < BATCH {
                return Ok(all);
            }
        }
    }
}

/// What came of giving up.
pub(super) struct GivenUp {
    count: usize,
    /// A slot came free at an endpoint that something waits for.
    pub(super) ready: bool,
}

/// Gives these deliveries up, unless they were taken meanwhile, with the slots of leases that ended. Their endpoints are locked.
pub(super) async fn give_up(connection: &mut PgConnection, deliveries: &[Uuid]) -> Result<GivenUp, sqlx::Error> {
    let removed = expiry::give_up(connection, deliveries).await?;
    let count = removed.iter().map(|removed| usize::try_from(removed.count).unwrap_or_default()).sum();
    let changes: Vec<Change> = removed
        .into_iter()
        .map(|removed| Change { endpoint: removed.endpoint, slots: removed.slots, look: Look::None })
        .collect();
    let ready = settlements::change_endpoints(connection, &changes, LEASE).await?;
    Ok(GivenUp { count, ready })
}
