use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic::{self, PanicHookInfo};

use super::LogFormat;

/// Sends every panic of the process to the log and the metrics. In development the usual text on stderr stays.
pub(super) fn log_panics(format: LogFormat) {
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        log_panic(info);
        if format == LogFormat::Pretty {
            usual(info);
        }
    }));
}

fn log_panic(info: &PanicHookInfo<'_>) {
    let location = info.location().map(ToString::to_string);
    let backtrace = Backtrace::capture();
    let backtrace = (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string());
    tracing::error!(panic = panic_text(info.payload()), location, backtrace, "panicked");
    metrics::counter!("panics_total").increment(1);
}

/// What a panic said, from the payload that `catch_unwind` or a `JoinError` hands over.
#[must_use]
pub fn panic_text(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&'static str>().map(ToString::to_string);
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a value that is no text".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_quoted_whichever_way_it_was_raised() {
        assert_eq!(panic_text(&"constant"), "constant");
        assert_eq!(panic_text(&String::from("formatted")), "formatted");
        assert_eq!(panic_text(&7), "a value that is no text");
    }
}
