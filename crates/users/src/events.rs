//! What this module tells the others. Names are versioned; payloads only ever gain optional fields within a version.

use chrono::{DateTime, Utc};
use platform::caller::{OrgId, UserId};
use platform::events::Event;
use serde::{Deserialize, Serialize};

/// An organization came into being.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrganizationCreated {
    /// The organization.
    pub organization: OrgId,
    /// What it is called.
    pub name: String,
    /// Its first owner.
    pub owner: UserId,
    /// When.
    pub at: DateTime<Utc>,
}

impl Event for OrganizationCreated {
    const NAME: &'static str = "users.organization_created.v1";
}

/// An organization was renamed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrganizationUpdated {
    /// The organization.
    pub organization: OrgId,
    /// What it is called now.
    pub name: String,
    /// When.
    pub at: DateTime<Utc>,
}

impl Event for OrganizationUpdated {
    const NAME: &'static str = "users.organization_updated.v1";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stored_shapes_are_frozen() {
        let (organization, owner) = (OrgId::from(uuid::Uuid::nil()), UserId::from(uuid::Uuid::nil()));
        let at = DateTime::from_timestamp(1_700_000_000, 0).expect("a time");
        let created = OrganizationCreated { organization, name: "Acme".into(), owner, at };
        let updated = OrganizationUpdated { organization, name: "Acme".into(), at };
        let golden = |text: &str| serde_json::from_str::<serde_json::Value>(text).expect("golden JSON");
        assert_eq!(
            serde_json::to_value(created).expect("JSON"),
            golden(include_str!("events/organization_created.v1.json"))
        );
        assert_eq!(
            serde_json::to_value(updated).expect("JSON"),
            golden(include_str!("events/organization_updated.v1.json"))
        );
    }
}
