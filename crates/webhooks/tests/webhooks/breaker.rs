//! Endpoints that fail are left alone for a while, by every worker.

use std::time::Duration;

use axum::http::header::RETRY_AFTER;
use platform::caller::Role;
use platform::shutdown::Shutdown;
use platform::telemetry::spawn;
use serde_json::json;
use tokio::time::timeout;

use crate::house::House;
use crate::isolation::add_while_the_only_slot_is_taken;
use crate::receiver::{Receiver, Reply};

const PAUSE: &str = "SELECT extract(epoch FROM paused_until - now())::bigint FROM webhooks.endpoints";
const PAUSED: &str = "SELECT count(*) FROM webhooks.endpoints WHERE paused_until IS NOT NULL";

/// The endpoint failed, was left alone, and that is over: a probe is next.
async fn end_pause(house: &House) {
    house
        .run_sql(
            "UPDATE webhooks.endpoints
             SET consecutive_failures = greatest(consecutive_failures, 10), pauses = greatest(pauses, 1),
                 failing_since = coalesce(failing_since, now()), paused_until = now(), next_ready_at = now();
             UPDATE webhooks.due_deliveries SET next_at = now() WHERE lease IS NULL",
        )
        .await;
}

#[tokio::test]
async fn after_ten_failures_nothing_is_sent_until_the_pause_is_over() {
    let house = House::open().await;
    let receiver = Receiver::replying([Reply::status(500)]).await;
    house.register(&receiver.url).await;
    house.happen(12).await;
    house.worker.run_due().await;
    assert_eq!(receiver.seen().len(), 10);
    // The test itself takes some of the pause's seconds.
    let pause = house.count(PAUSE).await;
    assert!((20..=36).contains(&pause), "{pause}");
    let early = "SELECT count(*) FROM webhooks.endpoints WHERE next_ready_at < paused_until";
    assert_eq!(house.count(early).await, 0, "nobody looks before");
    house.hurry().await;
    house.happen(1).await;
    assert_eq!(
        (house.worker.run_due().await, house.another_worker().run_due().await),
        (1, 0),
        "only the message's job"
    );
    assert_eq!(receiver.seen().len(), 10);
    let untried = "SELECT count(*) FROM webhooks.due_deliveries WHERE attempts = 0";
    assert_eq!(house.count(untried).await, 3, "waiting costs no attempt");
    for (probe, planned) in (11..).zip([60, 120]) {
        end_pause(&house).await;
        house.worker.run_due().await;
        assert_eq!(receiver.seen().len(), probe, "one probe");
        let pause = house.count(PAUSE).await;
        assert!((planned * 8 / 10 - 5..=planned * 12 / 10).contains(&pause), "{pause} s instead of {planned}");
    }
    assert_eq!(house.count("SELECT count(*) FROM webhooks.delivery_attempts").await, 12);
    assert_eq!(house.count("SELECT count(*) FROM webhooks.endpoints WHERE in_flight <> 0").await, 0);
}

#[tokio::test]
async fn one_probe_at_a_time_is_on_its_way_over_all_workers() {
    const LEASED: &str = "SELECT count(*) FROM webhooks.due_deliveries WHERE lease IS NOT NULL";
    let house = House::open().await;
    let mut receiver = Receiver::hesitating([Reply::default()]).await;
    house.register(&receiver.url).await;
    house.happen(5).await;
    end_pause(&house).await;
    let worker = house.worker.clone();
    let running = spawn("worker", async move { worker.run_due().await });
    receiver.wait_for(1).await;
    assert_eq!(house.another_worker().run_due().await, 0, "one slot is all there is");
    house.happen(1).await;
    assert_eq!(house.another_worker().run_due().await, 1, "the message's job");
    assert_eq!((receiver.seen().len(), house.count(LEASED).await), (1, 1));
    receiver.answer_all();
    running.await.expect("the worker runs through");
    assert_eq!(receiver.seen().len(), 6, "it arrived, so everything is sent");
    let healthy = "SELECT count(*) FROM webhooks.endpoints WHERE consecutive_failures = 0 AND pauses = 0
        AND paused_until IS NULL AND failing_since IS NULL";
    assert_eq!(house.count(healthy).await, 1);
}

#[tokio::test]
async fn a_success_ends_it_and_nothing_waits_for_the_poll() {
    const MESSAGES: usize = 30;
    let house = House::open().await;
    let mut receiver = Receiver::open().await;
    house.register_with(&receiver.url, json!({ "max_in_flight": 2 })).await;
    end_pause(&house).await;
    let shutdown = Shutdown::new();
    let (worker, until) = (house.patient_worker(), shutdown.clone());
    let running = spawn("worker", async move { worker.run(until).await });
    house.happen(MESSAGES).await;
    let in_time = timeout(Duration::from_mins(1), receiver.wait_for(MESSAGES)).await.is_ok();
    assert!(in_time, "{} came", receiver.seen().len());
    shutdown.begin();
    running.await.expect("the worker ends");
    assert_eq!(house.count(PAUSED).await, 0);
}

#[tokio::test]
async fn what_is_added_while_a_probe_is_on_its_way_is_not_forgotten() {
    let house = House::open().await;
    let mut receiver = Receiver::hesitating([Reply::default()]).await;
    house.register(&receiver.url).await;
    house.happen(1).await;
    end_pause(&house).await;
    add_while_the_only_slot_is_taken(&house, &mut receiver).await;
    assert_eq!(house.worker.run_due().await, 1);
    assert_eq!(receiver.seen().len(), 2);
}

#[tokio::test]
async fn what_is_recorded_during_a_pause_waits_for_its_end() {
    let house = House::open().await;
    let receiver = Receiver::open().await;
    house.register(&receiver.url).await;
    house.run_sql("UPDATE webhooks.endpoints SET paused_until = now() + interval '9 minutes', pauses = 5").await;
    house.happen(2).await;
    assert_eq!(house.worker.run_due().await, 2, "the messages' jobs");
    let at_its_end = "SELECT count(*) FROM webhooks.endpoints WHERE next_ready_at = paused_until";
    assert_eq!((receiver.seen().len(), house.count(at_its_end).await), (0, 1));
    end_pause(&house).await;
    house.worker.run_due().await;
    assert_eq!((receiver.seen().len(), house.count(PAUSED).await), (2, 0));
}

#[tokio::test]
async fn a_paused_endpoint_that_is_changed_stays_paused() {
    let house = House::open().await;
    let endpoint = house.register("https://example.com/hook").await;
    let path = house.path(&format!("webhook-endpoints/{}", endpoint["id"].as_str().expect("an id")));
    let owner = house.member(Role::Owner);
    let change = async |number: u8| {
        let ask = house.api.patch(&path, &json!({ "max_in_flight": number })).bearer(&owner);
        assert_eq!(ask.send().await.status, 200);
    };
    house.run_sql("UPDATE webhooks.endpoints SET next_ready_at = NULL").await;
    change(11).await;
    assert_eq!(house.count("SELECT count(*) FROM webhooks.endpoints WHERE next_ready_at <= now()").await, 1);
    house.run_sql("UPDATE webhooks.endpoints SET paused_until = now() + interval '9 minutes', pauses = 5").await;
    change(12).await;
    assert_eq!(house.count("SELECT count(*) FROM webhooks.endpoints WHERE next_ready_at = paused_until").await, 1);
}

#[tokio::test]
async fn a_probe_that_finds_nothing_due_leaves_the_endpoint_in_peace() {
    let house = House::open().await;
    let receiver = Receiver::open().await;
    house.register(&receiver.url).await;
    end_pause(&house).await;
    assert_eq!(house.worker.run_due().await, 0);
    let looked_at = "SELECT count(*) FROM webhooks.endpoints WHERE next_ready_at IS NOT NULL";
    assert_eq!((house.count(looked_at).await, house.count(PAUSED).await), (0, 1), "until there is something to send");
    house.happen(1).await;
    house.worker.run_due().await;
    assert_eq!((receiver.seen().len(), house.count(PAUSED).await), (1, 0));
}

#[tokio::test]
async fn an_endpoint_that_asks_for_time_counts_as_failing() {
    for status in [429, 503] {
        let house = House::open().await;
        let reply = Reply { header: Some((RETRY_AFTER, "1".to_owned())), ..Reply::status(status) };
        let receiver = Receiver::replying([reply]).await;
        house.register(&receiver.url).await;
        house.happen(10).await;
        house.worker.run_due().await;
        assert_eq!(house.count(PAUSED).await, 1, "{status}");
    }
}

#[tokio::test]
async fn our_own_mistakes_are_not_the_endpoints_fault() {
    let house = House::open().await;
    let receiver = Receiver::open().await;
    house.register(&receiver.url).await;
    house.run_sql("UPDATE webhooks.endpoint_secrets SET sealed = 'nonsense'").await;
    house.happen(12).await;
    house.worker.run_due().await;
    let blamed = "SELECT count(*) FROM webhooks.endpoints WHERE consecutive_failures > 0 OR failing_since IS NOT NULL";
    assert_eq!(
        (house.count("SELECT count(*) FROM webhooks.delivery_attempts").await, house.count(blamed).await),
        (12, 0)
    );
}

#[tokio::test]
async fn failures_that_come_late_do_not_lengthen_the_pause() {
    let house = House::open().await;
    let mut receiver = Receiver::hesitating([Reply::status(500)]).await;
    house.register_with(&receiver.url, json!({ "max_in_flight": 3 })).await;
    house.happen(3).await;
    let worker = house.worker.clone();
    let running = spawn("worker", async move { worker.run_due().await });
    receiver.wait_for(3).await;
    house
        .run_sql(
            "UPDATE webhooks.endpoints SET consecutive_failures = 10, pauses = 1, failing_since = now(),
                    paused_until = now() + interval '5 minutes'",
        )
        .await;
    receiver.answer_all();
    running.await.expect("the worker runs through");
    let same = "SELECT count(*) FROM webhooks.endpoints WHERE pauses = 1 AND consecutive_failures = 13
        AND paused_until BETWEEN now() + interval '3 minutes' AND now() + interval '5 minutes'
        AND next_ready_at = paused_until AND in_flight = 0";
    assert_eq!(house.count(same).await, 1);
}

#[tokio::test]
async fn another_url_is_another_receiver_with_nothing_held_against_it() {
    let house = House::open().await;
    let (broken, mended) = (Receiver::replying([Reply::status(500)]).await, Receiver::open().await);
    let endpoint = house.register(&broken.url).await;
    house.happen(10).await;
    house.worker.run_due().await;
    assert_eq!(house.count(PAUSED).await, 1);
    let path = house.path(&format!("webhook-endpoints/{}", endpoint["id"].as_str().expect("an id")));
    let owner = house.member(Role::Owner);
    let same = json!({ "url": broken.url, "description": "still here" });
    let kept = house.api.patch(&path, &same).bearer(&owner).send().await.expect(200);
    assert_eq!((&kept["status"], house.count(PAUSED).await), (&json!("paused"), 1));
    let moved = house.api.patch(&path, &json!({ "url": mended.url })).bearer(&owner).send().await.expect(200);
    assert_eq!((&moved["status"], &moved["failing_since"]), (&json!("enabled"), &json!(null)));
    house.happen(1).await;
    house.worker.run_due().await;
    assert_eq!((broken.seen().len(), mended.seen().len()), (10, 1), "what failed has pauses of its own");
}
