use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use garde::Validate;
use platform::caller::{Member, OrgId};
use platform::http::{ETag, IfMatch, Json, Page, PageRequest, Path, Problem, Routes, invalid};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::routes;

use super::{
    Description, DisabledReason, Endpoint, EndpointChange, EndpointId, EndpointStatus, EndpointUrl, NewEndpoint,
    enabling, secret_rotation, trials,
};
use crate::signatures::SigningKey;
use crate::{Webhooks, event_types};

/// How many event types one endpoint may name.
const MAX_EVENT_TYPES: usize = 50;

/// How many messages may be on their way to an endpoint at a time, at most.
const MAX_IN_FLIGHT: i32 = 100;

pub(crate) fn routes() -> Routes<Webhooks> {
    let one = routes!(endpoint_show, endpoint_update, endpoint_delete);
    Routes::new()
        .with(routes!(endpoint_create, endpoint_list))
        .with(one)
        .merge(secret_rotation::http::routes())
        .merge(enabling::http::routes())
        .merge(trials::http::routes())
}

/// The place of an endpoint.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct EndpointPath {
    /// The organization.
    #[serde(rename = "org_id")]
    _org_id: OrgId,
    /// The endpoint.
    pub(crate) id: EndpointId,
}

/// The endpoint you want.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewEndpointBody {
    /// Where messages are posted to: HTTPS, on the public internet.
    #[garde(dive)]
    url: EndpointUrl,
    /// What to send, by names of the event type catalogue.
    #[garde(dive)]
    event_types: EventTypeNames,
    /// What it is for.
    #[garde(dive)]
    description: Option<Description>,
    /// How many messages may be on their way at a time; 10 unless said.
    #[garde(dive)]
    max_in_flight: Option<MaxInFlight>,
}

/// What to change; what is left out stays.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
struct EndpointChangeBody {
    /// Where messages are posted to: HTTPS, on the public internet.
    #[garde(dive)]
    url: Option<EndpointUrl>,
    /// What to send, by names of the event type catalogue.
    #[garde(dive)]
    event_types: Option<EventTypeNames>,
    /// What it is for.
    #[garde(dive)]
    description: Option<Description>,
    /// How many messages may be on their way at a time.
    #[garde(dive)]
    max_in_flight: Option<MaxInFlight>,
}

/// Names from the event type catalogue.
#[derive(Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(min_items = 1, max_items = 50)]
struct EventTypeNames(Vec<EventTypeName>);

impl Validate for EventTypeNames {
    type Context = ();

    fn validate_into(&self, (): &(), parent: &mut dyn FnMut() -> garde::Path, report: &mut garde::Report) {
        if self.0.is_empty() {
            report.append(parent(), invalid("too_few", "must name at least one event type"));
        } else if self.0.len() > MAX_EVENT_TYPES {
            report.append(parent(), invalid("too_many", &format!("must name at most {MAX_EVENT_TYPES} event types")));
        } else {
            self.0.validate_into(&(), parent, report);
        }
    }
}

impl From<EventTypeNames> for Vec<String> {
    fn from(names: EventTypeNames) -> Self {
        names.0.into_iter().map(|EventTypeName(name)| name).collect()
    }
}

/// The name of an event type.
#[derive(Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(max_length = 64, example = "organization.created")]
struct EventTypeName(String);

impl Validate for EventTypeName {
    type Context = ();

    fn validate_into(&self, (): &(), parent: &mut dyn FnMut() -> garde::Path, report: &mut garde::Report) {
        if event_types::find(&self.0).is_none() {
            report.append(parent(), invalid("unknown_event_type", "must be a name that GET /v1/event-types lists"));
        }
    }
}

/// How many messages may be on their way to an endpoint at a time.
#[derive(Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(minimum = 1, maximum = 100)]
struct MaxInFlight(i32);

impl Validate for MaxInFlight {
    type Context = ();

    fn validate_into(&self, (): &(), parent: &mut dyn FnMut() -> garde::Path, report: &mut garde::Report) {
        if !(1..=MAX_IN_FLIGHT).contains(&self.0) {
            report.append(parent(), invalid("out_of_range", &format!("must be from 1 to {MAX_IN_FLIGHT}")));
        }
    }
}

impl From<NewEndpointBody> for NewEndpoint {
    fn from(body: NewEndpointBody) -> Self {
        let NewEndpointBody { url, event_types, description, max_in_flight } = body;
        let max_in_flight = max_in_flight.map(|MaxInFlight(number)| number);
        Self { url, event_types: event_types.into(), description, max_in_flight }
    }
}

impl From<EndpointChangeBody> for EndpointChange {
    fn from(body: EndpointChangeBody) -> Self {
        let EndpointChangeBody { url, event_types, description, max_in_flight } = body;
        let max_in_flight = max_in_flight.map(|MaxInFlight(number)| number);
        Self { url, event_types: event_types.map(Into::into), description, max_in_flight }
    }
}

/// Whether messages go to an endpoint.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = EndpointStatus)]
enum EndpointStatusBody {
    /// They do.
    Enabled,
    /// Too many failed in a row: they wait, and one at a time is tried until one arrives.
    Paused,
    /// None is sent until somebody enables it.
    Disabled,
}

/// Why an endpoint is disabled.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = DisabledReason)]
enum DisabledReasonBody {
    /// It answered 410.
    Gone,
    /// Nothing arrived for five days.
    Failing,
}

/// A webhook endpoint.
#[derive(Serialize, ToSchema)]
struct EndpointBody {
    /// Names it.
    id: EndpointId,
    /// Where messages are posted to.
    #[schema(max_length = 2048, format = "uri", example = "https://example.com/hook")]
    url: String,
    /// What it is for.
    #[schema(max_length = 255)]
    description: String,
    /// What is sent.
    #[schema(max_items = 50, value_type = Vec<EventTypeName>)]
    event_types: Vec<String>,
    /// How many messages may be on their way at a time.
    #[schema(minimum = 1, maximum = 100)]
    max_in_flight: i32,
    /// Whether messages go to it.
    status: EndpointStatusBody,
    /// Since when nothing is sent any more; null unless it is disabled.
    disabled_at: Option<DateTime<Utc>>,
    /// Why; null unless it is disabled.
    disabled_reason: Option<DisabledReasonBody>,
    /// Since when no message has arrived; null when the last one did.
    failing_since: Option<DateTime<Utc>>,
    /// When it was registered.
    created_at: DateTime<Utc>,
    /// When it was last changed.
    updated_at: DateTime<Utc>,
}

/// A new webhook endpoint with its secret.
#[derive(Serialize, ToSchema)]
struct CreatedEndpointBody {
    #[serde(flatten)]
    endpoint: EndpointBody,
    /// Verifies the signatures. Shown only this once.
    #[schema(max_length = 64, example = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD")]
    secret: String,
}

impl From<EndpointStatus> for EndpointStatusBody {
    fn from(status: EndpointStatus) -> Self {
        match status {
            EndpointStatus::Enabled => Self::Enabled,
            EndpointStatus::Paused => Self::Paused,
            EndpointStatus::Disabled => Self::Disabled,
        }
    }
}

impl From<DisabledReason> for DisabledReasonBody {
    fn from(reason: DisabledReason) -> Self {
        match reason {
            DisabledReason::Gone => Self::Gone,
            DisabledReason::Failing => Self::Failing,
        }
    }
}

impl From<Endpoint> for EndpointBody {
    fn from(endpoint: Endpoint) -> Self {
        Self {
            status: endpoint.status().into(),
            disabled_reason: endpoint.disabled_reason().map(Into::into),
            id: endpoint.id,
            url: endpoint.url,
            description: endpoint.description,
            event_types: endpoint.event_types,
            max_in_flight: endpoint.max_in_flight,
            disabled_at: endpoint.disabled_at,
            failing_since: endpoint.failing_since,
            created_at: endpoint.created_at,
            updated_at: endpoint.updated_at,
        }
    }
}

fn body(endpoint: Endpoint) -> ETag<Json<EndpointBody>> {
    ETag(endpoint.version, Json(endpoint.into()))
}

fn created((endpoint, key): (Endpoint, SigningKey)) -> ETag<Json<CreatedEndpointBody>> {
    ETag(endpoint.version, Json(CreatedEndpointBody { endpoint: endpoint.into(), secret: key.reveal() }))
}

/// Register a webhook endpoint
///
/// For owners and admins. Messages are signed as Standard Webhooks says (<https://www.standardwebhooks.com>); the
/// secret that verifies them is shown only in this answer.
#[utoipa::path(post, path = "/organizations/{org_id}/webhook-endpoints", operation_id = "endpoint_create",
    security(("access_token" = [])),
    params(("org_id" = OrgId, Path, description = "The organization.")),
    request_body = NewEndpointBody,
    responses((status = 201, description = "It is registered.", body = CreatedEndpointBody),
              (status = 409, description = "The organization has as many endpoints as it may have.",
               content_type = "application/problem+json")))]
async fn endpoint_create(
    State(webhooks): State<Webhooks>,
    member: Member,
    Json(wish): Json<NewEndpointBody>,
) -> Result<(StatusCode, ETag<Json<CreatedEndpointBody>>), Problem> {
    Ok((StatusCode::CREATED, created(webhooks.create_endpoint(&member, wish.into()).await?)))
}

/// List webhook endpoints
///
/// Those of the organization, newest first.
#[utoipa::path(get, path = "/organizations/{org_id}/webhook-endpoints", operation_id = "endpoint_list",
    security(("access_token" = [])),
    params(("org_id" = OrgId, Path, description = "The organization."),
           ("limit" = Option<i64>, Query, description = "Entries on a page.", minimum = 1, maximum = 100),
           ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before.", max_length = 128)),
    responses((status = 200, description = "A page.", body = Page<EndpointBody>)))]
async fn endpoint_list(
    State(webhooks): State<Webhooks>,
    member: Member,
    page: PageRequest,
) -> Result<Page<EndpointBody>, Problem> {
    Ok(webhooks.list_endpoints(&member, &page).await?.map(Into::into))
}

/// Show a webhook endpoint
///
/// Without its secret.
#[utoipa::path(get, path = "/organizations/{org_id}/webhook-endpoints/{id}", operation_id = "endpoint_show",
    security(("access_token" = [])),
    params(EndpointPath),
    responses((status = 200, description = "The endpoint.", body = EndpointBody)))]
async fn endpoint_show(
    State(webhooks): State<Webhooks>,
    member: Member,
    Path(place): Path<EndpointPath>,
) -> Result<ETag<Json<EndpointBody>>, Problem> {
    Ok(body(webhooks.show_endpoint(&member, place.id).await?))
}

/// Change a webhook endpoint
///
/// For owners and admins. Send the `ETag` you read as `If-Match` to notice changes made meanwhile.
#[utoipa::path(patch, path = "/organizations/{org_id}/webhook-endpoints/{id}", operation_id = "endpoint_update",
    security(("access_token" = [])),
    params(EndpointPath,
           ("If-Match" = Option<String>, Header, description = "The ETag that was read.", max_length = 255)),
    request_body = EndpointChangeBody,
    responses((status = 200, description = "As it is now.", body = EndpointBody),
              (status = 412, description = "It was changed meanwhile.", content_type = "application/problem+json")))]
async fn endpoint_update(
    State(webhooks): State<Webhooks>,
    member: Member,
    Path(place): Path<EndpointPath>,
    if_match: IfMatch,
    Json(change): Json<EndpointChangeBody>,
) -> Result<ETag<Json<EndpointBody>>, Problem> {
    Ok(body(webhooks.update_endpoint(&member, place.id, change.into(), &if_match).await?))
}

/// Delete a webhook endpoint
///
/// For owners and admins. What waits to be sent to it is dropped, and its deliveries are no longer shown.
#[utoipa::path(delete, path = "/organizations/{org_id}/webhook-endpoints/{id}", operation_id = "endpoint_delete",
    security(("access_token" = [])),
    params(EndpointPath,
           ("If-Match" = Option<String>, Header, description = "The ETag that was read.", max_length = 255)),
    responses((status = 204, description = "It is gone."),
              (status = 412, description = "It was changed meanwhile.", content_type = "application/problem+json")))]
async fn endpoint_delete(
    State(webhooks): State<Webhooks>,
    member: Member,
    Path(place): Path<EndpointPath>,
    if_match: IfMatch,
) -> Result<StatusCode, Problem> {
    webhooks.delete_endpoint(&member, place.id, &if_match).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use utoipa::PartialSchema;

    use super::*;

    fn schema<T: PartialSchema>() -> Value {
        serde_json::to_value(T::schema()).expect("a schema")
    }

    #[test]
    fn the_rules_and_the_documented_bounds_are_the_same() {
        let bounds = schema::<MaxInFlight>();
        assert_eq!((bounds["minimum"].as_i64(), bounds["maximum"].as_i64()), (Some(1), Some(i64::from(MAX_IN_FLIGHT))));
        for (number, valid) in [(0, false), (1, true), (MAX_IN_FLIGHT, true), (MAX_IN_FLIGHT + 1, false)] {
            assert_eq!(MaxInFlight(number).validate().is_ok(), valid, "{number}");
        }
        let bounds = schema::<EventTypeNames>();
        assert_eq!((bounds["minItems"].as_u64(), bounds["maxItems"].as_u64()), (Some(1), Some(MAX_EVENT_TYPES as u64)));
        assert_eq!(schema::<EventTypeName>()["maxLength"].as_u64(), Some(event_types::MAX_NAME_LENGTH as u64));
    }

    #[test]
    fn every_unknown_event_type_is_named_by_its_place() {
        let fields = |body: Value| {
            let body: NewEndpointBody = serde_json::from_value(body).expect("the right types");
            let report = body.validate().expect_err("not valid");
            let mut fields: Vec<_> = report.iter().map(|(path, _)| path.to_string()).collect();
            fields.sort();
            fields
        };
        let wish = json!({ "url": "https://example.com", "event_types": ["x", "organization.created", "y"] });
        assert_eq!(fields(wish), ["event_types[0]", "event_types[2]"]);
        let wish = json!({ "url": "", "event_types": [], "max_in_flight": 0, "description": "a".repeat(256) });
        assert_eq!(fields(wish), ["description", "event_types", "max_in_flight", "url"]);
        let many = vec!["organization.created"; MAX_EVENT_TYPES + 1];
        assert_eq!(fields(json!({ "url": "https://example.com", "event_types": many })), ["event_types"]);
    }
}
