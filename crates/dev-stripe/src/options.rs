//! What a stand-in is started with.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// How the stand-in behaves. Start from [`Options::new`] and change what matters.
#[derive(Clone)]
pub struct Options {
    /// Where to listen; loopback only. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where events go. Empty: nowhere until [`crate::Control::send_events_to`].
    pub webhook_url: String,
    /// What events are signed with; must not be empty.
    pub webhook_secret: String,
    /// What callers must present as bearer token; must not be empty, nor look like a real key (`sk_live_…`).
    pub api_key: String,
    /// The `livemode` of every object and event.
    pub livemode: bool,
    /// What is for sale.
    pub prices: Vec<PriceSpec>,
    /// The name of the seller on the pages.
    pub shop: String,
    /// The version of Stripe's API that events have, and calls that name none. Before `2025-03-31` the period stands
    /// on the subscription, and an invoice names its subscription and payment itself.
    pub api_version: String,
    /// How long to wait before each further attempt to deliver an event.
    pub retry_delays: Vec<Duration>,
    /// What time it is before anybody moves the clock; also the time in signatures.
    pub time: Time,
}

impl Options {
    /// A stand-in on a free port, without prices, that tells `webhook_url` what happens.
    #[must_use]
    pub fn new(webhook_url: impl Into<String>, webhook_secret: impl Into<String>, api_key: impl Into<String>) -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            webhook_url: webhook_url.into(),
            webhook_secret: webhook_secret.into(),
            api_key: api_key.into(),
            livemode: false,
            prices: Vec::new(),
            shop: "Your product".to_owned(),
            api_version: "2025-09-30.clover".to_owned(),
            retry_delays: [200, 1_000, 5_000].map(Duration::from_millis).to_vec(),
            time: Time::machine(),
        }
    }
}

/// A recurring price and the product it is for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PriceSpec {
    /// `price_…`, as the product's own catalogue knows it.
    pub id: String,
    /// The name on the checkout page.
    pub product: String,
    /// Lower-case ISO 4217 code.
    pub currency: String,
    /// In Stripe's smallest unit of the currency.
    pub unit_amount: i64,
    /// How often it is due.
    pub interval: Interval,
    /// Whether it can still be bought.
    pub active: bool,
}

/// How often a price is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Interval {
    /// Monthly.
    Month,
    /// Yearly.
    Year,
}

impl Interval {
    /// Stripe's word for it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Month => "month",
            Self::Year => "year",
        }
    }
}

/// Where the stand-in reads what time it is.
#[derive(Clone)]
pub struct Time(Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>);

impl Time {
    /// The machine's clock.
    #[must_use]
    pub fn machine() -> Self {
        #[expect(clippy::disallowed_methods, reason = "the other side of the wire has a clock of its own")]
        Self::from_fn(Utc::now)
    }

    /// Somebody else's clock, so that a test with a fixed one gets signatures of its time.
    pub fn from_fn(now: impl Fn() -> DateTime<Utc> + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// Seconds since 1970.
    pub(crate) fn now(&self) -> i64 {
        (self.0)().timestamp()
    }
}
