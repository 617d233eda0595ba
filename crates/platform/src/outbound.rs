//! Calls to servers we do not control: bounded in time and memory, never redirected, and never to an address inside
//! our own network (server-side request forgery).

mod address;
mod answer;
mod circuit_breaker;
mod error;
mod resolver;
mod url;

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::Method;
use http::header::{ACCEPT_ENCODING, HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout};

pub use self::url::{Url, UrlProblem, check_url};
pub use address::is_public;
pub use answer::{OutboundAnswer, WholeAnswer};
pub use circuit_breaker::{Attempt, CircuitBreaker};
pub use error::{FailureClass, OutboundError};

use crate::telemetry;
use answer::{EXCERPT, read_answer};
use resolver::{CheckedResolver, Names};

/// Connections kept open to one server for the next call: many URLs may lead to the same one, and a call that finds none costs
/// half as much again, with TLS much more. Never more than there were calls at once.
const IDLE_CONNECTIONS: usize = 256;

/// How long they are kept; most servers close theirs after a minute or more.
const IDLE_TIME: Duration = Duration::from_secs(30);

/// Which servers may be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AddressRules {
    /// HTTPS on ports 443 and 8443 at public addresses.
    PublicOnly,
    /// Anything, plain HTTP and this machine included: for development and tests.
    Any,
}

/// The bounds of an outgoing call. Times in milliseconds.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutboundConfig {
    /// Name lookup, TCP and TLS together.
    pub connect_timeout_ms: u64,
    /// The whole call, to the last byte of the answer that is read.
    pub total_timeout_ms: u64,
    /// How much of an answer's body is read before the connection is given up.
    pub answer_cap_bytes: usize,
    /// `public_only` or `any`.
    pub addresses: AddressRules,
    /// How we introduce ourselves.
    pub user_agent: String,
}

impl OutboundConfig {
    /// What is wrong with the values, as `(key, complaint)`; `strict` where only public addresses are acceptable.
    #[must_use]
    pub fn complaints(&self, strict: bool) -> Vec<(String, String)> {
        let mut complaints = Vec::new();
        if strict && self.addresses == AddressRules::Any {
            complaints.push(("outbound.addresses".to_owned(), "must be `public_only` in production".to_owned()));
        }
        if self.connect_timeout_ms == 0 || self.total_timeout_ms == 0 {
            complaints.push(("outbound.total_timeout_ms".to_owned(), "timeouts must be longer than zero".to_owned()));
        }
        if HeaderValue::from_str(&self.user_agent).is_err() {
            complaints.push(("outbound.user_agent".to_owned(), "is no valid header value".to_owned()));
        }
        complaints
    }
}

/// The client for outgoing calls: one pool of kept-alive connections for the whole process. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Outbound(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    config: OutboundConfig,
    user_agent: HeaderValue,
    resolver: CheckedResolver,
    client: OnceLock<reqwest::Client>,
}

impl Outbound {
    /// A client within these bounds. Reading the system's root certificates takes milliseconds and megabytes, so it
    /// waits for the first call or [`Outbound::prepare`].
    ///
    /// # Errors
    /// When the user agent cannot be sent as a header.
    pub fn new(config: &OutboundConfig) -> Result<Self, OutboundError> {
        Self::with(config, Names::System)
    }

    /// A client that finds names where this says, each time anew, for tests of what a name may point to. Nothing is no such
    /// name.
    ///
    /// # Errors
    /// As [`Outbound::new`].
    pub fn with_names(
        config: &OutboundConfig,
        look_up: impl Fn(&str) -> Vec<IpAddr> + Send + Sync + 'static,
    ) -> Result<Self, OutboundError> {
        Self::with(config, Names::Given(Box::new(look_up)))
    }

    fn with(config: &OutboundConfig, names: Names) -> Result<Self, OutboundError> {
        let user_agent = HeaderValue::from_str(&config.user_agent).map_err(|_| OutboundError::bad_user_agent())?;
        let resolver = CheckedResolver::new(config.addresses, names);
        Ok(Self(Arc::new(Inner { config: config.clone(), user_agent, resolver, client: OnceLock::new() })))
    }

    /// Sets up TLS now, for checks of the installation.
    ///
    /// # Errors
    /// When that is impossible, for instance because the system has no root certificates.
    pub fn prepare(&self) -> Result<(), OutboundError> {
        self.client().map(|_| ())
    }

    fn client(&self) -> Result<&reqwest::Client, OutboundError> {
        if let Some(client) = self.0.client.get() {
            return Ok(client);
        }
        let config = &self.0.config;
        #[expect(clippy::disallowed_methods, reason = "the one client whose every address is checked")]
        let client = reqwest::Client::builder()
            .dns_resolver(self.0.resolver.clone())
            .redirect(Policy::none())
            .no_proxy()
            .referer(false)
            .https_only(config.addresses == AddressRules::PublicOnly)
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            .pool_idle_timeout(IDLE_TIME)
            .connect_timeout(Duration::from_millis(config.connect_timeout_ms))
            .user_agent(self.0.user_agent.clone())
            .build()
            .map_err(|error| OutboundError::of(&error, Duration::ZERO))?;
        // Of two first calls at once, one client is kept.
        Ok(self.0.client.get_or_init(|| client))
    }

    /// Which servers this client may call, for checks when an address is entered.
    #[must_use]
    pub fn rules(&self) -> AddressRules {
        self.0.config.addresses
    }

    /// Posts a body and reads the answer, of which an excerpt is kept. Otherwise as [`Outbound::send`].
    ///
    /// # Errors
    /// As [`Outbound::send`].
    pub async fn post(
        &self,
        url: &str,
        headers: HeaderMap,
        body: impl Into<reqwest::Body>,
    ) -> Result<OutboundAnswer, OutboundError> {
        let answer = self.call(Call { method: Method::POST, url, headers, body: body.into() }, EXCERPT).await?;
        Ok(answer.into_excerpt())
    }

    /// Makes a call and keeps the answer up to the cap. Any status is an answer; redirects are answers too and never
    /// followed. The request id and trace of the current context travel along. An empty body is none.
    ///
    /// # Errors
    /// [`OutboundError`] when there was no complete answer in time, or the address may not be called.
    pub async fn send(
        &self,
        method: Method,
        url: &str,
        headers: HeaderMap,
        body: impl Into<reqwest::Body>,
    ) -> Result<WholeAnswer, OutboundError> {
        self.call(Call { method, url, headers, body: body.into() }, usize::MAX).await
    }

    async fn call(&self, call: Call<'_>, keep: usize) -> Result<WholeAnswer, OutboundError> {
        let started = Instant::now();
        let result = match check_url(call.url, self.rules()) {
            Ok(url) => self.exchange(url, call, keep, started).await,
            Err(problem) => Err(OutboundError::refused(problem)),
        };
        let outcome = result.as_ref().map_or_else(OutboundError::class, |_| "answered");
        metrics::histogram!("outbound_request_seconds", "outcome" => outcome).record(started.elapsed());
        result
    }

    async fn exchange(
        &self,
        url: Url,
        call: Call<'_>,
        keep: usize,
        started: Instant,
    ) -> Result<WholeAnswer, OutboundError> {
        let Call { method, mut headers, body, .. } = call;
        // A compressed answer would be read as it is, and never unpacked into our memory.
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        add_context(&mut headers);
        let client = self.client()?;
        let call = async {
            let response = client.request(method, url).headers(headers).body(body).send().await?;
            read_answer(response, keep, self.0.config.answer_cap_bytes).await
        };
        match timeout(Duration::from_millis(self.0.config.total_timeout_ms), call).await {
            Ok(Ok(answer)) => Ok(WholeAnswer { duration: started.elapsed(), ..answer }),
            Ok(Err(error)) => Err(OutboundError::of(&error, started.elapsed())),
            Err(_) => Err(OutboundError::timed_out(started.elapsed())),
        }
    }
}

/// A call to be made.
struct Call<'a> {
    method: Method,
    url: &'a str,
    headers: HeaderMap,
    body: reqwest::Body,
}

fn add_context(headers: &mut HeaderMap) {
    let request_id = telemetry::current_context().map(|context| context.request_id);
    for (name, value) in [("x-request-id", request_id), ("traceparent", telemetry::outgoing_traceparent())] {
        if let Some(value) = value.and_then(|value| HeaderValue::try_from(value).ok()) {
            headers.entry(HeaderName::from_static(name)).or_insert(value);
        }
    }
}

#[cfg(test)]
mod tests;
