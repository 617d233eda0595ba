//! Retrying by hand: a delivery that ended begins again, one that waits goes out now.

use platform::caller::Member;

use super::{Delivery, DeliveryId, store};
use crate::endpoints::EndpointId;
use crate::jobs::CHANNEL;
use crate::{Error, Webhooks, policy};

/// Where a delivery goes, under our lock.
pub(crate) struct Destination {
    pub(crate) endpoint: EndpointId,
    pub(crate) enabled: bool,
}

impl Webhooks {
    /// Makes a delivery due. One that ended, however it did, has the whole schedule before it again; one that is on its way is
    /// left alone.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Forbidden`], [`Error::EndpointDisabled`], [`Error::MessageExpired`].
    pub(crate) async fn retry_delivery(&self, member: &Member, id: DeliveryId) -> Result<Delivery, Error> {
        let mut tx = self.0.db.begin().await?;
        let destination = store::lock_destination(&mut tx, member.org(), id).await?.ok_or(Error::NotFound)?;
        if !policy::may_manage_endpoints(member.role()) {
            return Err(Error::Forbidden);
        }
        if !destination.enabled {
            return Err(Error::EndpointDisabled);
        }
        // Read only now: while the endpoint is ours, nobody else changes it.
        let found = store::find(&mut tx, member.org(), id).await?.ok_or(Error::NotFound)?;
        if !store::has_message(&mut tx, member.org(), found.message).await? {
            return Err(Error::MessageExpired);
        }
        store::make_due(&mut tx, member.org(), &[id.uuid()]).await?;
        store::draw_attention(&mut tx, &[destination.endpoint]).await?;
        let retried = store::find(&mut tx, member.org(), id).await?.ok_or(Error::NotFound)?;
        tx.wake(CHANNEL);
        tx.commit().await?;
        Ok(retried)
    }
}
