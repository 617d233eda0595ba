//! The audit log: who did what, written in the transaction of the deed.

pub(crate) mod http;
pub(crate) mod store;

use chrono::{DateTime, Utc};
use platform::caller::{Member, OrgId, UserId};
use platform::db::Tx;
use platform::http::{Page, PageRequest};
use platform::ids::first_uuid_at;
use serde_json::Value;
use uuid::Uuid;

use crate::{Error, Users, policy};

platform::id! {
    /// Names an entry of the audit log. It is made of the entry's time, so a span of time is a range of ids.
    pub struct EntryId;
}

/// What happened, in the OWASP logging vocabulary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    AccountCreated,
    LoginSucceeded,
    LoginFailed,
    LoginThrottled,
    LoggedOut,
    TokenReused,
    SessionRevoked,
    PasswordChanged,
    PasswordReset,
    EmailChangeRequested,
    EmailChanged,
    AccountUpdated,
    AccountErased,
    ExportRequested,
    SecondFactorAdded,
    SecondFactorRemoved,
    RecoveryCodeUsed,
    TokenCreated,
    TokenRevoked,
    IdentityLinked,
    SigningKeysRotated,
    OrganizationCreated,
    OrganizationUpdated,
    OrganizationDeleted,
    RoleChanged,
    MemberRemoved,
    InvitationCreated,
    InvitationRevoked,
    InvitationAccepted,
}

impl Action {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Action::AccountCreated => "user_created",
            Action::LoginSucceeded => "authn_login_success",
            Action::LoginFailed => "authn_login_fail",
            Action::LoginThrottled => "authn_login_fail_max",
            Action::LoggedOut => "session_logout",
            Action::TokenReused => "authn_token_reuse",
            Action::SessionRevoked => "session_revoked",
            Action::PasswordChanged => "authn_password_change",
            Action::PasswordReset => "authn_password_reset",
            Action::EmailChangeRequested => "user_email_change_requested",
            Action::EmailChanged => "user_email_changed",
            Action::AccountUpdated => "user_updated",
            Action::AccountErased => "user_deleted",
            Action::ExportRequested => "user_export_requested",
            Action::SecondFactorAdded => "authn_mfa_added",
            Action::SecondFactorRemoved => "authn_mfa_removed",
            Action::RecoveryCodeUsed => "authn_recovery_code_used",
            Action::TokenCreated => "authn_token_created",
            Action::TokenRevoked => "authn_token_revoked",
            Action::IdentityLinked => "user_identity_linked",
            Action::SigningKeysRotated => "signing_keys_rotated",
            Action::OrganizationCreated => "organization_created",
            Action::OrganizationUpdated => "organization_updated",
            Action::OrganizationDeleted => "organization_deleted",
            Action::RoleChanged => "privilege_permissions_changed",
            Action::MemberRemoved => "member_removed",
            Action::InvitationCreated => "invitation_created",
            Action::InvitationRevoked => "invitation_revoked",
            Action::InvitationAccepted => "invitation_accepted",
        }
    }
}

/// One deed.
#[derive(Debug)]
pub(crate) struct Deed {
    pub(crate) action: Action,
    pub(crate) account: Option<UserId>,
    pub(crate) organization: Option<OrgId>,
    /// What changed; never a secret.
    pub(crate) details: Value,
}

/// A deed as it was recorded.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) id: EntryId,
    pub(crate) actor: Option<UserId>,
    pub(crate) action: String,
    pub(crate) request_id: Option<String>,
    /// Where the request came from.
    pub(crate) ip: Option<String>,
    pub(crate) details: Value,
    pub(crate) at: DateTime<Utc>,
}

/// Which entries somebody wants to see.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter {
    pub(crate) actor: Option<UserId>,
    pub(crate) action: Option<String>,
    /// From then on.
    pub(crate) from: Option<DateTime<Utc>>,
    /// Before then.
    pub(crate) to: Option<DateTime<Utc>>,
}

impl Users {
    /// What was done in the organization, newest first.
    ///
    /// # Errors
    /// [`Error::Forbidden`].
    pub(crate) async fn list_audit_log(
        &self,
        member: &Member,
        filter: &Filter,
        page: &PageRequest,
    ) -> Result<Page<Entry>, Error> {
        if !policy::may_read_audit_log(member.role()) {
            return Err(Error::Forbidden);
        }
        let wanted = store::Wanted {
            action: filter.action.as_deref(),
            from: filter.from.map_or(Uuid::nil(), first_uuid_at),
            before: filter.to.map_or(page.before, |to| page.before.min(first_uuid_at(to))),
            limit: page.fetch(),
        };
        let mut connection = self.0.db.read().await?;
        let rows = match filter.actor {
            Some(actor) => store::list_of(&mut connection, member.org(), actor, &wanted).await?,
            None => store::list(&mut connection, member.org(), &wanted).await?,
        };
        Ok(Page::of(rows, page, |entry| entry.id.uuid()))
    }

    pub(crate) async fn record(&self, tx: &mut Tx, deed: Deed) -> Result<(), sqlx::Error> {
        let cause = platform::telemetry::current_context();
        store::insert(tx, &deed, cause.as_ref(), self.0.clock.now()).await
    }
}
