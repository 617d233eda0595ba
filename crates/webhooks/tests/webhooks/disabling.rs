//! Endpoints that are given up, who hears of it, and what becomes of what waits for them.

use serde_json::json;

use crate::house::House;
use crate::receiver::{Receiver, Reply};

const WAITING: &str = "SELECT count(*) FROM webhooks.due_deliveries";
const DISABLED: &str = "SELECT count(*) FROM webhooks.endpoints WHERE disabled_at IS NOT NULL";

#[tokio::test]
async fn an_endpoint_at_which_nothing_arrives_for_five_days_is_disabled_and_the_others_are_told() {
    let house = House::open().await;
    let receiver = Receiver::replying([Reply::status(500)]).await;
    let url = format!("{}?token=s3cret", receiver.url);
    let endpoint = house.register_with(&url, json!({ "max_in_flight": 1 })).await;
    house.happen(2).await;
    house.worker.run_due().await;
    assert_eq!((receiver.seen().len(), house.count(DISABLED).await), (2, 0));
    house.run_sql("UPDATE webhooks.endpoints SET failing_since = now() - interval '4 days 23 hours'").await;
    house.hurry().await;
    house.worker.run_due().await;
    assert_eq!((receiver.seen().len(), house.count(DISABLED).await), (4, 0), "not yet");
    house.run_sql("UPDATE webhooks.endpoints SET failing_since = now() - interval '5 days'").await;
    house.hurry().await;
    house.worker.run_due().await;
    assert_eq!((receiver.seen().len(), house.count(DISABLED).await), (5, 1), "the next failure is one too many");
    let [told] = &house.told()[..] else { panic!("told {} times", house.told().len()) };
    let origin = receiver.url.strip_suffix("/hook").expect("a path");
    assert_eq!((told.reason.as_str(), told.url.as_str(), told.organization_id), ("failing", origin, house.org));
    assert_eq!(json!(told.endpoint_id), endpoint["id"]);
    let shown = house.get("webhook-endpoints").await["data"][0].clone();
    assert_eq!((&shown["disabled_at"], &shown["status"]), (&json!(told.disabled_at), &json!("disabled")));
    assert_eq!(shown["disabled_reason"], "failing");
    assert_eq!(house.count(WAITING).await, 2, "what waits stays");
}

#[tokio::test]
async fn what_waits_for_a_disabled_endpoint_is_sent_when_it_is_enabled_again() {
    let house = House::open().await;
    let receiver = Receiver::replying([Reply::status(500), Reply::status(410), Reply::default()]).await;
    house.register_with(&receiver.url, json!({ "max_in_flight": 1 })).await;
    house.happen(3).await;
    house.worker.run_due().await;
    house.hurry().await;
    house.worker.run_due().await;
    assert_eq!((receiver.seen().len(), house.count(WAITING).await), (2, 2), "the second said that it is gone");
    house
        .run_sql(
            "UPDATE webhooks.endpoints SET disabled_at = NULL, disabled_reason = NULL, failing_since = NULL,
                    consecutive_failures = 0, paused_until = NULL, pauses = 0, next_ready_at = now()",
        )
        .await;
    house.hurry().await;
    house.worker.run_due().await;
    assert_eq!((receiver.seen().len(), house.count(WAITING).await), (4, 0));
}

#[tokio::test]
async fn an_endpoint_that_says_it_is_gone_several_times_is_disabled_once() {
    let house = House::open().await;
    let receiver = Receiver::replying([Reply::status(410)]).await;
    house.register(&receiver.url).await;
    house.happen(4).await;
    house.worker.run_due().await;
    assert_eq!((receiver.seen().len(), house.count(DISABLED).await), (4, 1), "all were on their way already");
    let told: Vec<String> = house.told().into_iter().map(|told| told.reason).collect();
    assert_eq!(told, ["gone"]);
    assert_eq!(house.count("SELECT max(version) FROM webhooks.endpoints").await, 2);
}

#[tokio::test]
async fn a_success_in_time_begins_the_five_days_anew() {
    let house = House::open().await;
    let receiver = Receiver::replying([Reply::status(500), Reply::default(), Reply::status(500)]).await;
    house.register(&receiver.url).await;
    house.happen(1).await;
    house.worker.run_due().await;
    house.run_sql("UPDATE webhooks.endpoints SET failing_since = now() - interval '6 days'").await;
    house.hurry().await;
    house.worker.run_due().await;
    house.happen(1).await;
    house.worker.run_due().await;
    assert_eq!((receiver.seen().len(), house.count(DISABLED).await, house.told().len()), (3, 0, 0));
    let anew = "SELECT count(*) FROM webhooks.endpoints WHERE failing_since > now() - interval '1 hour'";
    assert_eq!(house.count(anew).await, 1);
}

#[tokio::test]
async fn what_waits_for_longer_than_messages_are_kept_is_given_up() {
    let house = House::open().await;
    let receiver = Receiver::open().await;
    let endpoint = house.register(&receiver.url).await;
    house.run_sql("UPDATE webhooks.endpoints SET paused_until = now() + interval '1 day'").await;
    house.happen(2).await;
    house.worker.run_due().await;
    house
        .run_sql(
            "UPDATE webhooks.endpoints SET disabled_at = now(), disabled_reason = 'gone', in_flight = 2;
             -- One of the two is too old; so are many whose partitions are gone, of which one has a lease and one had one.
             UPDATE webhooks.due_deliveries SET message_id = webhooks.first_id(now() - interval '91 days')
             WHERE delivery_id = (SELECT min(delivery_id::text)::uuid FROM webhooks.due_deliveries);
             INSERT INTO webhooks.due_deliveries (delivery_id, endpoint_id, message_id, next_at)
             SELECT gen_random_uuid(), id, webhooks.first_id(now() - interval '100 days'), now()
             FROM webhooks.endpoints, generate_series(1, 2500);
             WITH leased AS (SELECT delivery_id, row_number() OVER () AS number FROM webhooks.due_deliveries
                             WHERE message_id < webhooks.first_id(now() - interval '99 days') LIMIT 2)
             UPDATE webhooks.due_deliveries due
             SET lease = gen_random_uuid(), leased_until = now() + (number - 1) * interval '1 hour'
             FROM leased WHERE leased.delivery_id = due.delivery_id;
             UPDATE platform.schedules SET next_at = now() WHERE name = 'webhooks.maintain_partitions'",
        )
        .await;
    house.worker.run_due().await;
    assert_eq!(house.count("SELECT count(*) FROM platform.dead_jobs").await, 0);
    assert_eq!(house.count(WAITING).await, 2, "one that is kept and one that is on its way");
    assert_eq!(house.count("SELECT in_flight::bigint FROM webhooks.endpoints").await, 1, "the other lease had ended");
    let mut statuses: Vec<String> =
        house.deliveries(&endpoint).await.iter().map(|one| one["status"].to_string()).collect();
    statuses.sort();
    assert_eq!(statuses, ["\"dead\"", "\"pending\""]);
    assert_eq!(receiver.seen().len(), 0);
}
