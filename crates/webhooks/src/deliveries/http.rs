use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use garde::Validate;
use platform::caller::{Member, OrgId};
use platform::http::{Json, Page, PageRequest, Path, Problem, Query, Routes};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::routes;

use super::{Attempt, AttemptId, Delivery, DeliveryId, DeliveryStatus};
use crate::Webhooks;
use crate::endpoints::EndpointId;
use crate::endpoints::http::EndpointPath;
use crate::messages::MessageId;

pub(crate) fn routes() -> Routes<Webhooks> {
    Routes::new().with(routes!(delivery_list)).with(routes!(delivery_show)).with(routes!(delivery_retry))
}

/// The place of a delivery.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct DeliveryPath {
    /// The organization.
    #[serde(rename = "org_id")]
    _org_id: OrgId,
    /// The delivery.
    id: DeliveryId,
}

/// Which deliveries to list. The page is read by its own extractor.
#[derive(Deserialize, Validate, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct DeliveryFilter {
    /// Only these.
    #[garde(skip)]
    status: Option<DeliveryStatusBody>,
    /// Entries on a page.
    #[garde(skip)]
    #[serde(rename = "limit")]
    #[param(value_type = Option<i64>, minimum = 1, maximum = 100)]
    _limit: Option<IgnoredAny>,
    /// `next_cursor` of the page before.
    #[garde(skip)]
    #[serde(rename = "cursor")]
    #[param(value_type = Option<String>, max_length = 128)]
    _cursor: Option<IgnoredAny>,
}

/// How a delivery is doing.
#[derive(Clone, Copy, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = DeliveryStatus)]
enum DeliveryStatusBody {
    /// Waiting for its next attempt, or on its way.
    Pending,
    /// The endpoint answered 2xx.
    Delivered,
    /// Given up: the schedule of attempts ended, or the endpoint answered 410.
    Dead,
}

/// One message to one endpoint.
#[derive(Serialize, ToSchema)]
struct DeliveryBody {
    /// Names it.
    id: DeliveryId,
    /// Where it goes.
    endpoint_id: EndpointId,
    /// What is delivered; receivers see it as `msg_…` in `webhook-id`.
    message_id: MessageId,
    /// The type of the message.
    #[schema(max_length = 64, example = "organization.created")]
    event_type: String,
    /// How it is doing.
    status: DeliveryStatusBody,
    /// When it is tried next; null when it has ended.
    next_attempt_at: Option<DateTime<Utc>>,
    /// When it began.
    created_at: DateTime<Utc>,
    /// When it ended; null while it is pending.
    finished_at: Option<DateTime<Utc>>,
}

/// A delivery with the attempts that were made.
#[derive(Serialize, ToSchema)]
struct DeliveryWithAttemptsBody {
    #[serde(flatten)]
    delivery: DeliveryBody,
    /// The attempts, newest first.
    #[schema(max_items = 100)]
    attempts: Vec<AttemptBody>,
}

/// One try.
#[derive(Serialize, ToSchema)]
struct AttemptBody {
    /// Names it.
    id: AttemptId,
    /// When it was made.
    at: DateTime<Utc>,
    /// The HTTP status of the answer; null when no complete answer came.
    #[schema(minimum = 100, maximum = 999)]
    status: Option<i16>,
    /// How long it took.
    #[schema(minimum = 0)]
    duration_ms: i32,
    /// Why it failed: `http_status`, `timeout`, `dns`, `connect`, `tls`, `address_refused`, `unsigned`, `expired` or
    /// `other`; null when it did not.
    #[schema(max_length = 32)]
    error: Option<String>,
    /// The first 4 KiB of the answer; null when no complete answer came.
    #[schema(max_length = 4096)]
    answer: Option<String>,
}

impl From<DeliveryStatusBody> for DeliveryStatus {
    fn from(status: DeliveryStatusBody) -> Self {
        match status {
            DeliveryStatusBody::Pending => Self::Pending,
            DeliveryStatusBody::Delivered => Self::Delivered,
            DeliveryStatusBody::Dead => Self::Dead,
        }
    }
}

impl From<DeliveryStatus> for DeliveryStatusBody {
    fn from(status: DeliveryStatus) -> Self {
        match status {
            DeliveryStatus::Pending => Self::Pending,
            DeliveryStatus::Delivered => Self::Delivered,
            DeliveryStatus::Dead => Self::Dead,
        }
    }
}

impl From<Delivery> for DeliveryBody {
    fn from(delivery: Delivery) -> Self {
        Self {
            id: delivery.id,
            endpoint_id: delivery.endpoint,
            message_id: delivery.message,
            event_type: delivery.event_type,
            status: delivery.status.into(),
            next_attempt_at: delivery.next_attempt_at,
            created_at: delivery.created_at,
            finished_at: delivery.finished_at,
        }
    }
}

impl From<Attempt> for AttemptBody {
    fn from(attempt: Attempt) -> Self {
        let Attempt { id, sent_at, duration_ms, http_status, error, answer } = attempt;
        Self { id, at: sent_at, status: http_status, duration_ms, error, answer }
    }
}

impl From<(Delivery, Vec<Attempt>)> for DeliveryWithAttemptsBody {
    fn from((delivery, attempts): (Delivery, Vec<Attempt>)) -> Self {
        Self { delivery: delivery.into(), attempts: attempts.into_iter().map(Into::into).collect() }
    }
}

/// List deliveries to an endpoint
///
/// What was sent and what is waiting, newest first, kept for 90 days.
#[utoipa::path(get, path = "/organizations/{org_id}/webhook-endpoints/{id}/deliveries", operation_id = "delivery_list",
    security(("access_token" = [])),
    params(EndpointPath, DeliveryFilter),
    responses((status = 200, description = "A page.", body = Page<DeliveryBody>)))]
async fn delivery_list(
    State(webhooks): State<Webhooks>,
    member: Member,
    Path(place): Path<EndpointPath>,
    Query(filter): Query<DeliveryFilter>,
    page: PageRequest,
) -> Result<Page<DeliveryBody>, Problem> {
    let status = filter.status.map(Into::into);
    Ok(webhooks.list_deliveries(&member, place.id, status, &page).await?.map(Into::into))
}

/// Show a delivery
///
/// With the attempts that were made: what the endpoint answered, or why it did not.
#[utoipa::path(get, path = "/organizations/{org_id}/deliveries/{id}", operation_id = "delivery_show",
    security(("access_token" = [])),
    params(DeliveryPath),
    responses((status = 200, description = "The delivery.", body = DeliveryWithAttemptsBody)))]
async fn delivery_show(
    State(webhooks): State<Webhooks>,
    member: Member,
    Path(place): Path<DeliveryPath>,
) -> Result<Json<DeliveryWithAttemptsBody>, Problem> {
    Ok(Json(webhooks.show_delivery(&member, place.id).await?.into()))
}

/// Retry a delivery
///
/// For owners and admins. One that was delivered or given up begins again, with the whole schedule before it and the same
/// `webhook-id`; one that waits is sent now; one that is on its way is left alone.
#[utoipa::path(post, path = "/organizations/{org_id}/deliveries/{id}/retry", operation_id = "delivery_retry",
    security(("access_token" = [])),
    params(DeliveryPath),
    responses((status = 202, description = "It will be sent.", body = DeliveryBody),
              (status = 409, description = "Its message is no longer kept: `message_expired`. Or the endpoint is disabled: \
               `endpoint_disabled`.", content_type = "application/problem+json")))]
async fn delivery_retry(
    State(webhooks): State<Webhooks>,
    member: Member,
    Path(place): Path<DeliveryPath>,
) -> Result<(StatusCode, Json<DeliveryBody>), Problem> {
    Ok((StatusCode::ACCEPTED, Json(webhooks.retry_delivery(&member, place.id).await?.into())))
}
