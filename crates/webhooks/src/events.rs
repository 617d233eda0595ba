//! What this module tells the others. Names are versioned; payloads only ever gain optional fields within a version.

use chrono::{DateTime, Utc};
use platform::caller::OrgId;
use platform::events::Event;
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
    /// Where it was.
    pub url: String,
    /// When.
    pub disabled_at: DateTime<Utc>,
}

impl Event for EndpointDisabled {
    const NAME: &'static str = "webhooks.endpoint_disabled.v1";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stored_shape_is_frozen() {
        let disabled = EndpointDisabled {
            endpoint_id: Uuid::nil(),
            organization_id: OrgId::from(Uuid::nil()),
            reason: "failing".into(),
            url: "https://example.com/hook".into(),
            disabled_at: DateTime::from_timestamp(1_700_000_000, 0).expect("a time"),
        };
        let golden: serde_json::Value =
            serde_json::from_str(include_str!("events/endpoint_disabled.v1.json")).expect("golden JSON");
        assert_eq!(serde_json::to_value(disabled).expect("JSON"), golden);
    }
}
