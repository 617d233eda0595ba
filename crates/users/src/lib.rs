//! Accounts, sessions and organizations: who people are, how they prove it, and where they belong.

mod accounts;
mod audit;
mod authority;
mod config;
mod email;
mod error;
pub mod events;
mod jobs;
mod mails;
mod organizations;
mod passwords;
mod policy;
mod registrations;
mod sessions;
mod signing_keys;
mod tokens;

use std::sync::Arc;

use platform::clock::Clock;
use platform::config::ServiceConfig;
use platform::db::{Db, Migrations};
use platform::events::Events;
use platform::http::Routes;
use platform::jobs::Jobs;
use platform::mail::Mailer;
use platform::secrets::Secrets;

pub use accounts::Account;
pub use config::Config;
pub use error::Error;
pub use organizations::{NewOrganization, Organization, OrganizationContact, OrganizationName};
pub use passwords::HashingConfig;
pub use registrations::{Name, NewRegistration};
pub use sessions::{Credentials, SessionConfig, TokenPair};

/// The module's name: its schema, its role, its tag in the API document.
pub const MODULE: &str = "users";

/// The module's tables.
pub const MIGRATIONS: Migrations = Migrations { module: MODULE, migrator: sqlx::migrate!("../../migrations/users") };

/// What the module stands on.
pub struct Needs {
    /// The module's own pool.
    pub db: Db,
    /// Business time.
    pub clock: Clock,
    /// Peppers passwords and seals signing keys.
    pub secrets: Secrets,
    /// Tells other modules what happened.
    pub events: Events,
    /// Sends mail from within a transaction.
    pub mailer: Mailer,
    /// What the product is called and where it lives.
    pub service: ServiceConfig,
    /// What operators decided.
    pub config: Config,
}

/// The front door.
#[derive(Clone)]
pub struct Users(Arc<Inner>);

struct Inner {
    db: Db,
    clock: Clock,
    secrets: Secrets,
    events: Events,
    mailer: Mailer,
    service: ServiceConfig,
    config: Config,
    passwords: passwords::Passwords,
    keys: signing_keys::KeyRing,
}

impl Users {
    /// Opens the module.
    #[must_use]
    pub fn new(needs: Needs) -> Self {
        let Needs { db, clock, secrets, events, mailer, service, config } = needs;
        let passwords = passwords::Passwords::new(&config.hashing, secrets.clone());
        let keys = signing_keys::KeyRing::default();
        Self(Arc::new(Inner { db, clock, secrets, events, mailer, service, config, passwords, keys }))
    }

    /// The operations below `/v1`.
    #[must_use]
    pub fn routes(&self) -> Routes {
        let authentication = registrations::http::routes().merge(sessions::http::routes()).body_limit(8 * 1024);
        authentication
            .merge(accounts::http::routes())
            .merge(organizations::http::routes())
            .with_state(MODULE, self.clone())
    }

    /// The operations that stand outside the version: the public signing keys.
    #[must_use]
    pub fn root_routes(&self) -> Routes {
        signing_keys::http::routes().with_state(MODULE, self.clone())
    }

    /// The module's background work.
    pub fn jobs(&self, jobs: &mut Jobs) {
        jobs::register(self, jobs);
    }
}
