//! Accounts, sessions and organizations: who people are, how they prove it, and where they belong.

mod accounts;
mod audit;
mod authority;
mod config;
mod email;
mod email_changes;
mod erasures;
mod error;
pub mod events;
mod exports;
mod external_identities;
mod inner;
mod invitations;
mod jobs;
mod limits;
mod mails;
mod members;
mod notices;
mod one_time_secrets;
mod organizations;
mod password_changes;
mod password_resets;
mod passwords;
mod personal_tokens;
mod policy;
pub mod ports;
mod registrations;
mod routes;
mod second_factors;
mod sessions;
mod signing_keys;
mod standing;
mod tokens;

use std::sync::Arc;

use platform::clock::Clock;
use platform::config::ServiceConfig;
use platform::db::{Db, Migrations};
use platform::events::Events;
use platform::http::Routes;
use platform::jobs::Jobs;
use platform::mail::Mailer;
use platform::outbound::Outbound;
use platform::secrets::Secrets;

pub use accounts::Account;
pub use config::Config;
pub use error::Error;
pub use external_identities::{IssuerConfig, IssuerError, TokenAlgorithm};
pub use limits::{FailureLimit, LimitsConfig};
pub use notices::Notice;
pub use organizations::{NewOrganization, Organization, OrganizationConfig, OrganizationContact, OrganizationName};
pub use password_changes::PasswordChange;
pub use passwords::HashingConfig;
pub use registrations::{Name, NewRegistration};
pub use second_factors::SecondFactor;
pub use sessions::{Credentials, LiveSession, SessionConfig, SessionId, SessionScope, TokenPair};
pub use signing_keys::{KeyState, SigningKeyEntry};

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
    /// Fetches the keys of a configured issuer.
    pub outbound: Outbound,
    /// What the product is called and where it lives.
    pub service: ServiceConfig,
    /// What operators decided.
    pub config: Config,
}

/// The front door.
#[derive(Clone)]
pub struct Users(Arc<inner::Inner>);

impl Users {
    /// Opens the module.
    #[must_use]
    pub fn new(needs: Needs) -> Self {
        Self(Arc::new(inner::Inner::new(needs)))
    }

    /// The operations below `/v1`.
    #[must_use]
    pub fn routes(&self) -> Routes {
        routes::below_v1(self).with_state(MODULE, self.clone())
    }

    /// The operations that stand outside the version: the public signing keys.
    #[must_use]
    pub fn root_routes(&self) -> Routes {
        signing_keys::http::routes().with_state(MODULE, self.clone())
    }

    /// The module's background work. An export asks everybody who keeps `personal_data`.
    pub fn jobs(&self, jobs: &mut Jobs, personal_data: Vec<Arc<dyn ports::PersonalData>>) {
        jobs::register(self, jobs, personal_data);
    }
}
