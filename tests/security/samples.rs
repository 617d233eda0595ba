//! Bodies made of the API document: right in form, without meaning.

use serde_json::{Map, Value, json};

use crate::contract::operations;

/// A body for the operation, if it takes JSON.
pub(super) fn body_of(document: &Value, operation: &Value) -> Option<Value> {
    let schema = operation.pointer("/requestBody/content/application~1json/schema")?;
    Some(sample(document, schema))
}

/// The schema of each JSON body, with the operation's method and path.
pub(super) fn request_schemas(document: &Value) -> Vec<((String, String), &Value)> {
    let bodies = operations(document).into_iter().filter_map(|(method, path, operation)| {
        let schema = operation.pointer("/requestBody/content/application~1json/schema")?;
        Some(((method, path), resolved(document, schema)))
    });
    bodies.collect()
}

fn resolved<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    let Some(reference) = schema["$ref"].as_str() else { return schema };
    document.pointer(reference.trim_start_matches('#')).unwrap_or_else(|| panic!("{reference} leads nowhere"))
}

fn sample(document: &Value, schema: &Value) -> Value {
    let schema = resolved(document, schema);
    let choice = ["oneOf", "anyOf", "allOf"].iter().find_map(|key| schema[*key].as_array());
    if let Some(choice) = choice.and_then(|all| all.iter().find(|one| one["type"] != "null")) {
        return sample(document, choice);
    }
    if let Some(value) = schema["enum"].get(0) {
        return value.clone();
    }
    let kind = schema["type"].as_str().or_else(|| schema["type"].as_array()?.iter().find_map(Value::as_str));
    match (kind, schema["format"].as_str()) {
        (Some("string"), Some("date-time")) => json!("2030-01-01T00:00:00Z"),
        (Some("string"), Some("uuid")) => json!("019b7a3c-f15c-7d2a-9b1f-3e8c6a4d2b10"),
        (Some("string"), Some("email")) => json!("somebody@example.com"),
        (Some("string"), Some("uri")) => json!("https://example.com/"),
        (Some("string"), _) => {
            let length = schema["minLength"].as_u64().and_then(|length| usize::try_from(length).ok());
            json!("x".repeat(length.unwrap_or(1).max(1)))
        }
        (Some("integer" | "number"), _) => schema.get("minimum").cloned().unwrap_or(json!(1)),
        (Some("boolean"), _) => json!(true),
        (Some("array"), _) => json!([sample(document, &schema["items"])]),
        _ => object(document, schema),
    }
}

fn object(document: &Value, schema: &Value) -> Value {
    let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let fields = required.map(|name| (name.to_owned(), sample(document, &schema["properties"][name])));
    Value::Object(fields.collect::<Map<String, Value>>())
}
