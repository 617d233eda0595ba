use serde::{Deserialize, Serialize};

use crate::{HashingConfig, IssuerConfig, LimitsConfig, OrganizationConfig, SessionConfig};

/// What the module lets operators decide.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// How long sessions and their tokens live.
    pub sessions: SessionConfig,
    /// Whose access tokens are accepted instead of ours.
    pub issuer: IssuerConfig,
    /// How many password hashes may wait.
    pub hashing: HashingConfig,
    /// How often the world may try.
    pub limits: LimitsConfig,
    /// How large organizations may get.
    pub organizations: OrganizationConfig,
    /// How many days the audit log is kept.
    pub audit_retention_days: i32,
}

impl Config {
    /// What is wrong with the values, as `(key, complaint)`.
    #[must_use]
    pub fn complaints(&self) -> Vec<(String, String)> {
        let SessionConfig { idle_seconds, absolute_seconds, reuse_grace_seconds, recent_login_seconds, .. } =
            self.sessions;
        let HashingConfig { queue, wait_ms, threads } = self.hashing;
        let OrganizationConfig { max_members, max_open_invitations } = self.organizations;
        let counts = 1..=100_000;
        let checks = [
            ("sessions.idle_seconds", idle_seconds >= 60, "must be at least 60"),
            ("sessions.absolute_seconds", absolute_seconds >= idle_seconds, "must not be shorter than idle_seconds"),
            ("sessions.reuse_grace_seconds", reuse_grace_seconds <= 60, "must be at most 60"),
            ("sessions.recent_login_seconds", recent_login_seconds >= 60, "must be at least 60"),
            ("hashing.queue", (1..=10_000).contains(&queue), "must be from 1 to 10000"),
            ("hashing.wait_ms", wait_ms > 0, "must be longer than zero"),
            ("hashing.threads", threads <= 256, "must be at most 256"),
            ("audit_retention_days", (30..=36_500).contains(&self.audit_retention_days), "must be from 30 to 36500"),
            ("organizations.max_members", counts.contains(&max_members), "must be from 1 to 100000"),
            ("organizations.max_open_invitations", counts.contains(&max_open_invitations), "must be from 1 to 100000"),
        ];
        let broken = checks.into_iter().filter(|(_, holds, _)| !holds);
        let broken = broken.map(|(key, _, complaint)| (format!("users.{key}"), complaint.to_owned()));
        broken.chain(self.limits.complaints()).chain(self.issuer.complaints()).collect()
    }
}

#[cfg(test)]
mod tests {
    use platform::rate_limit::RateLimit;

    use super::*;
    use crate::{FailureLimit, TokenAlgorithm};

    #[test]
    fn impossible_values_are_named() {
        let config = Config {
            sessions: SessionConfig {
                audience: "api".to_owned(),
                idle_seconds: 100,
                absolute_seconds: 99,
                reuse_grace_seconds: 61,
                recent_login_seconds: 60,
            },
            issuer: IssuerConfig {
                url: "https://login.example".to_owned(),
                audience: String::new(),
                other_audiences: Vec::new(),
                jwks_url: "https://login.example/keys".to_owned(),
                algorithms: vec![TokenAlgorithm::EdDSA],
                token_type: "at+jwt".to_owned(),
            },
            hashing: HashingConfig { threads: 1, queue: 0, wait_ms: 1 },
            limits: LimitsConfig {
                login_by_address: RateLimit { count: 1, seconds: 0, burst: 1 },
                login_failures: FailureLimit { free: 1, longest_wait_seconds: 1, forgotten_after_seconds: 0 },
                second_factor_failures: FailureLimit { free: 0, longest_wait_seconds: 0, forgotten_after_seconds: 0 },
                register_by_address: RateLimit { count: 0, seconds: 0, burst: 0 },
                mail_by_account: RateLimit { count: 3, seconds: 3_600, burst: 3 },
                mail_by_address: RateLimit { count: 3, seconds: 3_600, burst: 3 },
                refresh_by_session: RateLimit { count: 3, seconds: 3_600, burst: 3 },
                invitations_by_person: RateLimit { count: 3, seconds: 3_600, burst: 3 },
                exports_by_person: RateLimit { count: 3, seconds: 86_400, burst: 3 },
            },
            organizations: OrganizationConfig { max_members: 1, max_open_invitations: 1 },
            audit_retention_days: 29,
        };
        let keys: Vec<String> = config.complaints().into_iter().map(|(key, _)| key).collect();
        let expected = [
            "users.sessions.absolute_seconds",
            "users.sessions.reuse_grace_seconds",
            "users.hashing.queue",
            "users.audit_retention_days",
            "users.limits.login_by_address",
            "users.limits.login_failures",
            "users.issuer.audience",
        ];
        assert_eq!(keys, expected);
    }
}
