use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderName, HeaderValue};
use platform::http::{Json, Routes};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::{EventType, catalogue};
use crate::Webhooks;

/// How long browsers and proxies may keep the catalogue; it changes only with a release.
const CACHE_FOR: HeaderValue = HeaderValue::from_static("public, max-age=300");

pub(crate) fn routes() -> Routes<Webhooks> {
    Routes::new().with(routes!(event_type_list))
}

/// The event type catalogue
///
/// Everything that a webhook endpoint can subscribe to, each with the JSON schema of its messages and an example.
/// Public.
#[utoipa::path(get, path = "/event-types", operation_id = "event_type_list",
    responses((status = 200, description = "The catalogue; you may keep it for five minutes.", body = EventTypeList,
        headers(("cache-control" = String, description = "How long it may be kept.")))))]
async fn event_type_list() -> ([(HeaderName, HeaderValue); 1], Json<EventTypeList>) {
    let data = catalogue().iter().map(EventTypeBody::from).collect();
    ([(CACHE_CONTROL, CACHE_FOR)], Json(EventTypeList { data }))
}

/// The event type catalogue.
#[derive(Serialize, ToSchema)]
struct EventTypeList {
    /// Every type there is.
    #[schema(max_items = 100)]
    data: Vec<EventTypeBody>,
}

/// Something that an endpoint can subscribe to.
#[derive(Serialize, ToSchema)]
struct EventTypeBody {
    /// What to subscribe to, and the `type` of the messages.
    #[schema(max_length = 64, example = "organization.created")]
    name: &'static str,
    /// When such a message is sent.
    #[schema(max_length = 255)]
    description: &'static str,
    /// The JSON schema (2020-12) of the messages' body.
    #[schema(value_type = Object)]
    schema: Value,
    /// The body of such a message.
    #[schema(value_type = Object)]
    example: Value,
}

impl From<&EventType> for EventTypeBody {
    fn from(known: &EventType) -> Self {
        Self { name: known.name, description: known.description, schema: known.schema(), example: known.example() }
    }
}
