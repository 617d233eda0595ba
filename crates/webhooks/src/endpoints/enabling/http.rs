use axum::extract::State;
use axum::http::StatusCode;
use platform::caller::Member;
use platform::http::{Path, Problem, Routes};
use utoipa_axum::routes;

use crate::Webhooks;
use crate::endpoints::http::EndpointPath;

pub(crate) fn routes() -> Routes<Webhooks> {
    Routes::new().with(routes!(endpoint_enable))
}

/// Enable a webhook endpoint
///
/// For owners and admins. Ends that it is disabled or paused, and sends what waits for it at once. What happened while it was
/// disabled is not among that: replay the period. Of an endpoint that is enabled the failures are forgotten.
#[utoipa::path(post, path = "/organizations/{org_id}/webhook-endpoints/{id}/enable", operation_id = "endpoint_enable",
    security(("access_token" = [])),
    params(EndpointPath),
    responses((status = 204, description = "It is enabled.")))]
async fn endpoint_enable(
    State(webhooks): State<Webhooks>,
    member: Member,
    Path(place): Path<EndpointPath>,
) -> Result<StatusCode, Problem> {
    webhooks.enable_endpoint(&member, place.id).await?;
    Ok(StatusCode::NO_CONTENT)
}
