//! What a worker does with its jobs when it ends, and what must not keep it from doing so.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use platform::jobs::{Job, Jobs, JobsConfig, enqueue};
use platform::shutdown::Shutdown;
use platform::telemetry;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::house::House;

#[derive(Serialize, Deserialize)]
struct Carry;

impl Job for Carry {
    const NAME: &'static str = "sample.carry";
}

#[tokio::test]
async fn what_has_not_begun_is_given_back_while_the_rest_still_runs() {
    let house = House::build().await;
    house
        .commit(async |tx| {
            enqueue(tx, &Carry).await?;
            enqueue(tx, &Carry).await?;
            enqueue(tx, &Carry).await
        })
        .await;
    let (begun, done) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let mut jobs = Jobs::new();
    let (says, waits) = (begun.clone(), done.clone());
    jobs.register::<Carry, _, _>(move |_, _| {
        let (says, waits) = (says.clone(), waits.clone());
        async move {
            says.notify_one();
            waits.notified().await;
            Ok(())
        }
    });
    let worker = house.worker_with(jobs, JobsConfig { concurrency: 1, ..JobsConfig::default() });
    let shutdown = Shutdown::new();
    let stop = shutdown.clone();
    let running = telemetry::spawn("worker", async move { worker.run(stop).await });
    begun.notified().await;
    shutdown.begin();
    // The first is still at it; whoever asks next gets the other two.
    let free = "SELECT count(*)::text FROM platform.jobs WHERE lease IS NULL AND run_at <= now()";
    while house.ask(free).await != "2" {
        tokio::task::yield_now().await;
    }
    done.notify_one();
    running.await.expect("an orderly end");
    assert_eq!(house.count("platform.jobs").await, "2");
}

#[tokio::test]
async fn a_broken_connection_at_the_end_does_not_make_a_finished_job_run_again() {
    let house = House::build().await;
    house.commit(async |tx| enqueue(tx, &Carry).await).await;
    let shutdown = Shutdown::new();
    let runs = Arc::new(AtomicUsize::new(0));
    let mut jobs = Jobs::new();
    let (stop, count, other) = (shutdown.clone(), runs.clone(), house.other_connection());
    jobs.register::<Carry, _, _>(move |_, _| {
        let (stop, count, other) = (stop.clone(), count.clone(), other.clone());
        async move {
            count.fetch_add(1, Ordering::SeqCst);
            stop.begin();
            other.break_all_others().await;
            Ok(())
        }
    });
    let worker = house.worker_with(jobs, JobsConfig { poll_interval_ms: 1, ..JobsConfig::default() });
    worker.run(shutdown).await;
    assert_eq!(runs.load(Ordering::SeqCst), 1);
    assert_eq!(house.count("platform.jobs").await, "0", "settled, whatever happened to the connections");
}

#[tokio::test]
async fn a_schedule_is_never_moved_by_a_worker_that_starts() {
    let house = House::build().await;
    let jobs = || {
        let mut jobs = Jobs::new();
        jobs.register::<Carry, _, _>(|_, _| async { Ok(()) });
        jobs.schedule("sample.carrying", "17 3 * * *", &Carry);
        jobs
    };
    house.worker(jobs()).run_due().await;
    house.sql("UPDATE platform.schedules SET next_at = '2999-01-01'").await;
    assert_eq!(house.worker(jobs()).run_due().await, 0);
    assert_eq!(house.ask("SELECT next_at::date::text FROM platform.schedules").await, "2999-01-01");
    house.sql("UPDATE platform.schedules SET next_at = now() - interval '1 minute'").await;
    assert_eq!(house.worker(jobs()).run_due().await, 1, "what was missed is caught up, not moved ahead");
}
