//! Deliveries that wait for longer than messages are kept, as those of disabled endpoints may: nobody can send them any more.

use uuid::Uuid;

use super::sending::LEASE;
use super::store::expiry::{self, Removed};
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
            settlements::prefer_indexes(&mut tx).await?;
            settlements::lock(&mut tx, &endpoints).await?;
            let removed = expiry::give_up(&mut tx, &deliveries).await?;
            let change =
                |removed: &Removed| Change { endpoint: removed.endpoint, slots: removed.slots, look: Look::None };
            let changes: Vec<Change> = removed.iter().map(change).collect();
            settlements::change_endpoints(&mut tx, &changes, LEASE).await?;
            tx.commit().await?;
            all += removed.iter().map(|removed| usize::try_from(removed.count).unwrap_or_default()).sum::<usize>();
            if removed.is_empty() || expired.len() < BATCH {
                return Ok(all);
            }
        }
    }
}
