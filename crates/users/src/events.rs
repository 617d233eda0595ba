//! What this module tells the others. Names are versioned; payloads only ever gain optional fields within a version.

use chrono::{DateTime, Utc};
use platform::caller::{OrgId, Role, UserId};
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

/// An organization was deleted, with its memberships: nobody belongs to it any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrganizationDeleted {
    /// The organization.
    pub organization: OrgId,
    /// When.
    pub at: DateTime<Utc>,
}

impl Event for OrganizationDeleted {
    const NAME: &'static str = "users.organization_deleted.v1";
}

/// A person joined an organization. Its first owner joins with [`OrganizationCreated`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberAdded {
    /// The organization.
    pub organization: OrgId,
    /// The person.
    pub user: UserId,
    /// What they are there at first.
    pub role: Role,
    /// When.
    pub at: DateTime<Utc>,
}

impl Event for MemberAdded {
    const NAME: &'static str = "users.member_added.v1";
}

/// A person left an organization or was removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberRemoved {
    /// The organization.
    pub organization: OrgId,
    /// The person.
    pub user: UserId,
    /// When.
    pub at: DateTime<Utc>,
}

impl Event for MemberRemoved {
    const NAME: &'static str = "users.member_removed.v1";
}

/// A person erased their account. They have left every organization before; those that were theirs alone are deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountErased {
    /// The person.
    pub account: UserId,
    /// When.
    pub at: DateTime<Utc>,
}

impl Event for AccountErased {
    const NAME: &'static str = "users.account_erased.v1";
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
        let deleted = OrganizationDeleted { organization, at };
        let added = MemberAdded { organization, user: owner, role: Role::Member, at };
        let removed = MemberRemoved { organization, user: owner, at };
        assert_eq!(
            serde_json::to_value(deleted).expect("JSON"),
            golden(include_str!("events/organization_deleted.v1.json"))
        );
        assert_eq!(serde_json::to_value(added).expect("JSON"), golden(include_str!("events/member_added.v1.json")));
        assert_eq!(serde_json::to_value(removed).expect("JSON"), golden(include_str!("events/member_removed.v1.json")));
        let erased = AccountErased { account: owner, at };
        assert_eq!(serde_json::to_value(erased).expect("JSON"), golden(include_str!("events/account_erased.v1.json")));
    }
}
