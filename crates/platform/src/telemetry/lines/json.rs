use std::error::Error;
use std::fmt::{self, Debug, Write};

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

use super::super::context::peek;
use super::super::errors;
use super::{Escape, Escaped, is_noise, trace_id};

/// One flat JSON object per event: `timestamp`, `level`, `target`, the event's own fields, `request_id`, `trace_id`,
/// and `spans`, outermost first.
///
/// The crate's own JSON format parses every span's fields again for every event; this one copies them.
pub(in crate::telemetry) struct JsonLines;

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let metadata = event.metadata();
        writer.write_str("{\"timestamp\":\"")?;
        SystemTime.format_time(&mut writer)?;
        write!(writer, "\",\"level\":\"{}\",\"target\":", metadata.level())?;
        write_text(&mut writer, metadata.target())?;
        let mut fields = Pairs::new(&mut writer);
        event.record(&mut fields);
        let names_request = fields.names_request;
        fields.outcome?;
        if !names_request {
            write_request(&mut writer)?;
        }
        write_spans(context, &mut writer)?;
        writer.write_str("}\n")
    }
}

fn write_request(writer: &mut Writer<'_>) -> fmt::Result {
    let written = peek(|request| {
        writer.write_str(",\"request_id\":")?;
        write_text(writer, &request.request_id)?;
        if let Some(id) = request.traceparent.as_deref().and_then(trace_id) {
            writer.write_str(",\"trace_id\":")?;
            write_text(writer, id)?;
        }
        Ok(())
    });
    written.unwrap_or(Ok(()))
}

fn write_spans<S, N>(context: &FmtContext<'_, S, N>, writer: &mut Writer<'_>) -> fmt::Result
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    let Some(scope) = context.event_scope() else { return Ok(()) };
    for (position, span) in scope.from_root().enumerate() {
        writer.write_str(if position == 0 { ",\"spans\":[" } else { "," })?;
        writer.write_str("{\"span\":")?;
        write_text(writer, span.name())?;
        if let Some(fields) = span.extensions().get::<FormattedFields<N>>() {
            writer.write_str(&fields.fields)?;
        }
        writer.write_char('}')?;
    }
    writer.write_char(']')
}

/// The fields of a span, kept as `,"name":value` pairs.
pub(in crate::telemetry) struct JsonFields;

impl<'w> FormatFields<'w> for JsonFields {
    fn format_fields<R: RecordFields>(&self, mut writer: Writer<'w>, fields: R) -> fmt::Result {
        let mut pairs = Pairs::new(&mut writer);
        fields.record(&mut pairs);
        pairs.outcome
    }
}

/// Names that the line itself uses; a field of that name gets an underscore.
const TAKEN: [&str; 5] = ["timestamp", "level", "target", "span", "spans"];

struct Pairs<'a, W> {
    out: &'a mut W,
    outcome: fmt::Result,
    names_request: bool,
}

impl<'a, W: Write> Pairs<'a, W> {
    fn new(out: &'a mut W) -> Self {
        Self { out, outcome: Ok(()), names_request: false }
    }

    fn pair(&mut self, field: &Field, write: impl FnOnce(&mut W) -> fmt::Result) {
        self.names_request |= field.name() == "request_id";
        if self.outcome.is_ok() && !is_noise(field.name()) {
            self.outcome = write_name(self.out, field.name()).and_then(|()| write(self.out));
        }
    }
}

impl<W: Write> Visit for Pairs<'_, W> {
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.pair(field, |out| write!(out, "{value}"));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.pair(field, |out| write!(out, "{value}"));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.pair(field, |out| write!(out, "{value}"));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        // JSON has no word for infinity.
        self.pair(field, |out| if value.is_finite() { write!(out, "{value}") } else { out.write_str("null") });
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.pair(field, |out| write_text(out, value));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.pair(field, |out| write_text(out, &errors::chain(value)));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.pair(field, |out| {
            out.write_char('"')?;
            write!(Escaped { out, escape: Escape::Json }, "{value:?}")?;
            out.write_char('"')
        });
    }
}

fn write_name(out: &mut impl Write, name: &str) -> fmt::Result {
    let name = name.strip_prefix("r#").unwrap_or(name);
    out.write_str(",\"")?;
    Escaped { out, escape: Escape::Json }.write_str(name)?;
    out.write_str(if TAKEN.contains(&name) { "_\":" } else { "\":" })
}

fn write_text(out: &mut impl Write, text: &str) -> fmt::Result {
    out.write_char('"')?;
    Escaped { out, escape: Escape::Json }.write_str(text)?;
    out.write_char('"')
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use serde_json::json;

    use super::super::tests::logged_json;
    use crate::telemetry::{RequestContext, with_context};

    #[test]
    fn a_line_holds_the_events_fields_flat_and_typed() {
        let line = logged_json(|| {
            tracing::warn!(status = 200_u16, took = 1.5, not = f64::NAN, ok = true, delta = -1, level = "high", "done");
        });
        assert_eq!(line["level"], "WARN");
        assert_eq!(line["message"], "done");
        assert_eq!(line["status"], 200);
        assert_eq!(line["took"], 1.5);
        assert_eq!(line["not"], json!(null));
        assert_eq!(line["ok"], true);
        assert_eq!(line["delta"], -1);
        assert_eq!(line["level_"], "high");
        assert_eq!(line["target"], module_path!());
        assert!(line["timestamp"].as_str().expect("text").ends_with('Z'), "{line}");
    }

    #[test]
    fn spans_stand_outermost_first_with_fields_recorded_later() {
        let line = logged_json(|| {
            let outer = tracing::info_span!("request", method = "GET", status = tracing::field::Empty).entered();
            outer.record("status", 201);
            let _inner = tracing::info_span!("query").entered();
            tracing::info!("done");
        });
        assert_eq!(line["spans"], json!([{"span": "request", "method": "GET", "status": 201}, {"span": "query"}]));
    }

    #[test]
    fn every_line_names_its_request_and_trace_once() {
        let context = || RequestContext {
            request_id: "r-1".to_owned(),
            traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
            client: None,
        };
        let log =
            |work: fn()| logged_json(|| with_context(context(), async move { work() }).now_or_never().expect("ready"));
        let line = log(|| tracing::info!("done"));
        assert_eq!(line["request_id"], "r-1");
        assert_eq!(line["trace_id"], "0af7651916cd43dd8448eb211c80319c");
        let own = log(|| tracing::info!(request_id = "r-2", "done"));
        assert_eq!(own["request_id"], "r-2");
        assert_eq!(logged_json(|| tracing::info!("done"))["request_id"], json!(null));
    }

    #[test]
    fn an_error_is_logged_with_its_causes() {
        #[derive(Debug, thiserror::Error)]
        #[error("saving failed")]
        struct Outer(#[source] std::io::Error);
        let error = Outer(std::io::Error::other("disk full"));
        let line = logged_json(|| tracing::error!(error = &error as &dyn std::error::Error));
        assert_eq!(line["error"], "saving failed: disk full");
    }
}
