//! What the service tells about itself: log lines, metrics and traces, all tied together by the request id.

mod context;
mod errors;
mod export;
mod lines;
mod metering;
mod panics;
mod process;
mod tasks;
mod trace_parent;

use std::io::IsTerminal;
use std::sync::Mutex;

use serde::{Deserialize, Serialize};
use tracing::Subscriber;
use tracing_subscriber::filter::{EnvFilter, ParseError};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::{LookupSpan, Registry};
use tracing_subscriber::util::SubscriberInitExt;

pub use context::{RequestContext, current_context, with_context};
pub use errors::ErrorReport;
pub use export::{follow, outgoing_traceparent};
pub use metering::{metrics_handle, render};
pub use panics::panic_text;
pub use tasks::spawn;
pub use trace_parent::TraceParent;

use export::TraceExport;
use lines::{JsonFields, JsonLines, ReadableFields, ReadableLines};

/// How the service logs and where its traces go.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TelemetryConfig {
    /// `json` for machines, `pretty` for people.
    pub format: LogFormat,
    /// Which lines are written, as directives: `info,sqlx=warn`.
    pub filter: String,
    /// Where traces go, as an OTLP/HTTP collector's address (`http://collector:4318`); none or empty keeps them off.
    pub otlp_endpoint: Option<String>,
    /// The share of traces that is kept, 0.0 to 1.0. It is decided by the trace id alone, so that a caller's
    /// `traceparent` cannot force us to keep every trace.
    pub trace_share: f64,
}

/// The shape of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One JSON object per line.
    Json,
    /// One line for human eyes.
    Pretty,
}

impl TelemetryConfig {
    /// What is wrong with the values, as `(key, complaint)`.
    #[must_use]
    pub fn complaints(&self) -> Vec<(String, String)> {
        let mut complaints = Vec::new();
        if let Err(error) = EnvFilter::try_new(&self.filter) {
            complaints.push(("telemetry.filter".to_owned(), error.to_string()));
        }
        if !(0.0..=1.0).contains(&self.trace_share) {
            complaints.push(("telemetry.trace_share".to_owned(), "must be from 0.0 to 1.0".to_owned()));
        }
        if self.endpoint().is_some_and(|endpoint| reqwest::Url::parse(endpoint).is_err()) {
            complaints.push(("telemetry.otlp_endpoint".to_owned(), "is no URL".to_owned()));
        }
        complaints
    }

    fn endpoint(&self) -> Option<&str> {
        self.otlp_endpoint.as_deref().filter(|endpoint| !endpoint.is_empty())
    }
}

/// Why the telemetry could not be started.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// `telemetry.filter` is not made of directives.
    #[error("telemetry.filter cannot be read")]
    Filter(#[from] ParseError),
    /// The exporter refused its settings.
    #[error("traces cannot be exported to telemetry.otlp_endpoint")]
    Export(#[from] opentelemetry_otlp::ExporterBuildError),
    /// Traces are sent on the runtime, and there is none.
    #[error("trace export needs a running Tokio runtime")]
    Runtime(#[from] tokio::runtime::TryCurrentError),
    /// Somebody else already set a global subscriber.
    #[error("another subscriber is already installed in this process")]
    Taken(#[from] tracing_subscriber::util::TryInitError),
}

/// Keeps the trace export alive; [`TelemetryGuard::shutdown`] sends what is left.
#[derive(Debug)]
#[must_use = "traces that are not flushed at the end are lost"]
pub struct TelemetryGuard(Option<TraceExport>);

impl TelemetryGuard {
    /// Sends the traces that wait, for five seconds at most.
    pub async fn shutdown(self) {
        if let Some(export) = self.0 {
            export.shutdown().await;
        }
    }
}

/// Starts logging, metrics and, when an endpoint is configured, trace export for the whole process. Only the first call
/// has an effect; later ones succeed with a guard that does nothing.
///
/// # Errors
/// [`TelemetryError`]: unusable settings, or a subscriber that is not ours.
pub fn init(config: &TelemetryConfig, service_name: &str, version: &str) -> Result<TelemetryGuard, TelemetryError> {
    static STARTED: Mutex<bool> = Mutex::new(false);
    let mut started = STARTED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if *started {
        return Ok(TelemetryGuard(None));
    }
    let filter = EnvFilter::try_new(&config.filter)?;
    let export = match config.endpoint() {
        Some(endpoint) => Some(TraceExport::start(endpoint, config.trace_share, service_name, version)?),
        None => None,
    };
    let colours = config.format == LogFormat::Pretty && std::io::stdout().is_terminal();
    Registry::default()
        .with(filter)
        .with(log_layer(config.format, colours, std::io::stdout))
        .with(export.as_ref().map(TraceExport::layer))
        .try_init()?;
    *started = true;
    metering::describe_build(service_name, version);
    panics::log_panics(config.format);
    Ok(TelemetryGuard(export))
}

/// The log lines alone, written to `writer`: for tests that read what was logged.
///
/// # Errors
/// When the filter cannot be read.
pub fn subscriber<W>(
    config: &TelemetryConfig,
    writer: W,
) -> Result<impl Subscriber + Send + Sync + 'static, TelemetryError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_new(&config.filter)?;
    Ok(Registry::default().with(filter).with(log_layer(config.format, false, writer)))
}

fn log_layer<S, W>(format: LogFormat, colours: bool, writer: W) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let layer = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(colours).log_internal_errors(false);
    match format {
        LogFormat::Json => layer.event_format(JsonLines).fmt_fields(JsonFields).boxed(),
        LogFormat::Pretty => layer.event_format(ReadableLines).fmt_fields(ReadableFields).boxed(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    fn config(filter: &str) -> TelemetryConfig {
        TelemetryConfig { format: LogFormat::Json, filter: filter.to_owned(), otlp_endpoint: None, trace_share: 1.0 }
    }

    #[test]
    fn bad_settings_are_named() {
        assert!(config("info,sqlx=warn").complaints().is_empty());
        let bad = TelemetryConfig {
            otlp_endpoint: Some("collector".to_owned()),
            trace_share: 2.0,
            ..config("info,sqlx=loud")
        };
        let keys: Vec<_> = bad.complaints().into_iter().map(|(key, _)| key).collect();
        assert_eq!(keys, ["telemetry.filter", "telemetry.trace_share", "telemetry.otlp_endpoint"]);
        assert!(TelemetryConfig { otlp_endpoint: Some(String::new()), ..config("info") }.complaints().is_empty());
    }

    #[tokio::test]
    async fn starting_twice_is_harmless() {
        let config = TelemetryConfig { format: LogFormat::Pretty, ..config("off") };
        for _ in 0..2 {
            init(&config, "house", "1.2.3").expect("started").shutdown().await;
        }
        let broken = TelemetryConfig { filter: "info,sqlx=loud".to_owned(), ..config };
        assert!(subscriber(&broken, std::io::sink).is_err());
    }

    #[test]
    fn unknown_keys_are_refused() {
        let written = r#"{"format":"json","filter":"info","otlp_endpoint":null,"trace_share":1.0,"colour":"red"}"#;
        assert!(serde_json::from_str::<TelemetryConfig>(written).is_err());
    }

    #[test]
    fn a_secret_inside_a_logged_value_stays_secret() {
        #[derive(Debug)]
        #[expect(dead_code, reason = "read through Debug, as a careless log call would")]
        struct Settings {
            name: &'static str,
            password: Secret,
            key: secrecy::SecretString,
        }
        let settings =
            Settings { name: "mail", password: "hunter2".to_owned().into(), key: "hunter3".to_owned().into() };
        for format in [LogFormat::Json, LogFormat::Pretty] {
            let lines = lines::tests::logged(format, || tracing::info!(?settings, "configured with {settings:?}"));
            assert!(lines.contains("mail"), "{lines}");
            assert!(!lines.contains("hunter"), "{lines}");
        }
    }
}
