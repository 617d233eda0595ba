//! What this module tells the others. Names are versioned; payloads only ever gain optional fields within a version.

use chrono::{DateTime, Utc};
use platform::caller::OrgId;
use platform::events::Event;
use platform::outbound::Url;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Nothing is sent to an endpoint any more, and nobody of its organization wanted that. What waits for it stays and is sent
/// when it is enabled again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointDisabled {
    /// The endpoint.
    pub endpoint_id: Uuid,
    /// Whose it is.
    pub organization_id: OrgId,
    /// `gone`: it answered that it is. `failing`: nothing arrived for days.
    pub reason: String,
    /// Where it was: scheme, host and port only, as the rest of a URL may hold a secret of the receiver's.
    pub url: String,
    /// When.
    pub disabled_at: DateTime<Utc>,
}

impl Event for EndpointDisabled {
    const NAME: &'static str = "webhooks.endpoint_disabled.v1";
}

/// Scheme, host and port of a URL; nothing of one that cannot be read.
pub(crate) fn origin(url: &str) -> String {
    Url::parse(url).map(|url| url.origin().ascii_serialization()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_holds_no_part_that_may_be_a_secret() {
        for (url, expected) in [
            ("https://ann:s3cret@hooks.example.com:8443/s3cret?token=s3cret#s3cret", "https://hooks.example.com:8443"),
            ("https://example.com:443\\s3cret", "https://example.com"),
            ("http://[::1]:8080?s3cret", "http://[::1]:8080"),
            ("s3cret", ""),
        ] {
            assert_eq!(origin(url), expected, "{url}");
        }
    }

    #[test]
    fn the_stored_shape_is_frozen() {
        let disabled = EndpointDisabled {
            endpoint_id: Uuid::nil(),
            organization_id: OrgId::from(Uuid::nil()),
            reason: "failing".into(),
            url: "https://example.com".into(),
            disabled_at: DateTime::from_timestamp(1_700_000_000, 0).expect("a time"),
        };
        let golden: serde_json::Value =
            serde_json::from_str(include_str!("events/endpoint_disabled.v1.json")).expect("golden JSON");
        assert_eq!(serde_json::to_value(disabled).expect("JSON"), golden);
    }
}
