//! Webhooks in both directions. Outgoing: tells the systems of organizations what happened here, with signed messages to
//! the endpoints they register, tried again until they arrive (Standard Webhooks, <https://www.standardwebhooks.com>).
//! Incoming: takes what configured sources tell us, verified and stored once, for the module that is wired to the source.

mod batches;
mod closings;
mod config;
mod deliveries;
mod endpoints;
mod error;
mod event_types;
pub mod events;
mod inbox;
mod jobs;
mod joint_writes;
mod messages;
mod operations;
mod partitions;
mod policy;
pub mod ports;
mod records;
mod replays;
mod signatures;
mod sources;

use std::collections::BTreeMap;
use std::sync::Arc;

use platform::clock::Clock;
use platform::db::{Db, Migrations};
use platform::events::Events;
use platform::http::Routes;
use platform::jobs::Jobs;
use platform::outbound::Outbound;
use platform::secrets::Secrets;

use inbox::Inbox;
use joint_writes::JointWrites;
use messages::recording::{self, Announcement};
use ports::InboundHandler;

pub use config::{Config, Scheme, SourceConfig};
pub use deliveries::{DeliveryOutcome, DeliveryStatus};
pub use error::Error;
pub use messages::NewMessage;
pub use operations::{AttemptEntry, DeliveryEntry, DeliveryFilter, ReceiptEntry, ReceiptFilter};

/// The module's name: its schema, its role and its folder of migrations.
const MODULE: &str = "webhooks";

/// Brings the schema `webhooks` up to date.
pub const MIGRATIONS: Migrations = Migrations { module: MODULE, migrator: sqlx::migrate!("../../migrations/webhooks") };

/// What the module needs of the house.
#[derive(Clone)]
pub struct Needs {
    /// The module's own pool.
    pub db: Db,
    /// Business time; it stamps signatures.
    pub clock: Clock,
    /// Seals the signing keys.
    pub secrets: Secrets,
    /// Tells other modules what happened.
    pub events: Events,
    /// Calls the endpoints.
    pub outbound: Outbound,
    /// Who handles what comes from a source, by the source's name in the configuration.
    pub handlers: BTreeMap<&'static str, Arc<dyn InboundHandler>>,
    /// The section `[webhooks]` of the configuration.
    pub config: Config,
}

/// The module's front door, and the state of its routes.
#[derive(Clone)]
pub struct Webhooks(Arc<Inner>);

struct Inner {
    db: Db,
    clock: Clock,
    secrets: Secrets,
    events: Events,
    outbound: Outbound,
    sources: sources::Sources,
    config: Config,
    partitions: partitions::Partitions,
    inbox: Inbox,
    announcements: JointWrites<Announcement, ()>,
}

impl Webhooks {
    /// Opens the module.
    ///
    /// # Errors
    /// [`Error::UnusableSource`] for a configured source that nobody handles or that has no secret.
    pub fn new(needs: Needs) -> Result<Self, Error> {
        let Needs { db, clock, secrets, events, outbound, handlers, config } = needs;
        let sources = sources::Sources::new(&config.sources, &handlers)?;
        let (inbox, partitions) = (Inbox::default(), partitions::Partitions::default());
        let announcements = JointWrites::of(recording::BATCH);
        let inner = Inner { db, clock, secrets, events, outbound, sources, config, partitions, inbox, announcements };
        Ok(Self(Arc::new(inner)))
    }

    /// The module's operations, to be nested under the API version.
    #[must_use]
    pub fn routes(&self) -> Routes {
        event_types::http::routes()
            .merge(endpoints::http::routes())
            .merge(deliveries::http::routes())
            .merge(replays::http::routes())
            .merge(inbox::http::routes().body_limit(inbox::MAX_PAYLOAD))
            .with_state(MODULE, self.clone())
    }

    /// The module's background work: sending, handing on what came in, and keeping no more than the retention.
    pub fn jobs(&self, jobs: &mut Jobs) {
        jobs::register(self, jobs);
    }
}
