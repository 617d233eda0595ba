//! Errors in Stripe's shape: `{"error": {"type", "code", "message", "param"}}`.

use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use super::Answer;
use super::call::Call;

/// A refused call.
#[derive(Clone, Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    kind: &'static str,
    pub(crate) message: String,
    code: Option<&'static str>,
    decline: Option<&'static str>,
    param: Option<String>,
}

impl ApiError {
    fn new(status: StatusCode, kind: &'static str, message: impl Into<String>) -> Self {
        Self { status, kind, message: message.into(), code: None, decline: None, param: None }
    }

    fn code(mut self, code: &'static str) -> Self {
        self.code = Some(code);
        self
    }

    fn param(mut self, param: &str) -> Self {
        self.param = Some(param.to_owned());
        self
    }

    /// 400 without a parameter to blame.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request_error", message)
    }

    /// 400 because of one parameter.
    pub(crate) fn bad(param: &str, message: impl Into<String>) -> Self {
        Self::invalid(message).param(param)
    }

    /// 400 because of one parameter, with one of Stripe's codes.
    pub(crate) fn coded(code: &'static str, param: &str, message: impl Into<String>) -> Self {
        Self::bad(param, message).code(code)
    }

    /// 400, a parameter that must be there.
    pub(crate) fn missing(param: &str) -> Self {
        Self::coded("parameter_missing", param, format!("Missing required param: {param}."))
    }

    /// 404 when the address names nothing, 400 when a parameter does.
    pub(crate) fn no_such(noun: &str, id: &str, param: &str) -> Self {
        let mut error = Self::coded("resource_missing", param, format!("No such {noun}: '{id}'"));
        if param == "id" {
            error.status = StatusCode::NOT_FOUND;
        }
        error
    }

    pub(crate) fn unauthorized(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "invalid_request_error", message)
    }

    pub(crate) fn unknown_url(call: &Call) -> Self {
        let url = format!("({}: /v1/{})", call.method, call.path().join("/"));
        let message = format!("Unrecognized request URL {url}. The stand-in does not know it.");
        Self { status: StatusCode::NOT_FOUND, ..Self::invalid(message) }
    }

    pub(crate) fn key_reused() -> Self {
        let message = "Keys for idempotent requests can only be used with the same parameters they were first used \
                       with. Try using a key other than the one given if you meant to execute a different request.";
        Self::new(StatusCode::BAD_REQUEST, "idempotency_error", message)
    }

    /// 409, a twin of the call is being worked on.
    pub(crate) fn key_in_use(key: &str) -> Self {
        let message = format!(
            "There is currently another in-progress request using this Idempotent Key (that probably means you \
             submitted twice, and the other request is still going through): '{key}'. Please try again later."
        );
        Self::new(StatusCode::CONFLICT, "idempotency_error", message).code("idempotency_key_in_use")
    }

    pub(crate) fn card_declined() -> Self {
        let error = Self::new(StatusCode::PAYMENT_REQUIRED, "card_error", "Your card was declined.");
        Self { decline: Some("generic_decline"), ..error.code("card_declined") }
    }

    pub(crate) fn authentication_required() -> Self {
        let message = "Payment for this subscription requires additional user action before it can be completed \
                       successfully. Payment can be completed using the PaymentIntent associated with \
                       `subscription.latest_invoice`.";
        let error = Self::new(StatusCode::PAYMENT_REQUIRED, "card_error", message);
        error.code("subscription_payment_intent_requires_action")
    }

    pub(crate) fn rate_limited() -> Self {
        let message = "Request rate limit exceeded.";
        Self::new(StatusCode::TOO_MANY_REQUESTS, "invalid_request_error", message).code("rate_limit")
    }

    pub(crate) fn server_error() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "api_error", "An unknown error occurred")
    }

    pub(crate) fn outage() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "api_error", "Stripe is temporarily unavailable.")
    }

    /// The error on the wire.
    pub(crate) fn answer(&self) -> Answer {
        let mut error = Map::new();
        error.insert("type".to_owned(), json!(self.kind));
        error.insert("message".to_owned(), json!(self.message));
        let optional = [("code", self.code), ("decline_code", self.decline), ("param", self.param.as_deref())];
        for (name, value) in optional {
            if let Some(value) = value {
                error.insert(name.to_owned(), Value::from(value));
            }
        }
        Answer { status: self.status, body: json!({ "error": error }), original: None }
    }
}
