use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_MATCH, LINK, REFERRER_POLICY,
    RETRY_AFTER, STRICT_TRANSPORT_SECURITY, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use tower_http::cors::CorsLayer;
use tracing::Instrument;

use super::client_address::TrustedProxies;
use super::problem::Problem;
use super::rate_limit::{self, Limiter, Tally};
use super::request_id::{self, X_REQUEST_ID};
use crate::caller::{Authority, UserId};
use crate::rate_limit::{RateLimit, fields};
use crate::secrets::Secrets;
use crate::telemetry::{self, ErrorReport, RequestContext};

/// Limits of every request. Times in milliseconds, sizes in bytes.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StackConfig {
    /// A request that takes longer is answered 503.
    pub request_timeout_ms: u64,
    /// Requests worked on at once; more are answered 503 straight away.
    pub max_in_flight: usize,
    /// Largest body unless an operation says otherwise.
    pub body_limit: usize,
    /// Longest path and query.
    pub uri_limit: usize,
    /// Most header fields.
    pub header_count_limit: usize,
    /// Largest header section.
    pub header_bytes_limit: usize,
    /// How often one caller may ask: a person by their access token, everybody else by their address.
    pub rate_limit: RateLimit,
    /// Proxies in front of the service, as addresses or networks: only their `X-Forwarded-For` counts.
    pub trusted_proxies: Vec<String>,
    /// Origins that browsers may call from, exactly as browsers send them; none switches CORS off.
    pub cors_origins: Vec<String>,
    /// Whether to tell browsers to insist on TLS; true wherever TLS ends in front of the service.
    pub hsts: bool,
}

impl StackConfig {
    /// What is wrong with the values, as `(key, complaint)`.
    #[must_use]
    pub fn complaints(&self) -> Vec<(String, String)> {
        let mut complaints = Vec::new();
        if self.request_timeout_ms == 0 || !(1..=100_000).contains(&self.max_in_flight) {
            let complaint =
                "nothing could be served; max_in_flight must be from 1 to 100000, request_timeout_ms above 0";
            complaints.push(("http.stack".to_owned(), complaint.to_owned()));
        }
        complaints.extend(self.rate_limit.complaint("http.stack.rate_limit"));
        complaints.extend(TrustedProxies::complaints(&self.trusted_proxies));
        let wild = |origin: &&String| !is_exact_origin(origin);
        let complain =
            |origin: &String| ("http.stack.cors_origins".to_owned(), format!("`{origin}` is not one exact origin"));
        complaints.extend(self.cors_origins.iter().filter(wild).map(complain));
        complaints
    }
}

/// `https://app.example.com` as browsers send it: scheme and host, no path, no wildcard, not `null`.
fn is_exact_origin(origin: &str) -> bool {
    let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://")).unwrap_or_default();
    !host.is_empty() && !host.contains(['*', '/', ' ', '@']) && HeaderValue::try_from(origin).is_ok()
}

/// Everything that happens to every request, whoever answers it.
pub struct Stack {
    /// Limits.
    pub config: StackConfig,
    /// Who callers are.
    pub authority: Arc<dyn Authority>,
    /// Signs cursors.
    pub secrets: Secrets,
}

impl Stack {
    /// Puts the stack around the routes. Read it from the bottom: the last layer sees a request first.
    pub fn wrap(self, routes: Router) -> Router {
        let cors = cors(&self.config.cors_origins);
        let body_limit = self.config.body_limit;
        let house = Arc::new(House {
            in_flight: Semaphore::new(self.config.max_in_flight),
            limiter: Arc::new(Limiter::new(self.config.rate_limit)),
            proxies: TrustedProxies::new(&self.config.trusted_proxies),
            cursor_key: self.secrets.mac_key("cursor"),
            authority: self.authority,
            config: self.config,
        });
        routes
            .fallback(|| async { Problem::not_found() })
            .method_not_allowed_fallback(|| async {
                Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "Use a method that Allow names.")
            })
            .layer(DefaultBodyLimit::max(body_limit))
            .layer(tower::util::option_layer(cors))
            .layer(from_fn_with_state(house, observe))
    }
}

/// What the extractors need of the stack; travels with each request.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) authority: Arc<dyn Authority>,
    pub(super) cursor_key: [u8; 32],
    pub(super) facts: Arc<Facts>,
}

/// What is learned about a request while it runs, for its one access line and the limit.
pub(super) struct Facts {
    pub(super) caller: OnceLock<UserId>,
    pub(super) tally: Tally,
}

impl Shared {
    /// # Panics
    /// When a handler runs outside the stack, which only a wiring mistake can bring about.
    pub(super) fn of(parts: &Parts) -> Self {
        parts.extensions.get::<Self>().cloned().expect("every router is wrapped in the stack")
    }
}

struct House {
    config: StackConfig,
    authority: Arc<dyn Authority>,
    cursor_key: [u8; 32],
    in_flight: Semaphore,
    limiter: Arc<Limiter>,
    proxies: TrustedProxies,
}

/// The outermost layer: gives the request its id, runs it within the limits, renders problems, and tells about it once.
async fn observe(State(house): State<Arc<House>>, mut request: Request, next: Next) -> Response {
    let client = house.proxies.client_of(&request);
    let (context, trace) = request_id::context_of(request.headers(), client);
    let facts = Arc::new(Facts { caller: OnceLock::new(), tally: Tally::new(house.limiter.clone(), client) });
    let shared = Shared { authority: house.authority.clone(), cursor_key: house.cursor_key, facts: facts.clone() };
    request.extensions_mut().insert(shared);
    let route = request.extensions().get::<MatchedPath>().cloned();
    let method = method_name(request.method());
    let mut access = AccessLine { started: Instant::now(), context, method, route, facts: facts.clone(), told: false };
    let (request_id, route) = (&access.context.request_id, access.route());
    let span = tracing::info_span!(parent: None, "request", request_id, method, route);
    telemetry::follow(&span, &trace);
    let work = within_limits(&house, request, &facts, next);
    let mut response = telemetry::with_context(access.context.clone(), work).instrument(span.clone()).await;
    let _entered = span.enter();
    let problem = response.extensions_mut().remove::<Problem>();
    if let Some(problem) = &problem {
        let rendered = problem.render(&access.context.request_id);
        let extra = std::mem::take(response.headers_mut());
        response = rendered;
        extra.iter().filter(|(name, _)| *name != CONTENT_TYPE).for_each(|(name, value)| {
            response.headers_mut().append(name, value.clone());
        });
    }
    add_headers(response.headers_mut(), &access.context, house.config.hsts);
    if let Some((policy, left)) = facts.tally.fields().filter(|_| !response.headers().contains_key(fields::RATELIMIT)) {
        response.headers_mut().insert(fields::RATELIMIT_POLICY, policy);
        response.headers_mut().insert(fields::RATELIMIT, left);
    }
    access.tell(response.status().as_u16(), problem.as_ref());
    response
}

/// Answered however busy the service is: an orchestrator kills what does not answer.
const PROBES: [&str; 2] = ["/livez", "/readyz"];

async fn within_limits(house: &House, request: Request, facts: &Facts, next: Next) -> Response {
    if let Err(problem) = check_size(&house.config, &request) {
        return problem.into_response();
    }
    let is_probe = PROBES.contains(&request.uri().path());
    let slot = if is_probe { None } else { house.in_flight.try_acquire().ok() };
    if slot.is_none() && !is_probe {
        return Problem::unavailable("Too many requests at once.", Duration::from_secs(1)).into_response();
    }
    let work = async {
        if is_probe {
            return next.run(request).await;
        }
        match rate_limit::admit(request, &facts.tally).await {
            Ok(request) => next.run(request).await,
            Err(refusal) => refusal.into_response(),
        }
    };
    let limit = Duration::from_millis(house.config.request_timeout_ms);
    match tokio::time::timeout(limit, AssertUnwindSafe(work).catch_unwind()).await {
        Ok(Ok(response)) => response,
        Ok(Err(panic)) => {
            metrics::counter!("http_panics_total").increment(1);
            Problem::internal(Panicked(telemetry::panic_text(&*panic))).into_response()
        }
        Err(_) => Problem::unavailable("This took too long.", Duration::from_secs(1)).into_response(),
    }
}

#[derive(Debug, thiserror::Error)]
#[error("panic: {0}")]
struct Panicked(String);

fn check_size(config: &StackConfig, request: &Request) -> Result<(), Problem> {
    if request.uri().path_and_query().is_some_and(|target| target.as_str().len() > config.uri_limit) {
        return Err(Problem::new(StatusCode::URI_TOO_LONG, "uri_too_long", "The path and query are too long."));
    }
    let bytes: usize = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if request.headers().len() > config.header_count_limit || bytes > config.header_bytes_limit {
        let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
        return Err(Problem::new(status, "headers_too_large", "Too many or too large header fields."));
    }
    Ok(())
}

/// What a client that hung up before its answer would have got; nginx made the number customary.
const CLIENT_CLOSED_REQUEST: u16 = 499;

/// What is told about a request when it ends, and also when its client hangs up and the request is dropped half-way.
struct AccessLine {
    started: Instant,
    context: RequestContext,
    method: &'static str,
    route: Option<MatchedPath>,
    facts: Arc<Facts>,
    told: bool,
}

impl AccessLine {
    fn route(&self) -> &str {
        self.route.as_ref().map_or("unmatched", MatchedPath::as_str)
    }

    /// One access line, the metrics, and the cause of a 5xx once, with a fingerprint that groups equal errors.
    fn tell(&mut self, status: u16, problem: Option<&Problem>) {
        self.told = true;
        let (request_id, method, route) = (self.context.request_id.as_str(), self.method, self.route());
        let seconds = self.started.elapsed().as_secs_f64();
        let labels = [("method", method.to_owned()), ("route", route.to_owned()), ("status", status.to_string())];
        metrics::counter!("http_requests_total", &labels).increment(1);
        metrics::histogram!("http_request_duration_seconds", &labels[..2]).record(seconds);
        let caller = self.facts.caller.get().map(tracing::field::display);
        let code = problem.map(Problem::code);
        tracing::info!(target: "access", request_id, method, route, status, seconds, caller, code, "request");
        let failed = problem.filter(|problem| problem.status().is_server_error());
        if let Some(cause) = failed.and_then(Problem::cause) {
            let ErrorReport { chain, fingerprint } = ErrorReport::new(&**cause);
            tracing::error!(error = chain, fingerprint, request_id, route, caller, code, "request failed");
        }
    }
}

impl Drop for AccessLine {
    fn drop(&mut self) {
        if !self.told {
            self.tell(CLIENT_CLOSED_REQUEST, None);
        }
    }
}

/// Clients may send any word as a method; as a label each would live forever.
fn method_name(method: &Method) -> &'static str {
    const KNOWN: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    KNOWN.into_iter().find(|known| *known == method.as_str()).unwrap_or("other")
}

fn add_headers(headers: &mut HeaderMap, context: &RequestContext, hsts: bool) {
    // Room for these and the fields of the limit at once, instead of growing twice.
    headers.reserve(8);
    if let Ok(id) = HeaderValue::from_str(&context.request_id) {
        headers.insert(X_REQUEST_ID, id);
    }
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    if hsts {
        headers.insert(STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=63072000; includeSubDomains"));
    }
    let policy = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
    headers.entry(CONTENT_SECURITY_POLICY).or_insert(policy);
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}

/// Header fields of ours that a browser's script may read.
const OURS: [&str; 5] = ["deprecation", "idempotency-replayed", "ratelimit", "ratelimit-policy", "sunset"];

/// Off unless origins are configured: then browsers get no permission at all.
fn cors(origins: &[String]) -> Option<CorsLayer> {
    if origins.is_empty() {
        return None;
    }
    let origins: Vec<HeaderValue> =
        origins.iter().filter_map(|origin| HeaderValue::try_from(origin.as_str()).ok()).collect();
    let idempotency_key = HeaderName::from_static("idempotency-key");
    let exposed = [ETAG, LINK, RETRY_AFTER, WWW_AUTHENTICATE, X_REQUEST_ID].into_iter();
    let layer = CorsLayer::new()
        .allow_origin(origins)
        .allow_methods([Method::GET, Method::POST, Method::PATCH, Method::DELETE])
        .allow_headers([AUTHORIZATION, CONTENT_TYPE, IF_MATCH, X_REQUEST_ID, idempotency_key])
        .expose_headers(exposed.chain(OURS.map(HeaderName::from_static)).collect::<Vec<_>>());
    Some(layer)
}
