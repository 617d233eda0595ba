use axum::extract::State;
use axum::http::StatusCode;
use garde::Validate;
use platform::caller::LoggedIn;
use platform::http::{Json, Problem, Routes, SecretText};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::{Enrolment, RecoveryCode};
use crate::Users;

pub(crate) fn routes() -> Routes<Users> {
    Routes::new().with(routes!(totp_create, totp_delete)).with(routes!(totp_confirm))
}

/// What your app needs to make codes.
#[derive(Serialize, ToSchema)]
struct EnrolmentBody {
    /// To be typed into the app (base32).
    #[schema(max_length = 32, example = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP")]
    secret: String,
    /// The same as a link; show it as a QR code.
    #[schema(max_length = 2048)]
    otpauth_url: String,
}

impl From<Enrolment> for EnrolmentBody {
    fn from(enrolment: Enrolment) -> Self {
        let Enrolment { secret, url } = enrolment;
        Self { secret, otpauth_url: url }
    }
}

/// Begin to log in with codes of an app
///
/// Wants a login of the last few minutes (401 `recent_login_required`). Nothing changes until a code of the app is confirmed;
/// asking again gives another secret. 409 `mfa_already_enabled` when one is in use: remove that first.
#[utoipa::path(post, path = "/me/mfa/totp", operation_id = "totp_create", security(("access_token" = [])),
    responses((status = 200, description = "What the app needs. Shown only this once.", body = EnrolmentBody),
              (status = 409, description = "One is in use.", content_type = "application/problem+json")))]
async fn totp_create(State(users): State<Users>, person: LoggedIn) -> Result<Json<EnrolmentBody>, Problem> {
    Ok(Json(users.create_totp(&person).await?.into()))
}

/// The proof that the app works.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
struct ConfirmationBody {
    /// What the app shows at the moment.
    #[garde(dive)]
    code: SecretText<6, 6>,
}

/// Codes for the day when the app is gone.
#[derive(Serialize, ToSchema)]
struct RecoveryCodesBody {
    /// Each logs you in once. Shown only this once.
    #[schema(min_items = 10, max_items = 10)]
    recovery_codes: Vec<RecoveryCodeBody>,
}

/// A recovery code; capitals, spaces and hyphens make no difference.
#[derive(Serialize, ToSchema)]
#[serde(transparent)]
#[schema(max_length = 32, example = "mzxw-6ytb-oi3d-ggzt-k5tu-m2dj")]
struct RecoveryCodeBody(String);

impl From<RecoveryCode> for RecoveryCodeBody {
    fn from(code: RecoveryCode) -> Self {
        Self(code.reveal().to_owned())
    }
}

/// Confirm the app
///
/// From now on logging in takes a code as well, and a mail says so. Wants a login of the last few minutes. A wrong code is 422
/// `wrong_code`. Where no secret waits for its code: 404.
#[utoipa::path(post, path = "/me/mfa/totp/confirm", operation_id = "totp_confirm", security(("access_token" = [])),
    request_body = ConfirmationBody,
    responses((status = 200, description = "It is in use.", body = RecoveryCodesBody),
              (status = 404, description = "No secret waits.", content_type = "application/problem+json"),
              (status = 409, description = "One is in use already.", content_type = "application/problem+json")))]
async fn totp_confirm(
    State(users): State<Users>,
    person: LoggedIn,
    Json(body): Json<ConfirmationBody>,
) -> Result<Json<RecoveryCodesBody>, Problem> {
    let codes = users.confirm_totp(&person, body.code.expose()).await?;
    Ok(Json(RecoveryCodesBody { recovery_codes: codes.into_iter().map(RecoveryCodeBody::from).collect() }))
}

/// Log in without codes again
///
/// Ends the app's codes and the recovery codes, and mails you. Wants a login of the last few minutes.
#[utoipa::path(delete, path = "/me/mfa/totp", operation_id = "totp_delete", security(("access_token" = [])),
    responses((status = 204, description = "Your password suffices from now on."),
              (status = 404, description = "There is none.", content_type = "application/problem+json")))]
async fn totp_delete(State(users): State<Users>, person: LoggedIn) -> Result<StatusCode, Problem> {
    users.delete_totp(&person).await?;
    Ok(StatusCode::NO_CONTENT)
}
