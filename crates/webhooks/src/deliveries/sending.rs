//! The delivery loop: takes what is due, calls the endpoints, and writes down how it went. No transaction is open while
//! an endpoint is called.

use std::collections::HashMap;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use platform::caller::OrgId;
use platform::ids::new_uuid;
use platform::jobs::{BoxError, Pump};
use platform::telemetry::{RequestContext, panic_text, spawn, with_context};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until, timeout};
use uuid::Uuid;

use super::gauges::{self, Gauges};
use super::settling::Settling;
use super::shares::Shares;
use super::store::claims::{self, Letter, Portion, Ready, SealedKey, Taken};
use super::store::settlements::{self, Change, Look};
use super::verdict::{Failure, Outcome, Response, describe, is_at_fault, judge};
use super::{Attempt, AttemptId};
use crate::endpoints::EndpointId;
use crate::jobs::CHANNEL;
use crate::messages::MessageId;
use crate::signatures::{SigningKey, signature};
use crate::{Error, Webhooks};

/// The most deliveries taken at once.
const BATCH: usize = 200;

/// The most endpoints looked at in one transaction, however few calls there is room for: many may have nothing due.
const LOOKED_AT: usize = 50;

/// The most such transactions before idle endpoints have to wait for the next call of the pump.
const LOOKS: usize = 100;

/// Looks begin at least so far apart. What one costs depends little on how much it takes, so under load each takes more.
const PACE: Duration = Duration::from_millis(2);

/// How long a delivery is ours: longer than a call with its settlement can take, or it would be sent twice.
pub(super) const LEASE: Duration = Duration::from_mins(1);

/// A call is given up after half of that, whatever the client's own deadline is.
const CALL_LIMIT: Duration = Duration::from_secs(30);

/// Sends what is due. Any number of these may share a database.
pub(crate) struct Sending {
    webhooks: Webhooks,
    /// One permit for each call, from its claim to its settlement.
    room: Arc<Semaphore>,
    shares: Arc<Shares>,
    gauges: Gauges,
    settling: Arc<Settling>,
    /// When the next look may begin.
    next_look: Mutex<Instant>,
}

/// What a look found.
struct Found {
    calls: Vec<Call>,
    /// It gave up with endpoints left to look at.
    more: bool,
}

/// Everything that a call needs.
struct Call {
    taken: Taken,
    lease: Uuid,
    target: Arc<Target>,
    /// None when the message is older than what is kept.
    letter: Option<Arc<Letter>>,
}

/// Where a call goes and what signs it.
struct Target {
    organization: OrgId,
    url: String,
    keys: Vec<SigningKey>,
}

impl Target {
    fn of(Ready { organization, url, .. }: Ready) -> Self {
        Self { organization, url, keys: Vec::new() }
    }
}

impl Sending {
    pub(crate) fn new(webhooks: Webhooks) -> Self {
        let room = Arc::new(Semaphore::new(permits(&webhooks)));
        let settling = Arc::new(Settling::new(webhooks.clone()));
        let next_look = Mutex::new(Instant::now());
        Self { settling, shares: Arc::default(), gauges: Gauges::default(), next_look, room, webhooks }
    }

    /// One call, from its claim to its settlement.
    fn deliver(&self, call: Call, permit: Option<OwnedSemaphorePermit>) -> impl Future<Output = ()> + Send + use<> {
        let (webhooks, settling, shares) = (self.webhooks.clone(), self.settling.clone(), self.shares.clone());
        let on_its_way = shares.begin(call.target.organization);
        async move {
            let outcome = webhooks.attempt(&call).await;
            drop(on_its_way);
            settling.settle(outcome).await;
            drop(permit);
            if shares.was_held_back() {
                webhooks.ring().await;
            }
        }
    }

    async fn pace(&self) {
        let (now, at) = {
            let mut next = self.next_look.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            let at = now.max(*next);
            *next = at + PACE;
            (now, at)
        };
        if at > now {
            sleep_until(at).await;
        }
    }

    /// Waits until one call can be made and takes the room for as many more as there is.
    async fn room(&self) -> Result<OwnedSemaphorePermit, BoxError> {
        let mut permits = self.room.clone().acquire_owned().await?;
        let more = self.room.available_permits().min(BATCH - 1);
        if let Ok(more) = self.room.clone().try_acquire_many_owned(u32::try_from(more)?) {
            permits.merge(more);
        }
        Ok(permits)
    }
}

fn permits(webhooks: &Webhooks) -> usize {
    usize::try_from(webhooks.0.config.concurrency).unwrap_or(Semaphore::MAX_PERMITS)
}

#[async_trait]
impl Pump for Sending {
    async fn pump(&self) -> Result<usize, BoxError> {
        self.pace().await;
        let mut room = self.room().await?;
        self.webhooks.make_room().await?;
        let left = room.num_permits() + self.room.available_permits();
        let found = self.webhooks.look(room.num_permits(), left, &self.shares).await?;
        let count = found.calls.len() + usize::from(found.more);
        for call in found.calls {
            spawn("delivery", self.deliver(call, room.split(1)));
        }
        self.webhooks.sample(&self.gauges).await;
        Ok(count)
    }

    async fn settle(&self) {
        // All permits are free when no call is left.
        let all = self.room.acquire_many(self.webhooks.0.config.concurrency).await;
        drop(all);
    }
}

impl Webhooks {
    /// Takes what is due, up to `room`. Endpoints that are ready with nothing due, as most are when a lease of theirs would
    /// have ended, never keep those behind them waiting.
    async fn look(&self, room: usize, left: usize, shares: &Shares) -> Result<Found, Error> {
        for _ in 0..LOOKS {
            let (all, calls) = self.take_due(room, left, shares).await?;
            if all || !calls.is_empty() {
                return Ok(Found { calls, more: false });
            }
        }
        Ok(Found { calls: Vec::new(), more: true })
    }

    /// Leases what is due, up to `room` and to each organization's share of what is `left`; says whether every endpoint that
    /// may be looked at was.
    async fn take_due(&self, room: usize, left: usize, shares: &Shares) -> Result<(bool, Vec<Call>), Error> {
        let limit = i64::try_from(room).unwrap_or(i64::MAX);
        let lease = new_uuid();
        let mut tx = self.0.db.begin().await?;
        let ready = claims::lock_ready(&mut tx, &shares.satisfied(left), LOOKED_AT).await?;
        let portions = shares.divide(&ready, left);
        let all = ready.len() < LOOKED_AT && portions.len() == ready.len();
        if portions.is_empty() {
            return Ok((all, Vec::new()));
        }
        let quiet = claims::list_quiet(&mut tx, &portions).await?;
        let taken = claims::take(&mut tx, &portions, lease, LEASE, limit).await?;
        let mut changes = changes(&portions, &quiet, &taken);
        if taken.len() == room {
            // Those that got nothing were not looked at: they keep their place in the line.
            changes.retain(|change| taken.iter().any(|taken| taken.endpoint == change.endpoint));
        }
        settlements::change_endpoints(&mut tx, &changes, LEASE).await?;
        let endpoints: Vec<Uuid> = taken.iter().map(|taken| taken.endpoint.uuid()).collect();
        let keys = claims::list_keys(&mut tx, &endpoints).await?;
        let messages: Vec<Uuid> = taken.iter().map(|taken| taken.message.uuid()).collect();
        let letters = claims::list_letters(&mut tx, &messages).await?;
        tx.commit().await?;
        let targets = self.targets(ready, keys);
        let letters: HashMap<MessageId, Arc<Letter>> =
            letters.into_iter().map(|letter| (letter.id, Arc::new(letter))).collect();
        let call = |taken: Taken| {
            let target = targets.get(&taken.endpoint)?.clone();
            Some(Call { lease, target, letter: letters.get(&taken.message).cloned(), taken })
        };
        Ok((all, taken.into_iter().filter_map(call).collect()))
    }

    /// Has the loops look again.
    async fn ring(&self) {
        let rung = async {
            let mut tx = self.0.db.begin().await?;
            tx.wake(CHANNEL);
            tx.commit().await
        };
        if let Err(error) = rung.await {
            tracing::debug!(%error, "a wake-up was lost; polling will find the work");
        }
    }

    fn targets(&self, ready: Vec<Ready>, keys: Vec<SealedKey>) -> HashMap<EndpointId, Arc<Target>> {
        let mut targets: HashMap<EndpointId, Target> =
            ready.into_iter().map(|endpoint| (endpoint.id, Target::of(endpoint))).collect();
        for SealedKey { endpoint, sealed } in keys {
            match (SigningKey::open(&self.0.secrets, &sealed), targets.get_mut(&endpoint)) {
                (Ok(key), Some(target)) => target.keys.push(key),
                (Err(error), _) => tracing::error!(%error, %endpoint, "a signing key cannot be opened"),
                (Ok(_), None) => {}
            }
        }
        targets.into_iter().map(|(id, target)| (id, Arc::new(target))).collect()
    }

    /// One try, on behalf of the request that caused the message.
    async fn attempt(&self, call: &Call) -> Outcome {
        let sent_at = self.0.clock.now();
        let response = match &call.letter {
            Some(letter) => {
                let context = RequestContext {
                    request_id: letter.request_id.clone().unwrap_or_else(|| letter.id.to_string()),
                    traceparent: letter.traceparent.clone(),
                    client: None,
                };
                with_context(context, or_crashed(self.post(&call.target, letter, sent_at.timestamp()))).await
            }
            None => Err(Failure::Expired),
        };
        let verdict = judge(&response, call.taken.attempts);
        let (http_status, duration_ms, error, answer) = describe(&response);
        let (delivery, endpoint) = (call.taken.delivery, call.taken.endpoint);
        tracing::debug!(%delivery, %endpoint, outcome = verdict.name(), http_status, error, duration_ms, "attempt");
        let attempt = Attempt { id: AttemptId::new(), sent_at, duration_ms, http_status, error, answer };
        let at_fault = is_at_fault(&response);
        let outcome = Outcome { delivery, endpoint, lease: call.lease, attempt, verdict, at_fault };
        gauges::count_attempt(call.taken.attempts, &outcome);
        outcome
    }

    async fn post(&self, target: &Target, letter: &Letter, timestamp: i64) -> Response {
        let headers = headers(target, letter, timestamp).ok_or(Failure::Unsigned)?;
        match timeout(CALL_LIMIT, self.0.outbound.post(&target.url, headers, letter.body.clone())).await {
            Ok(answered) => answered.map_err(Failure::Call),
            Err(_elapsed) => Err(Failure::TooSlow(CALL_LIMIT)),
        }
    }
}

/// A panic counts as an attempt like any failure: otherwise the delivery would be taken over again and again for ever.
async fn or_crashed(response: impl Future<Output = Response>) -> Response {
    AssertUnwindSafe(response).catch_unwind().await.unwrap_or_else(|panic| {
        tracing::error!(panic = panic_text(&*panic), "an attempt panicked");
        Err(Failure::Crashed)
    })
}

/// What taking deliveries means for the endpoints. Those inherited from a lease that ended hold their slots already.
fn changes(portions: &[Portion], quiet: &[EndpointId], taken: &[Taken]) -> Vec<Change> {
    let mut slots: HashMap<EndpointId, i32> = HashMap::new();
    for taken in taken.iter().filter(|taken| !taken.inherited) {
        *slots.entry(taken.endpoint).or_default() += 1;
    }
    let change = |endpoint: EndpointId| Change {
        endpoint,
        slots: slots.get(&endpoint).copied().unwrap_or_default(),
        look: if quiet.contains(&endpoint) { Look::Quiet } else { Look::Busy },
    };
    portions.iter().map(|portion| change(portion.endpoint)).collect()
}

/// The headers of Standard Webhooks 1.0; none without a key to sign with.
fn headers(target: &Target, letter: &Letter, timestamp: i64) -> Option<HeaderMap> {
    if target.keys.is_empty() {
        return None;
    }
    let id = format!("msg_{}", letter.id);
    let signature = signature(&target.keys, &id, timestamp, &letter.body);
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(HeaderName::from_static("webhook-id"), HeaderValue::try_from(id).ok()?);
    headers.insert(HeaderName::from_static("webhook-timestamp"), HeaderValue::from(timestamp));
    headers.insert(HeaderName::from_static("webhook-signature"), HeaderValue::try_from(signature).ok()?);
    Some(headers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deliveries::verdict::Verdict;

    #[tokio::test]
    async fn a_panic_is_a_failed_attempt() {
        let response = or_crashed(async { panic!("on purpose") }).await;
        assert!(matches!(response, Err(Failure::Crashed)));
        assert_eq!(describe(&response), (None, 0, Some("other".to_owned()), None));
        assert!(matches!(judge(&response, 0), Verdict::Retry(_)));
        assert_eq!(judge(&response, 7), Verdict::Dead, "it counts");
    }
}
