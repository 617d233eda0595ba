//! The least that sends webhooks from PostgreSQL: a message and a row for each receiver in one transaction, and a process that
//! deletes batches of those rows with SKIP LOCKED, posts them and commits. No record of attempts, no signature, no retries, no
//! care for slow receivers: one of them holds up its whole batch. What the service costs beyond it is the price of all that.

use std::collections::HashMap;
use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::PgConnection;
use sqlx::postgres::{PgConnectOptions, PgListener, PgPool, PgPoolOptions};
use tokio::sync::Notify;
use uuid::Uuid;

use super::generator::{Deed, new_id};
use super::webhooks::Flow;
use crate::failure::Failure;

/// Loops that take and post at the same time, each with a connection of its own.
const LOOPS: u32 = 4;

/// How much one loop takes at once.
const BATCH: i64 = 50;

/// How often an idle loop looks without being woken.
const PAUSE: Duration = Duration::from_millis(200);

const CHANNEL: &str = "floor";

/// Its tables. Receivers are numbered; some of them belong together, as the endpoints of an organization do.
pub(super) const TABLES: &str = "CREATE SCHEMA floor;
    CREATE TABLE floor.receivers (id bigint PRIMARY KEY, organization uuid NOT NULL, url text NOT NULL);
    CREATE INDEX ON floor.receivers (organization);
    CREATE TABLE floor.messages (
        id uuid PRIMARY KEY, body text NOT NULL, created_at timestamptz NOT NULL DEFAULT now()
    );
    CREATE TABLE floor.due (id bigserial PRIMARY KEY, message uuid NOT NULL, receiver bigint NOT NULL);
    ALTER TABLE floor.due SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0)";

/// What it is told, as one line on its standard input.
#[derive(Serialize, Deserialize)]
struct Settings {
    database: String,
}

/// A message is committed for everybody in an organization.
pub(super) struct Send(pub(super) Arc<Flow>);

impl Deed for Send {
    const BELL: Option<(&'static str, &'static str)> = Some((CHANNEL, ""));

    fn has_room(&self) -> bool {
        self.0.has_room()
    }

    async fn once(&self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        let message = self.0.next();
        let data = json!({ "id": message.organization, "name": message.name });
        let body = json!({ "type": "organization.updated", "timestamp": chrono::DateTime::UNIX_EPOCH, "data": data });
        sqlx::query("BEGIN").execute(&mut *connection).await?;
        sqlx::query(
            "WITH message AS (INSERT INTO floor.messages (id, body) VALUES ($1, $2) RETURNING id)
             INSERT INTO floor.due (message, receiver)
             SELECT message.id, receiver.id FROM message, floor.receivers receiver WHERE organization = $3",
        )
        .bind(new_id())
        .bind(body.to_string())
        .bind(message.organization)
        .execute(&mut *connection)
        .await?;
        sqlx::query("COMMIT").execute(connection).await?;
        self.0.accepted();
        Ok(())
    }
}

/// The process that sends; dropping it kills it.
pub(super) struct Floor(Child);

impl Floor {
    pub(super) fn start(database: &str) -> Result<Self, Failure> {
        let failed = |source| Failure::Io { doing: "start the least that sends webhooks".to_owned(), source };
        let program = std::env::current_exe().map_err(failed)?;
        let mut process = Command::new(program).arg("floor").stdin(Stdio::piped()).spawn().map_err(failed)?;
        if let Some(mut input) = process.stdin.take() {
            let settings = Settings { database: database.to_owned() };
            input.write_all(json!(settings).to_string().as_bytes()).map_err(failed)?;
        }
        Ok(Self(process))
    }

    pub(super) fn id(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Sends until it is killed.
pub(crate) fn send() -> Result<(), Failure> {
    let settings: Settings = serde_json::from_reader(std::io::stdin()).map_err(|error| cannot(&error))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|source| Failure::Io { doing: "start a runtime".to_owned(), source })?;
    runtime.block_on(run(&settings.database))
}

async fn run(database: &str) -> Result<(), Failure> {
    // Plans are made once, when the tables are empty, and kept.
    let indexes = [("enable_seqscan", "off"), ("enable_hashjoin", "off"), ("enable_mergejoin", "off")];
    let options = PgConnectOptions::from_str(database)?.options(indexes);
    let pool = PgPoolOptions::new().max_connections(LOOPS).test_before_acquire(false).connect_with(options).await?;
    let mut listener = PgListener::connect(database).await?;
    listener.listen(CHANNEL).await?;
    let bell = Arc::new(Notify::new());
    #[expect(clippy::disallowed_methods, reason = "the client comes from platform otherwise, which is measured here")]
    let client = reqwest::Client::builder().no_proxy().build().map_err(|error| cannot(&error))?;
    let listening = async {
        loop {
            listener.recv().await?;
            bell.notify_waiters();
        }
    };
    let sending = try_join_all((0..LOOPS).map(|_| {
        let (pool, client, bell) = (pool.clone(), client.clone(), bell.clone());
        async move {
            let sending =
                tokio::runtime::Handle::current().spawn(async move { keep_sending(&pool, &client, &bell).await });
            sending.await.unwrap_or_else(|error| Err(cannot(&error)))
        }
    }));
    tokio::select! {
        ended = listening => ended,
        ended = sending => ended.map(drop),
    }
}

fn cannot(error: &dyn std::error::Error) -> Failure {
    Failure::Finding(format!("the least that sends webhooks cannot run: {error}"))
}

async fn keep_sending(pool: &PgPool, client: &reqwest::Client, bell: &Notify) -> Result<(), Failure> {
    loop {
        let woken = bell.notified();
        if send_batch(pool, client).await? == 0 {
            // Nobody may ring; then it looks anyway.
            tokio::time::timeout(PAUSE, woken).await.ok();
        }
    }
}

/// Sends what waits, up to a batch; says how much that was. When something does not arrive, all of it waits again.
async fn send_batch(pool: &PgPool, client: &reqwest::Client) -> Result<usize, Failure> {
    let mut tx = pool.begin().await?;
    let due: Vec<(Uuid, i64)> = sqlx::query_as(
        "DELETE FROM floor.due
         WHERE id = ANY (ARRAY(SELECT id FROM floor.due ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED))
         RETURNING message, receiver",
    )
    .bind(BATCH)
    .fetch_all(&mut *tx)
    .await?;
    if due.is_empty() {
        return Ok(0);
    }
    let (messages, receivers): (Vec<Uuid>, Vec<i64>) = due.iter().copied().unzip();
    let bodies = sqlx::query_as("SELECT id, body FROM floor.messages WHERE id = ANY ($1)").bind(messages);
    let bodies: HashMap<Uuid, String> = bodies.fetch_all(&mut *tx).await?.into_iter().collect();
    let urls = sqlx::query_as("SELECT id, url FROM floor.receivers WHERE id = ANY ($1)").bind(receivers);
    let urls: HashMap<i64, String> = urls.fetch_all(&mut *tx).await?.into_iter().collect();
    let known = due.iter().filter_map(|(message, receiver)| Some((urls.get(receiver)?, bodies.get(message)?)));
    let arrived = try_join_all(known.map(|(url, body)| post(client, url, body))).await;
    match arrived {
        Ok(_) => tx.commit().await?,
        Err(_) => tx.rollback().await?,
    }
    Ok(due.len())
}

async fn post(client: &reqwest::Client, url: &str, body: &str) -> Result<(), reqwest::Error> {
    let answer = client.post(url).header("content-type", "application/json").body(body.to_owned()).send().await?;
    // Read to its end, so that the connection serves the next one.
    answer.error_for_status()?.bytes().await?;
    Ok(())
}
