//! What every module needs to know of identity: who calls, for which organization, in which role.

use std::fmt;
use std::str::FromStr;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::http::Problem;

crate::id! {
    /// Names a person with an account.
    pub struct UserId;
}

crate::id! {
    /// Names an organization, the tenant that owns data.
    pub struct OrgId;
}

/// Who makes a request, as proven by the access token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The person.
    pub user: UserId,
    /// The login this token belongs to; revoking it ends the token at once.
    pub login: Uuid,
    /// When the person last proved who they are with a password.
    pub authenticated_at: DateTime<Utc>,
}

/// What a person may be in an organization, strongest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Everything, including giving the organization away or ending it.
    Owner,
    /// Everything but the owner's own matters.
    Admin,
    /// Daily work.
    Member,
    /// Plans, payments and invoices only.
    Billing,
    /// Reading only.
    Viewer,
}

impl Role {
    /// Every role, for tables and tests.
    pub const ALL: [Role; 5] = [Role::Owner, Role::Admin, Role::Member, Role::Billing, Role::Viewer];

    /// The stored and spoken name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Owner => "owner",
            Role::Admin => "admin",
            Role::Member => "member",
            Role::Billing => "billing",
            Role::Viewer => "viewer",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text is not the name of a role.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a role")]
pub struct UnknownRole(String);

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Role::ALL.into_iter().find(|role| role.as_str() == text).ok_or_else(|| UnknownRole(text.to_owned()))
    }
}

/// Proof that the caller belongs to the organization named in the path. Only its extractor makes one, so a function that
/// takes a `Member` cannot be reached by a stranger.
#[derive(Clone, Debug)]
pub struct Member {
    caller: Caller,
    org: OrgId,
    role: Role,
}

impl Member {
    pub(crate) fn verified(caller: Caller, org: OrgId, role: Role) -> Self {
        Self { caller, org, role }
    }

    /// The organization, verified.
    #[must_use]
    pub fn org(&self) -> OrgId {
        self.org
    }

    /// What the caller is there.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }

    /// The person who calls.
    #[must_use]
    pub fn user(&self) -> UserId {
        self.caller.user
    }
}

/// Knows people and their memberships. Wiring hands the one implementation to the HTTP stack.
#[async_trait]
pub trait Authority: Send + Sync + 'static {
    /// Whose access token this is.
    ///
    /// # Errors
    /// 401 `invalid_token` for a token that is forged, expired or revoked; 503 when it cannot be checked.
    async fn authenticate(&self, access_token: &str) -> Result<Caller, Problem>;

    /// The caller's role in the organization, `None` for strangers and for organizations that do not exist.
    ///
    /// # Errors
    /// 503 when it cannot be checked.
    async fn role_in(&self, caller: &Caller, org: OrgId) -> Result<Option<Role>, Problem>;
}
