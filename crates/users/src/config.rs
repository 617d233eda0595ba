use serde::{Deserialize, Serialize};

use crate::{HashingConfig, SessionConfig};

/// What the module lets operators decide.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// How long sessions and their tokens live.
    pub sessions: SessionConfig,
    /// How many password hashes may wait.
    pub hashing: HashingConfig,
}

impl Config {
    /// What is wrong with the values, as `(key, complaint)`.
    #[must_use]
    pub fn complaints(&self) -> Vec<(String, String)> {
        let SessionConfig { idle_seconds, absolute_seconds, reuse_grace_seconds, .. } = self.sessions;
        let HashingConfig { queue, wait_ms, threads } = self.hashing;
        let checks = [
            ("sessions.idle_seconds", idle_seconds >= 60, "must be at least 60"),
            ("sessions.absolute_seconds", absolute_seconds >= idle_seconds, "must not be shorter than idle_seconds"),
            ("sessions.reuse_grace_seconds", reuse_grace_seconds <= 60, "must be at most 60"),
            ("hashing.queue", (1..=10_000).contains(&queue), "must be from 1 to 10000"),
            ("hashing.wait_ms", wait_ms > 0, "must be longer than zero"),
            ("hashing.threads", threads <= 256, "must be at most 256"),
        ];
        let broken = checks.into_iter().filter(|(_, holds, _)| !holds);
        broken.map(|(key, _, complaint)| (format!("users.{key}"), complaint.to_owned())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impossible_values_are_named() {
        let config = Config {
            sessions: SessionConfig {
                audience: "api".to_owned(),
                idle_seconds: 100,
                absolute_seconds: 99,
                reuse_grace_seconds: 61,
            },
            hashing: HashingConfig { threads: 1, queue: 0, wait_ms: 1 },
        };
        let keys: Vec<String> = config.complaints().into_iter().map(|(key, _)| key).collect();
        let expected = ["users.sessions.absolute_seconds", "users.sessions.reuse_grace_seconds", "users.hashing.queue"];
        assert_eq!(keys, expected);
    }
}
