use serde::{Deserialize, Serialize};

/// The section `[webhooks]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// How many endpoints an organization may have.
    pub max_endpoints: i64,
    /// How many endpoints this process calls at a time.
    pub concurrency: u32,
    /// Messages, deliveries and attempts are dropped after so many days.
    pub retention_days: i32,
}

impl Default for Config {
    fn default() -> Self {
        Self { max_endpoints: 50, concurrency: 500, retention_days: 90 }
    }
}

impl Config {
    /// What is wrong with the values, as `(key, complaint)`.
    #[must_use]
    pub fn complaints(&self) -> Vec<(String, String)> {
        let within = |key: &str, value: i64, least: i64, most: i64| {
            let complaint = || (format!("webhooks.{key}"), format!("must be from {least} to {most}"));
            (!(least..=most).contains(&value)).then(complaint)
        };
        [
            within("max_endpoints", self.max_endpoints, 1, 1_000),
            within("concurrency", self.concurrency.into(), 1, 10_000),
            within("retention_days", self.retention_days.into(), 30, 3_650),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impossible_values_are_named() {
        assert_eq!(Config::default().complaints(), []);
        let broken = Config { max_endpoints: 0, concurrency: 0, retention_days: 29 };
        let keys: Vec<_> = broken.complaints().into_iter().map(|(key, _)| key).collect();
        assert_eq!(keys, ["webhooks.max_endpoints", "webhooks.concurrency", "webhooks.retention_days"]);
    }
}
