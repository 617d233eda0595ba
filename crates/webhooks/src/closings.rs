//! Closings: an organization is gone. Its endpoints go with their secrets and with what waits for them; what was sent stays until
//! its partition is dropped, like everybody's.

mod store;

use platform::caller::OrgId;
use platform::jobs::{JobError, Running};

use crate::Webhooks;

/// What waits is dropped in steps of so many.
const BATCH: i64 = 1_000;

impl Webhooks {
    /// Deletes the endpoints of an organization, and settles the job in the same transaction.
    ///
    /// # Errors
    /// To be tried again.
    pub async fn close_organization(&self, running: &Running, organization: OrgId) -> Result<(), JobError> {
        loop {
            let mut tx = self.0.db.begin().await?;
            // Endpoints first, in the order of their ids, as everywhere.
            store::lock_endpoints(&mut tx, organization).await?;
            if store::delete_due(&mut tx, organization, BATCH).await? < BATCH.unsigned_abs() {
                store::delete_endpoints(&mut tx, organization).await?;
                running.settle(&mut tx).await?;
                return Ok(tx.commit().await?);
            }
            tx.commit().await?;
        }
    }
}
