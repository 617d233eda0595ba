use axum::extract::State;
use axum::http::StatusCode;
use garde::Validate;
use platform::caller::LoggedIn;
use platform::http::{Json, Problem, Routes, SecretText};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::PasswordChange;
use crate::Users;

pub(crate) fn routes() -> Routes<Users> {
    Routes::new().with(routes!(password_change))
}

/// The password until now and from now on.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
struct PasswordChangeBody {
    /// The one you log in with.
    #[garde(dive)]
    current_password: SecretText<1, 512>,
    /// 12 to 128 characters, taken exactly as sent; common ones and those holding your address are refused.
    #[garde(dive)]
    new_password: SecretText<12, 128>,
}

/// Change your password
///
/// Ends every session but this one, and mails you. A wrong current password is 422 `wrong_password` and counts as a failed
/// login.
#[utoipa::path(post, path = "/me/password", operation_id = "password_change", security(("access_token" = [])),
    request_body = PasswordChangeBody,
    responses((status = 204, description = "The new password counts from now on.")))]
async fn password_change(
    State(users): State<Users>,
    person: LoggedIn,
    Json(body): Json<PasswordChangeBody>,
) -> Result<StatusCode, Problem> {
    let PasswordChangeBody { current_password, new_password } = body;
    let change =
        PasswordChange { current: current_password.expose().to_owned(), new: new_password.expose().to_owned() };
    users.change_password(&person, &change).await?;
    Ok(StatusCode::NO_CONTENT)
}
