use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::caller::Scope;
use crate::rate_limit::fields;

/// The cause of a failure, for the log; never for the body.
pub(crate) type Cause = Arc<dyn Error + Send + Sync>;

/// An answer that says what went wrong (RFC 9457, `application/problem+json`).
///
/// `code` is the stable name a client switches on, `detail` the sentence for people, `errors` names every field at fault. The
/// cause of a 500 stays out of the body; the stack logs it once, with the request's id.
#[derive(Clone, Debug)]
pub struct Problem(Box<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    status: StatusCode,
    code: &'static str,
    detail: String,
    errors: Vec<FieldError>,
    retry_after: Option<Duration>,
    challenge: Option<String>,
    /// `RateLimit-Policy` and `RateLimit`.
    rate_limit: Option<(HeaderValue, HeaderValue)>,
    cause: Option<Cause>,
}

/// What is wrong with one field of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct FieldError {
    /// Path of the field, such as `owner.email` or `tags[2]`.
    #[schema(max_length = 512)]
    pub field: String,
    /// Stable name of the rule that was broken.
    #[schema(max_length = 64)]
    pub code: String,
    /// The rule in words.
    #[schema(max_length = 1024)]
    pub message: String,
}

/// The body as clients see it.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemBody {
    /// Names the kind of problem; `about:blank` as the code says it all.
    #[serde(rename = "type")]
    #[schema(max_length = 128)]
    kind: &'static str,
    /// The HTTP status in words.
    #[schema(max_length = 128)]
    title: &'static str,
    /// The HTTP status.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// What happened, for people.
    #[schema(max_length = 1024)]
    detail: String,
    /// What happened, for programs.
    #[schema(max_length = 64)]
    code: &'static str,
    /// Find the request in the logs by it.
    #[schema(max_length = 64)]
    request_id: String,
    /// Every field at fault.
    #[schema(max_items = 100)]
    errors: Vec<FieldError>,
}

impl Problem {
    /// A problem with its status, stable code and a sentence for people.
    #[must_use]
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            status,
            code,
            detail: detail.into(),
            errors: Vec::new(),
            retry_after: None,
            challenge: None,
            rate_limit: None,
            cause: None,
        }))
    }

    /// 404 for what does not exist and for what is somebody else's.
    #[must_use]
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "There is nothing here.")
    }

    /// 403 for a colleague without the permission.
    #[must_use]
    pub fn forbidden() -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", "Your role does not allow this.")
    }

    /// 403 for a token whose scope does not reach that far (RFC 6750 section 3.1).
    #[must_use]
    pub fn insufficient_scope(needed: Scope) -> Self {
        let scope = needed.as_str();
        let detail = format!("This takes a token with the scope `{scope}`.");
        let mut problem = Self::new(StatusCode::FORBIDDEN, "insufficient_scope", detail);
        problem.0.challenge = Some(format!("Bearer error=\"insufficient_scope\", scope=\"{scope}\""));
        problem
    }

    /// 403 for a token where the person themselves has to ask.
    #[must_use]
    pub fn session_required() -> Self {
        let detail = "Tokens cannot do this. Log in and use the access token of that login.";
        Self::new(StatusCode::FORBIDDEN, "session_required", detail)
    }

    /// 401 without a challenge, for requests that carry credentials in their body.
    #[must_use]
    pub fn unauthorized(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, code, detail)
    }

    /// 401 for a missing or refused access token (RFC 6750 section 3).
    #[must_use]
    pub fn invalid_token(detail: impl Into<String>) -> Self {
        let mut problem = Self::new(StatusCode::UNAUTHORIZED, "invalid_token", detail);
        problem.0.challenge = Some("Bearer error=\"invalid_token\"".to_owned());
        problem
    }

    /// 422 for a request whose fields break rules; name them with [`Problem::field`].
    #[must_use]
    pub fn invalid() -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_request", "Some fields are not valid.")
    }

    /// 429 with the time after which a retry succeeds, if nothing else is tried in between.
    #[must_use]
    pub fn rate_limited(retry_after: Duration) -> Self {
        let detail = "Too many requests. Try again later; Retry-After says when.";
        Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", detail).retry_after(retry_after)
    }

    /// 503 with the time after which a retry may succeed.
    #[must_use]
    pub fn unavailable(detail: impl Into<String>, retry_after: Duration) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail).retry_after(retry_after)
    }

    /// 503 with its cause, which is logged and never shown: what we depend on is away or busy, for a moment we hope.
    #[must_use]
    pub fn busy(cause: impl Error + Send + Sync + 'static) -> Self {
        Self::unavailable("The service is busy, try again shortly.", Duration::from_secs(1)).with_cause(cause)
    }

    /// 500 with its cause, which is logged and never shown.
    #[must_use]
    pub fn internal(cause: impl Error + Send + Sync + 'static) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Something went wrong on our side.").with_cause(cause)
    }

    /// Adds one field at fault.
    #[must_use]
    pub fn field(mut self, field: impl Into<String>, code: impl Into<String>, message: impl Into<String>) -> Self {
        self.0.errors.push(FieldError { field: field.into(), code: code.into(), message: message.into() });
        self
    }

    /// Says which limit was met and what is left of it.
    #[must_use]
    pub(crate) fn rate_limit_fields(mut self, policy: HeaderValue, left: HeaderValue) -> Self {
        self.0.rate_limit = Some((policy, left));
        self
    }

    /// Says when to try again (whole seconds, rounded up, at least one).
    #[must_use]
    pub fn retry_after(mut self, after: Duration) -> Self {
        self.0.retry_after = Some(after);
        self
    }

    /// Keeps the cause for the log.
    #[must_use]
    pub fn with_cause(mut self, cause: impl Error + Send + Sync + 'static) -> Self {
        self.0.cause = Some(Arc::new(cause));
        self
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.0.code
    }

    /// The fields at fault.
    #[must_use]
    pub fn errors(&self) -> &[FieldError] {
        &self.0.errors
    }

    pub(crate) fn cause(&self) -> Option<&Cause> {
        self.0.cause.as_ref()
    }

    /// The finished answer; only the stack knows the request's id.
    pub(crate) fn render(&self, request_id: &str) -> Response {
        let Inner { status, code, detail, errors, retry_after, challenge, rate_limit, .. } = &*self.0;
        let body = ProblemBody {
            kind: "about:blank",
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            detail: detail.clone(),
            code,
            request_id: request_id.to_owned(),
            errors: errors.clone(),
        };
        let json = serde_json::to_vec(&body).unwrap_or_default();
        let mut response = (*status, json).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(after) = retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(fields::whole_seconds(*after)));
        }
        if let Some((policy, left)) = rate_limit {
            headers.insert(fields::RATELIMIT_POLICY, policy.clone());
            headers.insert(fields::RATELIMIT, left.clone());
        }
        if let Some(challenge) = challenge.as_deref().and_then(|text| HeaderValue::from_str(text).ok()) {
            headers.insert(WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

impl IntoResponse for Problem {
    /// A bare status that carries the problem; [`super::Stack`] renders it with the request's id.
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<sqlx::Error> for Problem {
    /// 503 when the database is away, busy or cancelled the statement; else it is our mistake, 500.
    fn from(error: sqlx::Error) -> Self {
        if is_database_away(&error) { Self::busy(error) } else { Self::internal(error) }
    }
}

fn is_database_away(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed => true,
        // Class 08 connection, 53 resources, 57 operator intervention (statement timeout, shutdown), 55P03 lock timeout,
        // 25P03 idle in transaction, 3D000 the database is being replaced.
        sqlx::Error::Database(error) => error.code().is_some_and(|code| {
            matches!(code.get(..2), Some("08" | "53" | "57")) || matches!(&*code, "55P03" | "25P03" | "3D000")
        }),
        _ => false,
    }
}

/// A validation error with a stable code: garde keeps one text, so the code rides in front of the message.
#[must_use]
pub fn invalid(code: &str, message: &str) -> garde::Error {
    garde::Error::new(format!("{code}{CODE_MARK}{message}"))
}

const CODE_MARK: char = '\u{1f}';

impl From<garde::Report> for Problem {
    fn from(report: garde::Report) -> Self {
        report.iter().fold(Self::invalid(), |problem, (path, error)| {
            let (code, message) = error.message().split_once(CODE_MARK).unwrap_or(("invalid", error.message()));
            problem.field(path.to_string(), code, message)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cause_of_a_500_never_reaches_the_body() {
        let problem = Problem::internal(std::io::Error::other("password=hunter2"));
        let json = serde_json::to_string(&ProblemBody {
            kind: "about:blank",
            title: "",
            status: 500,
            detail: problem.0.detail.clone(),
            code: problem.code(),
            request_id: "r".into(),
            errors: vec![],
        });
        assert!(!json.expect("serializes").contains("hunter2"));
        assert_eq!(problem.cause().map(ToString::to_string), Some("password=hunter2".to_owned()));
    }

    #[test]
    fn a_full_pool_is_a_503_and_a_missing_row_a_500() {
        assert_eq!(Problem::from(sqlx::Error::PoolTimedOut).status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(Problem::from(sqlx::Error::RowNotFound).status(), StatusCode::INTERNAL_SERVER_ERROR);
    }
}
