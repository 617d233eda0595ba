//! What organizations can buy. The provider (Stripe first) owns cards, tax and invoices; billing mirrors its truth and
//! grants access from it. So far: the plan catalogue.

mod config;
mod error;
mod money;
mod plans;

use std::sync::Arc;

use platform::clock::Clock;
use platform::db::{Db, Migrations};
use platform::http::Routes;

pub use config::{Config, PlanConfig, PriceConfig};
pub use error::Error;
pub use money::Currency;
pub use plans::{Interval, Limit};

/// The module's name: its schema, its role and its folder of migrations.
const MODULE: &str = "billing";

/// Brings the schema `billing` up to date.
pub const MIGRATIONS: Migrations = Migrations { module: MODULE, migrator: sqlx::migrate!("../../migrations/billing") };

/// The module's front door, and the state of its routes.
#[derive(Clone, Debug)]
pub struct Billing(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    db: Db,
    clock: Clock,
    config: Config,
}

/// What billing needs of the house.
#[derive(Clone, Debug)]
pub struct Needs {
    /// The module's own pool.
    pub db: Db,
    /// Business time.
    pub clock: Clock,
    /// The section `[billing]` of the configuration.
    pub config: Config,
}

impl Billing {
    /// Opens the module.
    #[must_use]
    pub fn new(needs: Needs) -> Self {
        let Needs { db, clock, config } = needs;
        Self(Arc::new(Inner { db, clock, config }))
    }

    /// The module's operations, to be nested under the API version.
    #[must_use]
    pub fn routes(&self) -> Routes {
        plans::http::routes().with_state(MODULE, self.clone())
    }
}
