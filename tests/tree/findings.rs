//! What a guard saw.

/// How many things a guard looked at, and which of them break its rule.
#[derive(Default)]
#[must_use]
pub(crate) struct Findings {
    seen: usize,
    broken: Vec<String>,
}

impl Findings {
    /// Counts one thing the guard looked at. A guard that looks at nothing guards nothing, so it fails.
    pub(crate) fn saw_one(&mut self) {
        self.seen += 1;
    }

    /// Notes what breaks the rule, and where.
    pub(crate) fn broken(&mut self, what: impl Into<String>) {
        self.broken.push(what.into());
    }

    /// Whether the guard would fail.
    pub(crate) fn fails(&self) -> bool {
        self.seen == 0 || !self.broken.is_empty()
    }

    /// Fails unless something was looked at and nothing breaks the rule.
    #[track_caller]
    pub(crate) fn hold(&self) {
        assert!(self.seen > 0, "the guard found nothing to look at: it guards nothing");
        assert!(self.broken.is_empty(), "{} broken:\n  {}", self.broken.len(), self.broken.join("\n  "));
    }

    /// For negative controls: fails unless exactly one thing breaks the rule and its line says `what`.
    #[track_caller]
    pub(crate) fn only_name(&self, what: &str) {
        assert!(self.broken.len() == 1, "expected one finding about {what:?}, got {:#?}", self.broken);
        assert!(self.broken[0].contains(what), "{:?} does not say {what:?}", self.broken[0]);
    }
}
