use axum::extract::Request;
use axum::http::header::LINK;
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use chrono::{DateTime, Utc};

const DEPRECATION: HeaderName = HeaderName::from_static("deprecation");
const SUNSET: HeaderName = HeaderName::from_static("sunset");

/// An operation that is going away: since when (RFC 9745), until when it answers (RFC 8594) and what replaces it.
#[derive(Clone, Debug)]
pub struct Deprecation {
    /// Deprecated since.
    pub since: DateTime<Utc>,
    /// Answers until.
    pub sunset: DateTime<Utc>,
    /// Path of the operation to use instead.
    pub successor: &'static str,
}

impl Deprecation {
    pub(super) fn headers(&self) -> [(HeaderName, HeaderValue); 3] {
        let value = |text: String| HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""));
        [
            (DEPRECATION, value(format!("@{}", self.since.timestamp()))),
            (SUNSET, value(self.sunset.format("%a, %d %b %Y %H:%M:%S GMT").to_string())),
            (LINK, value(format!("<{}>; rel=\"successor-version\"", self.successor))),
        ]
    }
}

/// Says on every answer that the operation is going away.
pub(super) async fn announce(deprecation: Deprecation, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    for (name, value) in deprecation.headers() {
        response.headers_mut().insert(name, value);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_headers_follow_their_rfcs() {
        let at = |seconds| DateTime::from_timestamp(seconds, 0).expect("a time");
        let deprecation = Deprecation { since: at(1_688_169_599), sunset: at(1_719_791_999), successor: "/v2/things" };
        let headers = deprecation.headers().map(|(_, value)| value.to_str().expect("text").to_owned());
        assert_eq!(
            headers,
            ["@1688169599", "Sun, 30 Jun 2024 23:59:59 GMT", "</v2/things>; rel=\"successor-version\""]
                .map(String::from)
        );
    }
}
