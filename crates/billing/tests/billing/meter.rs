//! Counters of the process. Tests run beside each other in it, so where several count the same, each can only say what was
//! added at least.

use platform::telemetry::render;

/// A counter, and how far it was.
pub(crate) struct Meter {
    name: &'static str,
    labels: Vec<String>,
    start: u64,
}

impl Meter {
    /// Looks at a counter with these labels, whatever others it has.
    pub(crate) fn start(name: &'static str, labels: &[(&str, &str)]) -> Self {
        let labels = labels.iter().map(|(label, value)| format!("{label}=\"{value}\"")).collect();
        let meter = Self { name, labels, start: 0 };
        Self { start: meter.read(), ..meter }
    }

    /// What was added since.
    pub(crate) fn added(&self) -> u64 {
        self.read() - self.start
    }

    fn read(&self) -> u64 {
        let page = render();
        let counters =
            page.lines().filter_map(|line| line.strip_prefix(self.name)?.strip_prefix('{')?.split_once("} "));
        let counters = counters.filter(|(labels, _)| self.labels.iter().all(|label| labels.contains(label)));
        counters.map(|(_, count)| count.parse::<u64>().expect("a number")).sum()
    }
}
