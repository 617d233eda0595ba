//! The real binary as processes that can be killed.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use dev_postgres::{Cluster, Kind};
use sqlx::{Connection, PgConnection};
use tempfile::TempDir;

use crate::home::client;

/// How long something that must happen may take on a busy machine before the test gives up.
const PATIENCE: Duration = Duration::from_mins(1);

/// A running server process; killed when the test ends.
pub(crate) struct Process {
    child: Child,
    /// Where the API answers, if this process has one.
    pub(crate) api: String,
}

impl Process {
    /// `command` is `serve` (API alone), `work` (worker alone) or `dev` (both).
    pub(crate) async fn start(command: &str, database: &str) -> Self {
        Self::start_with(command, database, &[]).await
    }

    /// With more variables.
    pub(crate) async fn start_with(command: &str, database: &str, variables: &[(&str, &str)]) -> Self {
        let (public, operations) = (free_address(), free_address());
        let child = binary(command, database)
            .env("APP__HTTP__ADDRESS", public.to_string())
            .env("APP__HTTP__OPERATIONS_ADDRESS", operations.to_string())
            .envs(variables.iter().copied())
            .spawn()
            .expect("the server starts");
        let process = Self { child, api: format!("http://{public}") };
        let ready = format!("http://{operations}/readyz");
        eventually("the server is ready", async || {
            client().get(&ready).send().await.is_ok_and(|answer| answer.status().is_success())
        })
        .await;
        process
    }

    /// SIGKILL: no time to say goodbye.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("the process can be killed");
        self.child.wait().expect("the process ends");
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
    _cluster: Cluster,
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
        Self { url, _cluster: cluster, _directory: directory }
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
    let begun = Instant::now();
    let mut pause = tokio::time::interval(Duration::from_millis(20));
    while !condition().await {
        assert!(begun.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        pause.tick().await;
    }
}
