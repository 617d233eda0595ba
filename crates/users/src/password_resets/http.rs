use axum::extract::State;
use axum::http::StatusCode;
use garde::Validate;
use platform::caller::ClientAddress;
use platform::http::{Json, Problem, Routes, SecretText};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::routes;

use crate::Users;
use crate::email::EmailText;
use crate::registrations::http::AcceptedBody;

pub(crate) fn routes() -> Routes<Users> {
    Routes::new().with(routes!(password_forget)).with(routes!(password_reset))
}

/// Whose password is forgotten.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
struct ForgottenPasswordBody {
    /// The address of the account.
    #[garde(dive)]
    email: EmailText,
}

/// Ask for a new password
///
/// Mails a link that works for 30 minutes. Answers the same whether the address has an account or not.
#[utoipa::path(post, path = "/auth/password/forgot", operation_id = "password_forget", request_body = ForgottenPasswordBody,
    responses((status = 202, description = "If the address has an account, a mail is on its way.", body = AcceptedBody)))]
async fn password_forget(
    State(users): State<Users>,
    client: ClientAddress,
    Json(body): Json<ForgottenPasswordBody>,
) -> Result<(StatusCode, Json<AcceptedBody>), Problem> {
    users.forget_password(body.email.as_str(), client).await?;
    Ok((StatusCode::ACCEPTED, Json(AcceptedBody::LOOK)))
}

/// The password from now on.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
struct PasswordResetBody {
    /// From the link in the mail.
    #[garde(dive)]
    token: SecretText<1, 128>,
    /// 12 to 128 characters, taken exactly as sent; common ones and those holding your address are refused.
    #[garde(dive)]
    password: SecretText<12, 128>,
}

/// Choose a new password
///
/// Spends the token of the mail and ends every session and every personal access token. A second factor stays on. A password
/// that is refused leaves the token unspent.
#[utoipa::path(post, path = "/auth/password/reset", operation_id = "password_reset", request_body = PasswordResetBody,
    responses((status = 204, description = "The new password counts from now on.")))]
async fn password_reset(
    State(users): State<Users>,
    Json(body): Json<PasswordResetBody>,
) -> Result<StatusCode, Problem> {
    users.reset_password(body.token.expose(), body.password.expose()).await?;
    Ok(StatusCode::NO_CONTENT)
}
