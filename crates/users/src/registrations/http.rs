use axum::extract::State;
use axum::http::StatusCode;
use garde::Validate;
use platform::caller::ClientAddress;
use platform::http::{Json, Problem, Routes, SecretText};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::{Name, NewRegistration};
use crate::Users;
use crate::email::EmailText;

pub(crate) fn routes() -> Routes<Users> {
    Routes::new()
        .with(routes!(registration_create))
        .with(routes!(registration_verify))
        .with(routes!(registration_resend))
}

/// Who signs up.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
struct RegistrationBody {
    /// Where the verification link goes.
    #[garde(dive)]
    email: EmailText,
    /// 12 to 128 characters, taken exactly as sent; common ones and those holding your address are refused.
    #[garde(dive)]
    password: SecretText<12, 128>,
    /// What to call you.
    #[garde(dive)]
    name: Name,
}

/// What happens next; the same whether the address is taken or not.
#[derive(Serialize, ToSchema)]
pub(crate) struct AcceptedBody {
    /// For people.
    #[schema(max_length = 256)]
    message: &'static str,
}

impl AcceptedBody {
    pub(crate) const LOOK: Self = Self { message: "Look into your mailbox." };
}

/// Sign up
///
/// Answers the same whether the address is taken or not; what happens next is in the mail.
#[utoipa::path(post, path = "/auth/register", operation_id = "registration_create", request_body = RegistrationBody,
    responses((status = 202, description = "A mail is on its way.", body = AcceptedBody)))]
async fn registration_create(
    State(users): State<Users>,
    client: ClientAddress,
    Json(body): Json<RegistrationBody>,
) -> Result<(StatusCode, Json<AcceptedBody>), Problem> {
    let RegistrationBody { email, password, name } = body;
    let wish = NewRegistration { email: email.into(), password: password.expose().to_owned(), name };
    users.register(wish, client).await?;
    Ok((StatusCode::ACCEPTED, Json(AcceptedBody::LOOK)))
}

/// The proof that a mail arrived.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
struct VerificationBody {
    /// From the link in the mail.
    #[garde(dive)]
    token: SecretText<1, 128>,
}

/// Verify the e-mail address
///
/// Spends the token of the mail; from then on the address and its password log in.
#[utoipa::path(post, path = "/auth/verify-email", operation_id = "registration_verify", request_body = VerificationBody,
    responses((status = 204, description = "The account exists.")))]
async fn registration_verify(
    State(users): State<Users>,
    Json(body): Json<VerificationBody>,
) -> Result<StatusCode, Problem> {
    users.verify_email(body.token.expose()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Whose link got lost.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
struct ResendBody {
    /// The address somebody signed up with.
    #[garde(dive)]
    email: EmailText,
}

/// Ask for another verification link
///
/// Answers the same whether somebody signed up with the address or not. An earlier link stops working.
#[utoipa::path(post, path = "/auth/verify-email/resend", operation_id = "registration_resend", request_body = ResendBody,
    responses((status = 202, description = "If an attempt waits, a mail is on its way.", body = AcceptedBody)))]
async fn registration_resend(
    State(users): State<Users>,
    client: ClientAddress,
    Json(body): Json<ResendBody>,
) -> Result<(StatusCode, Json<AcceptedBody>), Problem> {
    users.resend_verification(body.email.as_str(), client).await?;
    Ok((StatusCode::ACCEPTED, Json(AcceptedBody::LOOK)))
}
