//! The audit log: who did what, written in the transaction of the deed.

mod store;

use platform::caller::{OrgId, UserId};
use platform::db::Tx;
use serde_json::Value;

use crate::Users;

/// What happened, in the OWASP logging vocabulary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    AccountCreated,
    LoginSucceeded,
    LoginFailed,
    LoggedOut,
    TokenReused,
    OrganizationCreated,
    OrganizationUpdated,
}

impl Action {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Action::AccountCreated => "user_created",
            Action::LoginSucceeded => "authn_login_success",
            Action::LoginFailed => "authn_login_fail",
            Action::LoggedOut => "session_logout",
            Action::TokenReused => "authn_token_reuse",
            Action::OrganizationCreated => "organization_created",
            Action::OrganizationUpdated => "organization_updated",
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

impl Users {
    pub(crate) async fn record(&self, tx: &mut Tx, deed: Deed) -> Result<(), sqlx::Error> {
        let request_id = platform::telemetry::current_context().map(|context| context.request_id);
        store::insert(tx, &deed, request_id.as_deref(), self.0.clock.now()).await
    }
}
