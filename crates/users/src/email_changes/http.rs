use axum::extract::State;
use axum::http::StatusCode;
use garde::Validate;
use platform::caller::LoggedIn;
use platform::http::{Json, Problem, Routes, SecretText};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::routes;

use crate::Users;
use crate::email::EmailText;
use crate::registrations::http::AcceptedBody;

pub(crate) fn routes() -> Routes<Users> {
    Routes::new().with(routes!(email_change_request)).with(routes!(email_change_confirm))
}

/// The address you want.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
struct EmailChangeBody {
    /// Where the link to confirm it goes.
    #[garde(dive)]
    new_email: EmailText,
}

/// Ask for another address
///
/// Wants a login of the last few minutes (401 `recent_login_required`). Mails a link to the new address that works for an
/// hour. Answers the same whether the address is taken or not.
#[utoipa::path(post, path = "/me/email", operation_id = "email_change_request", security(("access_token" = [])),
    request_body = EmailChangeBody,
    responses((status = 202, description = "A mail is on its way.", body = AcceptedBody)))]
async fn email_change_request(
    State(users): State<Users>,
    person: LoggedIn,
    Json(body): Json<EmailChangeBody>,
) -> Result<(StatusCode, Json<AcceptedBody>), Problem> {
    users.request_email_change(&person, body.new_email.as_str()).await?;
    Ok((StatusCode::ACCEPTED, Json(AcceptedBody::LOOK)))
}

/// The proof that the mail arrived.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
struct EmailConfirmationBody {
    /// From the link in the mail.
    #[garde(dive)]
    token: SecretText<1, 128>,
}

/// Confirm the new address
///
/// For the person who asked, logged in. From now on the new address logs in and gets the mail; the old one is told.
#[utoipa::path(post, path = "/me/email/confirm", operation_id = "email_change_confirm", security(("access_token" = [])),
    request_body = EmailConfirmationBody,
    responses((status = 204, description = "The new address counts from now on.")))]
async fn email_change_confirm(
    State(users): State<Users>,
    person: LoggedIn,
    Json(body): Json<EmailConfirmationBody>,
) -> Result<StatusCode, Problem> {
    users.confirm_email_change(&person, body.token.expose()).await?;
    Ok(StatusCode::NO_CONTENT)
}
