use std::error::Error;
use std::fmt::{self, Debug, Write};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::registry::{LookupSpan, Scope};

use super::super::context::peek;
use super::super::errors;
use super::{Escape, Escaped, is_noise};

/// One line for human eyes: time, level, target, message, `name=value` pairs, the spans in braces.
pub(in crate::telemetry) struct ReadableLines;

impl<S, N> FormatEvent<S, N> for ReadableLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let metadata = event.metadata();
        SystemTime.format_time(&mut writer)?;
        write_level(&mut writer, *metadata.level())?;
        write!(writer, " {}:", metadata.target())?;
        let mut pairs = Pairs { out: &mut writer, outcome: Ok(()) };
        event.record(&mut pairs);
        pairs.outcome?;
        if let Some(written) = peek(|request| {
            writer.write_str(" request_id=")?;
            Escaped { out: &mut writer, escape: Escape::Plain }.write_str(&request.request_id)
        }) {
            written?;
        }
        for span in context.event_scope().into_iter().flat_map(Scope::from_root) {
            write!(writer, " {{{}", span.name())?;
            if let Some(fields) = span.extensions().get::<FormattedFields<N>>() {
                writer.write_str(&fields.fields)?;
            }
            writer.write_char('}')?;
        }
        writer.write_char('\n')
    }
}

fn write_level(writer: &mut Writer<'_>, level: Level) -> fmt::Result {
    if !writer.has_ansi_escapes() {
        return write!(writer, " {level:>5}");
    }
    let colour = match level {
        Level::ERROR => 31,
        Level::WARN => 33,
        Level::INFO => 32,
        Level::DEBUG => 34,
        Level::TRACE => 35,
    };
    write!(writer, " \u{1b}[{colour}m{level:>5}\u{1b}[0m")
}

/// The fields of a span, kept as ` name=value` pairs.
pub(in crate::telemetry) struct ReadableFields;

impl<'w> FormatFields<'w> for ReadableFields {
    fn format_fields<R: RecordFields>(&self, mut writer: Writer<'w>, fields: R) -> fmt::Result {
        let mut pairs = Pairs { out: &mut writer, outcome: Ok(()) };
        fields.record(&mut pairs);
        pairs.outcome
    }
}

struct Pairs<'a, W> {
    out: &'a mut W,
    outcome: fmt::Result,
}

impl<W: Write> Pairs<'_, W> {
    fn pair(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        if self.outcome.is_ok() && !is_noise(field.name()) {
            self.outcome = self.try_pair(field, value);
        }
    }

    fn try_pair(&mut self, field: &Field, value: fmt::Arguments<'_>) -> fmt::Result {
        self.out.write_char(' ')?;
        if field.name() != "message" {
            write!(self.out, "{}=", field.name())?;
        }
        Escaped { out: self.out, escape: Escape::Plain }.write_fmt(value)
    }
}

impl<W: Write> Visit for Pairs<'_, W> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.pair(field, format_args!("{value:?}"));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.pair(field, format_args!("{:?}", errors::chain(value)));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.pair(field, format_args!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::logged;
    use crate::telemetry::LogFormat;

    #[test]
    fn a_line_reads_from_left_to_right() {
        let line = logged(LogFormat::Pretty, || {
            let _span = tracing::info_span!("request", method = "GET").entered();
            tracing::info!(status = 200, "answered");
        });
        let (_, rest) = line.split_once("  INFO ").expect("the level");
        let expected = format!("{}: answered status=200 {{request method=\"GET\"}}\n", module_path!());
        assert_eq!(rest, expected);
    }
}
