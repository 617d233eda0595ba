//! Closings: an organization is gone. What it pays for ends; what it paid stays on record, without a name.

pub(crate) mod store;

use platform::caller::OrgId;
use platform::jobs::{JobError, Running};

use crate::{Billing, subscriptions};

impl Billing {
    /// Cancels what an organization pays for, now and whatever is still bought for it, and settles the job in the same
    /// transaction.
    ///
    /// # Errors
    /// To be tried again.
    pub async fn close_organization(&self, running: &Running, organization: OrgId) -> Result<(), JobError> {
        let mut tx = self.0.db.begin().await?;
        // A checkout that is being opened is over, or sees that it is too late.
        subscriptions::store::lock_organization(&mut tx, organization).await?;
        store::close(&mut tx, organization, self.0.clock.now()).await?;
        let subscriptions = subscriptions::store::list(&mut tx, organization).await?;
        self.cancel_all(&mut tx, organization, &subscriptions).await?;
        running.settle(&mut tx).await?;
        Ok(tx.commit().await?)
    }
}
