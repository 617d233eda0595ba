//! The worker as it runs in a service: waking, draining, heartbeat, pumps, gauges.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use platform::jobs::{BoxError, Job, Jobs, JobsConfig, Pump, Worker, enqueue, queue_metrics};
use platform::shutdown::Shutdown;
use platform::telemetry;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

use crate::house::House;

#[derive(Serialize, Deserialize)]
struct Wait;

impl Job for Wait {
    const NAME: &'static str = "sample.wait";
}

/// A job that says when it has started and goes on when the gate lets it.
fn waiting() -> (Jobs, UnboundedReceiver<()>, Arc<Semaphore>) {
    let (started, starts): (UnboundedSender<()>, _) = unbounded_channel();
    let gate = Arc::new(Semaphore::new(0));
    let mut jobs = Jobs::new();
    let at_gate = gate.clone();
    jobs.register::<Wait, _, _>(move |_, _| {
        let (started, gate) = (started.clone(), at_gate.clone());
        async move {
            started.send(())?;
            gate.acquire().await?.forget();
            Ok(())
        }
    });
    (jobs, starts, gate)
}

/// Nothing in these tests may depend on a poll.
fn never_polling() -> JobsConfig {
    JobsConfig { poll_interval_ms: 3_600_000, ..JobsConfig::default() }
}

fn in_the_background(worker: Worker) -> (Shutdown, JoinHandle<()>) {
    let shutdown = Shutdown::new();
    let begun = shutdown.clone();
    (shutdown, telemetry::spawn("worker", async move { worker.run(begun).await }))
}

#[tokio::test]
async fn a_commit_wakes_the_worker() {
    let house = House::build().await;
    let (jobs, mut starts, gate) = waiting();
    gate.add_permits(100);
    let worker = house.worker_with(jobs, never_polling());
    let (shutdown, running) = in_the_background(worker);
    for _ in 0..10 {
        house.commit(async |tx| enqueue(tx, &Wait).await).await;
        starts.recv().await.expect("a start");
    }
    shutdown.begin();
    running.await.expect("an orderly end");
    assert_eq!(house.count("platform.jobs").await, "0");
}

#[tokio::test]
async fn a_shutdown_lets_running_jobs_finish() {
    let house = House::build().await;
    house.commit(async |tx| enqueue(tx, &Wait).await).await;
    let (jobs, mut starts, gate) = waiting();
    let worker = house.worker_with(jobs, never_polling());
    let (shutdown, running) = in_the_background(worker);
    starts.recv().await.expect("a start");
    shutdown.begin();
    house.commit(async |tx| enqueue(tx, &Wait).await).await;
    gate.add_permits(1);
    running.await.expect("an orderly end");
    assert_eq!(
        house.ask("SELECT string_agg(attempts::text, ',') FROM platform.jobs").await,
        "0",
        "only the late one is left"
    );
}

#[tokio::test]
async fn a_shutdown_gives_back_what_outlasts_the_drain_time() {
    let house = House::build().await;
    house
        .commit(async |tx| {
            enqueue(tx, &Wait).await?;
            enqueue(tx, &Wait).await
        })
        .await;
    let (jobs, mut starts, _gate) = waiting();
    let worker = house.worker_with(jobs, JobsConfig { drain_ms: 0, concurrency: 2, ..never_polling() });
    let (shutdown, running) = in_the_background(worker);
    starts.recv().await.expect("a start");
    starts.recv().await.expect("a start");
    shutdown.begin();
    running.await.expect("an orderly end");
    let rows = "SELECT string_agg(concat_ws(' ', attempts, lease IS NULL, run_at <= now()), ',') FROM platform.jobs";
    assert_eq!(house.ask(rows).await, "0 t t,0 t t");
}

#[tokio::test]
async fn a_long_job_keeps_its_lease() {
    let house = House::build().await;
    house.commit(async |tx| enqueue(tx, &Wait).await).await;
    let (jobs, mut starts, gate) = waiting();
    let worker = house.worker_with(jobs, JobsConfig { lease_ms: 300, ..never_polling() });
    let (shutdown, running) = in_the_background(worker);
    starts.recv().await.expect("a start");
    let lease_end = "SELECT run_at::text FROM platform.jobs";
    let first = house.ask(lease_end).await;
    while house.ask(lease_end).await == first {
        tokio::task::yield_now().await;
    }
    gate.add_permits(1);
    shutdown.begin();
    running.await.expect("an orderly end");
    assert_eq!(house.count("platform.jobs").await, "0");
}

/// A pump with some work in it, that fails once on the way.
struct Well {
    left: AtomicUsize,
    strokes: AtomicUsize,
    settled: AtomicUsize,
}

#[async_trait]
impl Pump for Well {
    async fn pump(&self) -> Result<usize, BoxError> {
        if self.strokes.fetch_add(1, Ordering::SeqCst) == 1 {
            return Err("the rope slipped".into());
        }
        let drawn = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        Ok(usize::from(drawn.is_ok()))
    }

    async fn settle(&self) {
        self.settled.fetch_add(1, Ordering::SeqCst);
    }
}

fn well(strokes: usize) -> Arc<Well> {
    Arc::new(Well { left: 3.into(), strokes: strokes.into(), settled: 0.into() })
}

#[tokio::test]
async fn stepping_runs_pumps_until_they_are_idle() {
    let house = House::build().await;
    let well = well(10);
    let mut jobs = Jobs::new();
    jobs.pump("sample.well", "wells", well.clone());
    assert_eq!(house.worker(jobs).run_due().await, 3);
    assert!(well.settled.load(Ordering::SeqCst) >= 3);
}

#[tokio::test]
async fn a_pump_that_fails_is_tried_again_and_settled_at_the_end() {
    let house = House::build().await;
    let well = well(0);
    let mut jobs = Jobs::new();
    jobs.pump("sample.well", "wells", well.clone());
    let worker = house.worker_with(jobs, JobsConfig { poll_interval_ms: 1, ..JobsConfig::default() });
    let (shutdown, running) = in_the_background(worker);
    while well.left.load(Ordering::SeqCst) > 0 {
        tokio::task::yield_now().await;
    }
    shutdown.begin();
    running.await.expect("an orderly end");
    assert_eq!(well.settled.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn the_gauges_tell_depth_age_and_deaths() {
    let house = House::build().await;
    let metrics = telemetry::metrics_handle();
    house
        .sql(
            "INSERT INTO platform.jobs (id, queue, name, args, priority, run_at, max_attempts)
             SELECT gen_random_uuid(), 'gauged', 'x', '{}', 1, now() + due * interval '1 hour', 1
             FROM unnest(ARRAY[-2, -1, 1]) AS due",
        )
        .await;
    let mut connection = house.databases.platform().read().await.expect("a connection");
    let mut known = BTreeSet::from(["empty".to_owned()]);
    queue_metrics(&mut connection, &mut known).await.expect("measured");
    let page = metrics.render();
    for line in [
        r#"jobs_ready{queue="gauged"} 2"#,
        r#"jobs_ready{queue="empty"} 0"#,
        r#"jobs_oldest_ready_seconds{queue="empty"} 0"#,
    ] {
        assert!(page.contains(line), "{line} in {page}");
    }
    assert!(page.contains(r#"jobs_oldest_ready_seconds{queue="gauged"} 72"#), "{page}");
    assert!(page.contains("jobs_dead "), "{page}");
    house.sql("DELETE FROM platform.jobs WHERE queue = 'gauged'").await;
    queue_metrics(&mut connection, &mut known).await.expect("measured");
    let page = metrics.render();
    for gauge in ["jobs_ready", "jobs_oldest_ready_seconds"] {
        let line = format!(r#"{gauge}{{queue="gauged"}} 0"#);
        assert!(page.contains(&line), "a queue that nobody here works on is forgotten: {page}");
    }
}
