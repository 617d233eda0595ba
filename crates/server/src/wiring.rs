//! Where the house is put together. Modules never see each other: here a port of one is answered by another, and here one
//! hears what another announced. Read it from top to bottom; there is no other magic.

mod billing_asks_users;
mod billing_hears_stripe;
mod billing_hears_users;
mod health;
mod users_asks_billing;
mod users_asks_webhooks;
mod users_hears_webhooks;
mod webhooks_hears_all;
mod webhooks_hears_users;
mod webhooks_hears_webhooks;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use futures_util::future::try_join_all;
use platform::clock::Clock;
use platform::db::{Databases, Db, Migrations};
use platform::events::Events;
use platform::http::{Document, Health, Routes, Stack};
use platform::jobs::{Jobs, Worker};
use platform::mail::{Mailbox, Mailer};
use platform::outbound::{Outbound, OutboundConfig};
use platform::secrets::Secrets;
use platform::shutdown::Shutdown;
use platform::{db, once, rate_limit, telemetry};

use crate::Config;

/// The version of the API document; see docs/evolving-the-api.md.
const VERSION: &str = "1.0.0";

/// How much of an answer of the payment provider is read: its objects are larger than what receivers of webhooks say.
const PROVIDER_ANSWER: usize = 1024 * 1024;

/// How long a call of the payment provider may take, in milliseconds. A request that needs two of them must hear of their end,
/// and write it down, before its own time is up (`http.stack.request_timeout_ms`, 15 s).
const PROVIDER_PATIENCE: u64 = 5_000;

/// Every module's migrations, the platform's first.
#[must_use]
pub fn migrations() -> Vec<Migrations> {
    vec![db::MIGRATIONS, users::MIGRATIONS, billing::MIGRATIONS, webhooks::MIGRATIONS]
}

/// The modules, wired: what every command works with.
pub struct House {
    /// The pools.
    pub databases: Databases,
    /// The probes.
    pub health: Health,
    /// Mail that was not sent to a server.
    pub mailbox: Mailbox,
    /// Accounts, sessions, organizations.
    pub users: users::Users,
    /// Plans.
    pub billing: billing::Billing,
    /// Webhooks.
    pub webhooks: webhooks::Webhooks,
    /// Runs what happens in the background.
    pub worker: Worker,
    config: Config,
    secrets: Secrets,
}

/// Why the house could not be put together.
#[derive(Debug, thiserror::Error)]
pub enum WiringError {
    /// The database's URL cannot be read.
    #[error("database.url cannot be read")]
    Database(#[from] sqlx::Error),
    /// The mailer cannot be made.
    #[error(transparent)]
    Mail(#[from] platform::mail::MailConfigError),
    /// The client for outgoing calls cannot be made.
    #[error("the client for outgoing calls cannot be made")]
    Outbound(#[from] platform::outbound::OutboundError),
    /// The registered jobs do not fit together.
    #[error(transparent)]
    Jobs(#[from] platform::jobs::InvalidJobs),
    /// The signing keys cannot be loaded.
    #[error(transparent)]
    Users(#[from] users::Error),
    /// The plan catalogue cannot be seeded.
    #[error(transparent)]
    Billing(#[from] billing::Error),
    /// The sources of incoming webhooks do not fit what is wired.
    #[error(transparent)]
    Webhooks(#[from] webhooks::Error),
}

impl House {
    /// Puts the modules together. Nothing is connected yet.
    ///
    /// # Errors
    /// [`WiringError`] when the configuration cannot be turned into parts.
    pub fn assemble(config: Config, clock: &Clock, shutdown: &Shutdown) -> Result<Self, WiringError> {
        let outbound = Outbound::new(&config.outbound)?;
        Self::assemble_with(config, clock, shutdown, outbound)
    }

    /// The same with a client for outgoing calls that somebody else made: tests say with it where names lead.
    ///
    /// # Errors
    /// As [`House::assemble`].
    pub fn assemble_with(
        config: Config,
        clock: &Clock,
        shutdown: &Shutdown,
        outbound: Outbound,
    ) -> Result<Self, WiringError> {
        let databases = Databases::open(&config.database)?;
        let secrets = Secrets::new(config.secrets.clone());
        let mailbox = Mailbox::new(clock.clone());
        let mailer = Mailer::new(&config.mail, secrets.clone(), mailbox.clone())?;
        let events = Events::new();
        let mut jobs = Jobs::new();

        let users = users::Users::new(users::Needs {
            db: databases.module(users::MIGRATIONS.module),
            clock: clock.clone(),
            secrets: secrets.clone(),
            events: events.clone(),
            mailer: mailer.clone(),
            outbound: outbound.clone(),
            service: config.service.clone(),
            config: config.users.clone(),
        });
        let provider = Outbound::new(&provider_bounds(&config.outbound))?;
        let billing = billing::Billing::new(billing::Needs {
            db: databases.module(billing::MIGRATIONS.module),
            clock: clock.clone(),
            events: events.clone(),
            customers: Arc::new(billing_asks_users::OrganizationsPay(users.clone())),
            payments: config.billing.stripe.provider(provider),
            return_origin: config.service.public_url.clone(),
            config: config.billing.clone(),
        });
        let webhooks = webhooks::Webhooks::new(webhooks::Needs {
            db: databases.module(webhooks::MIGRATIONS.module),
            clock: clock.clone(),
            secrets: secrets.clone(),
            events: events.clone(),
            outbound,
            handlers: inbound_handlers(&billing),
            config: config.webhooks.clone(),
        })?;

        once::register_pruning(&mut jobs, databases.platform());
        rate_limit::register_pruning(&mut jobs, databases.platform());
        mailer.register(&mut jobs);
        users.jobs(&mut jobs, personal_data(&billing, &webhooks));
        billing.jobs(&mut jobs);
        webhooks.jobs(&mut jobs);
        billing_hears_users::wire(&events, &mut jobs, &billing);
        webhooks_hears_users::wire(&events, &mut jobs, &webhooks);
        webhooks_hears_all::wire(&events, &mut jobs, &webhooks);
        webhooks_hears_webhooks::wire(&events, &mut jobs, &webhooks);
        users_hears_webhooks::wire(&events, &mut jobs, &users);

        let worker = Worker::new(jobs, &databases, config.jobs.clone())?;
        let health = Health::new(health::checks(&databases), shutdown.clone());
        Ok(Self { databases, health, mailbox, users, billing, webhooks, worker, config, secrets })
    }

    /// What every serving or working process checks and loads before it is ready; a module without its role is noticed here.
    ///
    /// # Errors
    /// When the database is away or the signing keys cannot be opened.
    pub async fn load(&self) -> Result<(), WiringError> {
        try_join_all(self.databases.pools().map(Db::ping)).await?;
        Ok(self.users.load_keys().await?)
    }

    /// What the modules keep in the database apart from their tables: the catalogue and the first signing key.
    ///
    /// # Errors
    /// When the database is away or the configured catalogue contradicts the stored one.
    pub async fn seed(&self) -> Result<(), WiringError> {
        self.billing.seed_plans().await?;
        self.load().await
    }

    /// An account to play with; only development calls this.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn seed_account(&self, email: &str, password: &str, name: &str) -> Result<(), WiringError> {
        self.users.seed_account(email, password, name).await?;
        Ok(())
    }

    /// Every operation with its document, as served.
    pub fn api(&self) -> (Router, Document) {
        self.routes().split(&self.config.service.name, VERSION)
    }

    /// The document as committed: the contract does not depend on what the product is called.
    #[must_use]
    pub fn contract(&self) -> Document {
        self.routes().split("API", VERSION).1
    }

    fn routes(&self) -> Routes {
        let v1 = Routes::new().merge(self.users.routes()).merge(self.billing.routes()).merge(self.webhooks.routes());
        // The next version is nested beside this one; see docs/evolving-the-api.md.
        Routes::new().merge(self.users.root_routes()).nest("/v1", v1)
    }

    /// What the public port serves; `developer` adds the documents and the mailbox.
    pub fn public_router(&self, developer: bool) -> Router {
        let (api, document) = self.api();
        let mut routes = api.merge(self.health.public_routes());
        if developer {
            routes = routes.merge(document.routes()).merge(self.mailbox.routes());
        }
        self.stack().wrap(routes)
    }

    /// What the operators' port serves.
    pub fn operations_router(&self) -> Router {
        let (_, document) = self.api();
        let databases = self.databases.clone();
        let metrics = move || {
            databases.measure();
            async { telemetry::render() }
        };
        self.health.routes().merge(document.routes()).route("/metrics", axum::routing::get(metrics))
    }

    fn stack(&self) -> Stack {
        let (config, secrets) = (self.config.http.stack.clone(), self.secrets.clone());
        Stack { config, authority: Arc::new(self.users.clone()), secrets }
    }
}

/// Who handles what comes from which source.
fn inbound_handlers(billing: &billing::Billing) -> BTreeMap<&'static str, Arc<dyn webhooks::ports::InboundHandler>> {
    let stripe: Arc<dyn webhooks::ports::InboundHandler> =
        Arc::new(billing_hears_stripe::StripeEvents(billing.clone()));
    BTreeMap::from([(billing_hears_stripe::SOURCE, stripe)])
}

/// Who adds to the export of a person's data.
fn personal_data(
    billing: &billing::Billing,
    webhooks: &webhooks::Webhooks,
) -> Vec<Arc<dyn users::ports::PersonalData>> {
    vec![
        Arc::new(users_asks_billing::Purchases(billing.clone())),
        Arc::new(users_asks_webhooks::Listening(webhooks.clone())),
    ]
}

/// The bounds of calls of the payment provider.
fn provider_bounds(all: &OutboundConfig) -> OutboundConfig {
    let total_timeout_ms = all.total_timeout_ms.min(PROVIDER_PATIENCE);
    OutboundConfig { answer_cap_bytes: PROVIDER_ANSWER, total_timeout_ms, ..all.clone() }
}
