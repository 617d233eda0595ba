//! From the free plan to a paid one.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Organization, Walk, require};
use crate::dev::client::{Call, Client, Failure, eventually, text};

/// How long the provider may take to get its events delivered.
const DELIVERY: Duration = Duration::from_secs(10);

const SEATS: i64 = 3;

/// What is seen of a subscription.
const TERMS: [&str; 5] = ["plan", "status", "quantity", "current_period_end", "access"];

/// What an organization has.
pub(super) struct Subscribed {
    pub(super) subscription: Value,
    pub(super) entitlements: Value,
}

impl Walk<'_> {
    /// Gives the address of the page.
    pub(super) async fn open_checkout(&mut self, organization: &Organization) -> Result<String, Failure> {
        self.story.step("The organization, so far on the free plan, asks for a page on which to pay.");
        let before = self.call(organization.get("entitlements"), 200, &["plan", "features"]).await?;
        require("the plan", &json!(self.stage.free_plan), &before["plan"])?;
        let plans = self.client.send(&Call::get("/v1/plans")).await?.expect(200)?;
        let offers = plans["data"].as_array().map(Vec::as_slice).unwrap_or_default();
        let Some(plan) = offers.iter().find(|plan| plan.pointer("/prices/0/id").is_some()) else {
            return Err(Failure::otherwise("a plan with a price", "none is offered"));
        };
        self.story.sent("GET /v1/plans", None);
        let price = &plan["prices"][0];
        self.story.came(200, &json!({ "code": plan["code"], "price": [price["money"], price["interval"]] }));
        let wish = json!({
            "price_id": price["id"],
            "quantity": SEATS,
            "success_url": format!("{}/paid", self.stage.api),
            "cancel_url": format!("{}/plans", self.stage.api),
        });
        let checkout = organization.post("billing/checkout", wish).once();
        let opened = self.call(checkout, 201, &["id", "url"]).await?;
        self.story.done();
        text(&opened, "/url")
    }

    /// Pays as a browser does.
    pub(super) async fn pay(&mut self, page: &str) -> Result<(), Failure> {
        self.story.step("Ada opens the page in her browser and pays with a test card.");
        let origin = self.stage.payments.url();
        let Some(path) = page.strip_prefix(origin) else {
            return Err(Failure::otherwise(format!("a page at {origin}"), format!("it is at {page}")));
        };
        let browser = Client::new(origin)?;
        self.story.sent(&format!("GET {page}"), None);
        let shown = browser.send(&Call::get(path)).await?;
        let title = shown.between("<title>", "</title>").unwrap_or_default().to_owned();
        self.story.came(shown.status.as_u16(), &json!({ "title": title }));
        shown.expect(200)?;
        self.story.sent(&format!("POST {page}/pay card=good"), None);
        let paid = browser.submit(&format!("{path}/pay"), "card=good").await?;
        let back = paid.headers.get("location").and_then(|value| value.to_str().ok()).unwrap_or_default();
        self.story.came(paid.status.as_u16(), &json!({ "location": back }));
        require("the status", &json!(303), &json!(paid.status.as_u16()))?;
        require("the way back", &json!(format!("{}/paid", self.stage.api)), &json!(back))?;
        self.story.done();
        Ok(())
    }

    /// Gives the id of one of the events.
    pub(super) async fn see_events_applied(&mut self) -> Result<String, Failure> {
        self.story.step("The provider tells the service, signed: each event is stored once, and a job applies it.");
        let control = self.stage.payments.control();
        if tokio::time::timeout(DELIVERY, control.delivered()).await.is_err() {
            let expected = "every event of the provider to be taken";
            return Err(Failure::otherwise(expected, format!("its attempts were {:?}", control.attempts())));
        }
        let events = control.events();
        for event in &events {
            let (id, kind) = (text(event, "/id")?, text(event, "/type")?);
            self.story.sent(&format!("POST /v1/inbound/stripe {}", json!({ "id": id, "type": kind })), None);
            let status = control.attempts().iter().rfind(|attempt| attempt.event == id).and_then(|last| last.status);
            self.story.came(status.unwrap_or_default(), &Value::Null);
            require("the status", &json!(200), &json!(status))?;
        }
        self.story.fact("each with the header stripe-signature: t=…,v1=… over its exact bytes");
        let received = self.records.received().await?;
        require("the number of stored events", &json!(events.len()), &json!(received))?;
        let handled = self.see_all_jobs_done(events.len()).await?;
        self.story.fact(&format!("stored: {received} rows in webhooks.inbox"));
        self.story
            .fact(&format!("applied: {handled} jobs `webhooks handles stripe` succeeded, none waits, none is dead"));
        self.story.done();
        let event = events.iter().find(|event| event["type"] == "customer.subscription.created");
        text(event.unwrap_or(&Value::Null), "/id")
    }

    pub(super) async fn see_what_was_bought(&mut self, organization: &Organization) -> Result<Subscribed, Failure> {
        self.story.step("The subscription is active, and the organization may use more than before.");
        let subscription = self.call(organization.get("billing/subscription"), 200, &TERMS).await?;
        require("the status", &json!("active"), &subscription["status"])?;
        require("the seats", &json!(SEATS), &subscription["quantity"])?;
        require("the access", &json!("full"), &subscription["access"])?;
        let entitlements = self.call(organization.get("entitlements"), 200, &["plan", "features"]).await?;
        require("the plan", &subscription["plan"], &entitlements["plan"])?;
        if entitlements["plan"] == json!(self.stage.free_plan) {
            return Err(Failure::otherwise("another plan than before", format!("it is {}", entitlements["plan"])));
        }
        self.story.done();
        Ok(Subscribed { subscription, entitlements })
    }

    /// Waits until nothing is left to do; gives how many events were handled, which must be this many at least.
    pub(super) async fn see_all_jobs_done(&mut self, handled: usize) -> Result<usize, Failure> {
        let metrics = Client::new(&self.stage.operations)?;
        let records = &mut self.records;
        eventually("every job to be done", async || {
            let (waiting, dead) = (records.waiting().await?, records.dead().await?);
            let done = metrics.send(&Call::get("/metrics")).await?.sum("jobs_total", SUCCEEDED);
            let all_done = waiting == 0 && dead == 0 && done >= handled;
            Ok(if all_done { Ok(done) } else { Err(format!("{done} are done, {waiting} wait, {dead} are dead")) })
        })
        .await
    }
}

/// The labels of the jobs that apply what the provider says.
const SUCCEEDED: [&str; 2] = ["job=\"webhooks handles stripe\"", "outcome=\"succeeded\""];
