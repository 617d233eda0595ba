//! Reading a call: who calls, and what the form says.

use axum::body::to_bytes;
use axum::extract::Request;
use axum::http::{HeaderMap, Method, header};

use super::error::ApiError;
use super::params::Params;

/// More than any call needs.
const LARGEST_BODY: usize = 1024 * 1024;

/// Stripe's limit for keys.
const LONGEST_KEY: usize = 255;

/// One call of the API.
pub(crate) struct Call {
    pub(crate) method: Method,
    /// The path after `/v1/`.
    path: String,
    pub(crate) params: Params,
    /// The idempotency key; only a POST has one that counts.
    pub(crate) key: Option<String>,
    pub(crate) request_id: String,
    /// The version of the API that the answer has the shape of.
    pub(crate) version: String,
}

impl Call {
    pub(crate) async fn read(request: Request, request_id: &str, version: String) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        let text = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let body = to_bytes(body, LARGEST_BODY).await.map_err(|_| ApiError::invalid("The request is too large."))?;
        let form = text(header::CONTENT_TYPE.as_str()).is_some_and(|kind| kind.starts_with("application/x-www-form"));
        if !body.is_empty() && !form {
            let message = "Invalid request (check that your POST content type is application/x-www-form-urlencoded).";
            return Err(ApiError::invalid(message));
        }
        let path = parts.uri.path();
        let query = parts.uri.query().unwrap_or_default().as_bytes();
        let pairs = form_urlencoded::parse(query).chain(form_urlencoded::parse(&body));
        let key = text("idempotency-key").filter(|_| parts.method == Method::POST);
        if key.as_ref().is_some_and(|key| key.len() > LONGEST_KEY) {
            return Err(ApiError::invalid("The idempotency key is longer than 255 characters."));
        }
        Ok(Self {
            params: Params::read(pairs)?,
            path: path.strip_prefix("/v1/").unwrap_or(path).trim_end_matches('/').to_owned(),
            key,
            request_id: request_id.to_owned(),
            version: text("stripe-version").unwrap_or(version),
            method: parts.method,
        })
    }

    /// The path after `/v1`, in pieces.
    pub(crate) fn path(&self) -> Vec<&str> {
        self.path.split('/').collect()
    }

    /// What must be the same when a key is used again.
    pub(crate) fn fingerprint(&self) -> String {
        format!("{} {} {}", self.method, self.path, self.params.canonical())
    }
}

/// Whether the caller has the key, as a bearer token.
pub(crate) fn authorize(key: &str, headers: &HeaderMap) -> Result<(), ApiError> {
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    match given.map(|value| value.strip_prefix("Bearer ").unwrap_or_default()) {
        Some(given) if given == key => Ok(()),
        Some(given) if !given.is_empty() => {
            let end: String = given.chars().skip(given.chars().count().saturating_sub(4)).collect();
            Err(ApiError::unauthorized(format!("Invalid API Key provided: ****{end}")))
        }
        _ => Err(ApiError::unauthorized(
            "You did not provide an API key. You need to provide your API key in the Authorization header, using \
             Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY').",
        )),
    }
}
