//! The real binary as processes that can be killed.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use dev_postgres::{Cluster, Kind};
use sqlx::postgres::PgPoolOptions;
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool};
use tempfile::{NamedTempFile, TempDir};

use crate::home::client;

/// How long something that must happen may take on a busy machine before the test gives up.
const PATIENCE: Duration = Duration::from_mins(1);

/// Variables for processes whose every answer counts: on a busy machine a request waits for its turn instead of being answered
/// 503. It may take less time than a connection may be silent.
pub(crate) const PATIENT: [(&str, &str); 4] = [
    ("APP__DATABASE__LOCK_TIMEOUT_MS", "60000"),
    ("APP__DATABASE__ACQUIRE_TIMEOUT_MS", "60000"),
    ("APP__DATABASE__STATEMENT_TIMEOUT_MS", "60000"),
    ("APP__HTTP__STACK__REQUEST_TIMEOUT_MS", "50000"),
];

/// A running server process; killed when the test ends.
pub(crate) struct Process {
    child: Child,
    /// What it tells on both its outputs.
    told: NamedTempFile,
    /// Where the API answers, if this process has one.
    pub(crate) api: String,
    /// Where operators ask.
    pub(crate) operations: String,
}

impl Process {
    /// `command` is `serve` (API alone), `work` (worker alone) or `dev` (both).
    pub(crate) async fn start_with(command: &str, database: &str, variables: &[(&str, &str)]) -> Self {
        // It takes ports that are free and tells which: one that we chose could be anybody's by then.
        let anywhere = "127.0.0.1:0";
        let told = NamedTempFile::new().expect("a file");
        let output = told.reopen().expect("the same file");
        let child = binary(command, database)
            .env("APP__HTTP__ADDRESS", anywhere)
            .env("APP__HTTP__OPERATIONS_ADDRESS", anywhere)
            .env("APP__TELEMETRY__FILTER", "warn,server::cli=info")
            .envs(variables.iter().copied())
            .stdout(output.try_clone().expect("one file for both"))
            .stderr(output)
            .spawn()
            .expect("the server starts");
        let mut process = Self { child, told, api: String::new(), operations: String::new() };
        process.become_ready().await;
        process
    }

    /// Waits until it says that it is ready. One that has ended never will.
    async fn become_ready(&mut self) {
        let begun = Instant::now();
        let mut pause = tokio::time::interval(Duration::from_millis(20));
        while !(self.learn_addresses() && self.is_ready().await) {
            let ended = self.child.try_wait().expect("it can be looked after");
            assert!(ended.is_none(), "the server ended before it was ready: {ended:?}");
            assert!(begun.elapsed() < PATIENCE, "the server is ready: not within {PATIENCE:?}");
            pause.tick().await;
        }
    }

    /// Where it listens, once it has told: `serve` and `work` in the log, `dev` in what a developer reads first.
    fn learn_addresses(&mut self) -> bool {
        let told = self.told();
        let address = |marks: [&str; 2]| {
            let (_, rest) = marks.into_iter().find_map(|mark| told.split_once(mark))?;
            let (address, _) = rest.trim_start().trim_start_matches("http://").split_once(['/', ' ', '\n'])?;
            Some(format!("http://{address}"))
        };
        let Some(operations) = address([" operations=", "\n  Metrics "]) else { return false };
        self.api = address([" public=", "\n  API "]).unwrap_or_default();
        self.operations = operations;
        true
    }

    fn told(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.told.path()).unwrap_or_default()).into_owned()
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
        if std::thread::panicking() {
            eprintln!("the server told:\n{}", self.told());
        }
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
