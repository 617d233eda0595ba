//! Webhooks hears its own event, that an endpoint was disabled, and tells the organization's other endpoints: a public topic is
//! a contract of its own, chosen here like all others.

use platform::events::Events;
use platform::jobs::Jobs;
use serde_json::json;
use webhooks::events::EndpointDisabled;
use webhooks::{NewMessage, Webhooks};

const HEARER: &str = "webhooks";

pub(super) fn wire(events: &Events, jobs: &mut Jobs, webhooks: &Webhooks) {
    let hearer = webhooks.clone();
    events.hear(jobs, HEARER, move |event: EndpointDisabled, running| {
        let webhooks = hearer.clone();
        async move { webhooks.publish(&running, event.organization_id, message(&event)).await }
    });
}

fn message(event: &EndpointDisabled) -> NewMessage {
    let data = json!({
        "endpoint_id": event.endpoint_id,
        "url": event.url,
        "reason": event.reason,
        "disabled_at": event.disabled_at,
    });
    NewMessage { event_type: "webhook_endpoint.disabled".to_owned(), occurred_at: event.disabled_at, data }
}
