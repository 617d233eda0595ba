//! Webhooks hears what happened in the other modules and chooses what the world is told. The public topics are a contract of
//! their own: an event may change its version without a receiver noticing.

use billing::events::SubscriptionUpdated;
use chrono::{DateTime, Utc};
use platform::caller::OrgId;
use platform::events::Events;
use platform::jobs::Jobs;
use serde_json::json;
use users::events::{OrganizationCreated, OrganizationUpdated};
use webhooks::{NewMessage, Webhooks};

const HEARER: &str = "webhooks";

pub(super) fn wire(events: &Events, jobs: &mut Jobs, webhooks: &Webhooks) {
    let hearer = webhooks.clone();
    events.hear(jobs, HEARER, move |event: OrganizationCreated, running| {
        let webhooks = hearer.clone();
        let message = organization("organization.created", event.organization, &event.name, event.at);
        async move { webhooks.publish(&running, event.organization, message).await }
    });
    let hearer = webhooks.clone();
    events.hear(jobs, HEARER, move |event: OrganizationUpdated, running| {
        let webhooks = hearer.clone();
        let message = organization("organization.updated", event.organization, &event.name, event.at);
        async move { webhooks.publish(&running, event.organization, message).await }
    });
    let hearer = webhooks.clone();
    events.hear(jobs, HEARER, move |event: SubscriptionUpdated, running| {
        let webhooks = hearer.clone();
        async move { webhooks.publish(&running, event.organization, subscription(&event)).await }
    });
}

fn organization(event_type: &str, id: OrgId, name: &str, occurred_at: DateTime<Utc>) -> NewMessage {
    NewMessage { event_type: event_type.to_owned(), occurred_at, data: json!({ "id": id, "name": name }) }
}

fn subscription(event: &SubscriptionUpdated) -> NewMessage {
    let data = json!({
        "organization_id": event.organization,
        "plan": event.plan,
        "status": event.status,
        "quantity": event.quantity,
        "current_period_end": event.current_period_end,
        "cancel_at": event.cancel_at,
        "access": event.access,
    });
    NewMessage { event_type: "billing.subscription.updated".to_owned(), occurred_at: event.at, data }
}
