//! The whole configuration: one section for the house's own parts, one for each module.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use platform::config::{ConfigError, ServiceConfig, load};
use platform::db::DatabaseConfig;
use platform::http::{ServerConfig, StackConfig};
use platform::jobs::JobsConfig;
use platform::mail::MailConfig;
use platform::outbound::OutboundConfig;
use platform::secrets::SecretsConfig;
use platform::telemetry::TelemetryConfig;
use serde::{Deserialize, Serialize};

const DEFAULT: &str = include_str!("../../../config/default.toml");
const PRODUCT: &str = include_str!("../../../config/product.toml");

/// Where this process runs, from `APP_ENVIRONMENT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Environment {
    /// A developer's machine.
    Development,
    /// Under test.
    Test,
    /// In front of the world.
    Production,
}

impl Environment {
    /// Reads the variable; development unless it says otherwise.
    ///
    /// # Errors
    /// When it names no environment.
    pub fn from_variables(variables: &BTreeMap<String, String>) -> Result<Self, ConfigError> {
        match variables.get("APP_ENVIRONMENT").map(String::as_str) {
            None | Some("development") => Ok(Self::Development),
            Some("test") => Ok(Self::Test),
            Some("production") => Ok(Self::Production),
            Some(other) => Err(ConfigError::Key {
                key: "APP_ENVIRONMENT".to_owned(),
                complaint: format!("`{other}` is none of development, test, production"),
            }),
        }
    }

    fn layer(self) -> &'static str {
        match self {
            Self::Development => include_str!("../../../config/development.toml"),
            Self::Test => include_str!("../../../config/test.toml"),
            Self::Production => include_str!("../../../config/production.toml"),
        }
    }

    /// The name as written in the variable.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Development => "development",
            Self::Test => "test",
            Self::Production => "production",
        }
    }
}

/// Everything operators decide. The defaults stand in config/default.toml, each with what it means;
/// the product's name stands in config/product.toml.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Name and address of the product.
    pub service: ServiceConfig,
    /// The listeners.
    pub http: HttpConfig,
    /// The database.
    pub database: DatabaseConfig,
    /// Root secrets.
    pub secrets: SecretsConfig,
    /// Logs, metrics and traces.
    pub telemetry: TelemetryConfig,
    /// Background work.
    pub jobs: JobsConfig,
    /// Mail.
    pub mail: MailConfig,
    /// Calls to servers of others.
    pub outbound: OutboundConfig,
    /// The module users.
    pub users: users::Config,
    /// The module billing.
    pub billing: billing::Config,
    /// The module webhooks.
    pub webhooks: webhooks::Config,
}

/// The listeners and what holds for every request.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpConfig {
    /// The public address.
    pub address: SocketAddr,
    /// The operators' address.
    pub operations_address: SocketAddr,
    /// Whether `serve` and `work` may listen beyond this machine outside production, as containers on one machine must.
    pub beyond_loopback: bool,
    /// Connections.
    pub server: ServerConfig,
    /// Requests.
    pub stack: StackConfig,
}

impl Config {
    /// Reads the layers for an environment. `DATABASE_URL` counts where `APP__DATABASE__URL` is not set.
    ///
    /// # Errors
    /// [`ConfigError`] naming the key, for one that is unknown, missing or of the wrong type.
    pub fn load(environment: Environment, variables: &BTreeMap<String, String>) -> Result<Self, ConfigError> {
        let mut variables = variables.clone();
        if let Some(url) = variables.remove("DATABASE_URL") {
            variables.entry("APP__DATABASE__URL".to_owned()).or_insert(url);
        }
        load(&[DEFAULT, PRODUCT, environment.layer()], &variables)
    }

    /// Everything that is wrong with the values, as `(key, complaint)`; production tolerates neither placeholders nor gaps.
    #[must_use]
    pub fn complaints(&self, environment: Environment) -> Vec<(String, String)> {
        let strict = environment == Environment::Production;
        let mut complaints = self.service.complaints(strict);
        complaints.extend(self.http.server.complaints());
        complaints.extend(self.http.stack.complaints());
        complaints.extend(self.database.complaints());
        complaints.extend(self.secrets.complaints(strict));
        complaints.extend(self.telemetry.complaints());
        complaints.extend(self.jobs.complaints());
        complaints.extend(self.mail.complaints(strict));
        complaints.extend(self.outbound.complaints(strict));
        complaints.extend(self.users.complaints());
        complaints.extend(self.billing.complaints(strict));
        complaints.extend(self.webhooks.complaints(strict));
        if self.http.server.read_timeout_ms <= self.http.stack.request_timeout_ms {
            let complaint = "must be longer than http.stack.request_timeout_ms: who waits for an answer sends nothing";
            complaints.push(("http.server.read_timeout_ms".to_owned(), complaint.to_owned()));
        }
        if strict && self.database.url.is_empty() {
            complaints.push(("database.url".to_owned(), "is missing: say where PostgreSQL is".to_owned()));
        }
        for module in crate::migrations().iter().filter(|known| !self.database.connections.contains_key(known.module)) {
            complaints.push((format!("database.connections.{}", module.module), "is missing".to_owned()));
        }
        complaints
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn keys(environment: Environment, pairs: &[(&str, &str)]) -> Vec<String> {
        let config = Config::load(environment, &variables(pairs)).expect("readable");
        config.complaints(environment).into_iter().map(|(key, _)| key).collect()
    }

    const PRODUCTION: &[(&str, &str)] = &[
        ("DATABASE_URL", "postgres://db.internal/app"),
        ("APP__SECRETS__ROOTS__1", "qT5cZk1v0yJ8mB3nX7wR2sL9pD4hF6gA1uE0"),
        ("APP__SERVICE__PUBLIC_URL", "https://api.acme.test"),
        ("APP__MAIL__SMTP_URL", "smtps://user:word@mail.acme.test"),
        ("APP__MAIL__FROM", "Acme <no-reply@acme.test>"),
        ("APP__BILLING__STRIPE__API_KEY", "sk_live_51H8xYz"),
        ("APP__WEBHOOKS__SOURCES__STRIPE__SECRETS__1", "whsec_9fK2mQ"),
    ];

    #[test]
    fn development_and_test_start_without_a_variable() {
        assert_eq!(keys(Environment::Development, &[]), [""; 0]);
        assert_eq!(keys(Environment::Test, &[]), [""; 0]);
    }

    #[test]
    fn production_names_every_missing_and_placeholder_value() {
        assert_eq!(keys(Environment::Production, PRODUCTION), [""; 0]);
        let bare = keys(Environment::Production, &[]);
        for key in [
            "database.url",
            "secrets.current",
            "service.public_url",
            "mail.smtp_url",
            "billing.stripe.api_key",
            "webhooks.sources.stripe.secrets",
        ] {
            assert!(bare.contains(&key.to_owned()), "{key} is missing in {bare:?}");
        }
        for (variable, value, key) in [
            ("APP__SECRETS__ROOTS__1", "development-only-root-secret-that-production-refuses", "secrets.roots.1"),
            ("APP__SECRETS__ROOTS__1", "short", "secrets.roots.1"),
            ("APP__SERVICE__PUBLIC_URL", "http://api.acme.test", "service.public_url"),
            ("APP__OUTBOUND__ADDRESSES", "any", "outbound.addresses"),
            ("APP__BILLING__STRIPE__API_KEY", "sk_test_development", "billing.stripe.api_key"),
            ("APP__BILLING__STRIPE__API_URL", "http://127.0.0.1:12111", "billing.stripe.api_url"),
            ("APP__WEBHOOKS__SOURCES__STRIPE__SECRETS__1", "whsec_development", "webhooks.sources.stripe.secrets.1"),
            ("APP__DATABASE__CONNECTIONS__USERS", "18", "database.connections"),
            ("APP__HTTP__SERVER__READ_TIMEOUT_MS", "15000", "http.server.read_timeout_ms"),
        ] {
            let mut pairs = PRODUCTION.to_vec();
            pairs.push((variable, value));
            assert_eq!(keys(Environment::Production, &pairs), [key], "{variable}={value}");
        }
    }

    #[test]
    fn wildcard_origins_are_refused_everywhere() {
        let mut config = Config::load(Environment::Development, &variables(&[])).expect("readable");
        config.http.stack.cors_origins = vec!["https://*.acme.test".to_owned()];
        assert_eq!(config.complaints(Environment::Development)[0].0, "http.stack.cors_origins");
    }

    #[test]
    fn an_unknown_environment_or_key_stops_the_start_by_name() {
        let error = Environment::from_variables(&variables(&[("APP_ENVIRONMENT", "prod")])).expect_err("unknown");
        assert!(error.to_string().contains("APP_ENVIRONMENT"), "{error}");
        let error =
            Config::load(Environment::Development, &variables(&[("APP__HTTP__ADRESS", "x")])).expect_err("unknown");
        assert!(error.to_string().contains("http.adress") || error.to_string().contains("adress"), "{error}");
    }

    #[test]
    fn printing_shows_no_secret() {
        let config = Config::load(Environment::Production, &variables(PRODUCTION)).expect("readable");
        let shown = format!("{config:?}{}", serde_json::to_string(&config).expect("serializes"));
        let secrets =
            ["qT5cZk1v0yJ8mB3nX7wR2sL9pD4hF6gA1uE0", "user:word", "db.internal", "sk_live_51H8xYz", "whsec_9fK2mQ"];
        for secret in secrets {
            assert!(!shown.contains(secret), "{secret}");
        }
    }
}
