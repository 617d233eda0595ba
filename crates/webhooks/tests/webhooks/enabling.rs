//! An endpoint that was disabled or paused is sent to again.

use platform::caller::Role;
use platform::http::Method;
use serde_json::{Value, json};
use test_support::Answer;

use crate::house::House;
use crate::receiver::{Receiver, Reply};

async fn enable(house: &House, endpoint: &Value) -> Answer {
    let place = format!("webhook-endpoints/{}/enable", endpoint["id"].as_str().expect("an id"));
    house.api.ask(Method::POST, &house.path(&place)).bearer(&house.member(Role::Admin)).send().await
}

async fn shown(house: &House) -> Value {
    house.get("webhook-endpoints").await["data"][0].clone()
}

#[tokio::test]
async fn what_waits_for_a_disabled_endpoint_is_sent_when_it_is_enabled() {
    let house = House::open().await;
    let receiver = Receiver::replying([Reply::status(410), Reply::default()]).await;
    let endpoint = house.register_with(&receiver.url, json!({ "max_in_flight": 1 })).await;
    assert_eq!((&endpoint["status"], &endpoint["disabled_reason"]), (&json!("enabled"), &Value::Null));
    house.happen(2).await;
    house.worker.run_due().await;
    let disabled = shown(&house).await;
    assert_eq!((&disabled["status"], &disabled["disabled_reason"]), (&json!("disabled"), &json!("gone")));
    assert_eq!(enable(&house, &endpoint).await.status, 204);
    house.worker.run_due().await;
    assert_eq!(receiver.seen().len(), 2);
    let enabled = shown(&house).await;
    for field in ["disabled_at", "disabled_reason", "failing_since"] {
        assert_eq!(enabled[field], Value::Null, "{field}");
    }
    assert_eq!(enabled["status"], "enabled");
}

#[tokio::test]
async fn enabling_changes_nothing_about_an_endpoint_that_is_well() {
    let house = House::open().await;
    let endpoint = house.register("https://example.com/hook").await;
    let before = shown(&house).await;
    for _ in 0..2 {
        assert_eq!(enable(&house, &endpoint).await.status, 204);
    }
    assert_eq!(shown(&house).await, before);
    assert_eq!(house.count("SELECT version FROM webhooks.endpoints").await, 1);
    house.run_sql("UPDATE webhooks.endpoints SET disabled_at = now(), disabled_reason = 'failing'").await;
    for _ in 0..2 {
        assert_eq!(enable(&house, &endpoint).await.status, 204);
    }
    assert_eq!(house.count("SELECT version FROM webhooks.endpoints").await, 2);
}

#[tokio::test]
async fn the_failures_of_an_enabled_endpoint_are_forgotten() {
    let house = House::open().await;
    let endpoint = house.register("https://example.com/hook").await;
    house.run_sql("UPDATE webhooks.endpoints SET failing_since = now(), consecutive_failures = 3").await;
    assert_eq!(enable(&house, &endpoint).await.status, 204);
    let forgotten = "SELECT count(*) FROM webhooks.endpoints WHERE failing_since IS NULL AND consecutive_failures = 0";
    assert_eq!(house.count(forgotten).await, 1);
}

#[tokio::test]
async fn a_paused_endpoint_is_shown_as_such_and_forgiven() {
    let house = House::open().await;
    let receiver = Receiver::open().await;
    let endpoint = house.register(&receiver.url).await;
    house
        .run_sql(
            "UPDATE webhooks.endpoints SET paused_until = now() + interval '10 minutes', pauses = 6,
                 consecutive_failures = 60, failing_since = now() - interval '1 hour'",
        )
        .await;
    assert_eq!(shown(&house).await["status"], "paused");
    house.happen(1).await;
    house.worker.run_due().await;
    assert_eq!(receiver.seen().len(), 0);
    assert_eq!(enable(&house, &endpoint).await.status, 204);
    let forgiven = "SELECT count(*) FROM webhooks.endpoints
        WHERE paused_until IS NULL AND pauses = 0 AND consecutive_failures = 0 AND failing_since IS NULL";
    assert_eq!((house.count(forgiven).await, shown(&house).await["status"].clone()), (1, json!("enabled")));
    house.worker.run_due().await;
    assert_eq!(receiver.seen().len(), 1);
}

#[tokio::test]
async fn an_endpoint_disabled_by_the_release_before_says_why() {
    let house = House::open().await;
    house.register("https://example.com/hook").await;
    house.run_sql("UPDATE webhooks.endpoints SET disabled_at = now()").await;
    assert_eq!(shown(&house).await["disabled_reason"], "gone");
}
