//! Events that come in at the same time are stored together.

use futures_util::future::join_all;
use platform::telemetry::spawn;
use test_support::{Answer, ApiClient};
use tokio::task::JoinHandle;

use crate::blocker::Blocker;
use crate::house::House;
use crate::sender::{event, expect_taken, house, send};

const EVENTS: usize = 8;
const INBOX: &str = "webhooks.inbox";

/// Sends an event in the background.
fn sending(api: &ApiClient, number: usize) -> JoinHandle<Answer> {
    let (api, body) = (api.clone(), event(&format!("evt_{number}"), "invoice.paid").to_string());
    spawn("sender", async move { send(&api, "stripe", body).await })
}

/// Sends events while the inbox is locked, and lets them go on once the first is held up and the others wait for it.
async fn send_together(house: &House) -> Vec<Answer> {
    let blocker = Blocker::of(house, INBOX).await;
    let answers = join_all((1..=EVENTS).map(|number| sending(&house.api, number)));
    blocker.wait(house).await;
    blocker.end().await;
    answers.await.into_iter().map(|answer| answer.expect("an answer")).collect()
}

#[tokio::test]
async fn events_that_come_while_others_are_stored_share_a_transaction() {
    let (house, ear) = house().await;
    for answer in send_together(&house).await {
        expect_taken(&answer);
    }
    assert_eq!(house.count("SELECT count(*) FROM webhooks.inbox").await, 8);
    let transactions = "SELECT count(DISTINCT xmin::text) FROM webhooks.inbox";
    assert_eq!(house.count(transactions).await, 2, "the first, and the rest");
    house.worker.run_due().await;
    assert_eq!(ear.ids().len(), EVENTS);
}

#[tokio::test]
async fn one_event_that_cannot_be_stored_keeps_none_of_the_others_from_it() {
    let (house, ear) = house().await;
    house.run_sql("ALTER TABLE webhooks.inbox ADD CONSTRAINT unwanted CHECK (external_id <> 'evt_5')").await;
    for (number, answer) in (1..).zip(send_together(&house).await) {
        if number == 5 {
            answer.expect_problem(500, "internal");
        } else {
            expect_taken(&answer);
        }
    }
    house.worker.run_due().await;
    assert_eq!(ear.ids().len(), EVENTS - 1);
}

#[tokio::test]
async fn what_comes_while_too_much_waits_is_answered_503_at_once() {
    const STORED: &str = "SELECT count(*) FROM webhooks.inbox";
    let (house, _) = house().await;
    let blocker = Blocker::of(&house, INBOX).await;
    let first = sending(&house.api, 0);
    blocker.wait(&house).await;
    let others: Vec<_> = (1..=300).map(|number| sending(&house.api, number)).collect();
    while others.iter().filter(|other| other.is_finished()).count() < 45 {
        house.count("SELECT count(*) FROM pg_locks").await;
    }
    blocker.end().await;
    expect_taken(&first.await.expect("an answer"));
    let (mut taken, mut refused) = (0, 0);
    for answer in join_all(others).await {
        let answer = answer.expect("an answer");
        if answer.status == 503 {
            answer.expect_problem(503, "unavailable");
            refused += 1;
        } else {
            expect_taken(&answer);
            taken += 1;
        }
    }
    assert_eq!((taken, refused, house.count(STORED).await), (255, 45, 256));
}

#[tokio::test]
async fn a_sender_that_hangs_up_keeps_nobody_elses_event_from_being_stored() {
    let (house, ear) = house().await;
    let blocker = Blocker::of(&house, INBOX).await;
    let hangs_up = sending(&house.api, 1);
    blocker.wait(&house).await;
    let stays = sending(&house.api, 2);
    hangs_up.abort();
    assert!(hangs_up.await.is_err_and(|error| error.is_cancelled()));
    blocker.end().await;
    expect_taken(&stays.await.expect("an answer"));
    house.worker.run_due().await;
    assert_eq!(ear.ids(), ["evt_1", "evt_2"]);
}
