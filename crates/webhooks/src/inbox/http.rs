use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use platform::http::{Path, Problem, RawBody, Routes, TakenTurn};
use utoipa_axum::routes;

use crate::Webhooks;

pub(crate) fn routes() -> Routes<Webhooks> {
    Routes::new().with(routes!(inbound_event_receive))
}

/// Receive an event
///
/// For the services this one listens to, such as the payment provider; no access token, the signature counts. It covers
/// the body byte by byte, so any media type is taken. The answer says only that the event is stored, or was already: it
/// is handled afterwards. Send again whatever was not answered with 200. What is answered with 200 does not count against
/// the rate limit, where the signature covers the time.
#[utoipa::path(post, path = "/inbound/{source}", operation_id = "inbound_event_receive",
    params(("source" = String, Path, description = "Who sends: a configured source, such as `stripe`.", max_length = 32),
           ("Stripe-Signature" = Option<String>, Header, max_length = 8192,
            description = "For sources that sign as Stripe does: `t=`, the time in seconds, and one or more `v1=`, the \
                           HMAC-SHA256 of time, dot and body in hex."),
           ("X-Hub-Signature-256" = Option<String>, Header, max_length = 255,
            description = "For sources that sign as GitHub does: `sha256=`, the HMAC-SHA256 of the body in hex. \
                           `X-GitHub-Delivery` names the event, `X-GitHub-Event` its type."),
           ("X-GitHub-Delivery" = Option<String>, Header, max_length = 255, description = "GitHub's id of the event."),
           ("X-GitHub-Event" = Option<String>, Header, max_length = 255,
            description = "GitHub's name of what happened; the body's `action` says more."),
           ("webhook-id" = Option<String>, Header, max_length = 255,
            description = "For sources that keep to Standard Webhooks: the id of the event."),
           ("webhook-timestamp" = Option<String>, Header, max_length = 32,
            description = "Of Standard Webhooks: when it was signed, in seconds since 1970."),
           ("webhook-signature" = Option<String>, Header, max_length = 8192,
            description = "Of Standard Webhooks: one or more `v1,` and the HMAC-SHA256 of id, dot, timestamp, dot and \
                           body in base64, with spaces between.")),
    request_body(content = inline(RawBody), content_type = "*/*", description = "The event, up to 1 MiB, as it was signed."),
    responses((status = 200, description = "It is stored, now or before."),
              (status = 400, description = "`invalid_signature`; `invalid_timestamp`: signed too long ago or in the future; \
                                            `invalid_event`: rightly signed, but not an event.",
               content_type = "application/problem+json"),
              (status = 404, description = "There is no such source.", content_type = "application/problem+json")))]
async fn inbound_event_receive(
    State(webhooks): State<Webhooks>,
    turn: TakenTurn,
    Path(source): Path<String>,
    headers: HeaderMap,
    RawBody(body): RawBody,
) -> Result<StatusCode, Problem> {
    if webhooks.receive_event(&source, &headers, body.into()).await? {
        turn.give_back();
    }
    Ok(StatusCode::OK)
}
