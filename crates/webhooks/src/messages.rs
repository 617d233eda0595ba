//! Messages: what happened, as the receivers read it. A message and its deliveries are written in one transaction.

pub(crate) mod recording;
pub(crate) mod store;

use chrono::{DateTime, Utc};
use platform::caller::OrgId;
use platform::jobs::{JobError, Running};
use platform::telemetry::current_context;
use serde::Serialize;
use serde_json::Value;

use crate::event_types::{self, EventType};
use crate::{Error, Webhooks};

/// The largest body that is sent.
const MAX_BODY: usize = 64 * 1024;

platform::id! {
    /// Names a message; receivers see it as `msg_…` in `webhook-id`, the same over all tries.
    pub struct MessageId;
}

/// Something that happened, told in the words of the public catalogue.
#[derive(Clone, Debug)]
pub struct NewMessage {
    /// The name of its event type.
    pub event_type: String,
    /// When it happened.
    pub occurred_at: DateTime<Utc>,
    /// The fields that the catalogue documents for the type: ids and state, no secrets.
    pub data: Value,
}

/// A message as it is stored.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) id: MessageId,
    pub(crate) event_type: &'static str,
    pub(crate) body: Vec<u8>,
    pub(crate) request_id: Option<String>,
    pub(crate) traceparent: Option<String>,
}

/// The payload (Standard Webhooks 1.0, "Payload structure").
#[derive(Serialize)]
struct Payload<'a> {
    r#type: &'a str,
    timestamp: DateTime<Utc>,
    data: &'a Value,
}

impl Webhooks {
    /// Records a message for every endpoint of the organization that wants its type, and settles the job in the same
    /// transaction: however often the job runs, the message is recorded once. It is sent as soon as that is committed.
    ///
    /// # Errors
    /// [`JobError::Discard`] for a message that the public catalogue does not describe or that is too large; otherwise
    /// the database is away or the job was taken over by another worker.
    pub async fn publish(&self, running: &Running, organization: OrgId, message: NewMessage) -> Result<(), JobError> {
        let recorded = async { self.record(running, organization, compose(&message)?).await };
        recorded.await.map_err(Error::into_job_error)
    }
}

/// The message as it is stored, provided the public catalogue describes it.
pub(crate) fn compose(message: &NewMessage) -> Result<Message, Error> {
    let NewMessage { event_type, occurred_at, data } = message;
    let EventType { name, .. } = known_type(event_type, data)?;
    let body = serde_json::to_vec(&Payload { r#type: name, timestamp: *occurred_at, data })?;
    if body.len() > MAX_BODY {
        return Err(Error::MessageTooLarge(body.len()));
    }
    let (request_id, traceparent) =
        current_context().map_or((None, None), |context| (Some(context.request_id), context.traceparent));
    Ok(Message { id: MessageId::new(), event_type: name, body, request_id, traceparent })
}

fn known_type(name: &str, data: &Value) -> Result<&'static EventType, Error> {
    let known = event_types::find(name).ok_or_else(|| Error::UnknownEventType(name.to_owned()))?;
    if known.documents(data) { Ok(known) } else { Err(Error::UndocumentedData(known.name)) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn message(event_type: &str, data: Value) -> NewMessage {
        let occurred_at = DateTime::from_timestamp(1_772_366_400, 500_000_000).expect("a time");
        NewMessage { event_type: event_type.to_owned(), occurred_at, data }
    }

    #[test]
    fn the_body_is_type_timestamp_and_data() {
        let composed =
            compose(&message("organization.created", json!({ "name": "Ada", "id": "1" }))).expect("composed");
        let expected =
            r#"{"type":"organization.created","timestamp":"2026-03-01T12:00:00.500Z","data":{"id":"1","name":"Ada"}}"#;
        assert_eq!(String::from_utf8(composed.body).expect("text"), expected);
    }

    #[test]
    fn what_the_catalogue_does_not_describe_is_refused() {
        let outcome = |event_type: &str, data| compose(&message(event_type, data)).expect_err("refused").to_string();
        assert!(outcome("organization.exploded", json!({})).contains("organization.exploded"));
        assert!(outcome("organization.created", json!({ "id": "1" })).contains("documented"));
        let long = json!({ "id": "1", "name": "a".repeat(MAX_BODY) });
        assert!(outcome("organization.created", long).contains("bytes"));
    }
}
