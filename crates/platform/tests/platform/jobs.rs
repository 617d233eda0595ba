//! Enqueuing, running once, schedules and what a job carries.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use chrono::DateTime;
use platform::jobs::{
    self, EnqueueOptions, Job, JobError, Jobs, NamedJob, Priority, enqueue, enqueue_named, enqueue_with,
};
use platform::telemetry::{RequestContext, current_context, with_context};
use serde::{Deserialize, Serialize};

use crate::house::{House, SAMPLE, effect};

#[derive(Serialize, Deserialize)]
struct Greet {
    name: String,
}

impl Job for Greet {
    const NAME: &'static str = "sample.greet";
}

fn greet(name: &str) -> Greet {
    Greet { name: name.to_owned() }
}

#[derive(Serialize, Deserialize)]
struct Sweep;

impl Job for Sweep {
    const NAME: &'static str = "sample.sweep";
    const QUEUE: &'static str = "sweeping";
}

/// Who was greeted, in order.
#[derive(Clone, Default)]
struct Greeted(Arc<Mutex<Vec<String>>>);

impl Greeted {
    fn jobs(&self) -> Jobs {
        let mut jobs = Jobs::new();
        let this = self.clone();
        jobs.register::<Greet, _, _>(move |args, _| {
            let this = this.clone();
            async move {
                this.0.lock().expect("no panic").push(args.name);
                Ok(())
            }
        });
        jobs
    }

    fn names(&self) -> Vec<String> {
        self.0.lock().expect("no panic").clone()
    }
}

#[tokio::test]
async fn a_job_exists_only_if_the_transaction_commits() {
    let house = House::build().await;
    let mut tx = house.db.begin().await.expect("a transaction");
    enqueue(&mut tx, &greet("nobody")).await.expect("enqueued");
    drop(tx);
    house.commit(async |tx| enqueue(tx, &greet("Ada")).await).await;

    let greeted = Greeted::default();
    assert_eq!(house.worker(greeted.jobs()).run_due().await, 1);
    assert_eq!(greeted.names(), ["Ada"]);
    assert_eq!(house.count("platform.jobs").await, "0");
}

#[tokio::test]
async fn two_workers_run_every_job_once() {
    let house = House::build().await;
    house
        .commit(async |tx| {
            for number in 0..300 {
                enqueue(tx, &greet(&number.to_string())).await?;
            }
            Ok(())
        })
        .await;

    let greeted = Greeted::default();
    let (one, other) = (house.worker(greeted.jobs()), house.worker(greeted.jobs()));
    let (by_one, by_other) = tokio::join!(one.run_due(), other.run_due());
    assert_eq!(by_one + by_other, 300);
    let mut times = BTreeMap::new();
    for name in greeted.names() {
        *times.entry(name).or_insert(0) += 1;
    }
    assert_eq!(times.len(), 300);
    assert!(times.values().all(|count| *count == 1), "{times:?}");
}

#[tokio::test]
async fn a_unique_key_keeps_twins_out_until_the_job_is_done() {
    let house = House::build().await;
    let once = || EnqueueOptions { unique_key: Some("Ada".to_owned()), ..EnqueueOptions::default() };
    let greeted = Greeted::default();
    let worker = house.worker(greeted.jobs());
    house
        .commit(async |tx| {
            enqueue_with(tx, &greet("Ada"), once()).await?;
            enqueue_with(tx, &greet("Ada"), once()).await
        })
        .await;
    assert_eq!(worker.run_due().await, 1);
    house.commit(async |tx| enqueue_with(tx, &greet("Ada"), once()).await).await;
    assert_eq!(worker.run_due().await, 1);
}

#[tokio::test]
async fn due_times_and_priorities_are_kept() {
    let house = House::build().await;
    let with = |priority| EnqueueOptions { priority, ..EnqueueOptions::default() };
    let far = DateTime::from_timestamp(32_503_680_000, 0).expect("the year 3000");
    house
        .commit(async |tx| {
            enqueue_with(tx, &greet("low"), with(Priority::Low)).await?;
            enqueue_with(tx, &greet("normal"), with(Priority::Normal)).await?;
            enqueue_with(tx, &greet("high"), with(Priority::High)).await?;
            enqueue_with(tx, &greet("later"), EnqueueOptions { run_at: Some(far), ..with(Priority::High) }).await
        })
        .await;

    let greeted = Greeted::default();
    let worker = house.worker(greeted.jobs());
    worker.run_due().await;
    assert_eq!(greeted.names(), ["high", "normal", "low"]);
    house.make_due().await;
    worker.run_due().await;
    assert_eq!(greeted.names().last().map(String::as_str), Some("later"));
}

#[tokio::test]
async fn jobs_may_be_named_by_configuration_and_wait_in_a_queue_each() {
    let house = House::build().await;
    let greeted = Greeted::default();
    let mut jobs = greeted.jobs();
    for door in ["front", "back"] {
        let greeted = greeted.clone();
        jobs.register_named::<Greet, _, _>(
            format!("greets at {door}"),
            format!("doors.{door}"),
            move |args, running| {
                let greeted = greeted.clone();
                async move {
                    assert_eq!((running.attempt, running.max_attempts), (1, 20));
                    greeted.0.lock().expect("no panic").push(format!("{} at {door}", args.name));
                    if door == "back" { Err(JobError::Retry("it sticks".into())) } else { Ok(()) }
                }
            },
        );
    }
    let worker = house.worker(jobs);
    let named = ["front", "back", "cellar", "cellar"].map(|door| {
        let job = NamedJob::new(format!("greets at {door}"), format!("doors.{door}"), &greet("Ada")).expect("JSON");
        job.unique("Ada".to_owned())
    });
    house.commit(async |tx| enqueue_named(tx, &named).await).await;
    assert_eq!(worker.run_due().await, 2, "nobody stands in the cellar");
    let mut heard = greeted.names();
    heard.sort();
    assert_eq!(heard, ["Ada at back", "Ada at front"]);
    let left = "SELECT string_agg(concat_ws(' ', queue, attempts), ', ' ORDER BY queue) FROM platform.jobs";
    assert_eq!(house.ask(left).await, "doors.back 1, doors.cellar 0");
}

#[tokio::test]
async fn a_job_of_another_binary_is_left_alone() {
    let house = House::build().await;
    house.commit(async |tx| enqueue(tx, &greet("Ada")).await).await;
    assert_eq!(house.worker(Jobs::new()).run_due().await, 0);
    assert_eq!(house.ask("SELECT attempts::text FROM platform.jobs").await, "0");
}

#[tokio::test]
async fn a_schedule_is_claimed_by_one_of_two_workers() {
    let house = House::build().await;
    let jobs = || {
        let mut jobs = Jobs::new();
        jobs.register::<Sweep, _, _>(|_, _| async { Ok(()) });
        jobs.schedule("sweeping", "0 3 * * *", &Sweep);
        jobs
    };
    let (one, other) = (house.worker(jobs()), house.worker(jobs()));
    assert_eq!(one.run_due().await, 0, "not due yet");
    assert_eq!(house.ask("SELECT (next_at > now())::text FROM platform.schedules").await, "true");

    for _ in 0..5 {
        house.sql("UPDATE platform.schedules SET next_at = now()").await;
        let (by_one, by_other) = tokio::join!(one.run_due(), other.run_due());
        assert_eq!(by_one + by_other, 1);
    }
}

#[tokio::test]
async fn a_schedule_that_nobody_knows_any_more_is_forgotten_after_a_day() {
    let house = House::build().await;
    house
        .sql("INSERT INTO platform.schedules VALUES ('old', '', now(), now() - interval '25 h'), ('new', '', now(), now())")
        .await;
    house.worker(Jobs::new()).run_due().await;
    assert_eq!(house.ask("SELECT string_agg(name, ',') FROM platform.schedules").await, "new");
}

#[tokio::test]
async fn a_job_runs_on_behalf_of_the_request_that_caused_it() {
    let house = House::build().await;
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let context = RequestContext { request_id: "r-1".to_owned(), traceparent: Some(trace.to_owned()), client: None };
    let request = RequestContext { client: Some(std::net::Ipv4Addr::LOCALHOST.into()), ..context.clone() };
    with_context(request, house.commit(async |tx| enqueue(tx, &greet("Ada")).await)).await;

    let seen = Arc::new(Mutex::new(None));
    let mut jobs = Jobs::new();
    let (slot, db) = (seen.clone(), house.db.clone());
    jobs.register::<Greet, _, _>(move |_, _| {
        let (slot, db) = (slot.clone(), db.clone());
        async move {
            *slot.lock().expect("no panic") = current_context();
            let mut tx = db.begin().await?;
            enqueue(&mut tx, &Sweep).await?;
            tx.commit().await?;
            Ok(())
        }
    });
    house.worker(jobs).run_due().await;
    assert_eq!(*seen.lock().expect("no panic"), Some(context));
    let carried = house.ask("SELECT concat_ws(' ', name, request_id, traceparent) FROM platform.jobs").await;
    assert_eq!(carried, format!("sample.sweep r-1 {trace}"));
}

#[tokio::test]
async fn an_effect_and_its_done_commit_together() {
    let house = House::build().await;
    house.commit(async |tx| enqueue(tx, &greet("Ada")).await).await;
    let mut jobs = Jobs::new();
    let db = house.db.clone();
    jobs.register::<Greet, _, _>(move |args, running| {
        let db = db.clone();
        async move {
            let mut tx = db.begin().await?;
            effect(&mut tx, &args.name).await?;
            running.settle(&mut tx).await?;
            if running.attempt == 1 {
                return Err(jobs::JobError::Retry("killed before the commit".into()));
            }
            tx.commit().await?;
            Ok(())
        }
    });
    let worker = house.worker(jobs);
    worker.run_due().await;
    assert_eq!((house.count("sample.effects").await, house.count("platform.jobs").await), ("0".into(), "1".into()));
    house.make_due().await;
    worker.run_due().await;
    assert_eq!((house.count("sample.effects").await, house.count("platform.jobs").await), ("1".into(), "0".into()));
}

#[tokio::test]
async fn a_module_cannot_touch_the_queue_behind_its_functions() {
    let house = House::build().await;
    let mut connection = house.db.read().await.expect("a connection");
    for statement in [
        "SELECT * FROM platform.jobs",
        "DELETE FROM platform.jobs",
        "SELECT * FROM platform.dead_jobs",
        "SELECT * FROM platform.idempotency_keys",
        "INSERT INTO platform.schedules VALUES ('x', '', now(), now())",
    ] {
        let refused = sqlx::raw_sql(statement).execute(&mut *connection).await.expect_err(statement);
        let code =
            refused.as_database_error().and_then(sqlx::error::DatabaseError::code).unwrap_or_default().into_owned();
        assert_eq!(code, "42501", "{SAMPLE}: {statement}");
    }
}
