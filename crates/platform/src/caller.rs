//! What every module needs to know of identity: who calls, for which organization, in which role.

use std::fmt;
use std::net::IpAddr;
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

/// Who makes a request, as proven by the token it carries. The extractor has compared the token's scope with the method.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The person.
    pub user: UserId,
    /// What proved it, which also says how far it reaches.
    pub credential: Credential,
}

/// What proves who calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credential {
    /// The access token of a login: the person themselves.
    Login {
        /// Names the login; revoking it ends the token at once.
        id: Uuid,
        /// When the person last proved who they are.
        authenticated_at: DateTime<Utc>,
    },
    /// A personal token, made for a program: what the person may, within its scope and without the account's own matters.
    PersonalToken(Scope),
}

impl Credential {
    /// What a request with it may do to data.
    pub(crate) fn may(self, needed: Scope) -> bool {
        match self {
            Credential::Login { .. } => true,
            Credential::PersonalToken(scope) => scope.includes(needed),
        }
    }
}

/// How far a personal token reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum Scope {
    /// Looking: GET and HEAD.
    Read,
    /// Changing as well.
    Write,
}

impl Scope {
    /// The stored and spoken name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Scope::Read => "read",
            Scope::Write => "write",
        }
    }

    /// Who may change things may look at them.
    #[must_use]
    pub fn includes(self, needed: Scope) -> bool {
        self == Scope::Write || needed == Scope::Read
    }
}

/// Proof that the person calls themselves, not a program with a token of theirs. What concerns the account and its credentials
/// takes it instead of a [`Caller`]: without it, a stolen token could make another, or keep its owner out.
#[derive(Clone, Debug)]
pub struct LoggedIn {
    caller: Caller,
    login: Uuid,
}

impl LoggedIn {
    /// # Errors
    /// 403 `session_required` for a token.
    pub(crate) fn verified(caller: Caller) -> Result<Self, Problem> {
        match caller.credential {
            Credential::Login { id, .. } => Ok(Self { caller, login: id }),
            Credential::PersonalToken(_) => Err(Problem::session_required()),
        }
    }

    /// The person who calls.
    #[must_use]
    pub fn user(&self) -> UserId {
        self.caller.user
    }

    /// Their login.
    #[must_use]
    pub fn login(&self) -> Uuid {
        self.login
    }

    /// The caller, for what asks less.
    #[must_use]
    pub fn caller(&self) -> &Caller {
        &self.caller
    }
}

/// Where a request comes from: the client's address as told by its connection and by proxies that the configuration trusts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAddress(Option<IpAddr>);

impl ClientAddress {
    /// An IPv4 address in the clothes of IPv6 counts as what it is.
    #[must_use]
    pub fn new(address: IpAddr) -> Self {
        Self(Some(address.to_canonical()))
    }

    /// Of a request that came without a socket, which does not happen in a service.
    #[must_use]
    pub fn unknown() -> Self {
        Self(None)
    }

    /// The address, unless it is unknown.
    #[must_use]
    pub fn ip(self) -> Option<IpAddr> {
        self.0
    }

    /// Whom limits count: one IPv4 address; of IPv6 the /64, which is the least that one subscriber has. Everybody unknown is
    /// one and the same.
    #[must_use]
    pub fn network(self) -> u128 {
        const INTERFACE: u128 = u64::MAX as u128;
        match self.0 {
            Some(IpAddr::V4(address)) => address.to_ipv6_mapped().to_bits(),
            Some(IpAddr::V6(address)) => address.to_bits() & !INTERFACE,
            None => INTERFACE,
        }
    }
}

/// What a person may be in an organization, strongest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
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

    /// The caller with the login behind the request.
    #[must_use]
    pub fn caller(&self) -> &Caller {
        &self.caller
    }
}

/// Knows people and their memberships. Wiring hands the one implementation to the HTTP stack.
#[async_trait]
pub trait Authority: Send + Sync + 'static {
    /// Whose token this is, and what it may.
    ///
    /// # Errors
    /// 401 `invalid_token` for a token that is forged, expired or revoked; 503 when it cannot be checked.
    async fn authenticate(&self, token: &str) -> Result<Caller, Problem>;

    /// The caller's role in the organization, `None` for strangers and for organizations that do not exist.
    ///
    /// # Errors
    /// 503 when it cannot be checked.
    async fn role_in(&self, caller: &Caller, org: OrgId) -> Result<Option<Role>, Problem>;
}
