//! Deliveries that somebody wants to be tried again.

use platform::caller::{OrgId, Role};
use platform::http::Method;
use platform::telemetry::spawn;
use serde_json::{Value, json};
use test_support::{Ask, Statements};

use crate::house::House;
use crate::receiver::{Receiver, Reply};

const WAITING: &str = "SELECT count(*) FROM webhooks.due_deliveries";

/// Ends everything that waits, as if its schedule had ended.
const ALL_DIE: &str = "UPDATE webhooks.deliveries SET status = 'dead', finished_at = now() WHERE status = 'pending';
    DELETE FROM webhooks.due_deliveries";

fn retry(house: &House, delivery: &Value) -> Ask {
    let place = format!("deliveries/{}/retry", delivery["id"].as_str().expect("an id"));
    house.api.ask(Method::POST, &house.path(&place)).bearer(&house.member(Role::Owner))
}

/// A house in which one message was sent to one endpoint, once.
async fn after_one_try(replies: &[u16]) -> (House, Receiver, Value) {
    let house = House::open().await;
    let receiver = Receiver::replying(replies.iter().map(|status| Reply::status(*status))).await;
    let endpoint = house.register(&receiver.url).await;
    house.happen(1).await;
    house.worker.run_due().await;
    (house, receiver, endpoint)
}

#[tokio::test]
async fn what_was_given_up_begins_again_with_the_whole_schedule() {
    let (house, receiver, endpoint) = after_one_try(&[500, 500, 200]).await;
    house.run_sql("UPDATE webhooks.due_deliveries SET attempts = 7").await;
    house.run_sql(ALL_DIE).await;
    let dead = house.deliveries(&endpoint).await.remove(0);
    let retried = retry(&house, &dead).send().await.expect(202);
    assert_eq!((&retried["id"], &retried["status"]), (&dead["id"], &json!("pending")));
    assert_eq!((&retried["finished_at"], retried["next_attempt_at"].is_string()), (&Value::Null, true));
    house.worker.run_due().await;
    let failed_once = "SELECT count(*) FROM webhooks.due_deliveries
        WHERE attempts = 1 AND next_at BETWEEN now() AND now() + interval '7 seconds'";
    assert_eq!(house.count(failed_once).await, 1, "the first pause of the schedule follows");
    house.hurry().await;
    house.worker.run_due().await;
    let [delivery] = &house.deliveries(&endpoint).await[..] else { panic!("no delivery of its own") };
    assert_eq!((&delivery["status"], delivery["attempts"].as_array().map(Vec::len)), (&json!("delivered"), Some(3)));
    assert_eq!((receiver.seen().len(), house.count(WAITING).await), (3, 0));
}

#[tokio::test]
async fn what_arrived_is_sent_once_more_with_the_id_it_had() {
    let (house, receiver, endpoint) = after_one_try(&[200]).await;
    let delivered = house.deliveries(&endpoint).await.remove(0);
    assert_eq!(retry(&house, &delivered).send().await.status, 202);
    house.worker.run_due().await;
    let seen = receiver.seen();
    assert_eq!((seen.len(), seen[0].header("webhook-id")), (2, seen[1].header("webhook-id")));
    assert_eq!(house.deliveries(&endpoint).await[0]["status"], "delivered");
}

#[tokio::test]
async fn what_waits_is_sent_now() {
    let (house, receiver, endpoint) = after_one_try(&[500]).await;
    house.run_sql("UPDATE webhooks.due_deliveries SET attempts = 3, next_at = now() + interval '2 hours'").await;
    let waiting = house.deliveries(&endpoint).await.remove(0);
    assert_eq!(retry(&house, &waiting).send().await.status, 202);
    house.worker.run_due().await;
    assert_eq!(receiver.seen().len(), 2);
    assert_eq!(house.count("SELECT attempts::bigint FROM webhooks.due_deliveries").await, 4, "the schedule goes on");
}

#[tokio::test]
async fn what_is_on_its_way_is_not_sent_twice() {
    let house = House::open().await;
    let mut receiver = Receiver::hesitating([Reply::default()]).await;
    let endpoint = house.register(&receiver.url).await;
    house.happen(1).await;
    let worker = house.worker.clone();
    let running = spawn("worker", async move { worker.run_due().await });
    receiver.wait_for(1).await;
    let sent = house.deliveries(&endpoint).await.remove(0);
    assert_eq!(retry(&house, &sent).send().await.expect(202)["status"], "pending");
    assert_eq!(house.another_worker().run_due().await, 0);
    receiver.answer_all();
    running.await.expect("the worker runs through");
    assert_eq!((receiver.seen().len(), house.count(WAITING).await), (1, 0));
}

#[tokio::test]
async fn retries_at_the_same_time_are_one() {
    let (house, receiver, endpoint) = after_one_try(&[200]).await;
    let delivered = house.deliveries(&endpoint).await.remove(0);
    let ask = || retry(&house, &delivered).send();
    for answer in <[_; 3]>::from(tokio::join!(ask(), ask(), ask())) {
        assert_eq!(answer.status, 202);
    }
    assert_eq!(house.count(WAITING).await, 1);
    house.worker.run_due().await;
    assert_eq!(receiver.seen().len(), 2);
}

#[tokio::test]
async fn what_cannot_be_sent_is_refused() {
    let (house, receiver, endpoint) = after_one_try(&[200]).await;
    let delivered = house.deliveries(&endpoint).await.remove(0);
    house.run_sql("UPDATE webhooks.endpoints SET disabled_at = now()").await;
    retry(&house, &delivered).send().await.expect_problem(409, "endpoint_disabled");
    house.run_sql("UPDATE webhooks.endpoints SET disabled_at = NULL; DELETE FROM webhooks.messages").await;
    retry(&house, &delivered).send().await.expect_problem(409, "message_expired");
    house.worker.run_due().await;
    assert_eq!((receiver.seen().len(), house.count(WAITING).await), (1, 0));
    assert_eq!(house.deliveries(&endpoint).await, [delivered], "nothing about it changed");
}

#[tokio::test]
async fn a_delivery_is_retried_by_those_who_manage_its_organizations_endpoints() {
    let (house, receiver, endpoint) = after_one_try(&[200]).await;
    let delivered = house.deliveries(&endpoint).await.remove(0);
    let place = format!("deliveries/{}/retry", delivered["id"].as_str().expect("an id"));
    for role in [Role::Member, Role::Viewer, Role::Billing] {
        let ask = house.api.ask(Method::POST, &house.path(&place)).bearer(&house.member(role));
        ask.send().await.expect_problem(403, "forbidden");
    }
    let other = OrgId::new();
    let stranger = house.people.member(other, Role::Owner);
    let foreign = format!("/v1/organizations/{other}/{place}");
    house.api.ask(Method::POST, &foreign).bearer(&stranger).send().await.expect_problem(404, "not_found");
    house.worker.run_due().await;
    assert_eq!(receiver.seen().len(), 1);
}

#[tokio::test]
async fn listing_and_retrying_cost_the_same_however_much_there_is() {
    let (house, _receiver, endpoint) = after_one_try(&[500]).await;
    let list = format!("webhook-endpoints/{}/deliveries?limit=100", endpoint["id"].as_str().expect("an id"));
    let cost = async || {
        let one = house.get(&list).await["data"][0].clone();
        let before = Statements::sent();
        house.get(&list).await;
        let listing = Statements::sent() - before;
        assert_eq!(retry(&house, &one).send().await.status, 202);
        (listing, Statements::sent() - before - listing)
    };
    let small = cost().await;
    assert_eq!(small, (2, 7), "endpoint, rows; and lock, row, message, due, endpoint, row, commit");
    house.happen(60).await;
    house.worker.run_due().await;
    house
        .run_sql(
            "INSERT INTO webhooks.delivery_attempts (id, delivery_id, sent_at, duration_ms, error)
             SELECT encode(substr(uuid_send(webhooks.first_id(now())), 1, 6)
                           || substr(uuid_send(gen_random_uuid()), 7), 'hex')::uuid, id, now(), 1, 'timeout'
             FROM webhooks.deliveries, generate_series(1, 20)",
        )
        .await;
    assert_eq!(cost().await, small);
}
