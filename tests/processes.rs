//! The real binary as processes that can be killed.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use dev_postgres::{Cluster, Kind};
use sqlx::postgres::PgPoolOptions;
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool};
use tempfile::TempDir;

use crate::home::client;

/// How long something that must happen may take on a busy machine before the test gives up.
const PATIENCE: Duration = Duration::from_mins(1);

/// A running server process; killed when the test ends.
pub(crate) struct Process {
    child: Child,
    /// Where the API answers, if this process has one.
    pub(crate) api: String,
    /// Where operators ask.
    pub(crate) operations: String,
}

impl Process {
    /// `command` is `serve` (API alone), `work` (worker alone) or `dev` (both).
    pub(crate) async fn start_with(command: &str, database: &str, variables: &[(&str, &str)]) -> Self {
        let (public, operations) = (free_address(), free_address());
        let child = binary(command, database)
            .env("APP__HTTP__ADDRESS", public.to_string())
            .env("APP__HTTP__OPERATIONS_ADDRESS", operations.to_string())
            .envs(variables.iter().copied())
            .spawn()
            .expect("the server starts");
        let process = Self { child, api: format!("http://{public}"), operations: format!("http://{operations}") };
        eventually("the server is ready", async || process.is_ready().await).await;
        process
    }

    /// Whether it says so.
    pub(crate) async fn is_ready(&self) -> bool {
        let ready = client().get(format!("{}/readyz", self.operations));
        ready.send().await.is_ok_and(|answer| answer.status().is_success())
    }

    /// What its metrics of this name, which count something, add up to over all labels.
    pub(crate) async fn metric(&self, name: &str) -> usize {
        let answer = client().get(format!("{}/metrics", self.operations)).send().await.expect("an answer");
        let text = answer.text().await.expect("a body");
        let ours = |line: &&str| line.split(['{', ' ']).next() == Some(name);
        text.lines().filter(ours).filter_map(|line| line.rsplit(' ').next()?.parse::<usize>().ok()).sum()
    }

    /// SIGSTOP: it stands still and holds what it holds.
    pub(crate) fn stall(&self) {
        self.signal("STOP");
    }

    /// SIGCONT: it goes on as if nothing had been.
    pub(crate) fn go_on(&self) {
        self.signal("CONT");
    }

    /// SIGTERM: it finishes what it does, writes it down and ends.
    pub(crate) async fn finish(mut self) {
        self.signal("TERM");
        let child = std::sync::Mutex::new(&mut self.child);
        let ended = || child.lock().is_ok_and(|mut child| matches!(child.try_wait(), Ok(Some(_))));
        eventually("the server ends", async || ended()).await;
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(sent.expect("kill runs").success(), "the process is there");
    }

    /// The most memory it has held, in KiB; known on Linux only.
    pub(crate) fn peak_memory(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        line.trim().strip_suffix("kB")?.trim().parse().ok()
    }

    /// SIGKILL: no time to say goodbye.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("the process can be killed");
        self.child.wait().expect("the process ends");
    }

    /// The same while others still talk to it.
    pub(crate) fn kill_now(&self) {
        self.signal("KILL");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A database that survives a crash of everything, on a PostgreSQL of its own.
pub(crate) struct Durable {
    pub(crate) url: String,
    pool: PgPool,
    cluster: Cluster,
    _directory: TempDir,
}

impl Durable {
    /// An empty database, brought up to date.
    pub(crate) async fn create() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let cluster = Cluster::start(Kind::Durable, &directory.path().join("postgres")).expect("a PostgreSQL");
        let mut owner = PgConnection::connect(&cluster.url("postgres")).await.expect("a connection");
        sqlx::raw_sql("CREATE DATABASE faults").execute(&mut owner).await.expect("a database");
        let url = cluster.url("faults");
        assert!(binary("migrate", &url).status().expect("it runs").success());
        let pool = PgPoolOptions::new().max_connections(1).connect_lazy(&url).expect("a pool");
        Self { url, pool, cluster, _directory: directory }
    }

    /// The one number that a query brings.
    pub(crate) async fn count(&self, sql: &str) -> i64 {
        let query = sqlx::query_scalar(AssertSqlSafe(sql.to_owned()));
        query.fetch_one(&self.pool).await.unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// The texts that a query brings.
    pub(crate) async fn texts(&self, sql: &str) -> Vec<String> {
        let query = sqlx::query_scalar(AssertSqlSafe(sql.to_owned()));
        query.fetch_all(&self.pool).await.unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    pub(crate) async fn run(&self, sql: &str) {
        let done = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&self.pool).await;
        done.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// Crashes the server and starts it again. It blocks.
    pub(crate) fn crash_and_restart(&self) {
        self.cluster.kill_immediately().expect("it ends");
        self.cluster.restart().expect("it recovers");
    }

    /// A connection of the database's owner.
    pub(crate) async fn owner(&self) -> PgConnection {
        PgConnection::connect(&self.url).await.expect("a connection")
    }
}

/// A command of the binary on a database, telling nothing but warnings.
pub(crate) fn binary(command: &str, database: &str) -> Command {
    let mut binary = Command::new(env!("CARGO_BIN_EXE_server-under-test"));
    binary.arg(command).env("DATABASE_URL", database).env("APP__TELEMETRY__FILTER", "warn").stdout(Stdio::null());
    binary
}

fn free_address() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address")
}

/// Waits for other processes, which no clock of ours can step.
pub(crate) async fn eventually(what: &str, condition: impl AsyncFn() -> bool) {
    eventually_within(PATIENCE, what, condition).await;
}

/// The same for what takes longer.
pub(crate) async fn eventually_within(patience: Duration, what: &str, condition: impl AsyncFn() -> bool) {
    let begun = Instant::now();
    let mut pause = tokio::time::interval(Duration::from_millis(20));
    while !condition().await {
        assert!(begun.elapsed() < patience, "{what}: not within {patience:?}");
        pause.tick().await;
    }
}
