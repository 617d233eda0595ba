use axum::extract::State;
use axum::http::StatusCode;
use platform::caller::LoggedIn;
use platform::http::{IfMatch, Problem, Routes};
use utoipa_axum::routes;

use crate::Users;

pub(crate) fn routes() -> Routes<Users> {
    Routes::new().with(routes!(me_delete))
}

/// Erase your account
///
/// For good: your profile, logins, tokens and memberships go, organizations that are yours alone are deleted and what they pay
/// for is canceled; your address can be used to sign up again. Wants a login of the last few minutes (401
/// `recent_login_required`). While an organization with other members would lose its only owner the answer is 409
/// `last_owner`: make somebody else an owner first, or delete it. 409 `too_many_organizations` wants you to leave some first.
#[utoipa::path(delete, path = "/me", operation_id = "me_delete", security(("access_token" = [])),
    params(("If-Match" = Option<String>, Header, description = "The ETag that was read.", max_length = 255)),
    responses((status = 204, description = "You are forgotten."),
              (status = 409, description = "You are needed or belong to too much.", content_type = "application/problem+json"),
              (status = 412, description = "Your profile was changed meanwhile.", content_type = "application/problem+json")))]
async fn me_delete(State(users): State<Users>, person: LoggedIn, if_match: IfMatch) -> Result<StatusCode, Problem> {
    users.erase_me(&person, &if_match).await?;
    Ok(StatusCode::NO_CONTENT)
}
