//! How limits are told to clients: the fields `RateLimit-Policy` and `RateLimit` of draft-ietf-httpapi-ratelimit-headers-10,
//! both lists of structured fields (RFC 9651).

use std::time::Duration;

use axum::http::{HeaderName, HeaderValue};

use super::{Left, RateLimit};

pub(crate) const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");
pub(crate) const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// `"name";q=10;w=120`: ten at once, all of them back within 120 seconds.
pub(crate) fn policy(name: &str, limit: RateLimit) -> HeaderValue {
    field(&format!("\"{name}\";q={};w={}", limit.burst, limit.window()))
}

/// `"name";r=9;t=12`: nine are left, and one more comes in twelve seconds.
pub(crate) fn left(name: &str, left: Left) -> HeaderValue {
    field(&format!("\"{name}\";r={};t={}", left.turns, whole_seconds(left.more_in)))
}

/// Whole seconds, never less than the time itself, so that who waits as told is not refused again.
pub(crate) fn whole_seconds(time: Duration) -> u64 {
    (time.as_secs() + u64::from(time.subsec_nanos() > 0)).max(1)
}

fn field(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_are_structured_lists_with_strings_and_whole_seconds() {
        let limit = RateLimit { count: 5, seconds: 60, burst: 10 };
        assert_eq!(policy("login", limit), "\"login\";q=10;w=120");
        let millis = |turns, millis| left("login", Left { turns, more_in: Duration::from_millis(millis) });
        assert_eq!(millis(9, 11_001), "\"login\";r=9;t=12");
        assert_eq!(millis(0, 12_000), "\"login\";r=0;t=12");
        assert_eq!(millis(0, 0), "\"login\";r=0;t=1");
    }
}
