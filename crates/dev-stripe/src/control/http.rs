//! The control over HTTP, in JSON and without a key: loopback is the lock.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Control, ControlError, Failure, Release};
use crate::options::PriceSpec;
use crate::server::Stripe;

type Answer = Result<Json<Value>, ControlError>;

impl IntoResponse for ControlError {
    fn into_response(self) -> Response {
        (StatusCode::BAD_REQUEST, Json(json!({ "error": self.to_string() }))).into_response()
    }
}

/// The routes below `/_control`.
pub(crate) fn routes(stripe: &Stripe) -> Router {
    Router::new()
        .route("/", get(state))
        .route("/clock", post(clock))
        .route("/failures", post(fail).delete(clear_failures))
        .route("/failures/finish", post(finish_slow_calls))
        .route("/renewals", post(renewals))
        .route("/events", get(events).post(forge))
        .route("/events/withhold", post(withhold))
        .route("/events/release", post(release))
        .route("/events/{id}/resend", post(resend))
        .route("/webhook", post(webhook))
        .route("/secrets/rotate", post(rotate))
        .route("/secrets/retire", post(retire))
        .route("/prices", post(offer))
        .route("/customers/{id}/delete", post(delete_customer))
        .route("/subscriptions/{id}", post(change_subscription))
        .route("/invoices/{id}/pay", post(pay_invoice))
        .route("/refunds", post(refund))
        .with_state(Control::new(stripe.clone()))
}

/// A body without content; asking for JSON keeps the forms of strange web pages out.
#[derive(Deserialize)]
struct Nothing {}

#[derive(Deserialize)]
struct Clock {
    seconds: i64,
}

#[derive(Deserialize)]
struct Fail {
    kind: Failure,
    times: u32,
}

#[derive(Deserialize)]
struct Renewals {
    decline: bool,
}

#[derive(Deserialize)]
struct Forged {
    r#type: String,
    object: Value,
}

#[derive(Deserialize)]
struct Released {
    order: Release,
}

#[derive(Deserialize)]
struct Copies {
    times: usize,
}

#[derive(Deserialize)]
struct Webhook {
    url: String,
}

#[derive(Deserialize)]
struct Rotation {
    secret: String,
}

#[derive(Deserialize)]
struct Refund {
    payment: String,
    amount: Option<i64>,
}

async fn state(State(control): State<Control>) -> Json<Value> {
    Json(control.state())
}

async fn clock(State(control): State<Control>, Json(clock): Json<Clock>) -> Answer {
    control.advance(clock.seconds)?;
    Ok(Json(control.state()))
}

async fn fail(State(control): State<Control>, Json(fail): Json<Fail>) -> Json<Value> {
    control.fail_next(fail.kind, fail.times);
    Json(control.state())
}

async fn clear_failures(State(control): State<Control>) -> Json<Value> {
    control.clear_failures();
    Json(control.state())
}

async fn finish_slow_calls(State(control): State<Control>, Json(Nothing {}): Json<Nothing>) -> Json<Value> {
    control.finish_slow_calls();
    Json(control.state())
}

async fn renewals(State(control): State<Control>, Json(renewals): Json<Renewals>) -> Json<Value> {
    control.decline_renewals(renewals.decline);
    Json(control.state())
}

async fn events(State(control): State<Control>) -> Json<Value> {
    let attempts = control.attempts();
    let of = |id: &Value| attempts.iter().filter(|attempt| *id == attempt.event.as_str()).collect::<Vec<_>>();
    let events = control.events();
    let events = events.iter().map(|event| json!({ "event": event, "attempts": of(&event["id"]) }));
    Json(events.collect())
}

async fn forge(State(control): State<Control>, Json(forged): Json<Forged>) -> Json<Value> {
    Json(json!({ "id": control.forge(&forged.r#type, &forged.object) }))
}

async fn withhold(State(control): State<Control>, Json(Nothing {}): Json<Nothing>) -> Json<Value> {
    control.withhold();
    Json(control.state())
}

async fn release(State(control): State<Control>, Json(released): Json<Released>) -> Json<Value> {
    control.release(released.order);
    Json(control.state())
}

async fn resend(State(control): State<Control>, Path(id): Path<String>, Json(copies): Json<Copies>) -> Answer {
    Ok(Json(json!(control.resend(&id, copies.times).await?)))
}

async fn webhook(State(control): State<Control>, Json(webhook): Json<Webhook>) -> Json<Value> {
    control.send_events_to(webhook.url);
    Json(control.state())
}

async fn rotate(State(control): State<Control>, Json(rotation): Json<Rotation>) -> Answer {
    control.rotate_secret(rotation.secret)?;
    Ok(Json(control.state()))
}

async fn retire(State(control): State<Control>, Json(Nothing {}): Json<Nothing>) -> Json<Value> {
    control.retire_old_secret();
    Json(control.state())
}

async fn offer(State(control): State<Control>, Json(price): Json<PriceSpec>) -> Json<Value> {
    control.offer(&price);
    Json(json!(control.object(&price.id)))
}

async fn delete_customer(
    State(control): State<Control>,
    Path(id): Path<String>,
    Json(Nothing {}): Json<Nothing>,
) -> Answer {
    control.delete_customer(&id)?;
    Ok(Json(json!(control.object(&id))))
}

async fn change_subscription(
    State(control): State<Control>,
    Path(id): Path<String>,
    Json(fields): Json<Value>,
) -> Answer {
    control.change_subscription(&id, &fields)?;
    Ok(Json(json!(control.object(&id))))
}

async fn pay_invoice(
    State(control): State<Control>,
    Path(id): Path<String>,
    Json(Nothing {}): Json<Nothing>,
) -> Answer {
    control.pay_invoice(&id)?;
    Ok(Json(json!(control.object(&id))))
}

async fn refund(State(control): State<Control>, Json(refund): Json<Refund>) -> Answer {
    let id = control.refund(&refund.payment, refund.amount)?;
    Ok(Json(json!(control.object(&id))))
}
