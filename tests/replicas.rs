//! Several processes of each kind over one database: none of them leads.

use std::collections::BTreeMap;

use platform::clock::Clock;
use platform::shutdown::Shutdown;
use reqwest::{Method, RequestBuilder};
use serde_json::json;
use server::{House, migrations};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use test_support::database::TestDatabase;

use crate::home::{PASSWORD, client, config, send};
use crate::processes::{PATIENT, Process, eventually};

/// Whoever moves a schedule on moves it out of sight, and is counted: what runs by the clock runs when the test says so.
const OUT_OF_SIGHT: &str = "
    CREATE TABLE public.begun (name text NOT NULL);
    CREATE FUNCTION public.put_off() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'UPDATE' AND OLD.next_at <= now() AND NEW.next_at > now() THEN
            INSERT INTO public.begun (name) VALUES (NEW.name);
        END IF;
        IF NEW.next_at > now() THEN
            NEW.next_at := '9999-01-01';
        END IF;
        RETURN NEW;
    END $$;
    CREATE TRIGGER put_off BEFORE INSERT OR UPDATE ON platform.schedules FOR EACH ROW EXECUTE FUNCTION public.put_off();";

/// How often everything that runs by the clock is due.
const ROUNDS: i64 = 3;

/// How often somebody does something at each process.
const RENAMES: i64 = 5;

struct Scene {
    database: TestDatabase,
    token: String,
}

impl Scene {
    async fn open() -> Self {
        let database = TestDatabase::create(&migrations()).await;
        let house = House::assemble(config(&database), &Clock::system(), &Shutdown::new()).expect("a house");
        house.load().await.expect("keys");
        house.users.seed_account("ada@example.com", PASSWORD, "Ada").await.expect("an account");
        let scene = Self { database, token: String::new() };
        scene.run(OUT_OF_SIGHT).await;
        scene
    }

    async fn start(&self, command: &str) -> Process {
        let prefix = ("APP__DATABASE__ROLE_PREFIX", self.database.role_prefix());
        let quick = ("APP__JOBS__POLL_INTERVAL_MS", "50");
        Process::start_with(command, &self.database.url(), &[&[prefix, quick][..], &PATIENT[..]].concat()).await
    }

    async fn run(&self, sql: &str) {
        let mut owner = PgConnection::connect(&self.database.url()).await.expect("a connection");
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut owner).await.expect("it runs");
    }

    async fn count(&self, sql: &str) -> i64 {
        let mut owner = PgConnection::connect(&self.database.url()).await.expect("a connection");
        sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_one(&mut owner).await.expect("a number")
    }

    /// Lets everything that runs by the clock be due, and waits until it has run.
    async fn strike(&self) {
        self.run("UPDATE platform.schedules SET next_at = now()").await;
        eventually("the schedules are moved on and nothing is left to do", async || {
            self.count("SELECT count(*) FROM platform.schedules WHERE next_at <= now()").await == 0
                && self.count("SELECT count(*) FROM platform.jobs").await == 0
        })
        .await;
    }

    fn ask(&self, process: &Process, method: Method, path: &str) -> RequestBuilder {
        client().request(method, format!("{}{path}", process.api)).bearer_auth(&self.token)
    }
}

/// How often jobs of each name succeeded, in these processes together.
async fn runs(workers: &[&Process]) -> BTreeMap<String, i64> {
    let mut runs = BTreeMap::new();
    for worker in workers {
        let answer = client().get(format!("{}/metrics", worker.operations)).send().await.expect("an answer");
        for line in answer.text().await.expect("a body").lines().filter(|line| line.starts_with("jobs_total{")) {
            assert!(line.contains(r#"outcome="succeeded""#), "{line}");
            let (_, rest) = line.split_once("job=\"").expect("a name");
            let name = rest.split('"').next().unwrap_or_default().to_owned();
            let times: i64 = line.rsplit(' ').next().and_then(|times| times.parse().ok()).expect("a number");
            *runs.entry(name).or_default() += times;
        }
    }
    runs
}

#[tokio::test]
async fn two_that_serve_and_two_that_work_share_schedules_and_jobs_without_a_leader() {
    let mut scene = Scene::open().await;
    let (serving, idle) = (scene.start("serve").await, scene.start("serve").await);
    let (working, left) = (scene.start("work").await, scene.start("work").await);
    let schedules = scene.count("SELECT count(*) FROM platform.schedules").await;
    assert!(schedules > 3, "{schedules}");

    for _ in 0..ROUNDS {
        scene.strike().await;
    }
    assert_eq!(scene.count("SELECT count(*) FROM public.begun").await, ROUNDS * schedules);
    let by_the_clock = runs(&[&working, &left]).await;
    assert_eq!(by_the_clock.values().sum::<i64>(), ROUNDS * schedules, "{by_the_clock:?}");
    assert!(by_the_clock.values().all(|times| times % ROUNDS == 0), "{by_the_clock:?}");
    assert_eq!(runs(&[&serving, &idle]).await.len(), 0, "who serves does not work");

    // A session of one process is known to the other, and what both cause is done once each, by whichever worker.
    let credentials = json!({ "email": "ada@example.com", "password": PASSWORD });
    let tokens = send(scene.ask(&serving, Method::POST, "/v1/auth/login").json(&credentials)).await.expect(200);
    scene.token = tokens["access_token"].as_str().expect("a token").to_owned();
    let create = scene.ask(&idle, Method::POST, "/v1/organizations").json(&json!({ "name": "Acme" }));
    let path = format!("/v1/organizations/{}", send(create).await.expect(201)["id"].as_str().expect("an id"));
    for number in 0..RENAMES {
        for process in [&serving, &idle] {
            let rename = scene.ask(process, Method::PATCH, &path).json(&json!({ "name": format!("Acme {number}") }));
            assert_eq!(send(rename).await.status, 200);
        }
    }
    eventually("nothing is left to do", async || scene.count("SELECT count(*) FROM platform.jobs").await == 0).await;
    // What such a job does and its end are one transaction, so it is gone a moment before it is counted.
    let heard = async || {
        let runs = runs(&[&working, &left]).await;
        ["created", "updated"].map(|what| {
            let name = format!("webhooks hears users.organization_{what}.v1");
            runs.get(&name).copied().unwrap_or_default()
        })
    };
    eventually("all of it is counted", async || heard().await.into_iter().sum::<i64>() > 2 * RENAMES).await;
    assert_eq!(heard().await, [1, 2 * RENAMES]);

    // Whoever is gone is not missed.
    let before = runs(&[&left]).await.values().sum::<i64>();
    working.kill();
    serving.kill();
    scene.strike().await;
    assert_eq!(runs(&[&left]).await.values().sum::<i64>() - before, schedules);
    assert_eq!(send(scene.ask(&idle, Method::GET, &path)).await.status, 200);
}
