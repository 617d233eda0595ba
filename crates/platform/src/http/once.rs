use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use garde::Validate;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use super::json;
use super::problem::Problem;
use crate::caller::Caller;
use crate::once::{Answer, Once, OnceKey};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
const MAX_KEY_LENGTH: usize = 255;

impl<S, B> FromRequest<S> for Once<B>
where
    S: Send + Sync,
    B: DeserializeOwned + Validate<Context = ()>,
{
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let (mut parts, body) = request.into_parts();
        let caller = Caller::from_request_parts(&mut parts, state).await?;
        let key = read_key(parts.headers.get_all(IDEMPOTENCY_KEY).iter())?.map(str::to_owned);
        let path = parts.uri.path().to_owned();
        let method = parts.method.clone();
        let (bytes, body) = json::read(Request::from_parts(parts, body), state).await?;
        let key = key.map(|key| OnceKey {
            scope: hash(&[caller.user.uuid().as_bytes(), method.as_str().as_bytes(), path.as_bytes(), key.as_bytes()]),
            request_hash: hash(&[&bytes]),
        });
        Ok(Once::new(key, body))
    }
}

impl<T: IntoResponse> IntoResponse for Answer<T> {
    fn into_response(self) -> Response {
        let mut response = self.value.into_response();
        if self.replayed {
            response.headers_mut().insert(IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"));
        }
        response
    }
}

fn read_key<'a>(mut sent: impl Iterator<Item = &'a HeaderValue>) -> Result<Option<&'a str>, Problem> {
    let Some(first) = sent.next() else { return Ok(None) };
    let printable =
        |key: &&str| (1..=MAX_KEY_LENGTH).contains(&key.len()) && key.bytes().all(|b| (0x20..0x7f).contains(&b));
    let key = first.to_str().ok().filter(printable).filter(|_| sent.next().is_none());
    key.map(Some).ok_or_else(|| {
        let detail = format!("Send one Idempotency-Key of 1 to {MAX_KEY_LENGTH} printable ASCII characters.");
        Problem::new(StatusCode::BAD_REQUEST, "invalid_idempotency_key", detail)
    })
}

/// Each part is preceded by its length, so that no two lists of parts look alike.
fn hash(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_1_to_255_printable_ascii_characters_once() {
        let verdict = |values: &[&str]| {
            let headers: Vec<HeaderValue> =
                values.iter().map(|v| HeaderValue::from_bytes(v.as_bytes()).expect("a header")).collect();
            read_key(headers.iter()).map(|key| key.map(str::to_owned)).map_err(|problem| problem.code())
        };
        assert_eq!(verdict(&[]), Ok(None));
        assert_eq!(verdict(&["abc"]), Ok(Some("abc".to_owned())));
        assert_eq!(verdict(&["abc", "abc"]), Err("invalid_idempotency_key"));
        assert_eq!(verdict(&[""]), Err("invalid_idempotency_key"));
        assert_eq!(verdict(&["é"]), Err("invalid_idempotency_key"));
        assert_eq!(verdict(&[&"a".repeat(256)]), Err("invalid_idempotency_key"));
    }
}
