//! Two workers over the same rows, and one that comes back too late.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sqlx::Connection;
use tokio::sync::Semaphore;

use crate::processes::{PATIENT, Process, eventually};
use crate::receiver::{Manner, Receiver};

use super::scale::{at_scale, found};
use super::scene::{DEADLINE, Scene};

const ATTEMPTS: &str = "SELECT count(*) FROM webhooks.delivery_attempts";
const TAKEN_SLOTS: &str = "SELECT coalesce(sum(in_flight), 0)::bigint FROM webhooks.endpoints";

#[tokio::test]
async fn invariant_05_two_workers_never_send_a_delivery_at_the_same_time() {
    const ENDPOINTS: usize = 4;
    // One organization gets half of the room that a worker has for calls.
    const CALLS_AT_A_TIME: (&str, &str) = ("APP__WEBHOOKS__CONCURRENCY", "30");
    const MOST_OF_ONE: usize = 15;
    let messages = at_scale(60, 5_000);
    let scene = Scene::open().await;
    let gate = Arc::new(Semaphore::new(0));
    let at_gate = gate.clone();
    // Nobody is answered until both have calls under way; then slowly enough that a second call would meet the first.
    let answer = move |_: &_| {
        if at_gate.is_closed() { Manner::Linger(Duration::from_millis(20)) } else { Manner::Wait(at_gate.clone(), 200) }
    };
    let (receiver, url) = Receiver::with_manner(answer).await;
    for number in 0..ENDPOINTS {
        scene.register(scene.org, &format!("{url}/{number}"), 20).await;
    }
    let variables = [CALLS_AT_A_TIME, DEADLINE];
    let workers = [scene.work(&variables).await, scene.work(&variables).await];
    scene.happen(scene.org, messages).await;
    eventually("both take part", async || receiver.open_calls() > MOST_OF_ONE).await;
    gate.close();
    scene.settled().await;
    assert_eq!(receiver.overlaps(), 0, "no delivery was on its way twice");
    let mut times: BTreeMap<(String, String), usize> = BTreeMap::new();
    for call in receiver.received() {
        *times.entry((call.path.clone(), call.id().to_owned())).or_default() += 1;
    }
    assert_eq!(times.len(), messages * ENDPOINTS);
    assert!(times.values().all(|count| *count == 1), "each was sent once");
    assert_eq!(scene.count(ATTEMPTS).await, messages * ENDPOINTS);
    let sent = [sent_by(&workers[0]).await, sent_by(&workers[1]).await];
    assert!(sent.iter().all(|count| *count > 0), "both took part: {sent:?}");
    found(
        5,
        format!(
            "{} deliveries by two workers, {} and {}: none overlapped, none came twice",
            messages * ENDPOINTS,
            sent[0],
            sent[1]
        ),
    );
}

async fn sent_by(worker: &Process) -> usize {
    worker.metric("webhook_attempts_total").await
}

#[tokio::test]
async fn invariant_05_the_late_word_of_a_worker_that_stalled_changes_no_row() {
    let scene = Scene::open().await;
    let gate = Arc::new(Semaphore::new(0));
    let (calls, at_gate) = (AtomicUsize::new(0), gate.clone());
    // Those of the first worker are refused in a way that would disable the endpoint.
    let refuse_two = move |_: &_| {
        let first = calls.fetch_add(1, Ordering::SeqCst) < 2;
        Manner::Wait(at_gate.clone(), if first { 410 } else { 200 })
    };
    let (receiver, url) = Receiver::with_manner(refuse_two).await;
    scene.register(scene.org, &url, 2).await;
    scene.happen(scene.org, 2).await;
    let stalled = scene.work(&[]).await;
    eventually("both are on their way", async || receiver.open_calls() == 2).await;
    stalled.stall();
    scene.end_leases().await;
    let _other = scene.work(&[]).await;
    eventually("another takes over", async || receiver.arrived() == 4).await;
    gate.close();
    scene.settled().await;
    let rows = "SELECT md5(string_agg(row::text, ',' ORDER BY row::text)) FROM (
                    SELECT delivery.*, attempt.id AS attempt, http_status FROM webhooks.deliveries AS delivery
                    JOIN webhooks.delivery_attempts AS attempt ON attempt.delivery_id = delivery.id) AS row";
    let written = scene.durable.texts(rows).await;

    stalled.go_on();
    eventually("it has got its answers", async || sent_by(&stalled).await == 2).await;
    stalled.finish().await;
    assert_eq!(scene.durable.texts(rows).await, written, "its word came too late");
    assert_eq!(scene.count("SELECT count(*) FROM webhooks.deliveries WHERE status = 'delivered'").await, 2);
    assert_eq!(scene.count(ATTEMPTS).await, 2);
    assert_eq!(scene.count("SELECT count(*) FROM webhooks.endpoints WHERE disabled_at IS NOT NULL").await, 0);
    assert_eq!(scene.count(TAKEN_SLOTS).await, 0);
    found(5, "a worker that was stopped beyond its leases settled 0 rows when it went on");
}

#[tokio::test]
async fn invariant_05_a_job_that_was_taken_over_has_one_effect_whoever_commits_first() {
    const STUCK: &str = "SELECT count(*) FROM pg_stat_activity
                         WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let scene = Scene::open().await;
    let (receiver, url) = Receiver::open().await;
    scene.register(scene.org, &url, 10).await;
    let mut in_the_way = scene.durable.owner().await;
    let lock = "BEGIN; SELECT id FROM webhooks.endpoints FOR UPDATE";
    sqlx::raw_sql(lock).execute(&mut in_the_way).await.expect("locked");
    let one = scene.work(&PATIENT).await;
    scene.happen(scene.org, 1).await;
    eventually("a worker is in the middle of it", async || scene.count(STUCK).await == 1).await;
    // While it gives no sign of life it is taken over, though its transaction goes on.
    one.stall();
    scene.run("UPDATE platform.jobs SET run_at = now() WHERE lease IS NOT NULL").await;
    let other = scene.work(&PATIENT).await;
    eventually("somebody else is in the middle of it, too", async || scene.count(STUCK).await == 2).await;
    one.go_on();
    sqlx::raw_sql("ROLLBACK").execute(&mut in_the_way).await.expect("unlocked");
    scene.settled().await;
    assert_eq!(scene.names_told().await.len(), 1, "one of them could not commit");
    assert_eq!(receiver.arrived(), 1);
    in_the_way.close().await.expect("closed");
    drop((one, other));
}
