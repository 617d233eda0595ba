//! Enabling: an endpoint that failed for long, or said that it was gone, is sent to again.

pub(crate) mod http;
mod store;

use platform::caller::Member;

use super::{EndpointId, EndpointStatus};
use crate::jobs::CHANNEL;
use crate::{Error, Webhooks, policy, replays};

impl Webhooks {
    /// Has everything sent to the endpoint again at once, what waits for it first, and forgets how it failed. Nothing happens
    /// to one that is enabled and does not fail.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Forbidden`].
    pub(crate) async fn enable_endpoint(&self, member: &Member, id: EndpointId) -> Result<(), Error> {
        let mut tx = self.0.db.begin().await?;
        let found = super::store::lock(&mut tx, member.org(), id).await?.ok_or(Error::NotFound)?;
        if !policy::may_manage_endpoints(member.role()) {
            return Err(Error::Forbidden);
        }
        if found.status() == EndpointStatus::Enabled && found.failing_since.is_none() {
            return Ok(());
        }
        store::enable(&mut tx, member.org(), id, self.0.clock.now()).await?;
        replays::resume(&mut tx, member.org(), id).await?;
        tx.wake(CHANNEL);
        tx.commit().await?;
        Ok(())
    }
}
