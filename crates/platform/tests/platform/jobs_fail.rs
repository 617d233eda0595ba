//! Retries, dead letters, panics and lost leases.

use std::time::Duration;

use platform::jobs::{Job, JobError, Jobs, enqueue};
use platform::telemetry;
use serde::{Deserialize, Serialize};

use crate::house::{House, effect};

/// A job that ends as its argument says.
#[derive(Serialize, Deserialize)]
struct Try {
    end: End,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
enum End {
    Succeed,
    Fail,
    Discard,
    Panic,
    Hang,
}

impl Job for Try {
    const NAME: &'static str = "sample.try";
    const MAX_ATTEMPTS: i32 = 3;
    const TIME_LIMIT: Duration = Duration::from_millis(20);
}

#[derive(Debug, thiserror::Error)]
#[error("the effect failed")]
struct EffectFailed(#[source] std::io::Error);

fn jobs() -> Jobs {
    let mut jobs = Jobs::new();
    jobs.register::<Try, _, _>(|args, _| async move {
        match args.end {
            End::Succeed => Ok(()),
            End::Fail => Err(EffectFailed(std::io::Error::other("disk\0full")).into()),
            End::Discard => Err(JobError::Discard("the order was cancelled".to_owned())),
            End::Panic => panic!("on purpose"),
            End::Hang => std::future::pending().await,
        }
    });
    jobs
}

async fn house_with(end: End) -> House {
    let house = House::build().await;
    house.commit(async |tx| enqueue(tx, &Try { end }).await).await;
    house
}

#[tokio::test]
async fn a_failing_job_is_tried_again_later_and_dies_after_the_last_try() {
    let house = house_with(End::Fail).await;
    let worker = house.worker(jobs());
    for attempt in ["1", "2"] {
        assert_eq!(worker.run_due().await, 1);
        let row = "SELECT concat_ws(' ', attempts, run_at > now(), lease IS NULL, last_error) FROM platform.jobs";
        assert_eq!(house.ask(row).await, format!("{attempt} t t the effect failed: diskfull"));
        house.make_due().await;
    }
    assert_eq!(worker.run_due().await, 1);
    assert_eq!(house.count("platform.jobs").await, "0");
    let row = "SELECT concat_ws(' ', attempts, error) FROM platform.dead_jobs";
    assert_eq!(house.ask(row).await, "3 the effect failed: diskfull");
}

#[tokio::test]
async fn a_discarded_job_dies_at_once_with_its_reason() {
    let house = house_with(End::Discard).await;
    assert_eq!(house.worker(jobs()).run_due().await, 1);
    let row = "SELECT concat_ws(' ', attempts, error) FROM platform.dead_jobs";
    assert_eq!(house.ask(row).await, "1 the order was cancelled");
}

#[tokio::test]
async fn unreadable_arguments_die_at_once_and_others_proceed() {
    let house = house_with(End::Succeed).await;
    house.sql(r#"UPDATE platform.jobs SET args = '{"beginning": 1}'"#).await;
    house.commit(async |tx| enqueue(tx, &Try { end: End::Succeed }).await).await;
    assert_eq!(house.worker(jobs()).run_due().await, 2);
    assert_eq!(house.count("platform.jobs").await, "0");
    let error = house.ask("SELECT error FROM platform.dead_jobs").await;
    assert!(error.contains("missing field `end`"), "{error}");
}

#[tokio::test]
async fn a_panic_is_counted_and_tried_again() {
    let house = house_with(End::Panic).await;
    let metrics = telemetry::metrics_handle();
    assert_eq!(house.worker(jobs()).run_due().await, 1);
    assert_eq!(house.ask("SELECT last_error FROM platform.jobs").await, "panicked: on purpose");
    assert!(metrics.render().contains(r#"jobs_panicked_total{job="sample.try"} 1"#), "{}", metrics.render());
}

#[tokio::test]
async fn a_job_that_hangs_is_stopped_and_tried_again() {
    let house = house_with(End::Hang).await;
    assert_eq!(house.worker(jobs()).run_due().await, 1);
    let row = "SELECT concat_ws(' ', attempts, last_error) FROM platform.jobs";
    assert_eq!(house.ask(row).await, "1 stopped after 20 ms");
}

#[tokio::test]
async fn a_job_that_kills_every_worker_dies() {
    let house = house_with(End::Succeed).await;
    house.sql("UPDATE platform.jobs SET attempts = max_attempts, lease = gen_random_uuid()").await;
    house.worker(jobs()).run_due().await;
    let row = "SELECT error FROM platform.dead_jobs";
    assert_eq!(house.ask(row).await, "its worker vanished during every try");
}

/// A job whose lease is taken over by another worker while it runs.
#[derive(Serialize, Deserialize)]
struct Lose {
    settle: bool,
}

impl Job for Lose {
    const NAME: &'static str = "sample.lose";
}

fn losing(house: &House) -> Jobs {
    let mut jobs = Jobs::new();
    let (db, platform) = (house.db.clone(), house.databases.platform().clone());
    jobs.register::<Lose, _, _>(move |args, running| {
        let (db, platform) = (db.clone(), platform.clone());
        async move {
            let mut thief = platform.read().await?;
            sqlx::query("UPDATE platform.jobs SET lease = gen_random_uuid()").execute(&mut *thief).await?;
            if args.settle {
                let mut tx = db.begin().await?;
                effect(&mut tx, "doubled").await?;
                let lost = running.settle(&mut tx).await.expect_err("the lease was lost");
                assert_eq!(
                    lost.as_database_error().and_then(sqlx::error::DatabaseError::code).as_deref(),
                    Some("JB001")
                );
                // Even a handler that ignores the error cannot commit its effect.
                tx.commit().await?;
            }
            Ok(())
        }
    });
    jobs
}

#[tokio::test]
async fn a_late_settle_changes_nothing() {
    for settle in [false, true] {
        let house = House::build().await;
        house.commit(async |tx| enqueue(tx, &Lose { settle }).await).await;
        assert_eq!(house.worker(losing(&house)).run_due().await, 1);
        let row = "SELECT concat_ws(' ', attempts, lease IS NOT NULL, last_error) FROM platform.jobs";
        assert_eq!(house.ask(row).await, "1 t", "the row belongs to the other worker");
        assert_eq!(house.count("sample.effects").await, "0");
    }
}
