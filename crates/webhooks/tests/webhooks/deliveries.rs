use axum::http::header::{LOCATION, RETRY_AFTER};
use platform::caller::{OrgId, Role};
use platform::jobs::enqueue;
use serde_json::{Value, json};
use standardwebhooks::Webhook;
use tokio::net::TcpListener;

use crate::house::{House, Tell};
use crate::receiver::{Receiver, Reply};

#[tokio::test]
async fn a_message_arrives_signed() {
    let house = House::open().await;
    let receiver = Receiver::open().await;
    let endpoint = house.register(&receiver.url).await;
    house.happen(1).await;
    house.worker.run_due().await;
    let [seen] = &receiver.seen()[..] else { panic!("{} requests", receiver.seen().len()) };
    assert_eq!(seen.header("content-type"), "application/json");
    assert!(!seen.header("x-request-id").is_empty());
    let body: Value = serde_json::from_slice(&seen.body).expect("JSON");
    let timestamp = "2026-01-01T00:00:00Z";
    let expected =
        json!({ "type": "organization.created", "timestamp": timestamp, "data": { "id": "0", "name": "Ada" } });
    assert_eq!(body, expected);
    let id = seen.header("webhook-id");
    let sent_at: i64 = seen.header("webhook-timestamp").parse().expect("a number");
    assert_eq!(sent_at, house.clock.now().timestamp());
    let official = Webhook::new(endpoint["secret"].as_str().expect("a secret")).expect("the library reads it");
    assert_eq!(official.sign(id, sent_at, &seen.body).expect("signs"), seen.header("webhook-signature"));
    let [delivery] = &house.deliveries(&endpoint).await[..] else { panic!("one delivery") };
    assert_eq!((&delivery["status"], &delivery["event_type"]), (&json!("delivered"), &json!("organization.created")));
    assert_eq!(id, format!("msg_{}", delivery["message_id"].as_str().expect("an id")));
    assert_eq!(delivery["next_attempt_at"], Value::Null);
    let attempt = &delivery["attempts"][0];
    assert_eq!((&attempt["status"], &attempt["error"]), (&json!(200), &Value::Null));
    assert_eq!(attempt["answer"], "thank you");
    assert!(attempt["duration_ms"].is_i64() && attempt["at"] == timestamp);
    assert_eq!(house.count("SELECT count(*) FROM webhooks.due_deliveries").await, 0);
    assert_eq!(house.count("SELECT count(*) FROM webhooks.endpoints WHERE in_flight <> 0").await, 0);
}

#[tokio::test]
async fn only_subscribers_of_the_organization_and_the_type_are_told() {
    let house = House::open().await;
    let (subscribed, other_type) = (Receiver::open().await, Receiver::open().await);
    house.register(&subscribed.url).await;
    house.register_with(&other_type.url, json!({ "event_types": ["organization.updated"] })).await;
    let mut tx = house.db.begin().await.expect("begins");
    for (organization, event_type) in [(OrgId::new(), "organization.created"), (house.org, "organization.updated")] {
        let data = json!({ "id": "1", "name": "Ada" });
        let tell = Tell { organization, event_type: event_type.to_owned(), data, fail_afterwards: false };
        enqueue(&mut tx, &tell).await.expect("enqueued");
    }
    tx.commit().await.expect("committed");
    house.worker.run_due().await;
    assert_eq!((subscribed.seen().len(), other_type.seen().len()), (0, 1));
    assert_eq!(house.count("SELECT count(*) FROM webhooks.messages").await, 1, "nobody else will ever read the other");
}

#[tokio::test]
async fn a_message_is_recorded_once_whatever_its_job_does_afterwards() {
    let house = House::open().await;
    let receiver = Receiver::open().await;
    house.register(&receiver.url).await;
    let mut tx = house.db.begin().await.expect("begins");
    let data = json!({ "id": "1", "name": "Ada" });
    let event_type = "organization.created".to_owned();
    let tell = Tell { organization: house.org, event_type, data, fail_afterwards: true };
    enqueue(&mut tx, &tell).await.expect("enqueued");
    tx.commit().await.expect("committed");
    house.worker.run_due().await;
    house.worker.run_due().await;
    assert_eq!(receiver.seen().len(), 1);
    assert_eq!(house.count("SELECT count(*) FROM platform.jobs").await, 0);
    assert_eq!(house.count("SELECT count(*) FROM platform.dead_jobs").await, 0);
}

#[tokio::test]
async fn a_message_that_can_never_be_sent_is_not_tried_again() {
    let house = House::open().await;
    let fine = json!({ "id": "1", "name": "Ada" });
    let long = json!({ "id": "1", "name": "a".repeat(64 * 1024) });
    let hopeless = [
        ("organization.exploded", fine, "organization.exploded"),
        ("organization.created", json!({ "id": "1" }), "documented"),
        ("organization.created", long, "bytes"),
    ];
    for (died, (event_type, data, reason)) in (1..).zip(hopeless) {
        let mut tx = house.db.begin().await.expect("begins");
        let (organization, event_type) = (house.org, event_type.to_owned());
        let tell = Tell { organization, event_type, data, fail_afterwards: false };
        enqueue(&mut tx, &tell).await.expect("enqueued");
        tx.commit().await.expect("committed");
        house.worker.run_due().await;
        assert_eq!(house.count("SELECT count(*) FROM platform.jobs").await, 0, "{reason}");
        assert_eq!(house.count("SELECT count(*) FROM platform.dead_jobs").await, died, "{reason}");
    }
}

#[tokio::test]
async fn a_failing_receiver_is_tried_on_schedule_and_given_up() {
    let house = House::open().await;
    let receiver = Receiver::replying([Reply::status(500)]).await;
    let endpoint = house.register(&receiver.url).await;
    house.happen(1).await;
    let pauses = [5, 300, 1_800, 7_200, 18_000, 36_000, 36_000];
    for (attempt, planned) in pauses.into_iter().enumerate() {
        house.worker.run_due().await;
        assert_eq!(receiver.seen().len(), attempt + 1);
        let waits = "SELECT extract(epoch FROM next_at - now())::bigint FROM webhooks.due_deliveries";
        let waits = house.count(waits).await;
        // The test itself takes some of the pause's seconds.
        assert!(waits >= planned * 8 / 10 - 5 && waits <= planned * 12 / 10, "{waits} s instead of {planned}");
        house.hurry().await;
    }
    assert_ne!(house.get("webhook-endpoints").await["data"][0]["failing_since"], Value::Null);
    house.worker.run_due().await;
    house.hurry().await;
    house.worker.run_due().await;
    assert_eq!(receiver.seen().len(), 8);
    let ids: Vec<_> = receiver.seen().iter().map(|seen| seen.header("webhook-id").to_owned()).collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "the id stays the same over all tries");
    let [delivery] = &house.deliveries(&endpoint).await[..] else { panic!("one delivery") };
    assert_eq!(delivery["status"], "dead");
    assert_ne!(delivery["finished_at"], Value::Null);
    assert_eq!(delivery["attempts"].as_array().map(Vec::len), Some(8));
    assert_eq!(
        (&delivery["attempts"][0]["status"], &delivery["attempts"][0]["error"]),
        (&json!(500), &json!("http_status"))
    );
    assert_eq!(house.count("SELECT count(*) FROM webhooks.due_deliveries").await, 0);
}

#[tokio::test]
async fn an_endpoint_that_recovers_is_healthy_again() {
    let house = House::open().await;
    let receiver = Receiver::replying([Reply::status(503), Reply::default()]).await;
    let endpoint = house.register(&receiver.url).await;
    house.happen(1).await;
    house.worker.run_due().await;
    assert_eq!(house.deliveries(&endpoint).await[0]["status"], "pending");
    assert_ne!(house.deliveries(&endpoint).await[0]["next_attempt_at"], Value::Null);
    house.hurry().await;
    house.worker.run_due().await;
    assert_eq!(house.deliveries(&endpoint).await[0]["status"], "delivered");
    assert_eq!(house.get("webhook-endpoints").await["data"][0]["failing_since"], Value::Null);
}

#[tokio::test]
async fn a_receiver_may_ask_for_time() {
    let house = House::open().await;
    let reply = Reply { header: Some((RETRY_AFTER, "1200".to_owned())), ..Reply::status(429) };
    let receiver = Receiver::replying([reply]).await;
    house.register(&receiver.url).await;
    house.happen(1).await;
    house.worker.run_due().await;
    let waits = "SELECT extract(epoch FROM next_at - now())::bigint FROM webhooks.due_deliveries";
    let waits = house.count(waits).await;
    assert!((1_100..=1_200).contains(&waits), "{waits}");
}

#[tokio::test]
async fn a_redirect_is_a_failure_and_not_followed() {
    let house = House::open().await;
    let inner = Receiver::open().await;
    let reply = Reply { header: Some((LOCATION, inner.url.clone())), ..Reply::status(307) };
    let receiver = Receiver::replying([reply]).await;
    let endpoint = house.register(&receiver.url).await;
    house.happen(1).await;
    house.worker.run_due().await;
    assert_eq!((receiver.seen().len(), inner.seen().len()), (1, 0));
    let [delivery] = &house.deliveries(&endpoint).await[..] else { panic!("one delivery") };
    assert_eq!((&delivery["status"], &delivery["attempts"][0]["status"]), (&json!("pending"), &json!(307)));
}

#[tokio::test]
async fn an_unreachable_receiver_leaves_a_trace() {
    let house = House::open().await;
    let closed =
        TcpListener::bind("127.0.0.1:0").await.and_then(|listener| listener.local_addr()).expect("a free port");
    let endpoint = house.register(&format!("http://{closed}/hook")).await;
    house.happen(1).await;
    house.worker.run_due().await;
    let attempt = house.deliveries(&endpoint).await[0]["attempts"][0].clone();
    assert_eq!((&attempt["status"], &attempt["answer"]), (&Value::Null, &Value::Null));
    assert_eq!(attempt["error"], "connect");
}

#[tokio::test]
async fn an_endpoint_that_is_gone_is_disabled() {
    let house = House::open().await;
    let receiver = Receiver::replying([Reply::status(410)]).await;
    let endpoint = house.register_with(&receiver.url, json!({ "max_in_flight": 1 })).await;
    house.happen(2).await;
    house.worker.run_due().await;
    assert_eq!(receiver.seen().len(), 1, "nothing is sent to a disabled endpoint");
    let shown = house.get("webhook-endpoints").await["data"][0].clone();
    assert_ne!(shown["disabled_at"], Value::Null);
    let deliveries = house.deliveries(&endpoint).await;
    let mut statuses: Vec<_> = deliveries.iter().map(|delivery| delivery["status"].clone()).collect();
    statuses.sort_by_key(ToString::to_string);
    assert_eq!(statuses, ["dead", "pending"]);
    house.happen(1).await;
    house.worker.run_due().await;
    assert_eq!(house.deliveries(&endpoint).await.len(), 2, "no delivery begins while it is disabled");
    assert_eq!(house.count("SELECT count(*) FROM webhooks.messages").await, 3, "the message can be replayed");
}

#[tokio::test]
async fn deliveries_are_listed_by_status_and_in_pages() {
    let house = House::open().await;
    let receiver = Receiver::replying([Reply::status(500), Reply::default()]).await;
    let endpoint = house.register_with(&receiver.url, json!({ "max_in_flight": 1 })).await;
    house.happen(4).await;
    house.worker.run_due().await;
    let list = format!("webhook-endpoints/{}/deliveries", endpoint["id"].as_str().expect("an id"));
    let ids =
        |page: &Value| page["data"].as_array().expect("a page").iter().map(|one| one["id"].clone()).collect::<Vec<_>>();
    let all = ids(&house.get(&list).await);
    assert_eq!(all.len(), 4);
    assert_eq!(ids(&house.get(&format!("{list}?status=delivered")).await).len(), 3);
    assert_eq!(ids(&house.get(&format!("{list}?status=pending")).await).len(), 1);
    assert_eq!(ids(&house.get(&format!("{list}?status=dead")).await).len(), 0);
    let first = house.get(&format!("{list}?limit=3")).await;
    let cursor = first["next_cursor"].as_str().expect("there is more");
    let second = house.get(&format!("{list}?limit=3&cursor={cursor}")).await;
    assert_eq!([ids(&first), ids(&second)].concat(), all);
    let viewer = house.member(Role::Viewer);
    for (query, field) in [("status=lost", "status"), ("state=dead", "state"), ("limit=0", "limit")] {
        let answer = house.api.get(&house.path(&format!("{list}?{query}"))).bearer(&viewer).send().await;
        assert_eq!(answer.expect_problem(422, "invalid_request")[0].0, field, "{query}");
    }
}

#[tokio::test]
async fn a_delivery_is_seen_by_its_organization_only_and_goes_with_its_endpoint() {
    let house = House::open().await;
    let receiver = Receiver::replying([Reply::status(500)]).await;
    let endpoint = house.register(&receiver.url).await;
    house.happen(1).await;
    house.worker.run_due().await;
    let id = house.deliveries(&endpoint).await[0]["id"].as_str().expect("an id").to_owned();
    let other = OrgId::new();
    let stranger = house.people.member(other, Role::Owner);
    let foreign = format!("/v1/organizations/{other}/deliveries/{id}");
    house.api.get(&foreign).bearer(&stranger).send().await.expect_problem(404, "not_found");
    let billing = house.member(Role::Billing);
    let own = house.path(&format!("deliveries/{id}"));
    house.api.get(&own).bearer(&billing).send().await.expect_problem(403, "forbidden");
    let owner = house.member(Role::Owner);
    let path = house.path(&format!("webhook-endpoints/{}", endpoint["id"].as_str().expect("an id")));
    assert_eq!(house.api.delete(&path).bearer(&owner).send().await.status, 204);
    house.api.get(&own).bearer(&owner).send().await.expect_problem(404, "not_found");
    let left =
        "SELECT (SELECT count(*) FROM webhooks.due_deliveries) + (SELECT count(*) FROM webhooks.endpoint_secrets)";
    assert_eq!(house.count(left).await, 0);
}

#[tokio::test]
async fn nothing_is_sent_unsigned() {
    let house = House::open().await;
    let receiver = Receiver::open().await;
    let endpoint = house.register(&receiver.url).await;
    house.run_sql("UPDATE webhooks.endpoint_secrets SET sealed = 'nonsense'").await;
    house.happen(1).await;
    house.worker.run_due().await;
    assert_eq!(receiver.seen().len(), 0);
    let [delivery] = &house.deliveries(&endpoint).await[..] else { panic!("one delivery") };
    assert_eq!((&delivery["status"], &delivery["attempts"][0]["error"]), (&json!("pending"), &json!("unsigned")));
}
