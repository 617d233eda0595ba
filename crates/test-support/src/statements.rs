use std::cell::Cell;
use std::fmt;
use std::sync::Once;

use tracing::field::{Field, Visit};
use tracing::span;

/// Counts the statements that each thread, and so each test, sends to the database: sqlx tells about every one. For budgets
/// that keep a handler from asking once per row.
pub struct Statements;

thread_local! {
    static SENT: Cell<usize> = const { Cell::new(0) };
}

impl Statements {
    /// Statements this thread has sent so far. Every test with a database counts from its start.
    #[must_use]
    pub fn sent() -> usize {
        SENT.get()
    }

    /// For the whole process and before its first statement: whether anybody listens is remembered from then on.
    pub(crate) fn start_counting() {
        static STARTED: Once = Once::new();
        // A test binary that installed a subscriber of its own does not count.
        STARTED.call_once(|| drop(tracing::subscriber::set_global_default(Statements)));
    }
}

impl tracing::Subscriber for Statements {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target() == "sqlx::query"
    }

    fn event(&self, event: &tracing::Event<'_>) {
        let mut statement = IsWakeUp(false);
        event.record(&mut statement);
        if !statement.0 {
            SENT.set(SENT.get() + 1);
        }
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

/// Wake-ups follow a commit some time later and at most every 50 ms: they belong to no request.
struct IsWakeUp(bool);

impl Visit for IsWakeUp {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "summary" {
            self.0 = format!("{value:?}").contains("pg_notify");
        }
    }
}
