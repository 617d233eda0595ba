//! Tells the systems of organizations what happened here: signed messages to the endpoints they register, tried again
//! until they arrive (Standard Webhooks, <https://www.standardwebhooks.com>).

mod config;
mod deliveries;
mod endpoints;
mod error;
mod event_types;
mod jobs;
mod messages;
mod partitions;
mod policy;
mod signatures;

use std::sync::Arc;

use platform::clock::Clock;
use platform::db::{Db, Migrations};
use platform::http::Routes;
use platform::jobs::Jobs;
use platform::outbound::Outbound;
use platform::secrets::Secrets;

pub use config::Config;
pub use error::Error;
pub use messages::NewMessage;

/// The module's name: its schema, its role and its folder of migrations.
const MODULE: &str = "webhooks";

/// Brings the schema `webhooks` up to date.
pub const MIGRATIONS: Migrations = Migrations { module: MODULE, migrator: sqlx::migrate!("../../migrations/webhooks") };

/// What the module needs of the house.
#[derive(Clone, Debug)]
pub struct Needs {
    /// The module's own pool.
    pub db: Db,
    /// Business time; it stamps signatures.
    pub clock: Clock,
    /// Seals the signing keys.
    pub secrets: Secrets,
    /// Calls the endpoints.
    pub outbound: Outbound,
    /// The section `[webhooks]` of the configuration.
    pub config: Config,
}

/// The module's front door, and the state of its routes.
#[derive(Clone, Debug)]
pub struct Webhooks(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    db: Db,
    clock: Clock,
    secrets: Secrets,
    outbound: Outbound,
    config: Config,
    partitions: partitions::Partitions,
}

impl Webhooks {
    /// Opens the module.
    #[must_use]
    pub fn new(needs: Needs) -> Self {
        let Needs { db, clock, secrets, outbound, config } = needs;
        Self(Arc::new(Inner { db, clock, secrets, outbound, config, partitions: partitions::Partitions::default() }))
    }

    /// The module's operations, to be nested under the API version.
    #[must_use]
    pub fn routes(&self) -> Routes {
        event_types::http::routes()
            .merge(endpoints::http::routes())
            .merge(deliveries::http::routes())
            .with_state(MODULE, self.clone())
    }

    /// The module's background work: sending, and keeping the partitions.
    pub fn jobs(&self, jobs: &mut Jobs) {
        jobs::register(self, jobs);
    }
}
