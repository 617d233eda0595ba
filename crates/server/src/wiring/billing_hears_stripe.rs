//! Billing hears what the payment provider says happened; webhooks has checked that it was the provider who said so.

use async_trait::async_trait;
use billing::{Billing, ProviderEvent};
use platform::jobs::{JobError, Running};
use webhooks::ports::{InboundEvent, InboundHandler, Payload};

pub(super) const SOURCE: &str = "stripe";

pub(super) struct StripeEvents(pub(super) Billing);

#[async_trait]
impl InboundHandler for StripeEvents {
    async fn handle(&self, event: InboundEvent, _: &Payload, running: &Running) -> Result<(), JobError> {
        let InboundEvent { id, event_type, object_id, livemode, .. } = event;
        let event = ProviderEvent { id, event_type, object_id, livemode: livemode.unwrap_or_default() };
        self.0.hear_provider(running, event).await
    }
}
