//! The operations of every feature, gathered for the front door.

use platform::http::Routes;

use crate::{
    IssuerError, Users, accounts, audit, email_changes, erasures, exports, invitations, members, organizations,
    password_changes, password_resets, personal_tokens, registrations, second_factors, sessions,
};

/// Nothing below `/auth` needs a large body.
const AUTHENTICATION_BODY_LIMIT: usize = 8 * 1024;

pub(crate) fn below_v1(users: &Users) -> Routes<Users> {
    let own_logins = Routes::new()
        .merge(registrations::http::routes())
        .merge(sessions::http::routes())
        .merge(password_resets::http::routes())
        .body_limit(AUTHENTICATION_BODY_LIMIT)
        .merge(password_changes::http::routes())
        .merge(email_changes::http::routes())
        .merge(second_factors::http::routes());
    let own_logins = match users.0.issuer {
        Some(_) => own_logins.closed(|| IssuerError::ExternalLogin.into()),
        None => own_logins,
    };
    own_logins
        .merge(accounts::http::routes())
        .merge(erasures::http::routes())
        .merge(exports::http::routes())
        .merge(personal_tokens::http::routes())
        .merge(organizations::http::routes())
        .merge(members::http::routes())
        .merge(invitations::http::routes())
        .merge(audit::http::routes())
}
