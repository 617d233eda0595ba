use axum::extract::FromRequestParts;
use axum::http::header::{ETAG, IF_MATCH};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

use super::problem::Problem;

/// An answer with the version of what it shows (RFC 9110 section 8.8.3).
#[derive(Clone, Copy, Debug)]
pub struct ETag<T>(pub i64, pub T);

impl<T: IntoResponse> IntoResponse for ETag<T> {
    fn into_response(self) -> Response {
        let Self(version, answer) = self;
        let mut response = answer.into_response();
        let tag = HeaderValue::try_from(format!("\"{version}\"")).unwrap_or(HeaderValue::from_static("\"0\""));
        response.headers_mut().insert(ETAG, tag);
        response
    }
}

/// The version a client insists on (RFC 9110 section 13.1.1); any version when it sent none or `*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IfMatch(Option<Vec<i64>>);

impl IfMatch {
    /// A client that does not insist.
    #[must_use]
    pub fn any() -> Self {
        Self(None)
    }

    /// Passes when the version is one the client named.
    ///
    /// # Errors
    /// 412 `version_mismatch`: somebody changed the resource since the client read it.
    pub fn check(&self, version: i64) -> Result<(), Problem> {
        match &self.0 {
            Some(wanted) if !wanted.contains(&version) => Err(Problem::new(
                StatusCode::PRECONDITION_FAILED,
                "version_mismatch",
                "It was changed since you read it. Read it again and repeat your change.",
            )),
            _ => Ok(()),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let Some(header) = parts.headers.get(IF_MATCH) else { return Ok(Self::any()) };
        let text = header.to_str().unwrap_or_default().trim();
        if text == "*" {
            return Ok(Self::any());
        }
        // A tag that is not ours (weak, or of another form) matches no version, as the RFC asks.
        let ours = |tag: &str| tag.trim().strip_prefix('"')?.strip_suffix('"')?.parse().ok();
        Ok(Self(Some(text.split(',').filter_map(ours).collect())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(header: Option<&str>) -> IfMatch {
        let mut request = axum::http::Request::builder();
        if let Some(header) = header {
            request = request.header(IF_MATCH, header);
        }
        let (mut parts, ()) = request.body(()).expect("a request").into_parts();
        IfMatch::from_request_parts(&mut parts, &()).await.expect("never refused")
    }

    #[tokio::test]
    async fn an_old_or_foreign_tag_is_412_and_a_missing_one_passes() {
        for (header, version, passes) in [
            (None, 7, true),
            (Some("*"), 7, true),
            (Some("\"7\""), 7, true),
            (Some("\"6\", \"7\""), 7, true),
            (Some("\"6\""), 7, false),
            (Some("W/\"7\""), 7, false),
            (Some("nonsense"), 7, false),
        ] {
            assert_eq!(read(header).await.check(version).is_ok(), passes, "{header:?}");
        }
    }
}
