//! Making a call: the headers that Stripe wants, and what is told about every call.

use std::time::{Duration, Instant};

use http::Method;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use platform::config::Secret;
use platform::outbound::{Outbound, WholeAnswer};
use platform::telemetry::ErrorReport;
use serde::de::DeserializeOwned;

use super::error::{KeyRefused, Unfit, outcome, refusal};
use crate::config::StripeConfig;
use crate::ports::ProviderError;

/// The version of Stripe's API whose answers are read here. A newer one is a decision: read its changes first
/// (<https://docs.stripe.com/changelog>).
const API_VERSION: HeaderValue = HeaderValue::from_static("2025-09-30.clover");

/// The longest id that is asked for.
const LONGEST_ID: usize = 255;

/// One call, before it is made.
pub(super) struct Call {
    name: &'static str,
    method: Method,
    path: String,
    /// What makes a repetition of the call known as one; reading needs none.
    key: Option<String>,
    form: String,
}

/// Asks for something to be done once, whatever happens to the answer.
pub(super) fn post(name: &'static str, path: &str, key: String) -> Call {
    Call { name, method: Method::POST, path: path.to_owned(), key: Some(key), form: String::new() }
}

/// Asks for a change of one object.
pub(super) fn change(name: &'static str, collection: &str, id: &str, key: String) -> Result<Call, ProviderError> {
    Ok(post(name, &place(collection, id)?, key))
}

/// Asks for one object.
pub(super) fn get(name: &'static str, collection: &str, id: &str) -> Result<Call, ProviderError> {
    Ok(Call { name, method: Method::GET, path: place(collection, id)?, key: None, form: String::new() })
}

/// Asks for the end of one object.
pub(super) fn delete(name: &'static str, collection: &str, id: &str, key: String) -> Result<Call, ProviderError> {
    Ok(Call { name, method: Method::DELETE, path: place(collection, id)?, key: Some(key), form: String::new() })
}

/// Where one object is. An id that Stripe would not give is nothing it knows, and is never put into a path.
fn place(collection: &str, id: &str) -> Result<String, ProviderError> {
    let plain = id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if !plain || !(1..=LONGEST_ID).contains(&id.len()) {
        return Err(ProviderError::NotFound);
    }
    Ok(format!("{collection}/{id}"))
}

impl Call {
    pub(super) fn with(self, form: String) -> Self {
        Self { form, ..self }
    }
}

/// The line to Stripe.
pub(super) struct Calls {
    outbound: Outbound,
    api_url: String,
    api_key: Secret,
}

impl Calls {
    pub(super) fn new(config: &StripeConfig, outbound: Outbound) -> Self {
        let StripeConfig { api_url, api_key } = config.clone();
        Self { outbound, api_url, api_key }
    }

    /// Makes the call and reads the answer.
    pub(super) async fn make<W: DeserializeOwned, T>(
        &self,
        call: Call,
        read: impl FnOnce(W) -> Result<T, Unfit>,
    ) -> Result<T, ProviderError> {
        let (name, changes, started) = (call.name, call.key.is_some(), Instant::now());
        let answer = self.send(call).await;
        let request_id = answer.as_ref().ok().and_then(request_id);
        let result = answer.and_then(|answer| understand(&answer, read)).map_err(|error| match error {
            // What changes nothing has not happened either.
            ProviderError::Unknown(cause) if !changes => ProviderError::Unavailable(cause),
            error => error,
        });
        tell(name, request_id.as_deref(), &result, started.elapsed());
        result
    }

    async fn send(&self, call: Call) -> Result<WholeAnswer, ProviderError> {
        if self.api_url.is_empty() {
            return Err(ProviderError::Unavailable("billing.stripe.api_url is empty: nobody is there".into()));
        }
        let headers = self.headers(call.key)?;
        let url = format!("{}/v1/{}", self.api_url, call.path);
        self.outbound.send(call.method, &url, headers, call.form).await.map_err(|error| {
            if error.never_sent() {
                ProviderError::Unavailable(error.into())
            } else {
                ProviderError::Unknown(error.into())
            }
        })
    }

    fn headers(&self, key: Option<String>) -> Result<HeaderMap, ProviderError> {
        let unfit = |_| ProviderError::Unavailable(KeyRefused.into());
        let mut authorization = HeaderValue::try_from(format!("Bearer {}", self.api_key.expose())).map_err(unfit)?;
        authorization.set_sensitive(true);
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, authorization);
        headers.insert(HeaderName::from_static("stripe-version"), API_VERSION);
        if let Some(key) = key {
            let key = HeaderValue::try_from(key).map_err(|error| ProviderError::Unavailable(error.into()))?;
            headers.insert(HeaderName::from_static("idempotency-key"), key);
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        }
        Ok(headers)
    }
}

fn understand<W: DeserializeOwned, T>(
    answer: &WholeAnswer,
    read: impl FnOnce(W) -> Result<T, Unfit>,
) -> Result<T, ProviderError> {
    if !answer.status.is_success() {
        let replayed = answer.headers.get("idempotent-replayed").is_some_and(|value| value == "true");
        return Err(refusal(answer.status, replayed, &answer.body));
    }
    let read = if answer.cut { Err(Unfit::TooLong) } else { Unfit::check(&answer.body).and_then(read) };
    read.map_err(|unfit| ProviderError::Malformed(unfit.into()))
}

/// Stripe's name for the call, which its support and its dashboard understand.
fn request_id(answer: &WholeAnswer) -> Option<String> {
    let id = answer.headers.get("request-id")?.to_str().ok()?;
    Some(id.chars().take(LONGEST_ID).collect())
}

/// Counts the call, and writes one line when it failed: without bodies, which hold names and addresses.
fn tell<T>(call: &'static str, request_id: Option<&str>, result: &Result<T, ProviderError>, took: Duration) {
    let outcome = outcome(result.as_ref().err());
    metrics::counter!("payment_provider_requests_total", "call" => call, "outcome" => outcome).increment(1);
    metrics::histogram!("payment_provider_request_duration_seconds", "call" => call).record(took);
    let Err(error) = result else { return };
    let report = ErrorReport::new(error);
    match error {
        ProviderError::Unavailable(cause) if cause.is::<KeyRefused>() => {
            tracing::error!(call, request_id, "Stripe does not accept our key: look at billing.stripe.api_key");
        }
        ProviderError::BadCall { code, param } if param.starts_with("line_items") => {
            tracing::error!(
                call,
                request_id,
                code,
                param,
                "Stripe cannot sell a price: look at the ids in billing.plans, and whether billing.stripe.api_key is of the \
                 account and the mode that have them"
            );
        }
        ProviderError::BadCall { code, param } => {
            tracing::error!(
                call,
                request_id,
                code,
                param,
                "Stripe cannot do what it is asked: look the request up in its dashboard, under Developers, Logs"
            );
        }
        ProviderError::KeyReused => tracing::error!(call, request_id, error = %report, "a call to Stripe failed"),
        _ => tracing::warn!(call, request_id, outcome, error = %report, "a call to Stripe failed"),
    }
}
