//! A deployment in the middle: rows that another binary wrote, a schema that a later one has extended, jobs that this one
//! does not know. The other binary is played by its rows and by a worker that knows its jobs.

use std::collections::BTreeSet;

use platform::db::Databases;
use platform::jobs::{Jobs, JobsConfig, Worker};
use reqwest::Method;
use serde_json::{Value, json};

use crate::home::{Home, send};
use crate::processes::{Process, eventually};
use crate::receiver::Receiver;

use super::scale::found;
use super::scene::Scene;

/// A row of each job as it was released. What stands there is not changed; rows are added.
const RELEASED: &str = include_str!("released_jobs.json");

/// One of them.
#[derive(serde::Deserialize)]
struct Row {
    name: String,
    queue: String,
    args: Value,
}

/// Jobs whose arguments are sealed, so that no row of theirs can stand here.
const SEALED: [&str; 3] = ["platform.send_mail", "users.resend_verification", "users.send_password_reset"];

/// Jobs of the binary that comes next: name, queue.
const TOMORROW: [(&str, &str); 3] = [
    ("webhooks hears users.organization_updated.v2", "events.webhooks"),
    ("tomorrow hears users.organization_updated.v1", "events.tomorrow"),
    ("users.do_something_new", "default"),
];

const UNKNOWN: &str = "SELECT count(*) FROM platform.jobs
                       WHERE args ? 'of_tomorrow' AND attempts = 0 AND lease IS NULL AND last_error IS NULL";

fn insert(name: &str, queue: &str, args: &Value) -> String {
    format!(
        "INSERT INTO platform.jobs (id, queue, name, args, priority, run_at, max_attempts)
         VALUES (gen_random_uuid(), '{queue}', '{name}', '{args}', 1, now(), 20)"
    )
}

#[tokio::test]
async fn invariant_09_every_released_row_is_read_and_so_is_one_with_a_field_more() {
    let home = Home::open().await;
    home.work().await;
    // Its names as it shows them: it is made of nothing else that can be asked.
    let shown = format!("{:?}", home.house.worker);
    let names = shown.split_once("names: [").and_then(|(_, rest)| rest.split_once(']')).expect("names").0;
    let known: BTreeSet<&str> = names.split('"').skip(1).step_by(2).filter(|name| !SEALED.contains(name)).collect();
    let released: Vec<Row> = serde_json::from_str(RELEASED).expect("rows");
    assert_eq!(known, released.iter().map(|row| &*row.name).collect(), "a row of each job");

    let mut owner = home.owner().await;
    for Row { name, queue, args } in &released {
        let mut extended = args.clone();
        extended["of_tomorrow"] = json!(true);
        for args in [args, &extended] {
            let insert = sqlx::AssertSqlSafe(insert(name, queue, args));
            sqlx::raw_sql(insert).execute(&mut owner).await.expect(name);
        }
    }
    home.work().await;
    let left = "SELECT name || ': ' || coalesce(last_error, 'waits') FROM platform.jobs
                UNION ALL SELECT name || ': ' || error FROM platform.dead_jobs";
    let left: Vec<String> = sqlx::query_scalar(left).fetch_all(&mut owner).await.expect("rows");
    assert_eq!(left, [""; 0]);
    found(9, format!("rows of {} jobs as released, and the same with a field of tomorrow: all read", released.len()));
}

#[tokio::test]
async fn invariant_09_beside_a_later_binary_everything_goes_on_and_what_only_that_one_knows_is_left_to_it() {
    let scene = Scene::open().await;
    let (receiver, url) = Receiver::open().await;
    scene.register(scene.org, &url, 10).await;
    let (serving, working) = (scene.serve().await, scene.work(&[]).await);
    rename(&scene, &serving, "before").await;
    eventually("it is told", async || receiver.arrived() == 1).await;

    // The migrations of the later binary come first, while this one runs with all its statements prepared.
    let tables = "SELECT oid::regclass::text FROM pg_class WHERE relkind IN ('r', 'p') AND NOT relispartition
                  AND relname <> '_migrations' AND relnamespace::regnamespace::text NOT IN ('pg_catalog', 'information_schema')";
    let tables = scene.durable.texts(tables).await;
    for table in &tables {
        scene
            .run(&format!(
                "ALTER TABLE {table} ADD COLUMN of_tomorrow text, ADD COLUMN tomorrows_count integer NOT NULL DEFAULT 7"
            ))
            .await;
    }
    for (name, queue) in TOMORROW {
        scene.run(&insert(name, queue, &json!({ "of_tomorrow": true }))).await;
    }
    let turns = 20;
    for turn in 0..turns {
        rename(&scene, &serving, &format!("after {turn}")).await;
    }
    eventually("all is told", async || receiver.arrived() == 1 + turns).await;
    scene.register(scene.org, &format!("{url}/late"), 10).await;
    assert_eq!(scene.count(UNKNOWN).await, TOMORROW.len(), "what it does not know it has not touched");
    assert_eq!(scene.count("SELECT count(*) FROM platform.dead_jobs").await, 0);
    // What is on its way when a worker dies belongs to it for a minute.
    scene.sent().await;
    working.kill();

    // The later binary does its own, and leaves what it does not know in its turn.
    rename(&scene, &serving, "for the old one").await;
    let schedules = "SELECT count(*) FROM platform.schedules";
    let known = scene.count(schedules).await;
    let mut jobs = Jobs::new();
    for (name, queue) in TOMORROW {
        jobs.register_named(name.to_owned(), queue.to_owned(), |_: Value, _| async { Ok(()) });
    }
    let databases = Databases::open(&scene.config.database).expect("pools");
    let later = Worker::new(jobs, &databases, JobsConfig::default()).expect("its jobs fit together");
    assert_eq!(later.run_due().await, TOMORROW.len());
    assert_eq!((scene.count(UNKNOWN).await, scene.unheard().await), (0, 1));
    assert_eq!(scene.count(schedules).await, known, "and it forgets nobody's schedules");
    let _working = scene.work(&[]).await;
    scene.settled().await;
    assert_eq!(receiver.messages(), 2 + turns);
    found(
        9,
        format!(
            "with columns more in each of {} tables everything went on; {} jobs of another binary were left to it",
            tables.len(),
            TOMORROW.len()
        ),
    );
}

async fn rename(scene: &Scene, serving: &Process, name: &str) {
    let ask = scene.ask(serving, Method::PATCH, &format!("/v1/organizations/{}", scene.org));
    send(ask.json(&json!({ "name": name }))).await.expect(200);
}
