//! What operators see of the queue, and what they may do about it.

use chrono::{TimeDelta, Utc};
use platform::clock::Clock;
use platform::jobs::operator::{self, JobEntry, JobFilter, JobState, Outcome};
use platform::jobs::{EnqueueOptions, Job, JobError, Jobs, enqueue, enqueue_with};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::house::House;

/// A job that fails for good.
#[derive(Serialize, Deserialize)]
struct Doomed {
    number: i32,
}

impl Job for Doomed {
    const NAME: &'static str = "sample.doomed";
    const QUEUE: &'static str = "doom";
}

/// A job that nobody here runs.
#[derive(Serialize, Deserialize)]
struct Patient {}

impl Job for Patient {
    const NAME: &'static str = "sample.patient";
}

fn jobs() -> Jobs {
    let mut jobs = Jobs::new();
    jobs.register::<Doomed, _, _>(|_, _| async { Err(JobError::Discard("on purpose".to_owned())) });
    jobs
}

fn only(states: &[JobState]) -> JobFilter {
    JobFilter { states: states.to_vec(), ..JobFilter::default() }
}

async fn list(house: &House, filter: &JobFilter) -> Vec<JobEntry> {
    let mut connection = house.databases.platform().read().await.expect("a connection");
    let listed = operator::list(&mut connection, filter, Uuid::max(), 100).await.expect("a list");
    let counted = operator::count(&mut connection, filter).await.expect("a number");
    assert_eq!(usize::try_from(counted), Ok(listed.len()));
    assert!(listed.is_sorted_by(|one, next| one.id > next.id), "newest first");
    listed
}

async fn retry(house: &House, ids: &[Uuid]) -> Vec<Outcome> {
    let mut tx = house.databases.platform().begin().await.expect("a transaction");
    let outcomes = operator::retry(&mut tx, ids).await.expect("answered");
    tx.commit().await.expect("committed");
    in_order(ids, &outcomes)
}

async fn discard(house: &House, ids: &[Uuid]) -> Vec<Outcome> {
    let mut connection = house.databases.platform().read().await.expect("a connection");
    let outcomes = operator::discard(&mut connection, ids).await.expect("answered");
    in_order(ids, &outcomes)
}

fn in_order(ids: &[Uuid], outcomes: &[(Uuid, Outcome)]) -> Vec<Outcome> {
    assert_eq!(ids.len(), outcomes.len(), "one for each");
    let of = |id: &Uuid| outcomes.iter().find(|(known, _)| known == id).map(|(_, outcome)| *outcome);
    ids.iter().filter_map(of).collect()
}

/// One job in each state, oldest first: dead, running, scheduled, waiting.
async fn house_with_one_in_each_state() -> (House, [Uuid; 4]) {
    let house = House::build().await;
    house.commit(async |tx| enqueue(tx, &Doomed { number: 1 }).await).await;
    house.worker(jobs()).run_due().await;
    house.commit(async |tx| enqueue(tx, &Patient {}).await).await;
    house.sql("UPDATE platform.jobs SET lease = gen_random_uuid(), run_at = now() + interval '1 minute'").await;
    let later = EnqueueOptions { run_at: Some(in_an_hour()), ..EnqueueOptions::default() };
    house.commit(async |tx| enqueue_with(tx, &Patient {}, later).await).await;
    house.commit(async |tx| enqueue(tx, &Doomed { number: 2 }).await).await;
    let mut ids: Vec<Uuid> = list(&house, &JobFilter::default()).await.iter().map(|job| job.id).collect();
    ids.reverse();
    (house, ids.try_into().expect("four"))
}

fn in_an_hour() -> chrono::DateTime<Utc> {
    Clock::system().now() + TimeDelta::hours(1)
}

#[tokio::test]
async fn operators_see_jobs_of_every_state_through_filters() {
    let (house, [dead, running, scheduled, waiting]) = house_with_one_in_each_state().await;
    let ids = async |filter: JobFilter| list(&house, &filter).await.iter().map(|job| job.id).collect::<Vec<_>>();
    assert_eq!(ids(only(&[JobState::Dead])).await, [dead]);
    assert_eq!(ids(only(&[JobState::Running])).await, [running]);
    assert_eq!(ids(only(&[JobState::Scheduled])).await, [scheduled]);
    assert_eq!(ids(only(&[JobState::Waiting])).await, [waiting]);
    assert_eq!(ids(only(&[JobState::Waiting, JobState::Dead])).await, [waiting, dead]);
    let everything = JobFilter::default();
    assert_eq!(ids(JobFilter { queue: Some("doom".to_owned()), ..everything.clone() }).await, [waiting, dead]);
    assert_eq!(
        ids(JobFilter { name: Some("sample.patient".to_owned()), ..everything.clone() }).await,
        [scheduled, running]
    );
    assert_eq!(ids(JobFilter { name: Some("sample.pat".to_owned()), ..everything.clone() }).await.len(), 0);
    assert_eq!(ids(JobFilter { since: Some(in_an_hour()), ..everything.clone() }).await.len(), 0);

    // The dead count from their death, however old they are.
    house.sql("UPDATE platform.dead_jobs SET died_at = died_at + interval '2 hours'").await;
    assert_eq!(ids(JobFilter { since: Some(in_an_hour()), ..everything }).await, [dead]);

    let mut connection = house.databases.platform().read().await.expect("a connection");
    let page = operator::list(&mut connection, &JobFilter::default(), scheduled, 1).await.expect("a list");
    assert_eq!(page.iter().map(|job| job.id).collect::<Vec<_>>(), [running]);
    let found = operator::find(&mut connection, dead).await.expect("answered").expect("it is there");
    assert_eq!((found.state, found.attempts, found.error.as_deref()), (JobState::Dead, 1, Some("on purpose")));
    assert_eq!((found.args["number"].as_i64(), found.died_at.is_some(), found.run_at), (Some(1), true, None));
    assert!(operator::find(&mut connection, Uuid::nil()).await.expect("answered").is_none());
}

#[tokio::test]
async fn the_dead_live_again_with_all_their_tries_and_what_waits_is_due_but_what_runs_is_left_alone() {
    let (house, [dead, running, scheduled, waiting]) = house_with_one_in_each_state().await;
    let all = [dead, running, scheduled, waiting, Uuid::nil()];
    let lease = house.ask("SELECT lease::text || run_at FROM platform.jobs WHERE lease IS NOT NULL").await;
    assert_eq!(
        retry(&house, &all).await,
        [Outcome::Done, Outcome::Running, Outcome::Done, Outcome::Done, Outcome::Missing]
    );
    assert_eq!(house.ask("SELECT lease::text || run_at FROM platform.jobs WHERE lease IS NOT NULL").await, lease);
    assert_eq!(list(&house, &only(&[JobState::Waiting])).await.len(), 3);
    let mut connection = house.databases.platform().read().await.expect("a connection");
    let revived = operator::find(&mut connection, dead).await.expect("answered").expect("it is there");
    assert_eq!((revived.state, revived.attempts, revived.error.as_deref()), (JobState::Waiting, 0, Some("on purpose")));
    assert_eq!(house.worker(jobs()).run_due().await, 2, "both that this worker knows ran");
    assert_eq!(list(&house, &only(&[JobState::Dead])).await.len(), 2);
}

#[tokio::test]
async fn jobs_are_discarded_dead_or_alive_but_not_while_they_run() {
    let (house, [dead, running, scheduled, waiting]) = house_with_one_in_each_state().await;
    let all = [dead, running, scheduled, waiting, Uuid::nil()];
    assert_eq!(
        discard(&house, &all).await,
        [Outcome::Done, Outcome::Running, Outcome::Done, Outcome::Done, Outcome::Missing]
    );
    assert_eq!(list(&house, &JobFilter::default()).await.iter().map(|job| job.id).collect::<Vec<_>>(), [running]);

    // A worker that vanished has nothing any more.
    house.make_due().await;
    assert_eq!(discard(&house, &[running]).await, [Outcome::Done]);
    assert_eq!(list(&house, &JobFilter::default()).await.len(), 0);
}

#[tokio::test]
async fn jobs_with_a_unique_key_are_found_by_it_and_revived_once() {
    let house = House::build().await;
    let keyed = |key: &str| EnqueueOptions { unique_key: Some(key.to_owned()), ..EnqueueOptions::default() };
    for key in ["a", "b", "c"] {
        house.commit(async |tx| enqueue_with(tx, &Doomed { number: 1 }, keyed(key)).await).await;
    }
    house.worker(jobs()).run_due().await;
    house.commit(async |tx| enqueue_with(tx, &Doomed { number: 2 }, keyed("b")).await).await;

    let mut connection = house.databases.platform().read().await.expect("a connection");
    let keys = |jobs: &[JobEntry]| jobs.iter().filter_map(|job| job.unique_key.clone()).collect::<Vec<_>>();
    let dead = operator::list_keyed(&mut connection, Doomed::NAME, &[JobState::Dead], "c", 10).await.expect("a list");
    assert_eq!(keys(&dead), ["b", "a"]);
    let first = operator::list_keyed(&mut connection, Doomed::NAME, &[JobState::Dead], "z", 1).await.expect("a list");
    assert_eq!(keys(&first), ["c"]);
    let alive =
        operator::list_keyed(&mut connection, Doomed::NAME, &[JobState::Waiting], "z", 10).await.expect("a list");
    assert_eq!(keys(&alive), ["b"]);
    let wanted = ["a", "b", "z"].map(|key| (Doomed::NAME.to_owned(), key.to_owned()));
    let mut found = operator::find_keyed(&mut connection, &wanted).await.expect("a list");
    found.sort_by(|one, other| one.unique_key.cmp(&other.unique_key));
    let states: Vec<_> = found.iter().map(|job| (job.unique_key.as_deref(), job.state)).collect();
    assert_eq!(states, [(Some("a"), JobState::Dead), (Some("b"), JobState::Waiting)], "the living one counts");

    // The twin that waits does the work.
    let ids: Vec<Uuid> = dead.iter().map(|job| job.id).collect();
    assert_eq!(retry(&house, &ids).await, [Outcome::Done, Outcome::Done]);
    assert_eq!(house.ask("SELECT string_agg(unique_key, ' ' ORDER BY unique_key) FROM platform.jobs").await, "a b");
    assert_eq!(house.count("platform.dead_jobs").await, "1");
}
