use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use garde::Validate;
use platform::caller::{ClientAddress, LoggedIn};
use platform::http::{Json, Page, PageRequest, Path, Problem, Query, Routes, SecretText};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::routes;

use super::{Credentials, LiveSession, SessionId, SessionScope, TokenPair};
use crate::Users;
use crate::email::EmailText;
use crate::second_factors::SecondFactor;

pub(crate) fn routes() -> Routes<Users> {
    Routes::new()
        .with(routes!(session_create))
        .with(routes!(session_refresh))
        .with(routes!(session_end))
        .with(routes!(session_list, session_revoke_many))
        .with(routes!(session_revoke))
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
    /// What your app shows at the moment, if you log in with codes. Each code works once.
    #[garde(dive)]
    totp_code: Option<SecretText<6, 6>>,
    /// When the app is gone: one of your recovery codes, instead of `totp_code`. Each works once.
    #[garde(dive)]
    recovery_code: Option<SecretText<1, 64>>,
}

impl From<CredentialsBody> for Credentials {
    fn from(body: CredentialsBody) -> Self {
        let totp = body.totp_code.map(|code| SecondFactor::Totp(code.expose().to_owned()));
        let recovery = body.recovery_code.map(|code| SecondFactor::RecoveryCode(code.expose().to_owned()));
        let password = body.password.expose().to_owned();
        Self { email: body.email.into(), password, second_factor: totp.or(recovery) }
    }
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
/// Every failure is the same 401 `invalid_credentials`, whatever was wrong. After many failures an account has to wait, first a
/// second, then longer: 429. Where the password is right and the account wants a code as well: 401 `mfa_required`; send it all
/// again with the code.
#[utoipa::path(post, path = "/auth/login", operation_id = "session_create", request_body = CredentialsBody,
    responses((status = 200, description = "Logged in.", body = TokenPairBody),
              (status = 401, description = "The credentials are wrong.", content_type = "application/problem+json")))]
async fn session_create(
    State(users): State<Users>,
    client: ClientAddress,
    Json(body): Json<CredentialsBody>,
) -> Result<Json<TokenPairBody>, Problem> {
    Ok(Json(users.log_in(&body.into(), client).await?.into()))
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
async fn session_end(State(users): State<Users>, person: LoggedIn) -> Result<StatusCode, Problem> {
    users.log_out(&person).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// One of your logins.
#[derive(Serialize, ToSchema)]
struct SessionBody {
    /// Names the session.
    id: SessionId,
    /// When you logged in.
    created_at: DateTime<Utc>,
    /// When its tokens were last refreshed.
    last_used_at: DateTime<Utc>,
    /// When it ends unless it is used before.
    expires_at: DateTime<Utc>,
    /// Whether it is the one you are asking with.
    current: bool,
}

impl From<LiveSession> for SessionBody {
    fn from(session: LiveSession) -> Self {
        let LiveSession { id, created_at, last_used_at, expires_at, current } = session;
        Self { id, created_at, last_used_at, expires_at, current }
    }
}

/// List your sessions
///
/// Those that are still good, newest first.
#[utoipa::path(get, path = "/me/sessions", operation_id = "session_list", security(("access_token" = [])),
    params(("limit" = Option<i64>, Query, description = "Entries on a page.", minimum = 1, maximum = 100),
           ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before.", max_length = 128)),
    responses((status = 200, description = "A page.", body = Page<SessionBody>)))]
async fn session_list(
    State(users): State<Users>,
    person: LoggedIn,
    page: PageRequest,
) -> Result<Page<SessionBody>, Problem> {
    Ok(users.list_sessions(&person, &page).await?.map(Into::into))
}

/// End one of your sessions
///
/// At once: its access and refresh tokens are refused from now on.
#[utoipa::path(delete, path = "/me/sessions/{id}", operation_id = "session_revoke", security(("access_token" = [])),
    params(("id" = SessionId, Path, description = "The session.")),
    responses((status = 204, description = "It has ended.")))]
async fn session_revoke(
    State(users): State<Users>,
    person: LoggedIn,
    Path(id): Path<SessionId>,
) -> Result<StatusCode, Problem> {
    users.revoke_session(&person, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Which sessions to end.
#[derive(Deserialize, Validate, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ScopeQuery {
    /// `others` spares the one you are asking with, `all` does not.
    #[garde(skip)]
    #[param(inline)]
    scope: Scope,
}

#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Scope {
    Others,
    All,
}

impl From<Scope> for SessionScope {
    fn from(scope: Scope) -> Self {
        match scope {
            Scope::Others => Self::Others,
            Scope::All => Self::All,
        }
    }
}

/// End many of your sessions
///
/// All of them or all but this one, at once.
#[utoipa::path(delete, path = "/me/sessions", operation_id = "session_revoke_many", security(("access_token" = [])),
    params(ScopeQuery),
    responses((status = 204, description = "They have ended.")))]
async fn session_revoke_many(
    State(users): State<Users>,
    person: LoggedIn,
    Query(query): Query<ScopeQuery>,
) -> Result<StatusCode, Problem> {
    users.revoke_sessions(&person, query.scope.into()).await?;
    Ok(StatusCode::NO_CONTENT)
}
