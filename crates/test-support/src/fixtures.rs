use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use platform::caller::Authority;
use platform::clock::Clock;
use platform::config::{Secret, ServiceConfig};
use platform::db::{DatabaseConfig, PLATFORM};
use platform::http::{Stack, StackConfig};
use platform::jobs::JobsConfig;
use platform::mail::{MailConfig, Mailbox, Mailer};
use platform::rate_limit::RateLimit;
use platform::secrets::{Secrets, SecretsConfig};

use crate::database::TestDatabase;

/// The moment at which clocks of tests stand.
///
/// # Panics
/// Never: the moment exists.
#[must_use]
pub fn start_of_time() -> DateTime<Utc> {
    DateTime::from_timestamp(1_767_225_600, 0).expect("2026-01-01")
}

/// Pools for a test's own database. The timeouts are generous: a busy machine must not fail a test.
#[must_use]
pub fn database_config(database: &TestDatabase, modules: &[&str]) -> DatabaseConfig {
    let pools = std::iter::once(&PLATFORM).chain(modules);
    DatabaseConfig {
        url: database.url().into(),
        roles: true,
        role_prefix: Some(database.role_prefix().to_owned()),
        connections: pools.map(|pool| ((*pool).to_owned(), 4)).collect(),
        statement_timeout_ms: 30_000,
        lock_timeout_ms: 30_000,
        acquire_timeout_ms: 60_000,
        slow_statement_ms: 30_000,
    }
}

/// A worker that a test steps by hand.
#[must_use]
pub fn jobs_config() -> JobsConfig {
    JobsConfig { queues: BTreeMap::new(), ..JobsConfig::default() }
}

/// Root secrets of no value.
#[must_use]
pub fn secrets() -> Secrets {
    let root = Secret::from("a root secret for tests, long enough to pass".to_owned());
    Secrets::new(SecretsConfig { current: 1, roots: [(1, root)].into() })
}

/// A product for tests.
#[must_use]
pub fn service_config() -> ServiceConfig {
    ServiceConfig { name: "Acme".to_owned(), public_url: "https://app.example".to_owned() }
}

/// A mailer that keeps everything in the returned mailbox.
///
/// # Panics
/// Never: the sender is an address.
#[must_use]
pub fn mailer(secrets: &Secrets, clock: &Clock) -> (Mailer, Mailbox) {
    let mailbox = Mailbox::new(clock.clone());
    let config = MailConfig { from: "Test <test@example.com>".to_owned(), smtp_url: None, timeout_ms: 1_000 };
    let mailer = Mailer::new(&config, secrets.clone(), mailbox.clone()).expect("a mailer without a server");
    (mailer, mailbox)
}

/// A limit that no test meets by accident, though every request is counted.
#[must_use]
pub fn unlimited() -> RateLimit {
    RateLimit { count: 1_000_000, seconds: 1, burst: 1_000_000 }
}

/// The HTTP stack with the limits of production, but for the one on how often somebody may ask.
#[must_use]
pub fn stack(authority: impl Authority) -> Stack {
    let config = StackConfig {
        request_timeout_ms: 60_000,
        max_in_flight: 512,
        body_limit: 64 * 1024,
        uri_limit: 8 * 1024,
        header_count_limit: 64,
        header_bytes_limit: 16 * 1024,
        rate_limit: unlimited(),
        trusted_proxies: Vec::new(),
        cors_origins: Vec::new(),
        hsts: false,
    };
    Stack { config, authority: Arc::new(authority), secrets: secrets() }
}
