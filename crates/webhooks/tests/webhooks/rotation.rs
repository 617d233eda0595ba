//! Another secret for an endpoint, while messages are on their way.

use chrono::{DateTime, TimeDelta, Utc};
use platform::caller::Role;
use platform::clock::Clock;
use platform::http::Method;
use serde_json::{Value, json};
use standardwebhooks::Webhook;
use test_support::{Answer, Ask};

use crate::house::House;
use crate::receiver::{Receiver, Reply, Seen};

const SIGNING: &str = "SELECT count(*) FROM webhooks.endpoint_secrets WHERE expires_at IS NULL OR expires_at > now()";

fn place(house: &House, endpoint: &Value) -> String {
    house.path(&format!("webhook-endpoints/{}/rotate-secret", endpoint["id"].as_str().expect("an id")))
}

fn rotation(house: &House, endpoint: &Value, wish: &Value) -> Ask {
    house.api.post(&place(house, endpoint), wish).bearer(&house.member(Role::Owner))
}

async fn rotate(house: &House, endpoint: &Value, wish: Value) -> Answer {
    rotation(house, endpoint, &wish).send().await
}

/// Whether a receiver that holds only this secret believes the request.
fn believes(holder: &Value, seen: &Seen) -> bool {
    let library = Webhook::new(holder["secret"].as_str().expect("a secret")).expect("the library reads it");
    let sent_at = seen.header("webhook-timestamp").parse().expect("a number");
    let own = library.sign(seen.header("webhook-id"), sent_at, &seen.body).expect("signs");
    seen.header("webhook-signature").split(' ').any(|signature| signature == own)
}

#[tokio::test]
async fn both_secrets_sign_every_try_until_the_overlap_ends() {
    let house = House::open().await;
    let receiver = Receiver::replying([Reply::status(500)]).await;
    let old = house.register(&receiver.url).await;
    house.happen(1).await;
    house.worker.run_due().await;
    let new = rotate(&house, &old, json!({})).await.expect(200);
    house.hurry().await;
    house.worker.run_due().await;
    house.run_sql("UPDATE webhooks.endpoint_secrets SET expires_at = now() WHERE expires_at IS NOT NULL").await;
    house.hurry().await;
    house.worker.run_due().await;
    let seen = receiver.seen();
    let verdicts: Vec<_> = seen.iter().map(|seen| (believes(&old, seen), believes(&new, seen))).collect();
    assert_eq!(verdicts, [(true, false), (true, true), (false, true)]);
    assert_eq!(seen[0].header("webhook-id"), seen[2].header("webhook-id"), "three tries of one message");
    assert_eq!(seen[1].header("webhook-signature").split(' ').count(), 2);
}

#[tokio::test]
async fn the_answer_holds_the_new_secret_and_when_the_old_one_ends() {
    let house = House::open().await;
    let endpoint = house.register("https://example.com/hook").await;
    for (wish, overlap) in [(json!({}), 86_400), (json!({ "overlap_seconds": 60 }), 60)] {
        let rotated = rotate(&house, &endpoint, wish).await.expect(200);
        assert!(rotated["secret"].as_str().is_some_and(|secret| secret.starts_with("whsec_")));
        assert_ne!(rotated["secret"], endpoint["secret"]);
        let ends: DateTime<Utc> =
            rotated["previous_expires_at"].as_str().and_then(|at| at.parse().ok()).expect("a time");
        let apart = ends - Clock::system().now() - TimeDelta::seconds(overlap);
        assert!(apart.abs() < TimeDelta::seconds(30), "{ends}");
    }
    // The first was to end in a day, and ends with the second in a minute.
    let soon = "SELECT count(*) FROM webhooks.endpoint_secrets WHERE expires_at < now() + interval '2 minutes'";
    assert_eq!((house.count(soon).await, house.count(SIGNING).await), (2, 3));
    let plain = "SELECT count(*) FROM webhooks.endpoint_secrets WHERE octet_length(sealed) <= 32";
    assert_eq!(house.count(plain).await, 0);
}

#[tokio::test]
async fn a_later_rotation_does_not_lengthen_the_life_of_a_secret() {
    let house = House::open().await;
    let endpoint = house.register("https://example.com/hook").await;
    assert_eq!(rotate(&house, &endpoint, json!({ "overlap_seconds": 60 })).await.status, 200);
    assert_eq!(rotate(&house, &endpoint, json!({ "overlap_seconds": 604_800 })).await.status, 200);
    let soon = "SELECT count(*) FROM webhooks.endpoint_secrets WHERE expires_at < now() + interval '2 minutes'";
    assert_eq!(house.count(soon).await, 1);
}

#[tokio::test]
async fn three_secrets_sign_at_most_however_many_rotate_at_once() {
    let house = House::open().await;
    let endpoint = house.register("https://example.com/hook").await;
    let wish = json!({});
    let asked = || rotation(&house, &endpoint, &wish).send();
    let answers: [Answer; 4] = tokio::join!(asked(), asked(), asked(), asked()).into();
    let (made, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
    assert_eq!((made.len(), house.count(SIGNING).await), (2, 3));
    for answer in refused {
        answer.expect_problem(409, "too_many_secrets");
    }
    // A stolen secret can be stopped at once all the same.
    assert_eq!(rotate(&house, &endpoint, json!({ "overlap_seconds": 0 })).await.status, 200);
    assert_eq!(house.count(SIGNING).await, 1);
    assert_eq!(rotate(&house, &endpoint, json!({})).await.status, 200);
    assert_eq!(house.count("SELECT count(*) FROM webhooks.endpoint_secrets").await, 2, "what signs no more is gone");
}

#[tokio::test]
async fn a_rotation_needs_no_body_and_is_never_answered_from_a_store() {
    let house = House::open().await;
    let endpoint = house.register("https://example.com/hook").await;
    let (place, admin) = (place(&house, &endpoint), house.member(Role::Admin));
    let ask = || house.api.ask(Method::POST, &place).bearer(&admin).header("idempotency-key", "once").send();
    let (one, other) = (ask().await, ask().await);
    assert_ne!(one.expect(200)["secret"], other.expect(200)["secret"]);
    assert_eq!(other.header("idempotency-replayed"), "");
    assert_eq!(house.count("SELECT count(*) FROM platform.idempotency_keys").await, 0);
}

#[tokio::test]
async fn an_overlap_is_a_week_at_most() {
    let house = House::open().await;
    let endpoint = house.register("https://example.com/hook").await;
    for (wish, field, code) in [
        (json!({ "overlap_seconds": -1 }), "overlap_seconds", "out_of_range"),
        (json!({ "overlap_seconds": 604_801 }), "overlap_seconds", "out_of_range"),
        (json!({ "overlap_seconds": u64::MAX }), "overlap_seconds", "wrong_type"),
        (json!({ "overlap_seconds": "60" }), "overlap_seconds", "wrong_type"),
        (json!({ "overlap_seconds": 0.5 }), "overlap_seconds", "wrong_type"),
        (json!({ "secret": "whsec_mine" }), "secret", "unknown_field"),
    ] {
        let answer = rotate(&house, &endpoint, wish.clone()).await;
        let expected = [(field.to_owned(), code.to_owned())];
        assert_eq!(answer.expect_problem(422, "invalid_request"), expected, "{wish}");
    }
    assert_eq!(house.count(SIGNING).await, 1);
}
