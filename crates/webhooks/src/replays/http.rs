use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use garde::Validate;
use platform::caller::Member;
use platform::http::{Answer, Json, Once, Path, Problem, Routes};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::{NewReplay, ReplayId};
use crate::Webhooks;
use crate::endpoints::http::EndpointPath;

pub(crate) fn routes() -> Routes<Webhooks> {
    Routes::new().with(routes!(replay_create))
}

/// What to send once more.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewReplayBody {
    /// From when on; within the last 90 days.
    #[garde(skip)]
    since: DateTime<Utc>,
    /// Until before when; now unless said, and never later.
    #[garde(skip)]
    until: Option<DateTime<Utc>>,
}

impl From<NewReplayBody> for NewReplay {
    fn from(body: NewReplayBody) -> Self {
        let NewReplayBody { since, until } = body;
        Self { since, until }
    }
}

/// A replay that was begun.
#[derive(Serialize, ToSchema)]
struct StartedReplayBody {
    /// Names it.
    id: ReplayId,
}

/// Replay a period to a webhook endpoint
///
/// For owners and admins. Every message of the period that the endpoint subscribes to is sent once more, whether it arrived or
/// not, with the `webhook-id` it had: receivers recognize what they know. Messages of the last moments follow within two
/// minutes. While 10 000 deliveries wait for the endpoint, the replay waits too; when the endpoint is disabled, it goes on as
/// soon as that is enabled. Send an `Idempotency-Key` to make retries safe.
#[utoipa::path(post, path = "/organizations/{org_id}/webhook-endpoints/{id}/replay", operation_id = "replay_create",
    security(("access_token" = [])),
    params(EndpointPath,
           ("Idempotency-Key" = Option<String>, Header, description = "Makes retries safe for 24 hours.", max_length = 255)),
    request_body = NewReplayBody,
    responses((status = 202, description = "It has begun.", body = StartedReplayBody),
              (status = 409, description = "Another is running: `replay_running`. Or the endpoint is disabled: \
               `endpoint_disabled`. Or the same request is still running: `idempotency_in_progress`.",
               body = ref("#/components/schemas/Problem"), content_type = "application/problem+json")))]
async fn replay_create(
    State(webhooks): State<Webhooks>,
    member: Member,
    Path(place): Path<EndpointPath>,
    wish: Once<NewReplayBody>,
) -> Result<(StatusCode, Answer<Json<StartedReplayBody>>), Problem> {
    let started = webhooks.start_replay(&member, place.id, wish.map(NewReplay::from)).await?;
    Ok((StatusCode::ACCEPTED, started.map(|id| Json(StartedReplayBody { id }))))
}
