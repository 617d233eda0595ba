//! The service as its users call it: JSON over HTTP. For what `dev` seeds and `demo` shows.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, header};
use platform::http::{Method, StatusCode};
use platform::outbound::{AddressRules, Outbound, OutboundConfig, OutboundError, WholeAnswer};
use serde_json::Value;
use tokio::time::{Instant, MissedTickBehavior, interval};

/// How long something that happens in the background may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often it is looked at.
const GLANCE: Duration = Duration::from_millis(10);

/// What went otherwise than it should.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("expected an answer to {call}, but none came")]
    Unanswered {
        call: String,
        #[source]
        cause: OutboundError,
    },
    #[error("expected {expected}, but {came}")]
    Otherwise { expected: String, came: String },
    #[error("expected {expected} within {} s, but {came}", patience.as_secs())]
    Late { expected: String, patience: Duration, came: String },
    #[error("interrupted")]
    Interrupted,
    #[error(transparent)]
    Outbound(#[from] OutboundError),
    #[error("the database cannot be asked")]
    Database(#[from] sqlx::Error),
    #[error(transparent)]
    Payments(#[from] dev_stripe::ControlError),
}

impl Failure {
    pub(crate) fn otherwise(expected: impl Into<String>, came: impl Into<String>) -> Self {
        Self::Otherwise { expected: expected.into(), came: came.into() }
    }
}

/// One request.
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) body: Option<Value>,
    token: Option<String>,
    key: Option<String>,
}

impl Call {
    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self { method: Method::GET, path: path.into(), body: None, token: None, key: None }
    }

    pub(crate) fn post(path: impl Into<String>, body: Value) -> Self {
        Self { method: Method::POST, body: Some(body), ..Self::get(path) }
    }

    /// Without a body.
    pub(crate) fn bare_post(path: impl Into<String>) -> Self {
        Self { method: Method::POST, ..Self::get(path) }
    }

    /// As whoever holds the access token.
    pub(crate) fn by(self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self }
    }

    /// With an idempotency key of its own.
    pub(crate) fn once(self) -> Self {
        Self { key: Some(platform::ids::new_uuid().to_string()), ..self }
    }

    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let mut set = |name, value: String| {
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.insert(name, value);
            }
        };
        if self.body.is_some() {
            set(header::CONTENT_TYPE, "application/json".to_owned());
        }
        if let Some(token) = &self.token {
            set(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        if let Some(key) = &self.key {
            set(header::HeaderName::from_static("idempotency-key"), key.clone());
        }
        headers
    }
}

/// What came back.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    /// Null when there was no JSON.
    pub(crate) body: Value,
    text: String,
    call: String,
}

impl Answer {
    /// What stands between two marks.
    pub(crate) fn between(&self, start: &str, end: &str) -> Option<&str> {
        Some(self.text.split_once(start)?.1.split_once(end)?.0)
    }

    /// The sum of a counter over all lines of a metrics page that have these labels.
    pub(crate) fn sum(&self, counter: &str, labels: [&str; 2]) -> usize {
        let lines = self.text.lines().filter(|line| line.starts_with(counter));
        let lines = lines.filter(|line| labels.iter().all(|label| line.contains(label)));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<usize>().ok()).sum()
    }

    /// The body, provided the status is this one.
    pub(crate) fn expect(self, status: u16) -> Result<Value, Failure> {
        if self.status.as_u16() == status {
            return Ok(self.body);
        }
        let came = format!("{} was answered {}: {}", self.call, self.status.as_u16(), self.text.trim());
        Err(Failure::otherwise(status.to_string(), came.trim_end_matches([' ', ':'])))
    }
}

/// Calls one service.
#[derive(Clone)]
pub(crate) struct Client {
    outbound: Outbound,
    origin: String,
}

impl Client {
    /// `origin` without a slash at the end.
    pub(crate) fn new(origin: impl Into<String>) -> Result<Self, OutboundError> {
        let config = OutboundConfig {
            connect_timeout_ms: 3_000,
            total_timeout_ms: 10_000,
            answer_cap_bytes: 1024 * 1024,
            addresses: AddressRules::Any,
            user_agent: "A-Person/1".to_owned(),
        };
        Ok(Self { outbound: Outbound::new(&config)?, origin: origin.into() })
    }

    pub(crate) async fn send(&self, call: &Call) -> Result<Answer, Failure> {
        let body = call.body.as_ref().map(Value::to_string).unwrap_or_default();
        let answer = self.exchange(call, call.headers(), body).await?;
        let body = serde_json::from_slice(&answer.body).unwrap_or_default();
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        Ok(Answer { status: answer.status, body, text, call: format!("{} {}", call.method, call.path) })
    }

    /// Fills in a form as a browser does; the answer is no JSON.
    pub(crate) async fn submit(&self, path: &str, form: &str) -> Result<WholeAnswer, Failure> {
        let call = Call::bare_post(path);
        let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
        self.exchange(&call, HeaderMap::from_iter([(header::CONTENT_TYPE, kind)]), form.to_owned()).await
    }

    async fn exchange(&self, call: &Call, headers: HeaderMap, body: String) -> Result<WholeAnswer, Failure> {
        let url = format!("{}{}", self.origin, call.path);
        let sent = self.outbound.send(call.method.clone(), &url, headers, body).await;
        sent.map_err(|cause| Failure::Unanswered { call: format!("{} {}", call.method, call.path), cause })
    }
}

/// A field of an answer that has to be text.
pub(crate) fn text(body: &Value, pointer: &str) -> Result<String, Failure> {
    let found = body.pointer(pointer).and_then(Value::as_str);
    found.map(str::to_owned).ok_or_else(|| Failure::otherwise(format!("text at {pointer}"), format!("{body} came")))
}

/// Looks again and again until there is something, for a while. `look` says what it saw instead.
pub(crate) async fn eventually<T>(
    expected: &str,
    look: impl AsyncFnMut() -> Result<Result<T, String>, Failure>,
) -> Result<T, Failure> {
    within(PATIENCE, expected, look).await
}

async fn within<T>(
    patience: Duration,
    expected: &str,
    mut look: impl AsyncFnMut() -> Result<Result<T, String>, Failure>,
) -> Result<T, Failure> {
    let begun = Instant::now();
    let mut glances = interval(GLANCE);
    glances.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        glances.tick().await;
        match look().await? {
            Ok(seen) => return Ok(seen),
            Err(came) if begun.elapsed() > patience => {
                return Err(Failure::Late { expected: expected.to_owned(), patience, came });
            }
            Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn waiting_ends_with_what_was_seen_instead() {
        let mut looks = 0;
        let seen = within(PATIENCE, "a third look", async || {
            looks += 1;
            Ok(if looks < 3 { Err(format!("it was look {looks}")) } else { Ok(looks) })
        });
        assert_eq!(seen.await.expect("there is a third"), 3);
        let never = within::<()>(Duration::ZERO, "the impossible", async || Ok(Err("nothing came".to_owned())));
        let failure = never.await.expect_err("it cannot be");
        assert_eq!(failure.to_string(), "expected the impossible within 0 s, but nothing came");
    }

    #[test]
    fn another_status_than_expected_is_told_with_the_call_and_the_answer() {
        let answer = |status| Answer {
            status,
            body: Value::Null,
            text: "{\"code\":\"not_found\"}\n".to_owned(),
            call: "GET /v1/me".to_owned(),
        };
        assert!(answer(StatusCode::OK).expect(200).is_ok());
        let failure = answer(StatusCode::NOT_FOUND).expect(200).expect_err("another status");
        let told = "expected 200, but GET /v1/me was answered 404: {\"code\":\"not_found\"}";
        assert_eq!(failure.to_string(), told);
    }

    #[test]
    fn a_counter_is_summed_over_the_lines_with_its_labels() {
        let page = "jobs_total{job=\"a\",outcome=\"ok\"} 2\njobs_total{job=\"a\",outcome=\"bad\"} 4\njobs_total{job=\"a\",outcome=\"ok\",x=\"y\"} 1\n";
        let (status, call) = (StatusCode::OK, String::new());
        let answer = Answer { status, body: Value::Null, text: page.to_owned(), call };
        assert_eq!(answer.sum("jobs_total", ["job=\"a\"", "outcome=\"ok\""]), 3);
        assert_eq!(answer.between("outcome=\"", "\""), Some("ok"));
    }
}
