use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How this process works on jobs. Times in milliseconds.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobsConfig {
    /// How often an idle worker looks for work; wake-ups make it look sooner.
    pub poll_interval_ms: u64,
    /// After this time without a sign of life a job is taken from its worker. The sign is given three times as often.
    pub lease_ms: u64,
    /// How long running jobs may go on after the shutdown began; then they are stopped and given back.
    pub drain_ms: u64,
    /// The most jobs taken from one queue in one statement.
    pub batch: usize,
    /// How many jobs of one queue run at a time unless `queues` says otherwise.
    pub concurrency: usize,
    /// How many jobs of the named queue run at a time; 0 leaves the queue to other processes.
    pub queues: BTreeMap<String, usize>,
}

impl Default for JobsConfig {
    fn default() -> Self {
        Self {
            poll_interval_ms: 1_000,
            lease_ms: 60_000,
            drain_ms: 20_000,
            batch: 200,
            concurrency: 8,
            queues: BTreeMap::new(),
        }
    }
}

impl JobsConfig {
    /// What is wrong with the values, as `(key, complaint)`.
    #[must_use]
    pub fn complaints(&self) -> Vec<(String, String)> {
        let at_least = |key: &str, value: u64, least: u64| {
            (value < least).then(|| (format!("jobs.{key}"), format!("must be at least {least}")))
        };
        [
            at_least("poll_interval_ms", self.poll_interval_ms, 10),
            at_least("lease_ms", self.lease_ms, 1_000),
            at_least("batch", self.batch as u64, 1),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    pub(super) fn poll_interval(&self) -> Duration {
        Duration::from_millis(self.poll_interval_ms)
    }

    pub(super) fn lease(&self) -> Duration {
        Duration::from_millis(self.lease_ms)
    }

    pub(super) fn drain(&self) -> Duration {
        Duration::from_millis(self.drain_ms)
    }

    pub(super) fn concurrency_of(&self, queue: &str) -> usize {
        self.queues.get(queue).copied().unwrap_or(self.concurrency)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impossible_values_are_named() {
        assert_eq!(JobsConfig::default().complaints(), []);
        let broken = JobsConfig { poll_interval_ms: 0, lease_ms: 10, batch: 0, ..JobsConfig::default() };
        let keys: Vec<_> = broken.complaints().into_iter().map(|(key, _)| key).collect();
        assert_eq!(keys, ["jobs.poll_interval_ms", "jobs.lease_ms", "jobs.batch"]);
    }
}
