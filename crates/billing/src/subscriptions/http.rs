use axum::extract::State;
use chrono::{DateTime, Utc};
use platform::caller::{Member, OrgId};
use platform::http::{Json, Problem, Routes};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::{Access, Standing};
use crate::Billing;

pub(crate) fn routes() -> Routes<Billing> {
    Routes::new().with(routes!(subscription_show))
}

/// What an organization is on.
#[derive(Serialize, ToSchema)]
struct SubscriptionBody {
    /// The code of the plan whose features it has now.
    #[schema(max_length = 64, example = "team")]
    plan: String,
    /// How the subscription stands with the payment provider; null when there never was one. There may be new words.
    #[schema(max_length = 64, example = "active")]
    status: Option<String>,
    /// Seats.
    #[schema(minimum = 0)]
    quantity: Option<i32>,
    /// Until when it is paid.
    current_period_end: Option<DateTime<Utc>>,
    /// When it will end; null while that is not decided.
    cancel_at: Option<DateTime<Utc>>,
    /// Whether the organization has what it bought, or only what is free.
    access: AccessBody,
}

/// `full`: the plan that was bought. `free`: the free plan only.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum AccessBody {
    Full,
    Free,
}

impl From<Standing> for SubscriptionBody {
    fn from(standing: Standing) -> Self {
        let Standing { plan, status, quantity, current_period_end, cancel_at, access } = standing;
        let access = match access {
            Access::Full => AccessBody::Full,
            Access::Free => AccessBody::Free,
        };
        Self { plan, status, quantity, current_period_end, cancel_at, access }
    }
}

/// Show the subscription
///
/// What the organization is on, as the payment provider last said; the free plan when there is no subscription. For owners,
/// admins and those who manage billing.
#[utoipa::path(get, path = "/organizations/{org_id}/billing/subscription", operation_id = "subscription_show",
    security(("access_token" = [])),
    params(("org_id" = OrgId, Path, description = "The organization.")),
    responses((status = 200, description = "The subscription.", body = SubscriptionBody)))]
async fn subscription_show(State(billing): State<Billing>, member: Member) -> Result<Json<SubscriptionBody>, Problem> {
    Ok(Json(billing.show_subscription(&member).await?.into()))
}
