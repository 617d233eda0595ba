//! What organizations can buy. The provider (Stripe first) owns cards, tax and invoices; billing mirrors its truth and
//! grants access from it.

mod cancellations;
mod checkouts;
mod closings;
mod config;
mod customers;
mod entitlements;
mod error;
pub mod events;
mod money;
mod operations;
mod plans;
mod policy;
pub mod ports;
mod provider_events;
mod records;
mod stripe;
mod subscriptions;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use platform::clock::Clock;
use platform::db::{Db, Migrations};
use platform::events::Events;
use platform::http::Routes;
use platform::jobs::Jobs;

pub use config::{Config, PlanConfig, PriceConfig, StripeConfig};
pub use error::Error;
pub use money::Currency;
pub use plans::{Interval, Limit};
pub use provider_events::ProviderEvent;

/// The module's name: its schema, its role and its folder of migrations.
const MODULE: &str = "billing";

/// Brings the schema `billing` up to date.
pub const MIGRATIONS: Migrations = Migrations { module: MODULE, migrator: sqlx::migrate!("../../migrations/billing") };

/// The module's front door, and the state of its routes.
#[derive(Clone)]
pub struct Billing(Arc<Inner>);

struct Inner {
    db: Db,
    clock: Clock,
    events: Events,
    customers: Arc<dyn ports::Customers>,
    payments: Arc<dyn ports::PaymentProvider>,
    return_origins: BTreeSet<String>,
    config: Config,
}

/// What billing needs of the house.
#[derive(Clone)]
pub struct Needs {
    /// The module's own pool.
    pub db: Db,
    /// Business time.
    pub clock: Clock,
    /// Where it tells what it did.
    pub events: Events,
    /// Knows whom to send invoices to.
    pub customers: Arc<dyn ports::Customers>,
    /// Takes the money.
    pub payments: Arc<dyn ports::PaymentProvider>,
    /// Where the service stands in browsers: checkout may lead back to this URL's origin and to `config.return_origins`.
    pub return_origin: String,
    /// The section `[billing]` of the configuration.
    pub config: Config,
}

impl Billing {
    /// Opens the module.
    #[must_use]
    pub fn new(needs: Needs) -> Self {
        let Needs { db, clock, events, customers, payments, return_origin, config } = needs;
        let origins = config.return_origins.iter().chain([&return_origin]);
        let return_origins = origins.filter_map(|url| checkouts::origin(url)).collect();
        Self(Arc::new(Inner { db, clock, events, customers, payments, return_origins, config }))
    }

    /// The module's operations, to be nested under the API version.
    #[must_use]
    pub fn routes(&self) -> Routes {
        plans::http::routes()
            .merge(subscriptions::http::routes())
            .merge(checkouts::http::routes())
            .merge(operations::http::routes())
            .merge(entitlements::http::routes())
            .with_state(MODULE, self.clone())
    }

    /// The module's background work: asking the provider for what need not be done within a request.
    pub fn jobs(&self, jobs: &mut Jobs) {
        cancellations::register(self, jobs);
    }
}

impl fmt::Debug for Billing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Billing").field("provider", &self.0.payments.name()).finish_non_exhaustive()
    }
}
