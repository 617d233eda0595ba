use std::collections::BTreeMap;

use platform::config::Secret;
use serde::{Deserialize, Serialize};

use crate::sources::Key;

/// The section `[webhooks]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// How many endpoints an organization may have.
    pub max_endpoints: i64,
    /// How many endpoints this process calls at a time.
    pub concurrency: u32,
    /// Messages, deliveries, attempts and the receipts of the inbox are dropped after so many days.
    pub retention_days: i32,
    /// Who may post to `/v1/inbound/{name}`.
    #[serde(default)]
    pub sources: BTreeMap<String, SourceConfig>,
}

/// The section `[webhooks.sources.{name}]`: one who tells us things.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceConfig {
    /// How it signs.
    pub scheme: Scheme,
    /// How old a signature may be, and how far ahead its clock, in seconds; five minutes unless it is said. Schemes that
    /// sign no time ignore it.
    #[serde(default = "five_minutes")]
    pub tolerance_seconds: i64,
    /// The secrets it may sign with, by names of no meaning: while one is rotated there are two.
    pub secrets: BTreeMap<String, Secret>,
}

/// A way to sign webhooks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scheme {
    /// As Stripe does, in `Stripe-Signature`.
    Stripe,
    /// As GitHub does, in `X-Hub-Signature-256`: the body alone, no time.
    Github,
    /// As Standard Webhooks 1.0 says, in `webhook-signature`; secrets are base64, with or without `whsec_` in front.
    StandardWebhooks,
}

fn five_minutes() -> i64 {
    300
}

impl Default for Config {
    fn default() -> Self {
        Self { max_endpoints: 50, concurrency: 500, retention_days: 90, sources: BTreeMap::new() }
    }
}

impl Config {
    /// What is wrong with the values, as `(key, complaint)`; placeholders only count where `strict`.
    #[must_use]
    pub fn complaints(&self, strict: bool) -> Vec<(String, String)> {
        let mut complaints: Vec<_> = [
            within("max_endpoints", self.max_endpoints, 1, 1_000),
            within("concurrency", self.concurrency.into(), 1, 10_000),
            within("retention_days", self.retention_days.into(), 30, 3_650),
        ]
        .into_iter()
        .flatten()
        .collect();
        complaints.extend(self.sources.iter().flat_map(|(name, source)| source.complaints(name, strict)));
        complaints
    }
}

impl SourceConfig {
    fn complaints(&self, name: &str, strict: bool) -> Vec<(String, String)> {
        let place = format!("sources.{name}");
        let mut complaints: Vec<_> =
            within(&format!("{place}.tolerance_seconds"), self.tolerance_seconds, 1, 3_600).into_iter().collect();
        let mut complain = |key: &str, complaint: &str| {
            complaints.push((format!("webhooks.{place}{key}"), complaint.to_owned()));
        };
        if !is_plain(name) {
            complain("", "must be named with 1 to 32 lower case letters, digits and underscores: it is part of a path");
        }
        if self.secrets.is_empty() {
            complain(".secrets", "holds no secret: nothing that comes in could be verified");
        }
        for (id, secret) in &self.secrets {
            if secret.expose().trim().is_empty() {
                complain(&format!(".secrets.{id}"), "is blank: anybody could sign with it");
            } else if Key::of(self.scheme, secret).is_none() {
                complain(&format!(".secrets.{id}"), "must be base64, with or without whsec_ in front");
            } else if strict && secret.is_placeholder() {
                complain(&format!(".secrets.{id}"), "is a placeholder; the source shows the real one");
            }
        }
        complaints
    }
}

fn within(key: &str, value: i64, least: i64, most: i64) -> Option<(String, String)> {
    let complaint = || (format!("webhooks.{key}"), format!("must be from {least} to {most}"));
    (!(least..=most).contains(&value)).then(complaint)
}

fn is_plain(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    (1..=32).contains(&name.len()) && name.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(secrets: &[&str]) -> SourceConfig {
        let named = |(at, secret): (usize, &&str)| (at.to_string(), Secret::from((*secret).to_owned()));
        let secrets = secrets.iter().enumerate().map(named).collect();
        SourceConfig { scheme: Scheme::Stripe, tolerance_seconds: 300, secrets }
    }

    fn keys(config: &Config, strict: bool) -> Vec<String> {
        config.complaints(strict).into_iter().map(|(key, _)| key).collect()
    }

    fn with(name: &str, source: SourceConfig) -> Config {
        Config { sources: [(name.to_owned(), source)].into(), ..Config::default() }
    }

    #[test]
    fn impossible_values_are_named() {
        assert_eq!(Config::default().complaints(true), []);
        let broken = Config { max_endpoints: 0, concurrency: 0, retention_days: 29, ..Config::default() };
        assert_eq!(keys(&broken, false), ["webhooks.max_endpoints", "webhooks.concurrency", "webhooks.retention_days"]);
        for tolerance_seconds in [0, -1, 3_601] {
            let broken = with("stripe", SourceConfig { tolerance_seconds, ..source(&["whsec_a"]) });
            assert_eq!(keys(&broken, false), ["webhooks.sources.stripe.tolerance_seconds"]);
        }
        for name in ["", "Stripe", "a/b", "a b", &"a".repeat(33)] {
            assert_eq!(keys(&with(name, source(&["whsec_a"])), false), [format!("webhooks.sources.{name}")]);
        }
    }

    #[test]
    fn a_source_needs_secrets_that_nobody_else_knows() {
        assert_eq!(keys(&with("stripe", source(&["whsec_old", "whsec_new"])), true), [""; 0]);
        assert_eq!(keys(&with("stripe", source(&[])), false), ["webhooks.sources.stripe.secrets"]);
        for blank in ["", " ", "\t\n"] {
            let config = with("stripe", source(&["whsec_a", blank]));
            assert_eq!(keys(&config, false), ["webhooks.sources.stripe.secrets.1"], "{blank:?}");
        }
        let placeholder = with("stripe", source(&["whsec_development"]));
        assert_eq!(keys(&placeholder, true), ["webhooks.sources.stripe.secrets.0"]);
        assert_eq!(keys(&placeholder, false), [""; 0]);
    }

    #[test]
    fn a_secret_of_standard_webhooks_is_base64() {
        let scheme = Scheme::StandardWebhooks;
        for good in ["whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD", "C2FVsBQIhrscChlQIMV+b5sSYspob7oD", "whsec_AAE="] {
            assert_eq!(keys(&with("post", SourceConfig { scheme, ..source(&[good]) }), true), [""; 0], "{good}");
        }
        for odd in ["whsec_", "whsec_not base64", "whsec_C2FV-BQI_rsc", "plain text"] {
            let config = with("post", SourceConfig { scheme, ..source(&["AAEC", odd]) });
            assert_eq!(keys(&config, false), ["webhooks.sources.post.secrets.1"], "{odd}");
            let elsewhere = with("post", SourceConfig { scheme: Scheme::Github, ..source(&[odd]) });
            assert_eq!(keys(&elsewhere, false), [""; 0], "others take {odd} as it is");
        }
    }

    #[test]
    fn a_source_is_read_by_the_names_of_its_scheme() {
        for (name, scheme) in
            [("stripe", Scheme::Stripe), ("github", Scheme::Github), ("standard_webhooks", Scheme::StandardWebhooks)]
        {
            let written = serde_json::json!({ "scheme": name, "secrets": { "1": "AAEC" } });
            let read: SourceConfig = serde_json::from_value(written).expect("a source");
            assert_eq!((read.scheme, read.tolerance_seconds), (scheme, 300));
        }
    }

    #[test]
    fn printing_shows_no_secret() {
        let config = with("stripe", source(&["whsec_hunter2", ""]));
        let unreadable = SourceConfig { scheme: Scheme::StandardWebhooks, ..source(&["hunter2, plainly"]) };
        let complaints = format!("{:?}{:?}", config.complaints(true), with("post", unreadable).complaints(true));
        let shown = format!("{config:?}{}{complaints}", serde_json::to_string(&config).expect("serializes"));
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
