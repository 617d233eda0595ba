//! What survives when a process is killed: the real binary, real signals, a durable PostgreSQL.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use dev_postgres::{Cluster, Kind};
use reqwest::Method;
use serde_json::json;
use sqlx::{Connection, PgConnection};

use crate::home::{client, send};
use crate::receiver::Receiver;

/// How long something that must happen may take on a busy machine before the test gives up.
const PATIENCE: Duration = Duration::from_mins(1);

/// A running server process; killed when the test ends.
struct Process {
    child: Child,
    api: String,
}

impl Process {
    /// `command` is `serve` (API alone) or `dev` (API and worker).
    async fn start(command: &str, database: &str) -> Self {
        let (public, operations) = (free_address(), free_address());
        let child = binary(command, database)
            .env("APP__HTTP__ADDRESS", public.to_string())
            .env("APP__HTTP__OPERATIONS_ADDRESS", operations.to_string())
            .spawn()
            .expect("the server starts");
        let process = Self { child, api: format!("http://{public}") };
        let ready = format!("{}/readyz", process.api);
        eventually("the server is ready", async || {
            client().get(&ready).send().await.is_ok_and(|answer| answer.status().is_success())
        })
        .await;
        process
    }

    /// SIGKILL: no time to say goodbye.
    fn kill(mut self) {
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

fn binary(command: &str, database: &str) -> Command {
    let mut binary = Command::new(env!("CARGO_BIN_EXE_server-under-test"));
    binary.arg(command).env("DATABASE_URL", database).env("APP__TELEMETRY__FILTER", "warn").stdout(Stdio::null());
    binary
}

fn free_address() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address")
}

/// Waits for other processes, which no clock of ours can step.
async fn eventually(what: &str, condition: impl AsyncFn() -> bool) {
    let begun = Instant::now();
    let mut pause = tokio::time::interval(Duration::from_millis(20));
    while !condition().await {
        assert!(begun.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        pause.tick().await;
    }
}

#[tokio::test]
async fn a_fact_whose_process_was_killed_before_delivery_is_delivered_after_a_restart() {
    let directory = tempfile::tempdir().expect("a directory");
    let cluster = Cluster::start(Kind::Durable, &directory.path().join("postgres")).expect("a PostgreSQL");
    let mut owner = PgConnection::connect(&cluster.url("postgres")).await.expect("a connection");
    sqlx::raw_sql("CREATE DATABASE faults").execute(&mut owner).await.expect("a database");
    let database = cluster.url("faults");
    assert!(binary("migrate", &database).status().expect("it runs").success());
    let (receiver, url) = Receiver::open().await;

    // `dev` seeds the account; it is gone before the fact happens.
    Process::start("dev", &database).await.kill();
    // `serve` has no worker, so it cannot deliver: what it commits is all there is when it is killed.
    let serving = Process::start("serve", &database).await;
    let ask =
        |process: &Process, method: Method, path: &str| client().request(method, format!("{}{path}", process.api));
    let credentials = json!({ "email": "ada@example.com", "password": "a-long-walk-by-the-sea" });
    let tokens = send(ask(&serving, Method::POST, "/v1/auth/login").json(&credentials)).await.expect(200);
    let token = tokens["access_token"].as_str().expect("a token");
    let create = ask(&serving, Method::POST, "/v1/organizations").bearer_auth(token).json(&json!({ "name": "Acme" }));
    let organization = send(create).await.expect(201);
    let path = format!("/v1/organizations/{}", organization["id"].as_str().expect("an id"));
    let endpoint = json!({ "url": url, "event_types": ["organization.updated"] });
    let create = ask(&serving, Method::POST, &format!("{path}/webhook-endpoints")).bearer_auth(token).json(&endpoint);
    let secret = send(create).await.expect(201)["secret"].as_str().expect("a secret").to_owned();
    let rename = ask(&serving, Method::PATCH, &path).bearer_auth(token).json(&json!({ "name": "Acme 2" }));
    send(rename).await.expect(200);
    serving.kill();
    assert_eq!(receiver.received().len(), 0, "nothing was delivered before the restart");

    let _restarted = Process::start("dev", &database).await;
    eventually("the message arrives", async || !receiver.received().is_empty()).await;
    let arrived = receiver.received();
    arrived[0].verify(&secret);
    assert!(String::from_utf8_lossy(&arrived[0].body).contains("Acme 2"));
    assert!(arrived.iter().all(|again| again.headers["webhook-id"] == arrived[0].headers["webhook-id"]));
}

#[tokio::test]
async fn commands_that_cannot_start_say_why_and_what_to_do() {
    let refused = |command: &str, variables: &[(&str, &str)]| {
        let output = Command::new(env!("CARGO_BIN_EXE_server-under-test"))
            .arg(command)
            .env_remove("DATABASE_URL")
            .envs(variables.iter().copied())
            .output()
            .expect("it runs");
        assert!(!output.status.success(), "{command} {variables:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let production = ("APP_ENVIRONMENT", "production");
    let message = refused("serve", &[production]);
    for key in ["database.url", "secrets.", "service.public_url", "mail.smtp_url"] {
        assert!(message.contains(key), "{key}: {message}");
    }
    let placeholder = ("APP__SECRETS__ROOTS__1", "development-only-root-secret-that-production-refuses");
    assert!(refused("serve", &[production, placeholder]).contains("secrets.roots.1 is a placeholder"));
    for command in ["dev", "serve"] {
        assert!(refused(command, &[("APP__HTTP__ADDRESS", "0.0.0.0:0")]).contains("http.address"), "{command}");
    }
    assert!(refused("dev", &[("DATABASE_URL", "postgres://db.example/app")]).contains("db.example"));
    let misplaced = refused("serve", &[("APP__DATABASE", "postgres://user:hunter2@db.example/app")]);
    assert!(misplaced.contains("database") && !misplaced.contains("hunter2"), "{misplaced}");
    assert!(refused("serve", &[("APP__HTTP__ADRESS", "x")]).contains("adress"));
    assert!(refused("serve", &[("APP_ENVIRONMENT", "staging")]).contains("APP_ENVIRONMENT"));
}
