//! Trials: a message that tells nothing, sent to one endpoint to see whether it takes it.

pub(crate) mod http;

use platform::caller::Member;
use platform::http::{Answer, Once};
use platform::once::Opened;
use serde_json::json;

use super::{EndpointId, EndpointStatus};
use crate::deliveries::{self, NewDelivery};
use crate::jobs::CHANNEL;
use crate::messages::recording::Mailing;
use crate::messages::{self, MessageId, NewMessage};
use crate::{Error, Webhooks, event_types, policy};

impl Webhooks {
    /// Sends a test message to this endpoint and no other, whatever it subscribes to.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Forbidden`], [`Error::EndpointDisabled`], [`Error::Once`].
    pub(crate) async fn test_endpoint(
        &self,
        member: &Member,
        id: EndpointId,
        wish: Once<()>,
    ) -> Result<Answer<MessageId>, Error> {
        self.make_room().await?;
        let (mut tx, once) = match wish.open(&self.0.db).await? {
            Opened::Replayed(answer) => return Ok(answer),
            Opened::Fresh { tx, once, .. } => (tx, once),
        };
        let found = super::store::lock(&mut tx, member.org(), id).await?.ok_or(Error::NotFound)?;
        if !policy::may_manage_endpoints(member.role()) {
            return Err(Error::Forbidden);
        }
        if found.status() == EndpointStatus::Disabled {
            return Err(Error::EndpointDisabled);
        }
        let message = messages::compose(&NewMessage {
            event_type: event_types::TEST.to_owned(),
            occurred_at: self.0.clock.now(),
            data: json!({ "endpoint_id": id }),
        })?;
        let mailing =
            [Mailing { organization: member.org(), message: &message, deliveries: vec![NewDelivery::to(id)] }];
        messages::store::insert(&mut tx, &mailing).await?;
        deliveries::store::insert(&mut tx, &mailing).await?;
        deliveries::store::draw_attention(&mut tx, &[id]).await?;
        tx.wake(CHANNEL);
        let answer = once.settle(&mut tx, message.id).await?;
        tx.commit().await?;
        Ok(answer)
    }
}
