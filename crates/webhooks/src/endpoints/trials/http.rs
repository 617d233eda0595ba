use axum::extract::State;
use axum::http::StatusCode;
use garde::Validate;
use platform::caller::Member;
use platform::http::{Answer, Json, Once, Path, Problem, Routes};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::routes;

use crate::Webhooks;
use crate::endpoints::http::EndpointPath;
use crate::messages::MessageId;

pub(crate) fn routes() -> Routes<Webhooks> {
    Routes::new().with(routes!(endpoint_test))
}

/// There is nothing to choose.
#[derive(Deserialize, Validate)]
#[serde(deny_unknown_fields)]
struct TrialBody {}

/// A test message on its way.
#[derive(Serialize, ToSchema)]
struct SentTrialBody {
    /// What is delivered; the receiver sees it as `msg_…` in `webhook-id`.
    message_id: MessageId,
}

/// Test a webhook endpoint
///
/// For owners and admins. Sends a message of type `webhook_endpoint.test` to this endpoint and no other, whatever it subscribes
/// to; its deliveries show what it answers. Wants no body. Send an `Idempotency-Key` to make retries safe.
#[utoipa::path(post, path = "/organizations/{org_id}/webhook-endpoints/{id}/test", operation_id = "endpoint_test",
    security(("access_token" = [])),
    params(EndpointPath,
           ("Idempotency-Key" = Option<String>, Header, description = "Makes retries safe for 24 hours.", max_length = 255)),
    responses((status = 202, description = "It is on its way.", body = SentTrialBody),
              (status = 409, description = "The endpoint is disabled: `endpoint_disabled`. Or the same request is still \
               running: `idempotency_in_progress`.",
               body = ref("#/components/schemas/Problem"), content_type = "application/problem+json")))]
async fn endpoint_test(
    State(webhooks): State<Webhooks>,
    member: Member,
    Path(place): Path<EndpointPath>,
    wish: Once<Option<TrialBody>>,
) -> Result<(StatusCode, Answer<Json<SentTrialBody>>), Problem> {
    let sent = webhooks.test_endpoint(&member, place.id, wish.map(|_| ())).await?;
    Ok((StatusCode::ACCEPTED, sent.map(|message_id| Json(SentTrialBody { message_id }))))
}
