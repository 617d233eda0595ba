use std::future::poll_fn;
use std::pin::pin;
use std::time::Duration;

use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState, TracerProvider};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{ExporterBuildError, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider, SpanData, SpanExporter};
use tokio::runtime::Handle;
use tracing::{Span, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::Layer;
use tracing_subscriber::registry::LookupSpan;

use super::{TelemetryError, TraceParent, current_context};

/// How long the last traces may take to leave.
const FLUSH: Duration = Duration::from_secs(5);

/// What the exporter itself runs on; tracing it would make every export cause the next.
const OWN_MACHINERY: [&str; 5] = ["hyper", "reqwest", "rustls", "opentelemetry", "h2"];

/// Sends finished spans to a collector by OTLP over HTTP.
#[derive(Debug)]
pub(super) struct TraceExport {
    provider: SdkTracerProvider,
}

impl TraceExport {
    pub(super) fn start(endpoint: &str, share: f64, service: &str, version: &str) -> Result<Self, TelemetryError> {
        let runtime = Handle::try_current()?;
        let exporter = collector(endpoint)?;
        let attributes =
            [KeyValue::new("service.name", service.to_owned()), KeyValue::new("service.version", version.to_owned())];
        let provider = SdkTracerProvider::builder()
            .with_resource(Resource::builder_empty().with_attributes(attributes).build())
            .with_sampler(Sampler::TraceIdRatioBased(share))
            .with_batch_exporter(OnRuntime { exporter, runtime })
            .build();
        Ok(Self { provider })
    }

    pub(super) fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        tracing_opentelemetry::layer()
            .with_tracer(self.provider.tracer("platform"))
            .with_filter(filter_fn(|metadata| !OWN_MACHINERY.iter().any(|name| metadata.target().starts_with(name))))
    }

    pub(super) async fn shutdown(self) {
        #[expect(clippy::disallowed_methods, reason = "the SDK blocks while it flushes, once, as the process ends")]
        let flushed = tokio::task::spawn_blocking(move || self.provider.shutdown_with_timeout(FLUSH)).await;
        if !matches!(flushed, Ok(Ok(()))) {
            tracing::warn!("the last traces could not be sent");
        }
    }
}

fn collector(endpoint: &str) -> Result<opentelemetry_otlp::SpanExporter, ExporterBuildError> {
    let endpoint = endpoint.trim_end_matches('/');
    let endpoint = if endpoint.ends_with("/v1/traces") { endpoint.to_owned() } else { format!("{endpoint}/v1/traces") };
    opentelemetry_otlp::SpanExporter::builder().with_http().with_endpoint(endpoint).with_timeout(FLUSH).build()
}

/// The SDK sends from a thread of its own, while the HTTP client needs the runtime around every poll.
#[derive(Debug)]
struct OnRuntime {
    exporter: opentelemetry_otlp::SpanExporter,
    runtime: Handle,
}

impl SpanExporter for OnRuntime {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let mut export = pin!(self.exporter.export(batch));
        let sent = poll_fn(|context| {
            let _entered = self.runtime.enter();
            export.as_mut().poll(context)
        });
        let sent = sent.await;
        if let Err(error) = &sent {
            metrics::counter!("trace_export_failures_total").increment(1);
            tracing::warn!(%error, "traces could not be sent");
        }
        sent
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

/// Puts a span under the caller's place in the trace. It has to happen before the span is entered; without trace
/// export it does nothing.
pub fn follow(span: &Span, parent: &TraceParent) {
    let (trace_id, span_id, flags) = parent.parts();
    let remote = SpanContext::new(
        TraceId::from_bytes(trace_id),
        SpanId::from_bytes(span_id),
        TraceFlags::new(flags),
        true,
        TraceState::default(),
    );
    // The only failures are a layer that is absent and a span already begun; neither may disturb the request.
    let _ = span.set_parent(Context::new().with_remote_span_context(remote));
}

/// The `traceparent` to send along now: the exported span's when traces are exported, else a step below the request's
/// own.
#[must_use]
pub fn outgoing_traceparent() -> Option<String> {
    let context = Span::current().context();
    let span = context.span().span_context().clone();
    if span.is_valid() {
        let flags = span.trace_flags().to_u8();
        return Some(TraceParent::from_parts(span.trace_id().to_bytes(), span.span_id().to_bytes(), flags).to_string());
    }
    let own = TraceParent::parse(&current_context()?.traceparent?)?;
    Some(own.child().to_string())
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tracing::subscriber::with_default;
    use tracing_subscriber::layer::SubscriberExt;
    use tracing_subscriber::registry::Registry;

    use super::*;
    use crate::telemetry::{RequestContext, spawn, with_context};

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    /// Answers one POST with 200 and returns what was posted.
    async fn one_post(listener: TcpListener) -> Vec<u8> {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let mut received = Vec::new();
        let complete = |received: &[u8]| {
            let text = String::from_utf8_lossy(received).to_ascii_lowercase();
            let head = text.find("\r\n\r\n").map(|at| at + 4)?;
            let length = text.split_once("content-length: ")?.1.split("\r\n").next()?.parse::<usize>().ok()?;
            (received.len() >= head + length).then_some(())
        };
        while complete(&received).is_none() {
            assert_ne!(stream.read_buf(&mut received).await.expect("readable"), 0, "closed too early");
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.expect("writable");
        received
    }

    #[tokio::test]
    async fn a_span_reaches_the_collector_under_the_callers_trace() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let endpoint = format!("http://{}", listener.local_addr().expect("bound"));
        let posted = spawn("collector", one_post(listener));
        let export = TraceExport::start(&endpoint, 1.0, "house", "1.2.3").expect("started");
        with_default(Registry::default().with(export.layer()), || {
            let span = tracing::info_span!("the_request_we_trace");
            follow(&span, &TraceParent::parse(PARENT).expect("valid"));
            let _entered = span.entered();
            let outgoing = outgoing_traceparent().expect("in a span");
            assert!(outgoing.starts_with("00-0af7651916cd43dd8448eb211c80319c-"), "{outgoing}");
            assert!(outgoing.ends_with("-01") && outgoing != PARENT, "{outgoing}");
        });
        export.shutdown().await;
        let posted = posted.await.expect("received");
        let contains = |needle: &[u8]| posted.windows(needle.len()).any(|window| window == needle);
        assert!(contains(b"POST /v1/traces"));
        assert!(contains(b"the_request_we_trace"));
        assert!(contains(b"house"));
        let (trace_id, ..) = TraceParent::parse(PARENT).expect("valid").parts();
        assert!(contains(&trace_id));
    }

    #[tokio::test]
    async fn without_export_the_requests_own_trace_goes_on() {
        assert_eq!(outgoing_traceparent(), None);
        let context =
            RequestContext { request_id: "r-1".to_owned(), traceparent: Some(PARENT.to_owned()), client: None };
        let outgoing = with_context(context, async { outgoing_traceparent() }).await.expect("in a trace");
        assert!(outgoing.starts_with("00-0af7651916cd43dd8448eb211c80319c-"), "{outgoing}");
        assert_ne!(outgoing, PARENT);
    }
}
