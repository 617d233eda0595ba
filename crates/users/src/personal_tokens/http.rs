use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use garde::Validate;
use platform::caller::{LoggedIn, Scope};
use platform::http::{Json, Page, PageRequest, Path, Problem, Routes, invalid};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::secret::TokenSecret;
use super::{NewPersonalToken, PersonalToken, PersonalTokenId, TokenName};
use crate::Users;

pub(crate) fn routes() -> Routes<Users> {
    Routes::new().with(routes!(personal_token_create, personal_token_list)).with(routes!(personal_token_delete))
}

/// The token you want.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewPersonalTokenBody {
    /// What it is for.
    #[garde(dive)]
    name: TokenName,
    /// How far it reaches; `write` includes `read`.
    #[garde(dive)]
    scopes: Scopes,
    /// When it ends, within 365 days.
    #[garde(skip)]
    expires_at: DateTime<Utc>,
}

impl From<NewPersonalTokenBody> for NewPersonalToken {
    fn from(body: NewPersonalTokenBody) -> Self {
        let NewPersonalTokenBody { name, scopes, expires_at } = body;
        Self { name, scope: scopes.widest(), expires_at }
    }
}

/// How far a token reaches.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(min_items = 1, max_items = 2)]
struct Scopes(Vec<Scope>);

impl Scopes {
    /// What they come to: the wider scope includes the other.
    fn widest(&self) -> Scope {
        if self.0.contains(&Scope::Write) { Scope::Write } else { Scope::Read }
    }
}

impl From<Scope> for Scopes {
    fn from(widest: Scope) -> Self {
        Self([Scope::Read, Scope::Write].into_iter().filter(|scope| widest.includes(*scope)).collect())
    }
}

impl Validate for Scopes {
    type Context = ();

    fn validate_into(&self, (): &(), parent: &mut dyn FnMut() -> garde::Path, report: &mut garde::Report) {
        match self.0.as_slice() {
            [] => report.append(parent(), invalid("too_few", "must name at least one scope")),
            [_] => {}
            [first, second] if first != second => {}
            [..] => report.append(parent(), invalid("repeated", "must name each scope once")),
        }
    }
}

/// A personal access token, without what makes it work.
#[derive(Serialize, ToSchema)]
struct PersonalTokenBody {
    /// Names it.
    id: PersonalTokenId,
    /// What it is for.
    #[schema(max_length = 100)]
    name: String,
    /// How far it reaches.
    scopes: Scopes,
    /// Its last characters.
    #[schema(min_length = 4, max_length = 4)]
    ends_with: String,
    /// When it was made.
    created_at: DateTime<Utc>,
    /// When it ends.
    expires_at: DateTime<Utc>,
    /// When it was last used, to the minute; null when it never was.
    last_used_at: Option<DateTime<Utc>>,
}

/// A new personal access token with its secret.
#[derive(Serialize, ToSchema)]
struct CreatedPersonalTokenBody {
    #[serde(flatten)]
    description: PersonalTokenBody,
    /// Send it as `Authorization: Bearer …`. Shown only this once.
    #[schema(max_length = 64, example = "pat_4yXqJ0eDUHcw7GZ2sVtKpR9aLb3NfMiC6oT1WkYx5EhQS0dB2")]
    token: String,
}

impl From<PersonalToken> for PersonalTokenBody {
    fn from(token: PersonalToken) -> Self {
        let PersonalToken { id, name, scope, ends_with, created_at, expires_at, last_used_at } = token;
        Self { id, name, scopes: scope.into(), ends_with, created_at, expires_at, last_used_at }
    }
}

impl From<(PersonalToken, TokenSecret)> for CreatedPersonalTokenBody {
    fn from((token, secret): (PersonalToken, TokenSecret)) -> Self {
        Self { description: token.into(), token: secret.reveal().to_owned() }
    }
}

/// Make a personal access token
///
/// For a program that acts in your name: within its scopes, and never on your account itself (403 `session_required`). Wants a
/// login of the last few minutes (401 `recent_login_required`), and mails you. Choosing a new password by mail ends all of
/// them. 409 is `too_many_tokens`.
#[utoipa::path(post, path = "/me/tokens", operation_id = "personal_token_create", security(("access_token" = [])),
    request_body = NewPersonalTokenBody,
    responses((status = 201, description = "It can be used.", body = CreatedPersonalTokenBody),
              (status = 409, description = "You have too many.", content_type = "application/problem+json")))]
async fn personal_token_create(
    State(users): State<Users>,
    person: LoggedIn,
    Json(wish): Json<NewPersonalTokenBody>,
) -> Result<(StatusCode, Json<CreatedPersonalTokenBody>), Problem> {
    let created = users.create_personal_token(&person, wish.into()).await?;
    Ok((StatusCode::CREATED, Json(created.into())))
}

/// List your personal access tokens
///
/// Newest first. One that expired stays in the list for 30 days.
#[utoipa::path(get, path = "/me/tokens", operation_id = "personal_token_list", security(("access_token" = [])),
    params(("limit" = Option<i64>, Query, description = "Entries on a page.", minimum = 1, maximum = 100),
           ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before.", max_length = 128)),
    responses((status = 200, description = "A page.", body = Page<PersonalTokenBody>)))]
async fn personal_token_list(
    State(users): State<Users>,
    person: LoggedIn,
    page: PageRequest,
) -> Result<Page<PersonalTokenBody>, Problem> {
    Ok(users.list_personal_tokens(&person, &page).await?.map(Into::into))
}

/// Delete a personal access token
///
/// At once: it is refused from now on.
#[utoipa::path(delete, path = "/me/tokens/{id}", operation_id = "personal_token_delete", security(("access_token" = [])),
    params(("id" = PersonalTokenId, Path, description = "The token; not its secret.")),
    responses((status = 204, description = "It has ended.")))]
async fn personal_token_delete(
    State(users): State<Users>,
    person: LoggedIn,
    Path(id): Path<PersonalTokenId>,
) -> Result<StatusCode, Problem> {
    users.delete_personal_token(&person, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
