use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::shutdown::Shutdown;

const CHECK_TIMEOUT: Duration = Duration::from_secs(2);
const REPORT_KEPT: Duration = Duration::from_secs(1);

/// Something a request needs; asked on every readiness probe, by the start and by `doctor`.
#[async_trait]
pub trait ReadinessCheck: Send + Sync + 'static {
    /// What it is called in the answer.
    fn name(&self) -> &'static str;

    /// Passes when requests that need it can be served.
    ///
    /// # Errors
    /// The reason in words, for operators.
    async fn check(&self) -> Result<(), String>;
}

/// The probes: alive (the process answers), ready (requests can be served and no shutdown has begun), started.
#[derive(Clone)]
pub struct Health {
    checks: Arc<[Box<dyn ReadinessCheck>]>,
    started: Arc<AtomicBool>,
    shutdown: Shutdown,
    /// The last report: a flood of probes must not become a flood of queries.
    recent: Arc<Mutex<Option<(Instant, Report)>>>,
}

/// Every check with its complaint, if it has one.
type Report = Vec<(&'static str, Result<(), String>)>;

impl Health {
    /// Probes over these checks.
    #[must_use]
    pub fn new(checks: Vec<Box<dyn ReadinessCheck>>, shutdown: Shutdown) -> Self {
        Self { checks: checks.into(), started: Arc::default(), shutdown, recent: Arc::default() }
    }

    /// Says that start-up is over.
    pub fn started(&self) {
        self.started.store(true, Ordering::Release);
    }

    /// Asks every check, at most once a second.
    async fn report(&self) -> Report {
        let mut recent = self.recent.lock().await;
        if let Some((asked, report)) = recent.as_ref()
            && asked.elapsed() < REPORT_KEPT
        {
            return report.clone();
        }
        let report = self.ask().await;
        *recent = Some((Instant::now(), report.clone()));
        report
    }

    async fn ask(&self) -> Report {
        let ask = async |check: &dyn ReadinessCheck| {
            let answer = tokio::time::timeout(CHECK_TIMEOUT, check.check()).await;
            (check.name(), answer.unwrap_or_else(|_| Err("no answer within two seconds".to_owned())))
        };
        futures_util::future::join_all(self.checks.iter().map(|check| ask(&**check))).await
    }

    /// `/livez` and `/readyz`, for the public port.
    pub fn public_routes(&self) -> Router {
        Router::new().route("/livez", get(livez)).route("/readyz", get(readyz)).with_state(self.clone())
    }

    /// All three probes, for the operators' port.
    pub fn routes(&self) -> Router {
        self.public_routes().merge(Router::new().route("/startupz", get(startupz)).with_state(self.clone()))
    }
}

async fn livez() -> &'static str {
    "ok"
}

async fn readyz(State(health): State<Health>) -> Response {
    if health.shutdown.is_begun() {
        return answer(false, "draining", &[]);
    }
    let report = health.report().await;
    let ready = report.iter().all(|(_, result)| result.is_ok());
    for (name, complaint) in report.iter().filter_map(|(name, result)| result.as_ref().err().map(|error| (name, error)))
    {
        tracing::warn!(check = name, complaint, "not ready");
    }
    answer(ready, if ready { "ready" } else { "not_ready" }, &report)
}

async fn startupz(State(health): State<Health>) -> Response {
    let started = health.started.load(Ordering::Acquire);
    answer(started, if started { "started" } else { "starting" }, &[])
}

/// Names of checks only: the reasons are for the log, as the public may read this.
fn answer(good: bool, status: &str, report: &[(&'static str, Result<(), String>)]) -> Response {
    let code = if good { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let checks: serde_json::Map<_, _> = report
        .iter()
        .map(|(name, result)| ((*name).to_owned(), json!(if result.is_ok() { "ok" } else { "failing" })))
        .collect();
    let mut response = (code, Json(json!({ "status": status, "checks": checks }))).into_response();
    if !good {
        response.headers_mut().insert(axum::http::header::RETRY_AFTER, axum::http::HeaderValue::from_static("1"));
    }
    response
}
