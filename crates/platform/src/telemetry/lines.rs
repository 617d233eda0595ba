//! One event, one line, whatever the values hold: a newline or terminal code in a user's input can neither forge a
//! second line nor paint the terminal. Every line names the request and the trace it belongs to.

mod json;
mod readable;

use std::fmt::{self, Write};

pub(super) use json::{JsonFields, JsonLines};
pub(super) use readable::{ReadableFields, ReadableLines};

/// Which characters are replaced, and by what.
#[derive(Clone, Copy)]
enum Escape {
    /// Inside a JSON string.
    Json,
    /// Inside a line for human eyes.
    Plain,
}

impl Escape {
    fn concerns(self, character: char) -> bool {
        // What may end a line, steer a terminal or reorder text: C0, DEL, C1, line separators, direction marks.
        let is_unsafe = match character {
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => true,
            other => other.is_control(),
        };
        is_unsafe || (matches!(self, Self::Json) && matches!(character, '"' | '\\'))
    }

    fn replace(self, out: &mut dyn Write, character: char) -> fmt::Result {
        match (self, character) {
            (Self::Json, '"') => out.write_str("\\\""),
            (Self::Json, '\\') => out.write_str("\\\\"),
            (_, '\n') => out.write_str("\\n"),
            (_, '\r') => out.write_str("\\r"),
            (_, '\t') => out.write_str("\\t"),
            (Self::Json, other) => write!(out, "\\u{:04x}", u32::from(other)),
            (Self::Plain, other) => write!(out, "{}", other.escape_default()),
        }
    }
}

/// Passes text on with everything dangerous replaced.
struct Escaped<'a, W> {
    out: &'a mut W,
    escape: Escape,
}

impl<W: Write> Write for Escaped<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut clean = 0;
        for (at, character) in text.char_indices().filter(|(_, character)| self.escape.concerns(*character)) {
            self.out.write_str(&text[clean..at])?;
            self.escape.replace(self.out, character)?;
            clean = at + character.len_utf8();
        }
        self.out.write_str(&text[clean..])
    }
}

/// Whether a field only repeats where a line of a crate that uses `log` comes from: source paths of the build machine.
fn is_noise(field: &str) -> bool {
    field.starts_with("log.") && field != "log.target"
}

/// The trace id inside a `traceparent` we wrote ourselves.
fn trace_id(traceparent: &str) -> Option<&str> {
    traceparent.get(3..35)
}

#[cfg(test)]
pub(super) mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use serde_json::Value;
    use tracing::subscriber::with_default;

    use super::super::{LogFormat, TelemetryConfig, subscriber};

    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("not poisoned").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Everything that is logged while `work` runs.
    pub(in crate::telemetry) fn logged(format: LogFormat, work: impl FnOnce()) -> String {
        let config = TelemetryConfig { format, filter: "trace".to_owned(), otlp_endpoint: None, trace_share: 1.0 };
        let paper = Paper::default();
        let written = paper.clone();
        let subscriber = subscriber(&config, move || paper.clone()).expect("a valid filter");
        with_default(subscriber, work);
        let bytes = written.0.lock().expect("not poisoned").clone();
        String::from_utf8(bytes).expect("lines are text")
    }

    /// The one JSON line that is logged while `work` runs.
    pub(super) fn logged_json(work: impl FnOnce()) -> Value {
        let lines = logged(LogFormat::Json, work);
        assert_eq!(lines.lines().count(), 1, "{lines}");
        serde_json::from_str(&lines).expect("the line is JSON")
    }

    #[test]
    fn hostile_input_stays_on_its_line_and_off_the_terminal() {
        let hostile = "a\nb\r\n{\"level\":\"ERROR\"}\u{1b}[31mred\u{7}\u{9b}2J\u{2028}\u{202e}\u{7f}\\\"";
        for format in [LogFormat::Json, LogFormat::Pretty] {
            let lines = logged(format, || {
                let _span =
                    tracing::info_span!("request", path = hostile, agent = %hostile, debug = ?hostile).entered();
                tracing::info!(shown = %hostile, debugged = ?hostile, text = hostile, "message {hostile}");
                let error = io::Error::other(hostile);
                tracing::info!(error = &error as &dyn std::error::Error, "failed");
            });
            assert_eq!(lines.lines().count(), 2, "{lines}");
            let dangerous = |c: char| (c.is_control() && c != '\n') || matches!(c, '\u{2028}' | '\u{202e}');
            assert!(!lines.contains(dangerous), "{lines:?}");
        }
    }

    #[test]
    fn json_keeps_hostile_input_intact_for_whoever_parses_it() {
        let hostile = "a\nb\u{1b}[31m\u{9b}\u{2028}\\\"";
        let line = logged_json(|| tracing::info!(text = hostile, shown = %hostile));
        assert_eq!(line["text"], hostile);
        assert_eq!(line["shown"], hostile);
    }
}
