//! What this module tells the others. Names are versioned; payloads only ever gain optional fields within a version.

use chrono::{DateTime, Utc};
use platform::caller::OrgId;
use platform::events::Event;
use serde::{Deserialize, Serialize};

/// What an organization may use, or on which terms, has changed. The state is the one after the change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubscriptionUpdated {
    /// The organization.
    pub organization: OrgId,
    /// The plan whose features it has now.
    pub plan: String,
    /// The state of the subscription that counts; none when there is none.
    pub status: Option<String>,
    /// Seats.
    pub quantity: Option<i32>,
    /// Until when it is paid.
    pub current_period_end: Option<DateTime<Utc>>,
    /// When it will end, if that is decided.
    pub cancel_at: Option<DateTime<Utc>>,
    /// `full`, or `free` when only the free plan's features are left.
    pub access: String,
    /// When.
    pub at: DateTime<Utc>,
}

impl Event for SubscriptionUpdated {
    const NAME: &'static str = "billing.subscription_updated.v1";
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn the_stored_shape_is_frozen() {
        let at = DateTime::from_timestamp(1_700_000_000, 0).expect("a time");
        let updated = SubscriptionUpdated {
            organization: OrgId::from(uuid::Uuid::nil()),
            plan: "team".into(),
            status: Some("active".into()),
            quantity: Some(3),
            current_period_end: Some(at + TimeDelta::days(30)),
            cancel_at: None,
            access: "full".into(),
            at,
        };
        let golden: serde_json::Value =
            serde_json::from_str(include_str!("events/subscription_updated.v1.json")).expect("golden JSON");
        assert_eq!(serde_json::to_value(updated).expect("JSON"), golden);
    }
}
