//! What stands behind the front door: everything that use cases work with.

use platform::clock::Clock;
use platform::config::ServiceConfig;
use platform::db::Db;
use platform::events::Events;
use platform::mail::Mailer;
use platform::rate_limit::RateLimits;
use platform::secrets::Secrets;

use crate::external_identities::issuer::Issuer;
use crate::passwords::Passwords;
use crate::signing_keys::KeyRing;
use crate::standing::Standing;
use crate::{Config, Needs};

pub(crate) struct Inner {
    pub(crate) db: Db,
    pub(crate) clock: Clock,
    pub(crate) secrets: Secrets,
    pub(crate) events: Events,
    pub(crate) mailer: Mailer,
    pub(crate) service: ServiceConfig,
    pub(crate) config: Config,
    pub(crate) passwords: Passwords,
    pub(crate) keys: KeyRing,
    pub(crate) limits: RateLimits,
    pub(crate) standing: Standing,
    pub(crate) issuer: Option<Issuer>,
}

impl Inner {
    pub(crate) fn new(needs: Needs) -> Self {
        let Needs { db, clock, secrets, events, mailer, outbound, service, config } = needs;
        let issuer = Issuer::new(&config.issuer, outbound, clock.clone());
        let passwords = Passwords::new(&config.hashing, secrets.clone());
        let (keys, limits, standing) = (KeyRing::default(), RateLimits::new(&secrets), Standing::new(&db));
        Self { db, clock, secrets, events, mailer, service, config, passwords, keys, limits, standing, issuer }
    }
}
