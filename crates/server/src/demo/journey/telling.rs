//! What the customer's own systems are told, and that nothing is told twice.

use serde_json::{Value, json};

use super::paying::Subscribed;
use super::{Organization, Walk, picked, require};
use crate::demo::shown::shown;
use crate::dev::client::{Failure, eventually, text};

/// What the receiver asked to be told.
const TOPIC: &str = "billing.subscription.updated";

const COPIES: usize = 5;

/// Where the organization wants to be told.
pub(super) struct Endpoint {
    id: String,
    /// What its messages are signed with.
    secret: String,
}

impl Walk<'_> {
    pub(super) async fn register_endpoint(&mut self, organization: &Organization) -> Result<Endpoint, Failure> {
        self.story.step("The organization registers its own system, to be told of changes of its subscription.");
        let wish = json!({ "url": self.stage.hook, "event_types": [TOPIC] });
        let created = self.call(organization.post("webhook-endpoints", wish), 201, &["id", "secret"]).await?;
        self.story.done();
        Ok(Endpoint { id: text(&created, "/id")?, secret: text(&created, "/secret")? })
    }

    pub(super) async fn see_the_customer_told(
        &mut self,
        organization: &Organization,
        endpoint: &Endpoint,
    ) -> Result<(), Failure> {
        self.story.step("The organization's own system is told, and verifies the signature with another library.");
        let receiver = &self.stage.receiver;
        let first = eventually("a webhook to arrive", async || {
            Ok(receiver.received().into_iter().next().ok_or_else(|| "none came".to_owned()))
        })
        .await?;
        self.story.sent(&format!("POST {}", self.stage.hook), None);
        for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
            self.story.fact(&format!("{name}: {}", first.header(name)));
        }
        let message: Value = serde_json::from_slice(&first.body).unwrap_or_default();
        self.story.fact(&shown(&picked(&message, &["type", "data"])));
        if let Err(error) = first.verify(&endpoint.secret) {
            return Err(Failure::otherwise("a good signature", error.to_string()));
        }
        self.story.came(204, &json!({ "signature": "good" }));
        require("the type", &json!(TOPIC), &message["type"])?;
        require("the status", &json!("active"), &message["data"]["status"])?;
        self.see_deliveries(organization, endpoint).await?;
        self.story.done();
        Ok(())
    }

    /// The provider says the same again, several times at once.
    pub(super) async fn repeat(
        &mut self,
        event: &str,
        organization: &Organization,
        endpoint: &Endpoint,
        before: &Subscribed,
    ) -> Result<(), Failure> {
        self.story.step("The provider sends one event five times more, all at once: nothing changes.");
        let received = self.records.received().await?;
        self.story.sent(&format!("POST /v1/inbound/stripe {} × {COPIES}", json!({ "id": event })), None);
        let copies = self.stage.payments.control().resend(event, COPIES).await?;
        let statuses: Vec<_> = copies.iter().map(|copy| copy.status).collect();
        self.story.fact(&format!("answered {}", json!(statuses)));
        require("every status", &json!(vec![200; COPIES]), &json!(statuses))?;
        self.see_all_jobs_done(0).await?;
        require("the number of stored events", &json!(received), &json!(self.records.received().await?))?;
        self.story.fact(&format!("still {received} rows in webhooks.inbox, and no job"));
        let now = self.call(organization.get("billing/subscription"), 200, &["plan", "status", "quantity"]).await?;
        require("the subscription", &before.subscription, &now)?;
        let now = self.call(organization.get("entitlements"), 200, &["plan"]).await?;
        require("what it may use", &before.entitlements, &now)?;
        self.see_deliveries(organization, endpoint).await?;
        self.story.done();
        Ok(())
    }

    /// There is exactly one message, and it was delivered.
    async fn see_deliveries(&mut self, organization: &Organization, endpoint: &Endpoint) -> Result<(), Failure> {
        let list = organization.get(&format!("webhook-endpoints/{}/deliveries", endpoint.id));
        let client = &self.client;
        let deliveries = eventually("the delivery to be settled", async || {
            let page = client.send(&list).await?.expect(200)?;
            let pending = page["data"].as_array().into_iter().flatten().any(|one| one["status"] == "pending");
            Ok(if pending { Err(format!("the deliveries are {page}")) } else { Ok(page) })
        })
        .await?;
        let deliveries = deliveries["data"].as_array().cloned().unwrap_or_default();
        let seen: Vec<Value> = deliveries.iter().map(|one| picked(one, &["event_type", "status"])).collect();
        self.story.sent(&format!("GET {}", list.path), None);
        self.story.came(200, &json!({ "data": seen }));
        require("the deliveries", &json!([{ "event_type": TOPIC, "status": "delivered" }]), &json!(seen))?;
        require("the number of received webhooks", &json!(1), &json!(self.stage.receiver.received().len()))
    }
}
