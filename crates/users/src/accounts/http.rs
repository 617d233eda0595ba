use axum::extract::State;
use chrono::{DateTime, Utc};
use platform::caller::{Caller, UserId};
use platform::http::{Json, Problem, Routes};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::Account;
use crate::Users;

pub(crate) fn routes() -> Routes<Users> {
    Routes::new().with(routes!(me_show))
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
        let Account { id, email, name, created_at } = account;
        Self { id, email, name, email_verified: true, created_at }
    }
}

/// Your profile
///
/// Who the access token belongs to.
#[utoipa::path(get, path = "/me", operation_id = "me_show", security(("access_token" = [])),
    responses((status = 200, description = "Your profile.", body = AccountBody)))]
async fn me_show(State(users): State<Users>, caller: Caller) -> Result<Json<AccountBody>, Problem> {
    Ok(Json(users.show_me(&caller).await?.into()))
}
