//! The general limit: so many requests a minute for everybody, counted in this process.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{FromRequestParts, Request};
use axum::http::HeaderValue;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;

use super::problem::Problem;
use super::stack::{Facts, Shared};
use crate::caller::{Caller, ClientAddress, UserId};
use crate::rate_limit::{Buckets, Exceeded, Left, RateLimit, fields};

const NAME: &str = "requests";

/// The limit and how far everybody is; nothing when it is off.
pub(super) struct Limiter(Option<On>);

struct On {
    limit: RateLimit,
    buckets: Buckets,
    policy: HeaderValue,
}

impl Limiter {
    pub(super) fn new(limit: RateLimit) -> Self {
        let on = || On { limit, buckets: Buckets::new(limit), policy: fields::policy(NAME, limit) };
        Self(limit.is_on().then(on))
    }
}

/// Whom a request counts on.
#[derive(Clone, Copy, Hash)]
enum Who {
    Address(u128),
    Person(UserId),
}

#[derive(Clone, Copy)]
struct Counted {
    who: Who,
    left: Left,
}

/// How one request is counted: on the address it comes from, until its access token shows a person.
pub(super) struct Tally {
    limiter: Arc<Limiter>,
    client: ClientAddress,
    counted: Mutex<Option<Counted>>,
}

impl Tally {
    pub(super) fn new(limiter: Arc<Limiter>, client: ClientAddress) -> Self {
        Self { limiter, client, counted: Mutex::default() }
    }

    pub(super) fn client(&self) -> ClientAddress {
        self.client
    }

    /// Counts the request on its address, before anything is done for it.
    fn count_address(&self) -> Result<(), Duration> {
        self.count(Who::Address(self.client.network()))
    }

    /// Counts the request on the person and no longer on the address, which may belong to a whole office.
    pub(super) fn count_person(&self, person: UserId) -> Result<(), Problem> {
        self.count(Who::Person(person)).map_err(|wait| self.refusal(wait))
    }

    fn count(&self, who: Who) -> Result<(), Duration> {
        let Some(on) = &self.limiter.0 else { return Ok(()) };
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = counted.take() {
            on.buckets.give_back(before.who);
        }
        *counted = Some(Counted { who, left: on.buckets.take(who)? });
        Ok(())
    }

    /// Undoes the count.
    fn give_back(&self) {
        let counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let (Some(on), Some(counted)) = (&self.limiter.0, counted) {
            on.buckets.give_back(counted.who);
        }
    }

    fn refusal(&self, wait: Duration) -> Problem {
        let limit = self.limiter.0.as_ref().map_or(RateLimit { count: 0, seconds: 0, burst: 0 }, |on| on.limit);
        Exceeded::new(NAME, limit, wait).into()
    }

    /// What the answer says: policy and what is left of it. Nothing for what is not counted.
    pub(super) fn fields(&self) -> Option<(HeaderValue, HeaderValue)> {
        let on = self.limiter.0.as_ref()?;
        let counted = (*self.counted.lock().unwrap_or_else(PoisonError::into_inner))?;
        Some((on.policy.clone(), fields::left(NAME, counted.left)))
    }
}

/// The turn of the general limit that a request took. Where callers show who they are by other means than an access token,
/// the handler gives it back once they did: then only those who cannot are limited.
pub struct TakenTurn(Arc<Facts>);

impl TakenTurn {
    /// Undoes the count; the answer says nothing of the limit then.
    pub fn give_back(self) {
        self.0.tally.give_back();
    }
}

impl<S: Send + Sync> FromRequestParts<S> for TakenTurn {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(Shared::of(parts).facts))
    }
}

/// Lets the request go on, or refuses it.
pub(super) async fn admit(request: Request, tally: &Tally) -> Result<Request, Problem> {
    let Err(wait) = tally.count_address() else { return Ok(request) };
    if request.headers().contains_key(AUTHORIZATION) {
        // Others behind the same address used up its turns. That must not lock out whoever can show who they are.
        let (mut parts, body) = request.into_parts();
        if Caller::from_request_parts(&mut parts, &()).await.is_ok() {
            return Ok(Request::from_parts(parts, body));
        }
    }
    Err(tally.refusal(wait))
}
