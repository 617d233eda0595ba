use axum::http::{HeaderMap, HeaderName};

use crate::caller::ClientAddress;
use crate::ids;
use crate::telemetry::{RequestContext, TraceParent};

pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The request's id and place in a trace, and the place above it: the client's when well-formed, else made.
pub(super) fn context_of(headers: &HeaderMap, client: ClientAddress) -> (RequestContext, TraceParent) {
    let request_id = only(headers, &X_REQUEST_ID)
        .filter(|id| is_request_id(id))
        .map_or_else(|| ids::new_uuid().simple().to_string(), str::to_owned);
    let parent = only(headers, &TRACEPARENT).and_then(TraceParent::parse).unwrap_or_else(TraceParent::new);
    (RequestContext { request_id, traceparent: Some(parent.child().to_string()), client: client.ip() }, parent)
}

fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut sent = headers.get_all(name).iter();
    let first = sent.next()?;
    if sent.next().is_some() { None } else { first.to_str().ok() }
}

/// `^[A-Za-z0-9._-]{1,64}$`: nothing that could forge a log line or blow one up.
fn is_request_id(id: &str) -> bool {
    (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wild_or_repeated_request_id_is_replaced() {
        let taken = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(X_REQUEST_ID, value.parse().expect("a header"));
            }
            context_of(&headers, ClientAddress::unknown()).0.request_id
        };
        assert_eq!(taken(&["order-17.a_b"]), "order-17.a_b");
        for wild in ["", "a b", "a\"b", "ü", &"x".repeat(65)] {
            assert_ne!(taken(&[wild]), *wild);
        }
        assert_ne!(taken(&["a", "a"]), "a");
        assert_eq!(taken(&[]).len(), 32);
    }
}
