use axum::extract::State;
use axum::http::StatusCode;
use garde::Validate;
use platform::caller::Caller;
use platform::http::{Json, Problem, Routes, SecretText};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::{Credentials, TokenPair};
use crate::Users;
use crate::email::EmailText;

pub(crate) fn routes() -> Routes<Users> {
    Routes::new().with(routes!(session_create)).with(routes!(session_refresh)).with(routes!(session_end))
}

/// Who logs in.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
struct CredentialsBody {
    /// The address of the account.
    #[garde(dive)]
    email: EmailText,
    /// Its password.
    #[garde(dive)]
    password: SecretText<1, 512>,
}

/// A pair of tokens (RFC 6749 section 5.1).
#[derive(Serialize, ToSchema)]
struct TokenPairBody {
    /// Send it as `Authorization: Bearer …`.
    #[schema(max_length = 2048)]
    access_token: String,
    /// Always `Bearer`.
    #[schema(max_length = 16)]
    token_type: &'static str,
    /// Seconds until the access token expires.
    #[schema(minimum = 1, maximum = 86400)]
    expires_in: u64,
    /// Buys the next pair, once.
    #[schema(max_length = 128)]
    refresh_token: String,
}

impl From<TokenPair> for TokenPairBody {
    fn from(pair: TokenPair) -> Self {
        let TokenPair { access_token, refresh_token, expires_in } = pair;
        Self { access_token, token_type: "Bearer", expires_in: expires_in.as_secs(), refresh_token }
    }
}

/// Log in
///
/// Every failure is the same 401 `invalid_credentials`, whatever was wrong.
#[utoipa::path(post, path = "/auth/login", operation_id = "session_create", request_body = CredentialsBody,
    responses((status = 200, description = "Logged in.", body = TokenPairBody),
              (status = 401, description = "The credentials are wrong.", content_type = "application/problem+json")))]
async fn session_create(
    State(users): State<Users>,
    Json(body): Json<CredentialsBody>,
) -> Result<Json<TokenPairBody>, Problem> {
    let credentials = Credentials { email: body.email.into(), password: body.password.expose().to_owned() };
    Ok(Json(users.log_in(&credentials).await?.into()))
}

/// A refresh token to spend.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
struct RefreshBody {
    /// The newest one; an older one ends the session.
    #[garde(dive)]
    refresh_token: SecretText<1, 128>,
}

/// Refresh the tokens
///
/// Spends the refresh token. Presenting a spent one again ends the session and mails the account's owner.
#[utoipa::path(post, path = "/auth/refresh", operation_id = "session_refresh", request_body = RefreshBody,
    responses((status = 200, description = "A new pair.", body = TokenPairBody),
              (status = 401, description = "Log in again.", content_type = "application/problem+json")))]
async fn session_refresh(
    State(users): State<Users>,
    Json(body): Json<RefreshBody>,
) -> Result<Json<TokenPairBody>, Problem> {
    Ok(Json(users.refresh(body.refresh_token.expose()).await?.into()))
}

/// Log out
///
/// Ends this session at once: its access and refresh tokens are refused from now on.
#[utoipa::path(post, path = "/auth/logout", operation_id = "session_end", security(("access_token" = [])),
    responses((status = 204, description = "Logged out.")))]
async fn session_end(State(users): State<Users>, caller: Caller) -> Result<StatusCode, Problem> {
    users.log_out(&caller).await?;
    Ok(StatusCode::NO_CONTENT)
}
