//! Sources that sign otherwise than Stripe: what of them is believed, and what is kept.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use hmac::{Hmac, KeyInit, Mac};
use platform::config::Secret;
use platform::http::Method;
use serde_json::{Value, json};
use sha2::Sha256;
use standardwebhooks::Webhook;
use test_support::{Answer, start_of_time};
use webhooks::ports::InboundEvent;
use webhooks::{Config, Scheme, SourceConfig};

use crate::house::House;
use crate::sender::{Ear, expect_taken, house_with};

const SOURCES: [&str; 2] = ["github", "post"];
const GITHUB: &str = "it is no secret any more";
const POST: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

const STORED: &str = "SELECT count(*) FROM webhooks.inbox";

fn config() -> Config {
    let source = |scheme, secret: &str| {
        let secrets = BTreeMap::from([("1".to_owned(), Secret::from(secret.to_owned()))]);
        SourceConfig { scheme, tolerance_seconds: 300, secrets }
    };
    let sources = [source(Scheme::Github, GITHUB), source(Scheme::StandardWebhooks, POST)];
    let named = SOURCES.map(ToOwned::to_owned).into_iter().zip(sources);
    Config { sources: named.collect(), ..Config::default() }
}

async fn house() -> (House, Ear) {
    house_with(config(), SOURCES).await
}

async fn post(house: &House, source: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let ask = house.api.ask(Method::POST, &format!("/v1/inbound/{source}"));
    let ask = headers.iter().fold(ask, |ask, (name, value)| ask.header(name, value));
    ask.body(body.as_bytes().to_vec()).send().await
}

/// Sends as GitHub does.
async fn deliver(house: &House, id: &str, name: &str, body: &str) -> Answer {
    let mut mac = Hmac::<Sha256>::new_from_slice(GITHUB.as_bytes()).expect("any length");
    mac.update(body.as_bytes());
    let signature: [u8; 32] = mac.finalize().into_bytes().into();
    let signature = format!("sha256={}", signature.map(|byte| format!("{byte:02x}")).concat());
    let headers = [("x-hub-signature-256", signature.as_str()), ("x-github-delivery", id), ("x-github-event", name)];
    post(house, "github", &headers, body).await
}

/// Sends as the official library signs.
async fn tell(house: &House, id: &str, at: DateTime<Utc>, body: &str) -> Answer {
    let library = Webhook::new(POST).expect("it reads the key");
    let signature = library.sign(id, at.timestamp(), body.as_bytes()).expect("it signs");
    let time = at.timestamp().to_string();
    let headers = [("webhook-id", id), ("webhook-timestamp", &time), ("webhook-signature", &signature)];
    post(house, "post", &headers, body).await
}

/// What the handlers heard, without the contexts.
fn heard(ear: &Ear) -> Vec<InboundEvent> {
    ear.heard().into_iter().map(|(event, _)| event).collect()
}

fn event(source: &str, id: &str, event_type: &str, object_id: Option<&str>) -> InboundEvent {
    InboundEvent {
        source: source.to_owned(),
        id: id.to_owned(),
        event_type: event_type.to_owned(),
        object_id: object_id.map(ToOwned::to_owned),
        livemode: None,
        occurred_at: start_of_time(),
    }
}

#[tokio::test]
async fn what_github_delivers_is_known_by_the_delivery_and_typed_by_name_and_action() {
    let (house, ear) = house().await;
    let opened = r#"{"action":"opened","number":7}"#;
    for (id, name, body) in [("1", "pull_request", opened), ("2", "push", "{}"), ("1", "pull_request", opened)] {
        expect_taken(&deliver(&house, id, name, body).await);
    }
    house.worker.run_due().await;
    let mut heard = heard(&ear);
    heard.sort_by(|one, other| one.id.cmp(&other.id));
    let opened = event("github", "1", "pull_request.opened", None);
    assert_eq!(heard, [opened, event("github", "2", "push", None)]);
    for body in ["payload=%7B%7D", "[]", ""] {
        deliver(&house, "3", "push", body).await.expect_problem(400, "invalid_event");
    }
    deliver(&house, "", "push", "{}").await.expect_problem(400, "invalid_event");
    assert_eq!(house.count(STORED).await, 2);
}

/// GitHub signs neither id nor type nor time. Handlers are told so; this says that it is so.
#[tokio::test]
async fn a_delivery_of_github_under_another_id_is_another_event() {
    let (house, ear) = house().await;
    expect_taken(&deliver(&house, "1", "push", "{}").await);
    house.worker.run_due().await;
    house.clock.advance(std::time::Duration::from_hours(1_000));
    expect_taken(&deliver(&house, "2", "push", "{}").await);
    house.worker.run_due().await;
    assert_eq!(ear.ids(), ["1", "2"]);
}

#[tokio::test]
async fn what_keeps_to_standard_webhooks_is_known_by_its_signed_id() {
    let (house, ear) = house().await;
    let body = json!({ "type": "contact.created", "timestamp": "2026-01-01T00:00:00Z", "data": { "id": "c_1" } });
    let body = body.to_string();
    for _ in 0..2 {
        expect_taken(&tell(&house, "msg_1", start_of_time(), &body).await);
    }
    // The same event, signed anew for another try.
    expect_taken(&tell(&house, "msg_1", start_of_time() + TimeDelta::seconds(300), &body).await);
    house.worker.run_due().await;
    assert_eq!(heard(&ear), [event("post", "msg_1", "contact.created", Some("c_1"))]);
    assert_eq!(house.count(STORED).await, 1);
    for seconds in [-301, 301] {
        let stale = tell(&house, "msg_2", start_of_time() + TimeDelta::seconds(seconds), &body).await;
        stale.expect_problem(400, "invalid_timestamp");
    }
    tell(&house, "msg_2", start_of_time(), "{}").await.expect_problem(400, "invalid_event");
    assert_eq!(house.count(STORED).await, 1);
}

#[tokio::test]
async fn a_source_believes_nothing_that_is_signed_for_another() {
    let (house, _) = house().await;
    let body = r#"{"type":"a"}"#;
    let signature = Webhook::new(POST).expect("a key").sign("1", start_of_time().timestamp(), body.as_bytes());
    let (signature, time) = (signature.expect("it signs"), start_of_time().timestamp().to_string());
    let headers = [("webhook-id", "1"), ("webhook-timestamp", &time), ("webhook-signature", &signature)];
    post(&house, "github", &headers, body).await.expect_problem(400, "invalid_signature");
    expect_taken(&post(&house, "post", &headers, body).await);
    let row: Value = sqlx::query_scalar("SELECT to_jsonb(inbox) FROM webhooks.inbox")
        .fetch_one(&mut house.owner().await)
        .await
        .expect("one receipt");
    let stored = [&row["source"], &row["external_id"], &row["event_type"], &row["livemode"], &row["object_id"]];
    assert_eq!(stored, [&json!("post"), &json!("1"), &json!("a"), &Value::Null, &Value::Null]);
}
