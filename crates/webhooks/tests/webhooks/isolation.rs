//! Several loops over one database, receivers that hesitate, workers that die.

use std::collections::BTreeMap;
use std::time::Duration;

use platform::caller::Role;
use platform::outbound::AddressRules;
use platform::shutdown::Shutdown;
use platform::telemetry::spawn;
use serde_json::{Value, json};
use tokio::time::timeout;
use webhooks::Config;

use crate::house::House;
use crate::receiver::{Receiver, Reply};

#[tokio::test]
async fn two_loops_send_everything_once() {
    let house = House::open().await;
    let mut receivers = Vec::new();
    for _ in 0..4 {
        let receiver = Receiver::open().await;
        house.register_with(&receiver.url, json!({ "max_in_flight": 3 })).await;
        receivers.push(receiver);
    }
    house.happen(25).await;
    let other = house.another_worker();
    tokio::join!(house.worker.run_due(), other.run_due());
    // What one loop left because the other was looking at it.
    house.worker.run_due().await;
    for receiver in &receivers {
        let mut times = BTreeMap::new();
        for seen in receiver.seen() {
            *times.entry(seen.header("webhook-id").to_owned()).or_insert(0) += 1;
        }
        assert_eq!(times.len(), 25);
        assert!(times.values().all(|count| *count == 1), "{times:?}");
    }
    assert_eq!(house.count("SELECT count(*) FROM webhooks.delivery_attempts").await, 100);
    assert_eq!(house.count("SELECT count(*) FROM webhooks.endpoints WHERE in_flight <> 0").await, 0);
}

#[tokio::test]
async fn no_more_than_its_slots_are_on_their_way_to_an_endpoint() {
    const LEASED: &str = "SELECT count(*) FROM webhooks.due_deliveries WHERE lease IS NOT NULL";
    let house = House::open().await;
    let mut receiver = Receiver::hesitating([Reply::default()]).await;
    house.register_with(&receiver.url, json!({ "max_in_flight": 3 })).await;
    house.happen(2).await;
    let worker = house.worker.clone();
    let running = spawn("worker", async move { worker.run_due().await });
    receiver.wait_for(2).await;
    house.happen(4).await;
    let other = house.another_worker();
    let helping = spawn("worker", async move { other.run_due().await });
    receiver.wait_for(1).await;
    // Every slot is taken: nothing is due for anybody who looks.
    assert_eq!(house.another_worker().run_due().await, 0);
    assert_eq!((receiver.seen().len(), house.count(LEASED).await), (3, 3));
    receiver.answer_all();
    running.await.expect("the worker runs through");
    helping.await.expect("the other worker runs through");
    assert_eq!(receiver.seen().len(), 6);
}

#[tokio::test]
async fn an_endpoint_that_hesitates_does_not_keep_the_others_waiting() {
    let house = House::open().await;
    let mut hesitating = Receiver::hesitating([Reply::default()]).await;
    let mut unhurried = Receiver::open().await;
    house.register_with(&hesitating.url, json!({ "max_in_flight": 2 })).await;
    house.register(&unhurried.url).await;
    house.happen(5).await;
    let worker = house.worker.clone();
    let running = spawn("worker", async move { worker.run_due().await });
    unhurried.wait_for(5).await;
    hesitating.wait_for(2).await;
    hesitating.answer_all();
    running.await.expect("the worker runs through");
    assert_eq!((hesitating.seen().len(), unhurried.seen().len()), (5, 5));
}

#[tokio::test]
async fn endpoints_with_nothing_due_do_not_keep_the_others_waiting() {
    // One call at a time: how many endpoints are looked at does not depend on it.
    let house = House::with(AddressRules::Any, Config { concurrency: 1, ..Config::default() }).await;
    house
        .run_sql(
            "INSERT INTO webhooks.endpoints (id, organization_id, url, description, event_types, max_in_flight, version,
                                             created_at, updated_at, next_ready_at)
             SELECT gen_random_uuid(), gen_random_uuid(), 'http://idle.test/', '', ARRAY['organization.created'], 10, 1,
                    now(), now(), now() - interval '1 hour'
             FROM generate_series(1, 120)",
        )
        .await;
    let receiver = Receiver::open().await;
    house.register(&receiver.url).await;
    house.happen(1).await;
    // The message's job and its delivery, although the worker goes round only once more after the job.
    assert_eq!(house.worker.run_due().await, 2);
    assert_eq!(receiver.seen().len(), 1);
    let idle = "SELECT count(*) FROM webhooks.endpoints WHERE url = 'http://idle.test/' AND next_ready_at IS NOT NULL";
    assert_eq!(house.count(idle).await, 0, "nothing is worth a look there");
}

#[tokio::test]
async fn what_is_added_while_a_loop_looks_is_not_forgotten() {
    let house = House::open().await;
    let receiver = Receiver::open().await;
    house.register(&receiver.url).await;
    house.happen(1).await;
    house.worker.run_due().await;
    // Somebody who found that the loop is about to look anyway, and has not committed yet.
    house.hurry().await;
    let mut adding = house.add_uncommitted().await;
    assert_eq!(house.worker.run_due().await, 0, "there is nothing to be seen yet");
    sqlx::raw_sql("COMMIT").execute(&mut adding).await.expect("commits");
    assert_eq!(house.worker.run_due().await, 1);
    assert_eq!(receiver.seen().len(), 2);
}

/// Runs what is due, to a receiver that has one slot, while somebody adds more.
pub(crate) async fn add_while_the_only_slot_is_taken(house: &House, receiver: &mut Receiver) {
    let worker = house.worker.clone();
    let running = spawn("worker", async move { worker.run_due().await });
    receiver.wait_for(1).await;
    // Somebody who found every slot taken, and has not committed yet.
    let mut adding = house.add_uncommitted().await;
    receiver.answer_all();
    running.await.expect("the worker runs through");
    sqlx::raw_sql("COMMIT").execute(&mut adding).await.expect("commits");
}

#[tokio::test]
async fn what_is_added_while_the_last_slot_comes_free_is_not_forgotten() {
    let house = House::open().await;
    let mut receiver = Receiver::hesitating([Reply::default()]).await;
    house.register_with(&receiver.url, json!({ "max_in_flight": 1 })).await;
    house.happen(1).await;
    add_while_the_only_slot_is_taken(&house, &mut receiver).await;
    assert_eq!(house.worker.run_due().await, 1);
    assert_eq!(receiver.seen().len(), 2);
}

#[tokio::test]
async fn what_a_stalled_worker_held_is_sent_by_another_and_its_late_word_changes_nothing() {
    let house = House::open().await;
    // The first two requests are answered late, with a refusal that would disable the endpoint.
    let replies = [Reply::status(410), Reply::status(410), Reply::default()];
    let mut receiver = Receiver::hesitating(replies).await;
    let endpoint = house.register_with(&receiver.url, json!({ "max_in_flight": 2 })).await;
    house.happen(3).await;
    let worker = house.worker.clone();
    let stalled = spawn("worker", async move { worker.run_due().await });
    receiver.wait_for(2).await;
    let other = house.another_worker();
    assert_eq!(other.run_due().await, 0, "the leases hold");
    house.end_leases().await;
    let taking_over = spawn("worker", async move { other.run_due().await });
    receiver.wait_for(2).await;
    assert_eq!(receiver.seen().len(), 4, "the third waits: the slots went over with the leases");
    receiver.answer_all();
    taking_over.await.expect("the other worker runs through");
    stalled.await.expect("the stalled worker runs through");
    // Whichever worker looked away while the other was looking.
    house.worker.run_due().await;
    let deliveries = house.deliveries(&endpoint).await;
    assert_eq!(deliveries.len(), 3);
    for delivery in deliveries {
        assert_eq!(delivery["status"], "delivered");
        assert_eq!(delivery["attempts"].as_array().map(Vec::len), Some(1), "only the holder's word counts");
    }
    assert_eq!(receiver.seen().len(), 5);
    assert_eq!(house.get("webhook-endpoints").await["data"][0]["disabled_at"], Value::Null);
    assert_eq!(house.count("SELECT count(*) FROM webhooks.endpoints WHERE in_flight <> 0").await, 0);
}

#[tokio::test]
async fn more_slots_are_used_at_once() {
    let house = House::open().await;
    let mut receiver = Receiver::hesitating([Reply::default()]).await;
    let endpoint = house.register_with(&receiver.url, json!({ "max_in_flight": 1 })).await;
    house.happen(3).await;
    let worker = house.worker.clone();
    let running = spawn("worker", async move { worker.run_due().await });
    receiver.wait_for(1).await;
    let path = house.path(&format!("webhook-endpoints/{}", endpoint["id"].as_str().expect("an id")));
    let owner = house.member(Role::Owner);
    assert_eq!(house.api.patch(&path, &json!({ "max_in_flight": 3 })).bearer(&owner).send().await.status, 200);
    let other = house.another_worker();
    let helping = spawn("worker", async move { other.run_due().await });
    receiver.wait_for(2).await;
    receiver.answer_all();
    running.await.expect("the worker runs through");
    helping.await.expect("the other worker runs through");
    assert_eq!(receiver.seen().len(), 3);
}

/// Whether so many requests come, each within a minute of the one before: whoever is forgotten waits for an hour.
async fn all_come(receiver: &mut Receiver, count: usize) -> bool {
    for _ in 0..count {
        if timeout(Duration::from_mins(1), receiver.wait_for(1)).await.is_err() {
            return false;
        }
    }
    true
}

#[tokio::test]
async fn nothing_waits_for_the_poll_however_looks_and_additions_meet() {
    const MESSAGES: usize = 300;
    let house = House::open().await;
    let (mut narrow, mut wide) = (Receiver::open().await, Receiver::open().await);
    house.register_with(&narrow.url, json!({ "max_in_flight": 1 })).await;
    house.register_with(&wide.url, json!({ "max_in_flight": 100 })).await;
    let shutdown = Shutdown::new();
    let (worker, until) = (house.patient_worker(), shutdown.clone());
    let running = spawn("worker", async move { worker.run(until).await });
    for _ in 0..MESSAGES {
        house.happen(1).await;
    }
    let waiting = "SELECT count(*) FROM webhooks.due_deliveries";
    let (narrowly, widely) = tokio::join!(all_come(&mut narrow, MESSAGES), all_come(&mut wide, MESSAGES));
    assert!(narrowly && widely, "{} deliveries were forgotten", house.count(waiting).await);
    shutdown.begin();
    running.await.expect("the worker ends");
    assert_eq!((narrow.seen().len(), wide.seen().len()), (MESSAGES, MESSAGES));
    assert_eq!(house.count(waiting).await, 0);
}
