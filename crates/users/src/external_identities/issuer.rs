//! The issuer's public keys: fetched when they are needed, kept, fetched again now and then and when a token names one that is not
//! known. The issuer being away stops nobody whose key is known, and never our start.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use http::HeaderMap;
use jsonwebtoken::Algorithm;
use platform::clock::Clock;
use platform::http::{Method, StatusCode};
use platform::outbound::{CircuitBreaker, Outbound, OutboundError};
use platform::telemetry;
use tokio::task::JoinHandle;

use super::key_set::ForeignKeys;
use super::{IssuerConfig, IssuerError, TokenAlgorithm};

/// From then on they are fetched again, while the old ones go on being used.
const FRESH_FOR: TimeDelta = TimeDelta::minutes(10);

/// Nobody knows what the issuer took back since: older ones are used no more.
const USED_FOR: TimeDelta = TimeDelta::hours(24);

/// Anybody can write a token that names an unknown key, so nothing is fetched more often than this.
const FETCH_PAUSE: TimeDelta = TimeDelta::seconds(5);

/// So many failures in a row, and the issuer is left alone for so long.
const FAILURES: u32 = 5;
const LEFT_ALONE: TimeDelta = TimeDelta::seconds(30);

/// The issuer whose tokens are accepted. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Issuer(Arc<Inner>);

struct Inner {
    config: IssuerConfig,
    outbound: Outbound,
    clock: Clock,
    breaker: CircuitBreaker,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    keys: Option<Known>,
    tried_at: Option<DateTime<Utc>>,
    has_failed: bool,
    is_fetching: bool,
}

#[derive(Clone)]
struct Known {
    keys: Arc<ForeignKeys>,
    since: DateTime<Utc>,
}

/// Why nothing is fetched now.
enum NoFetch {
    /// Somebody else is at it.
    UnderWay,
    /// The last time is too recent.
    TooSoon,
}

#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error("the issuer keeps failing and is left alone for a while")]
    LeftAlone,
    #[error("the issuer's keys cannot be fetched")]
    Call(#[from] OutboundError),
    #[error("the issuer answered {0} instead of its keys")]
    Answer(StatusCode),
    #[error("what the issuer answered holds no key of use")]
    NoKeys,
}

impl Issuer {
    /// `None` while no issuer is configured.
    pub(crate) fn new(config: &IssuerConfig, outbound: Outbound, clock: Clock) -> Option<Self> {
        if config.url.is_empty() {
            return None;
        }
        let breaker = CircuitBreaker::new("issuer", clock.clone(), FAILURES, LEFT_ALONE);
        Some(Self(Arc::new(Inner { config: config.clone(), outbound, clock, breaker, state: Mutex::default() })))
    }

    pub(crate) fn url(&self) -> &str {
        &self.0.config.url
    }

    pub(super) fn config(&self) -> &IssuerConfig {
        &self.0.config
    }

    pub(super) fn accepts(&self, algorithm: Algorithm) -> bool {
        let named = match algorithm {
            Algorithm::EdDSA => TokenAlgorithm::EdDSA,
            Algorithm::ES256 => TokenAlgorithm::ES256,
            Algorithm::RS256 => TokenAlgorithm::RS256,
            _ => return false,
        };
        self.0.config.algorithms.contains(&named)
    }

    /// Fetches the keys without waiting for them.
    pub(crate) fn prepare(&self) {
        // Whoever is at it does it for everybody.
        self.begin_fetch().ok();
    }

    /// The keys, which may be a little old. They hold the named one unless the issuer has none of that name.
    ///
    /// # Errors
    /// [`IssuerError::Unavailable`] when that cannot be known now.
    pub(super) async fn keys_with(&self, kid: &str) -> Result<Arc<ForeignKeys>, IssuerError> {
        if let Some(known) = self.known().filter(|known| known.keys.get(kid).is_some()) {
            if self.age(known.since) >= FRESH_FOR {
                self.prepare();
            }
            return Ok(known.keys);
        }
        match self.begin_fetch() {
            // A panic in it was told of where it happened; then nothing has changed.
            Ok(fetching) => drop(fetching.await),
            Err(NoFetch::TooSoon) => {}
            Err(NoFetch::UnderWay) => return Err(IssuerError::Unavailable),
        }
        let has_failed = self.state().has_failed;
        self.known().filter(|_| !has_failed).map(|known| known.keys).ok_or(IssuerError::Unavailable)
    }

    /// In a task of its own: whoever asked may hang up, and the keys are for everybody.
    fn begin_fetch(&self) -> Result<JoinHandle<()>, NoFetch> {
        let mut state = self.state();
        if state.is_fetching {
            return Err(NoFetch::UnderWay);
        }
        if state.tried_at.is_some_and(|tried_at| self.age(tried_at) < FETCH_PAUSE) {
            return Err(NoFetch::TooSoon);
        }
        (state.is_fetching, state.tried_at) = (true, Some(self.0.clock.now()));
        drop(state);
        Ok(telemetry::spawn("issuer keys", Fetching(self.clone()).run()))
    }

    async fn ask(&self) -> Result<ForeignKeys, FetchError> {
        let attempt = self.0.breaker.attempt().ok_or(FetchError::LeftAlone)?;
        let answer = self.0.outbound.send(Method::GET, &self.0.config.jwks_url, HeaderMap::new(), "").await?;
        if answer.status != StatusCode::OK || answer.cut {
            return Err(FetchError::Answer(answer.status));
        }
        let keys = ForeignKeys::parse(&answer.body).ok_or(FetchError::NoKeys)?;
        attempt.succeed();
        Ok(keys)
    }

    /// What was fetched, unless it is too old to be believed.
    fn known(&self) -> Option<Known> {
        self.state().keys.clone().filter(|known| self.age(known.since) < USED_FOR)
    }

    /// A clock that was set back makes nothing younger.
    fn age(&self, at: DateTime<Utc>) -> TimeDelta {
        (self.0.clock.now() - at).abs()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A fetch that is under way; however it ends, another may begin.
struct Fetching(Issuer);

impl Fetching {
    async fn run(self) {
        let fetched = self.0.ask().await;
        let since = self.0.0.clock.now();
        let mut state = self.0.state();
        state.has_failed = fetched.is_err();
        match fetched {
            Ok(keys) => state.keys = Some(Known { keys: Arc::new(keys), since }),
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(error, "the issuer's keys stay as they are known");
            }
        }
    }
}

impl Drop for Fetching {
    fn drop(&mut self) {
        self.0.state().is_fetching = false;
    }
}
