//! Clocks that jump back an hour: that of a process, and that of the database, whose rows are then an hour ahead.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chrono::TimeDelta;
use platform::caller::OrgId;
use platform::clock::Clock;
use platform::shutdown::Shutdown;
use reqwest::Method;
use serde_json::json;
use server::House;

use crate::home::{Home, Person, config, send};
use crate::receiver::{Manner, Receiver};

use super::scale::found;

/// Every moment of background work that is kept, moved by some hours; a clock that jumps one way moves them the other way.
const MOVED: &str = "
    UPDATE platform.jobs SET run_at = run_at + moved, created_at = created_at + moved;
    UPDATE platform.schedules SET next_at = next_at + moved, seen_at = seen_at + moved;
    UPDATE webhooks.due_deliveries SET next_at = next_at + moved, leased_until = leased_until + moved;
    UPDATE webhooks.endpoints SET next_ready_at = next_ready_at + moved, failing_since = failing_since + moved,
        paused_until = paused_until + moved;";

/// As if the worker that holds what is leased had been killed a minute ago.
const LEASES_END: &str = "
    UPDATE platform.jobs SET run_at = now() WHERE lease IS NOT NULL;
    UPDATE webhooks.due_deliveries SET leased_until = now() WHERE lease IS NOT NULL;
    UPDATE webhooks.due_deliveries SET next_at = least(next_at, now());
    UPDATE webhooks.endpoints SET next_ready_at = now();";

/// A house, somebody in it, and a receiver that is ill until it is well.
struct Place {
    home: Home,
    person: Person,
    org: OrgId,
    receiver: Receiver,
    ill: Arc<AtomicBool>,
}

impl Place {
    async fn open() -> Self {
        let home = Home::open().await;
        let person = home.person("ada@example.com").await;
        let org = home.organization(&person).await;
        let ill = Arc::new(AtomicBool::new(false));
        let health = ill.clone();
        let answer = move |_: &_| Manner::Answer(if health.load(Ordering::SeqCst) { 500 } else { 200 });
        let (receiver, url) = Receiver::with_manner(answer).await;
        let wish = json!({ "url": url, "event_types": ["organization.updated"] });
        let register = home.ask(Method::POST, &format!("/v1/organizations/{org}/webhook-endpoints"));
        send(register.bearer_auth(&person.token).json(&wish)).await.expect(201);
        home.work().await;
        Self { home, person, org, receiver, ill }
    }

    /// A fact, of which nobody has heard yet.
    async fn rename(&self, name: &str) {
        let ask = self.home.ask(Method::PATCH, &format!("/v1/organizations/{}", self.org));
        send(ask.bearer_auth(&self.person.token).json(&json!({ "name": name }))).await.expect(200);
    }

    /// A fact whose message was refused once. The next try comes after an hour, however long the test takes until it is due.
    async fn rename_and_fail(&self, name: &str) {
        self.ill.store(true, Ordering::SeqCst);
        self.rename(name).await;
        self.home.work().await;
        self.run("UPDATE webhooks.due_deliveries SET next_at = now() + interval '1 hour'").await;
        self.ill.store(false, Ordering::SeqCst);
    }

    async fn run(&self, sql: &str) {
        let done = sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned())).execute(&mut self.home.owner().await).await;
        done.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&mut self.home.owner().await).await.expect(sql)
    }

    /// How often each name was told.
    fn told(&self) -> BTreeMap<String, usize> {
        let mut told = BTreeMap::new();
        for message in self.receiver.received() {
            let body: serde_json::Value = serde_json::from_slice(&message.body).expect("JSON");
            *told.entry(body["data"]["name"].as_str().expect("a name").to_owned()).or_default() += 1;
        }
        told
    }

    /// Nothing waits, nothing has died, and of each fact there is one message.
    async fn is_done(&self, facts: i64) {
        let left = "SELECT (SELECT count(*) FROM platform.jobs) + (SELECT count(*) FROM platform.dead_jobs)
                         + (SELECT count(*) FROM webhooks.due_deliveries)
                         + (SELECT coalesce(sum(in_flight), 0)::bigint FROM webhooks.endpoints)";
        assert_eq!(self.count(left).await, 0, "nothing is left");
        assert_eq!(self.count("SELECT count(*) FROM webhooks.messages").await, facts);
        let delivered = "SELECT count(*) FROM webhooks.deliveries WHERE status = 'delivered'";
        assert_eq!(self.count(delivered).await, facts);
    }
}

fn times(told: &[(&str, usize)]) -> BTreeMap<String, usize> {
    told.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
}

#[tokio::test]
async fn invariant_07_a_process_whose_clock_is_an_hour_behind_leaves_nothing_and_doubles_nothing() {
    let place = Place::open().await;
    place.rename("told").await;
    place.home.work().await;
    place.rename_and_fail("refused").await;
    place.rename("unheard").await;
    let behind = Clock::fixed(place.home.clock.now() - TimeDelta::hours(1));
    let house = House::assemble(config(&place.home.database), &behind, &Shutdown::new()).expect("a house");
    house.load().await.expect("keys");
    assert!(house.worker.run_due().await > 0, "what is due goes by the clock of the database");
    assert_eq!(place.told(), times(&[("told", 1), ("refused", 1), ("unheard", 1)]), "a pause is no shorter for it");
    place
        .run("UPDATE webhooks.due_deliveries SET next_at = now(); UPDATE webhooks.endpoints SET next_ready_at = now()")
        .await;
    house.worker.run_due().await;
    // And the one whose clock is right has nothing to do again.
    assert_eq!(place.home.house.worker.run_due().await, 0);
    assert_eq!(place.told(), times(&[("told", 1), ("refused", 2), ("unheard", 1)]));
    place.is_done(3).await;
}

#[tokio::test]
async fn invariant_07_rows_an_hour_ahead_hold_up_nothing_new_and_are_done_once_when_their_hour_comes() {
    let place = Place::open().await;
    // Of each kind one: a pause before another try, a delivery and a job whose worker was killed, and a job that waits.
    place.rename_and_fail("refused").await;
    place.rename_and_fail("on its way").await;
    place
        .run(
            "UPDATE webhooks.due_deliveries SET lease = gen_random_uuid(), leased_until = now() + interval '1 minute'
              WHERE message_id = (SELECT max(id::text)::uuid FROM webhooks.messages);
              UPDATE webhooks.endpoints SET in_flight = 1",
        )
        .await;
    place.rename("in hand").await;
    place
        .run("UPDATE platform.jobs SET lease = gen_random_uuid(), run_at = now() + interval '1 minute', attempts = 1")
        .await;
    place.rename("unheard").await;
    let schedules = "SELECT count(*) FROM platform.schedules";
    let known = place.count(schedules).await;
    place.run(&MOVED.replace("moved", "interval '1 hour'")).await;

    place.rename("new").await;
    place.home.work().await;
    let before = [("refused", 1), ("on its way", 1), ("new", 1)];
    assert_eq!(place.told(), times(&before), "what is new is told at once, what is leased or pauses is left alone");
    place.home.work().await;
    assert_eq!(place.told(), times(&before), "no schedule and no lease is done again");

    place.run(&MOVED.replace("moved", "interval '-1 hour'")).await;
    place.home.work().await;
    place.run(LEASES_END).await;
    place.home.work().await;
    let after = [("refused", 2), ("on its way", 2), ("new", 1), ("in hand", 1), ("unheard", 1)];
    assert_eq!(place.told(), times(&after), "each when its time has come, and no more often");
    assert_eq!(place.home.house.worker.run_due().await, 0);
    assert_eq!(place.count(schedules).await, known);
    place.is_done(5).await;
    found(
        7,
        "a process an hour behind does what is due and nothing twice; of rows an hour ahead each is done once when \
              its time comes, and what is new does not wait for them",
    );
}
