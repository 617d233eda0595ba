//! Stripe's HTTP dialect: one door for every call below `/v1`, so that keys, errors and failures are the same for all.

mod call;
mod checkout;
pub(crate) mod customers;
pub(crate) mod error;
pub(crate) mod keys;
mod lists;
pub(crate) mod params;
mod portal;
mod refunds;
pub(crate) mod slow;
mod subscriptions;
pub(crate) mod view;

use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use tokio::sync::oneshot;

use self::call::{Call, authorize};
use self::error::ApiError;
use self::keys::Found;
use crate::control::Failure;
use crate::objects::new_id;
use crate::server::{Stripe, spawn};
use crate::shop::Shop;

/// The answer to a call, before headers.
#[derive(Clone)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Value,
    /// The id of the request that was answered like this first, when this is its answer once more.
    pub(crate) original: Option<String>,
}

/// Answers every call below `/v1`.
pub(crate) async fn answer(State(stripe): State<Stripe>, request: Request) -> Response {
    let request_id = new_id("req");
    let (headers, key) = (request.headers().clone(), request.headers().get("idempotency-key").cloned());
    let version = headers.get("stripe-version").cloned();
    let answer = match authorize(&stripe.shop().options.api_key, &headers) {
        Ok(()) => None,
        Err(error) => Some(error.answer()),
    };
    let answer = match answer {
        None => attend(&stripe, request, &request_id).await,
        refused => refused,
    };
    let Some(answer) = answer else {
        // The caller gives up first, unless the stand-in stops.
        stripe.stopped().await;
        return StatusCode::GATEWAY_TIMEOUT.into_response();
    };
    let mut response = (answer.status, pretty(&answer.body)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let version = version.or_else(|| HeaderValue::from_str(&stripe.shop().options.api_version).ok());
    let original = answer.original.as_deref().and_then(|id| HeaderValue::from_str(id).ok());
    let replayed = original.is_some().then(|| HeaderValue::from_static("true"));
    let all = [
        ("request-id", HeaderValue::from_str(&request_id).ok()),
        ("stripe-version", version),
        ("idempotency-key", key),
        ("original-request", original),
        ("idempotent-replayed", replayed),
    ];
    for (name, value) in all {
        if let Some(value) = value {
            headers.insert(name, value);
        }
    }
    response
}

/// What becomes of a call in its first step.
enum Step {
    Answered(Answer),
    /// Nobody hears of it.
    Lost,
    /// It is worked on until this ends.
    Slow(oneshot::Receiver<()>),
}

/// The answer to a call; none when it gets lost.
async fn attend(stripe: &Stripe, request: Request, request_id: &str) -> Option<Answer> {
    let default = stripe.shop().options.api_version.clone();
    let call = match Call::read(request, request_id, default).await {
        Ok(call) => call,
        Err(error) => return Some(error.answer()),
    };
    let first = step(&mut stripe.shop(), &call);
    match first {
        Step::Answered(answer) => Some(answer),
        Step::Lost => None,
        Step::Slow(wait) => {
            let (tell, told) = oneshot::channel();
            let stripe = stripe.clone();
            // It is done even if the caller gives up, as with Stripe.
            spawn(async move {
                tokio::select! {
                    _ = wait => {}
                    () = stripe.stopped() => return,
                }
                let answer = finish(&mut stripe.shop(), &call, None);
                // The caller may have given up.
                let _ = tell.send(answer);
            });
            told.await.ok()
        }
    }
}

fn step(shop: &mut Shop, call: &Call) -> Step {
    let failure = take_failure(shop, call);
    match failure {
        Some(Failure::Outage) => return Step::Answered(ApiError::outage().answer()),
        Some(Failure::RateLimited) => return Step::Answered(ApiError::rate_limited().answer()),
        Some(Failure::Hang) => return Step::Lost,
        _ => {}
    }
    let now = shop.now();
    let answer = match shop.keys.find(call, now) {
        Found::Kept(answer) => answer,
        Found::Misused(error) => error.answer(),
        Found::New if failure == Some(Failure::Slow) => {
            shop.keys.hold(call);
            return Step::Slow(shop.slow.begin());
        }
        Found::New => finish(shop, call, failure),
    };
    if failure == Some(Failure::Timeout) { Step::Lost } else { Step::Answered(answer) }
}

/// Does the work; from here on its key remembers.
fn finish(shop: &mut Shop, call: &Call, failure: Option<Failure>) -> Answer {
    let answer = work(shop, call, failure);
    let now = shop.now();
    shop.keys.keep(call, &answer, now);
    answer
}

fn work(shop: &mut Shop, call: &Call, failure: Option<Failure>) -> Answer {
    let refused = match failure {
        Some(Failure::ServerError) => Some(ApiError::server_error()),
        Some(Failure::CardDeclined) => Some(ApiError::card_declined()),
        Some(Failure::AuthenticationRequired) => Some(ApiError::authentication_required()),
        _ => None,
    };
    if let Some(error) = refused {
        return error.answer();
    }
    shop.cause = (Some(call.request_id.clone()), call.key.clone());
    let done = route(shop, call).and_then(|object| view::view(shop, object, call));
    shop.cause = (None, None);
    match done {
        Ok(body) => Answer { status: StatusCode::OK, body, original: None },
        Err(error) => error.answer(),
    }
}

/// The next failure that was asked for, if it is one for this call.
fn take_failure(shop: &mut Shop, call: &Call) -> Option<Failure> {
    let (failure, left) = shop.failures.front_mut()?;
    let takes_money = call.method == Method::POST && matches!(call.path().as_slice(), ["subscriptions", _]);
    if matches!(failure, Failure::CardDeclined | Failure::AuthenticationRequired) && !takes_money {
        return None;
    }
    let failure = *failure;
    *left = left.saturating_sub(1);
    if *left == 0 {
        shop.failures.pop_front();
    }
    Some(failure)
}

fn route(shop: &mut Shop, call: &Call) -> Result<Value, ApiError> {
    let path = call.path();
    match (call.method.as_str(), path.as_slice()) {
        ("POST", ["customers"]) => customers::create(shop, call),
        ("POST", ["customers", id]) => customers::update(shop, id, call),
        ("DELETE", ["customers", id]) => customers::delete(shop, id),
        ("POST", ["checkout", "sessions"]) => checkout::create(shop, call),
        ("POST", ["checkout", "sessions", id, "expire"]) => checkout::expire(shop, id),
        ("GET", ["checkout", "sessions", id, "line_items"]) => checkout::line_items(shop, id),
        ("POST", ["billing_portal", "sessions"]) => portal::create(shop, call),
        ("POST", ["subscriptions", id]) => subscriptions::update(shop, id, call),
        ("DELETE", ["subscriptions", id]) => subscriptions::cancel(shop, id),
        ("POST", ["refunds"]) => refunds::create(shop, call),
        ("GET", path) => lists::read(shop, path, call),
        _ => Err(ApiError::unknown_url(call)),
    }
}

/// Stripe indents its answers.
fn pretty(body: &Value) -> String {
    format!("{body:#}\n")
}
