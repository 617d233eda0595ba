//! A worker whose jobs do nothing: what the queue alone costs, for `cargo xtask bench jobs`. It reads what it needs from its
//! standard input, works as `work` does, log included, and ends when it is killed.

use std::collections::BTreeMap;

use platform::config::Secret;
use platform::db::{DatabaseConfig, Databases, PLATFORM};
use platform::jobs::{Job, Jobs, JobsConfig, Worker};
use platform::shutdown::Shutdown;
use platform::telemetry::{self, TelemetryConfig};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// What it is told.
#[derive(Deserialize)]
struct Settings {
    database: String,
    /// Jobs at a time; as shipped unless said.
    concurrency: Option<usize>,
}

/// Does nothing.
#[derive(Serialize, Deserialize)]
struct Idle {}

impl Job for Idle {
    const NAME: &'static str = "bench.idle";
    const QUEUE: &'static str = "bench";
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let settings: Settings = serde_json::from_reader(std::io::stdin())?;
    let telemetry: TelemetryConfig =
        serde_json::from_value(json!({ "format": "json", "filter": "info,sqlx::query=warn", "trace_share": 1.0 }))?;
    let _telemetry = telemetry::init(&telemetry, "idle jobs", env!("CARGO_PKG_VERSION"))?;
    let databases = Databases::open(&DatabaseConfig {
        url: Secret::from(settings.database),
        roles: false,
        role_prefix: None,
        connections: BTreeMap::from([(PLATFORM.to_owned(), 4)]),
        statement_timeout_ms: 5_000,
        lock_timeout_ms: 2_000,
        acquire_timeout_ms: 3_000,
        slow_statement_ms: 500,
    })?;
    let mut jobs = Jobs::new();
    jobs.register::<Idle, _, _>(|_, _| async { Ok(()) });
    let shipped = JobsConfig::default();
    let concurrency = settings.concurrency.unwrap_or(shipped.concurrency);
    let worker = Worker::new(jobs, &databases, JobsConfig { concurrency, ..shipped })?;
    let shutdown = Shutdown::new();
    tokio::join!(worker.run(shutdown.clone()), databases.wakeups().listen(shutdown));
    Ok(())
}
