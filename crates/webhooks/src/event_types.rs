//! The public catalogue: what organizations can be told about, and what such a message looks like. A contract: a type
//! that is published keeps its fields.

pub(crate) mod http;

use std::sync::LazyLock;

use serde_json::{Map, Value, json};

/// The longest name of a type: what the database and the API document promise.
#[cfg(test)]
pub(crate) const MAX_NAME_LENGTH: usize = 64;

/// What an endpoint is tested with. It goes to that endpoint only, so subscribing to it changes nothing.
pub(crate) const TEST: &str = "webhook_endpoint.test";

/// A kind of message.
pub(crate) struct EventType {
    /// What subscribers name, and the `type` of the message.
    pub(crate) name: &'static str,
    /// When it is sent, for people.
    pub(crate) description: &'static str,
    /// The fields of `data`, each with its JSON schema and an example.
    data: Vec<(&'static str, Value, Value)>,
}

/// Every type there is.
pub(crate) fn catalogue() -> &'static [EventType] {
    static CATALOGUE: LazyLock<Vec<EventType>> = LazyLock::new(|| {
        vec![
            EventType {
                name: "organization.created",
                description: "An organization came into being.",
                data: organization("Analytical Engines"),
            },
            EventType {
                name: "organization.updated",
                description: "An organization was renamed; the data is as it was at `timestamp`. Messages may overtake each other: \
                              ignore one that is older than what you know.",
                data: organization("Difference Engines"),
            },
            EventType {
                name: "billing.subscription.updated",
                description: "What an organization may use, or on which terms, has changed; the data is as it was at \
                              `timestamp`. Messages may overtake each other: ignore one that is older than what you know. \
                              What the passing of time alone changes, such as the end of a trial, is not sent; the \
                              entitlements say what holds now.",
                data: subscription(),
            },
            EventType {
                name: "webhook_endpoint.disabled",
                description: "Nothing is sent to an endpoint any more: it answered 410 (`gone`), or nothing arrived there for \
                              five days (`failing`). The organization's other endpoints are told. `url` is its scheme, \
                              host and port only: the rest may hold a secret.",
                data: disabled_endpoint(),
            },
            EventType {
                name: TEST,
                description: "Somebody tests an endpoint. It is sent to that one only, whatever it subscribes to; nothing \
                              happened.",
                data: vec![endpoint()],
            },
        ]
    });
    &CATALOGUE
}

/// The type of this name.
pub(crate) fn find(name: &str) -> Option<&'static EventType> {
    catalogue().iter().find(|known| known.name == name)
}

fn organization(name: &str) -> Vec<(&'static str, Value, Value)> {
    let id = "0197a3f1-5c4e-7d2a-9b1f-3e8c6a4d2b10";
    vec![
        ("id", json!({ "type": "string", "format": "uuid" }), json!(id)),
        ("name", json!({ "type": "string", "minLength": 1, "maxLength": 100 }), json!(name)),
    ]
}

fn endpoint() -> (&'static str, Value, Value) {
    let id = "0197a3f1-6d21-7b90-8c44-5f0e9d7a1c32";
    ("endpoint_id", json!({ "type": "string", "format": "uuid" }), json!(id))
}

fn disabled_endpoint() -> Vec<(&'static str, Value, Value)> {
    let url = json!({ "type": "string", "format": "uri", "minLength": 1, "maxLength": 2048 });
    vec![
        endpoint(),
        ("url", url, json!("https://example.com")),
        ("reason", json!({ "enum": ["gone", "failing"] }), json!("failing")),
        ("disabled_at", json!({ "type": "string", "format": "date-time" }), json!("2026-03-01T12:00:00Z")),
    ]
}

fn subscription() -> Vec<(&'static str, Value, Value)> {
    let text = |most: u64| json!({ "type": "string", "minLength": 1, "maxLength": most });
    let moment = json!({ "type": ["string", "null"], "format": "date-time" });
    vec![
        (
            "organization_id",
            json!({ "type": "string", "format": "uuid" }),
            json!("0197a3f1-5c4e-7d2a-9b1f-3e8c6a4d2b10"),
        ),
        ("plan", text(64), json!("team")),
        ("status", json!({ "type": ["string", "null"], "maxLength": 64 }), json!("active")),
        ("quantity", json!({ "type": ["integer", "null"], "minimum": 0 }), json!(5)),
        ("current_period_end", moment.clone(), json!("2026-04-01T12:00:00Z")),
        ("cancel_at", moment, Value::Null),
        ("access", json!({ "enum": ["full", "free"] }), json!("full")),
    ]
}

impl EventType {
    /// The JSON schema of a whole message. Fields may be added to `data`, so receivers ignore those they do not know.
    pub(crate) fn schema(&self) -> Value {
        let properties: Map<_, _> =
            self.data.iter().map(|(name, schema, _)| ((*name).to_owned(), schema.clone())).collect();
        let required: Vec<_> = self.data.iter().map(|(name, ..)| *name).collect();
        json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "properties": {
                "type": { "const": self.name },
                "timestamp": { "type": "string", "format": "date-time" },
                "data": { "type": "object", "properties": properties, "required": required },
            },
            "required": ["type", "timestamp", "data"],
        })
    }

    /// A whole message.
    pub(crate) fn example(&self) -> Value {
        let data: Map<_, _> =
            self.data.iter().map(|(name, _, example)| ((*name).to_owned(), example.clone())).collect();
        json!({ "type": self.name, "timestamp": "2026-03-01T12:00:00Z", "data": data })
    }

    /// Whether a message's data has exactly the documented fields.
    pub(crate) fn documents(&self, data: &Value) -> bool {
        let Some(fields) = data.as_object() else { return false };
        fields.len() == self.data.len() && self.data.iter().all(|(name, ..)| fields.contains_key(*name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_and_unique() {
        for (at, known) in catalogue().iter().enumerate() {
            assert!(known.name.len() <= MAX_NAME_LENGTH, "{}", known.name);
            assert!(catalogue()[at + 1..].iter().all(|other| other.name != known.name), "{}", known.name);
        }
        assert!(find("organization.created").is_some());
        assert!(find("organization").is_none());
    }

    #[test]
    fn only_documented_data_is_accepted() {
        for known in catalogue() {
            let data = known.example()["data"].clone();
            assert!(known.documents(&data), "{}", known.name);
            assert!(known.schema()["properties"]["data"]["required"].as_array().is_some_and(|all| !all.is_empty()));
            let mut more = data.clone();
            more["secret"] = json!("x");
            assert!(!known.documents(&more));
            assert!(!known.documents(&json!({})) && !known.documents(&json!(null)));
        }
    }
}
