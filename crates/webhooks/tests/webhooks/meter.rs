//! What this test records. Tests run beside each other, each on a thread of its own, where its tasks run too.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use metrics::{Counter, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit};

/// Keeps counters and gauges, and of histograms how much was recorded. Let [`metrics::set_default_local_recorder`] have it.
#[derive(Default)]
pub(crate) struct Meter(Mutex<BTreeMap<String, Arc<AtomicU64>>>);

struct Recorded(Arc<AtomicU64>);

impl HistogramFn for Recorded {
    fn record(&self, _value: f64) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Meter {
    /// A gauge, `name` or `name{label=value}`, without what comes behind the point.
    #[expect(clippy::cast_possible_truncation, reason = "that is wanted")]
    pub(crate) fn gauge(&self, name: &str) -> i64 {
        f64::from_bits(self.count(name)).trunc() as i64
    }

    /// A counter, or how much a histogram recorded.
    pub(crate) fn count(&self, name: &str) -> u64 {
        let cells = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        cells.get(name).map_or(0, |cell| cell.load(Ordering::Relaxed))
    }

    fn cell(&self, key: &Key) -> Arc<AtomicU64> {
        let labels: Vec<String> = key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let mut cells = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        cells.entry(format!("{}{labels}", key.name())).or_default().clone()
    }
}

impl Recorder for Meter {
    fn describe_counter(&self, _key: KeyName, _unit: Option<Unit>, _description: SharedString) {}

    fn describe_gauge(&self, _key: KeyName, _unit: Option<Unit>, _description: SharedString) {}

    fn describe_histogram(&self, _key: KeyName, _unit: Option<Unit>, _description: SharedString) {}

    fn register_counter(&self, key: &Key, _metadata: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.cell(key))
    }

    fn register_gauge(&self, key: &Key, _metadata: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.cell(key))
    }

    fn register_histogram(&self, key: &Key, _metadata: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(Arc::new(Recorded(self.cell(key))))
    }
}
