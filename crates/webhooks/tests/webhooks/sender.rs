//! Two sources that sign as Stripe does, and a module that hears them.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use hmac::{Hmac, KeyInit, Mac};
use platform::config::Secret;
use platform::db::Db;
use platform::jobs::{JobError, Running};
use platform::outbound::AddressRules;
use platform::telemetry::{RequestContext, current_context};
use serde_json::{Value, json};
use sha2::Sha256;
use test_support::{Answer, ApiClient, start_of_time};
use webhooks::ports::{InboundEvent, InboundHandler, Payload};
use webhooks::{Config, Scheme, SourceConfig};

use crate::house::{Handlers, House};

/// What both sources sign with; while it is being rotated, the old one counts as well.
pub(crate) const SECRET: &str = "whsec_new";
pub(crate) const OLD_SECRET: &str = "whsec_old";

/// What the sources are called.
pub(crate) const SOURCES: [&str; 2] = ["stripe", "stripe_test"];

/// An event and on whose behalf it is handled.
pub(crate) type Heard = (InboundEvent, Option<RequestContext>);

/// Handles events as their type says.
#[derive(Clone)]
pub(crate) struct Ear {
    db: Db,
    heard: Arc<Mutex<Vec<Heard>>>,
    payloads: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Ear {
    pub(crate) fn heard(&self) -> Vec<Heard> {
        self.heard.lock().expect("no panic").clone()
    }

    /// The payloads of those events whose type asks to read it.
    pub(crate) fn payloads(&self) -> Vec<Vec<u8>> {
        self.payloads.lock().expect("no panic").clone()
    }

    /// The ids of the events, in order.
    pub(crate) fn ids(&self) -> Vec<String> {
        let mut ids: Vec<String> = self.heard().into_iter().map(|(event, _)| event.id).collect();
        ids.sort();
        ids
    }
}

#[async_trait]
impl InboundHandler for Ear {
    async fn handle(&self, event: InboundEvent, payload: &Payload, running: &Running) -> Result<(), JobError> {
        let kind = event.event_type.clone();
        self.heard.lock().expect("no panic").push((event, current_context()));
        if kind == "sample.read_whole" {
            let payload = payload.read().await?;
            self.payloads.lock().expect("no panic").push(payload);
        }
        if kind == "sample.failing" {
            return Err(JobError::Retry("on purpose".into()));
        }
        let mut tx = self.db.begin().await?;
        running.settle(&mut tx).await?;
        match kind.as_str() {
            "sample.rolled_back" => return Err(JobError::Retry("the effect is undone".into())),
            "sample.settled_then_discarded" => {
                tx.commit().await?;
                return Err(JobError::Discard("too late".to_owned()));
            }
            _ => tx.commit().await?,
        }
        Ok(())
    }
}

/// A house with the two sources, both heard by the same.
pub(crate) async fn house() -> (House, Ear) {
    house_with(config(&[SECRET, OLD_SECRET]), SOURCES).await
}

/// A house with these sources, all heard by the same.
pub(crate) async fn house_with<const N: usize>(config: Config, sources: [&'static str; N]) -> (House, Ear) {
    let mut ear = None;
    let make = |db: &Db| {
        let made = ear.insert(Ear { db: db.clone(), heard: Arc::default(), payloads: Arc::default() });
        sources.map(|name| (name, Arc::new(made.clone()) as Arc<dyn InboundHandler>)).into()
    };
    let house = House::with_handlers(AddressRules::Any, config, make).await;
    (house, ear.expect("it was made"))
}

/// The two sources.
pub(crate) fn config(secrets: &[&str]) -> Config {
    let named = |(at, secret): (usize, &&str)| (at.to_string(), Secret::from((*secret).to_owned()));
    let secrets = secrets.iter().enumerate().map(named).collect();
    let source = SourceConfig { scheme: Scheme::Stripe, tolerance_seconds: 300, secrets };
    Config { sources: SOURCES.map(|name| (name.to_owned(), source.clone())).into(), ..Config::default() }
}

/// Nobody who hears.
pub(crate) fn deaf(_: &Db) -> Handlers {
    Handlers::new()
}

pub(crate) fn event(id: &str, event_type: &str) -> Value {
    json!({
        "id": id, "object": "event", "type": event_type, "created": start_of_time().timestamp() - 5, "livemode": false,
        "api_version": "2025-03-31.basil", "data": { "object": { "id": "sub_1", "object": "subscription" } },
    })
}

/// `v1=…` for a body.
pub(crate) fn signature(secret: &str, signed_at: i64, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any length");
    mac.update(format!("{signed_at}.").as_bytes());
    mac.update(body);
    let signature: [u8; 32] = mac.finalize().into_bytes().into();
    format!("v1={}", signature.map(|byte| format!("{byte:02x}")).concat())
}

/// Sends a body that was signed just now.
pub(crate) async fn send(api: &ApiClient, source: &str, body: impl Into<Vec<u8>>) -> Answer {
    let body = body.into();
    let now = start_of_time().timestamp();
    let header = format!("t={now},{}", signature(SECRET, now, &body));
    send_with(api, source, &header, body).await
}

/// Sends a body with such a header, as Stripe does.
pub(crate) async fn send_with(api: &ApiClient, source: &str, header: &str, body: impl Into<Vec<u8>>) -> Answer {
    let ask = api.ask(platform::http::Method::POST, &format!("/v1/inbound/{source}"));
    let ask = ask.header("content-type", "application/json; charset=utf-8").header("stripe-signature", header);
    ask.header("x-request-id", "from-the-sender").body(body.into()).send().await
}

/// Says that it is stored, and nothing else.
#[track_caller]
pub(crate) fn expect_taken(answer: &Answer) {
    assert_eq!((answer.status.as_u16(), answer.text.as_str()), (200, ""));
}
