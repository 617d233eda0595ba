use std::collections::BTreeMap;

use axum::extract::State;
use platform::caller::{Member, OrgId};
use platform::http::{Json, Problem, Routes};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::Entitlements;
use crate::Billing;
use crate::plans::http::{LimitBody, features_schema};

pub(crate) fn routes() -> Routes<Billing> {
    Routes::new().with(routes!(entitlement_list))
}

/// What an organization may use now.
#[derive(Serialize, ToSchema)]
struct EntitlementsBody {
    /// The code of the plan it has now.
    #[schema(max_length = 64, example = "team")]
    plan: String,
    /// What that plan grants; a feature that is not named is not granted.
    #[schema(schema_with = features_schema)]
    features: BTreeMap<String, LimitBody>,
}

impl From<Entitlements> for EntitlementsBody {
    fn from(entitlements: Entitlements) -> Self {
        let Entitlements { plan, features } = entitlements;
        Self { plan, features: features.into_iter().map(|(feature, limit)| (feature, limit.into())).collect() }
    }
}

/// List entitlements
///
/// What the organization may use now, for every member. It follows the subscription, the catalogue and the time: ask again
/// instead of keeping it for long.
#[utoipa::path(get, path = "/organizations/{org_id}/entitlements", operation_id = "entitlement_list",
    security(("access_token" = [])),
    params(("org_id" = OrgId, Path, description = "The organization.")),
    responses((status = 200, description = "The entitlements.", body = EntitlementsBody)))]
async fn entitlement_list(State(billing): State<Billing>, member: Member) -> Result<Json<EntitlementsBody>, Problem> {
    Ok(Json(billing.list_entitlements(&member).await?.into()))
}
