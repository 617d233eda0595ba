use axum::extract::State;
use chrono::{DateTime, Utc};
use garde::Validate;
use platform::caller::{Caller, LoggedIn, UserId};
use platform::http::{ETag, IfMatch, Json, Problem, Routes};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::Account;
use crate::Users;
use crate::registrations::Name;

pub(crate) fn routes() -> Routes<Users> {
    Routes::new().with(routes!(me_show, me_update))
}

/// Your profile.
#[derive(Serialize, ToSchema)]
struct AccountBody {
    /// Names you.
    id: UserId,
    /// Where mail goes.
    #[schema(max_length = 254)]
    email: String,
    /// What you are called.
    #[schema(max_length = 100)]
    name: String,
    /// Whether the address was proven.
    email_verified: bool,
    /// When the account came into being.
    created_at: DateTime<Utc>,
}

impl From<Account> for AccountBody {
    fn from(account: Account) -> Self {
        let Account { id, email, name, created_at, .. } = account;
        Self { id, email, name, email_verified: true, created_at }
    }
}

fn body(account: Account) -> ETag<Json<AccountBody>> {
    ETag(account.version, Json(account.into()))
}

/// Your profile
///
/// Who the access token belongs to.
#[utoipa::path(get, path = "/me", operation_id = "me_show", security(("access_token" = [])),
    responses((status = 200, description = "Your profile.", body = AccountBody)))]
async fn me_show(State(users): State<Users>, caller: Caller) -> Result<ETag<Json<AccountBody>>, Problem> {
    Ok(body(users.show_me(&caller).await?))
}

/// What you shall be called from now on.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
struct AccountChangeBody {
    /// The new name.
    #[garde(dive)]
    name: Name,
}

/// Change your profile
///
/// Send the `ETag` you read as `If-Match` to notice changes made meanwhile. The address has an operation of its own.
#[utoipa::path(patch, path = "/me", operation_id = "me_update", security(("access_token" = [])),
    params(("If-Match" = Option<String>, Header, description = "The ETag that was read.", max_length = 255)),
    request_body = AccountChangeBody,
    responses((status = 200, description = "As it is now.", body = AccountBody),
              (status = 412, description = "It was changed meanwhile.", content_type = "application/problem+json")))]
async fn me_update(
    State(users): State<Users>,
    person: LoggedIn,
    if_match: IfMatch,
    Json(change): Json<AccountChangeBody>,
) -> Result<ETag<Json<AccountBody>>, Problem> {
    Ok(body(users.rename_me(&person, change.name, &if_match).await?))
}
