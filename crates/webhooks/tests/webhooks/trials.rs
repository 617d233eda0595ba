//! A message that tells nothing, to see whether an endpoint takes it.

use platform::caller::Role;
use platform::http::Method;
use serde_json::{Value, json};
use test_support::Ask;

use crate::house::House;
use crate::receiver::Receiver;

fn trial(house: &House, endpoint: &Value) -> Ask {
    trial_by(house, endpoint, &house.member(Role::Admin))
}

fn trial_by(house: &House, endpoint: &Value, token: &str) -> Ask {
    let place = format!("webhook-endpoints/{}/test", endpoint["id"].as_str().expect("an id"));
    house.api.ask(Method::POST, &house.path(&place)).bearer(token)
}

#[tokio::test]
async fn a_test_goes_to_its_endpoint_only_whatever_anybody_subscribes_to() {
    let house = House::open().await;
    let (tested, other) = (Receiver::open().await, Receiver::open().await);
    let endpoint = house.register(&tested.url).await;
    house.register_with(&other.url, json!({ "event_types": ["webhook_endpoint.test"] })).await;
    let sent = trial(&house, &endpoint).send().await.expect(202);
    house.worker.run_due().await;
    let [seen] = &tested.seen()[..] else { panic!("{} requests", tested.seen().len()) };
    assert_eq!(other.seen().len(), 0);
    assert_eq!(seen.header("webhook-id"), format!("msg_{}", sent["message_id"].as_str().expect("an id")));
    let body: Value = serde_json::from_slice(&seen.body).expect("JSON");
    let data = json!({ "endpoint_id": endpoint["id"] });
    assert_eq!(body, json!({ "type": "webhook_endpoint.test", "timestamp": "2026-01-01T00:00:00Z", "data": data }));
    let [delivery] = &house.deliveries(&endpoint).await[..] else { panic!("one delivery") };
    assert_eq!((&delivery["status"], &delivery["event_type"]), (&json!("delivered"), &json!("webhook_endpoint.test")));
    assert_eq!(delivery["message_id"], sent["message_id"]);
}

#[tokio::test]
async fn a_test_that_is_asked_for_twice_with_one_key_is_sent_once() {
    let house = House::open().await;
    let receiver = Receiver::open().await;
    let endpoint = house.register(&receiver.url).await;
    let admin = house.member(Role::Admin);
    let ask = || trial_by(&house, &endpoint, &admin).header("idempotency-key", "once").send();
    let (first, again) = (ask().await, ask().await);
    assert_eq!(first.expect(202), again.expect(202));
    assert_eq!((first.header("idempotency-replayed"), again.header("idempotency-replayed")), ("", "true"));
    assert_eq!(trial(&house, &endpoint).send().await.status, 202);
    house.worker.run_due().await;
    assert_eq!(receiver.seen().len(), 2);
}

#[tokio::test]
async fn a_test_wants_an_empty_body_or_none_and_an_enabled_endpoint() {
    let house = House::open().await;
    let endpoint = house.register("https://example.com/hook").await;
    assert_eq!(trial(&house, &endpoint).json(&json!({})).send().await.status, 202);
    let answer = trial(&house, &endpoint).json(&json!({ "type": "organization.created" })).send().await;
    assert_eq!(answer.expect_problem(422, "invalid_request"), [("type".to_owned(), "unknown_field".to_owned())]);
    house.run_sql("UPDATE webhooks.endpoints SET disabled_at = now()").await;
    trial(&house, &endpoint).send().await.expect_problem(409, "endpoint_disabled");
    assert_eq!(house.count("SELECT count(*) FROM webhooks.messages").await, 1);
}
