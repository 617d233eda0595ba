//! The API document: what is committed is what the handlers say, and it says enough.

use std::collections::BTreeMap;

use platform::clock::Clock;
use platform::shutdown::Shutdown;
use serde_json::Value;
use server::{Config, Environment, House};

use crate::tree::Findings;

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// The document of this build. Its pools want a runtime, though nothing is connected.
pub(crate) fn document() -> Value {
    let mut config = Config::load(Environment::Test, &BTreeMap::new()).expect("a configuration");
    config.database.url = "postgres://localhost/nowhere".to_owned().into();
    let house = House::assemble(config, &Clock::system(), &Shutdown::new()).expect("a house");
    house.contract().value().clone()
}

/// Every operation as `(method, path, operation)`.
pub(crate) fn operations(document: &Value) -> Vec<(String, String, &Value)> {
    let paths = document["paths"].as_object().into_iter().flatten();
    let of_path = |(path, item): (&String, &'_ Value)| (path.clone(), item.clone());
    let mut found = Vec::new();
    for (path, _) in paths.map(of_path) {
        for method in METHODS {
            if let Some(operation) = document["paths"][&path].get(method) {
                found.push((method.to_owned(), path.clone(), operation));
            }
        }
    }
    found
}

fn every_operation_says_enough(document: &Value) -> Findings {
    let mut findings = Findings::default();
    let mut ids = Vec::new();
    for (method, path, operation) in operations(document) {
        findings.saw_one();
        let name = format!("{method} {path}");
        let id = operation["operationId"].as_str().unwrap_or_default();
        if id.is_empty() || ids.contains(&id) {
            findings.broken(format!("{name}: no operationId of its own"));
        }
        ids.push(id);
        for field in ["summary", "description"] {
            if operation[field].as_str().unwrap_or_default().is_empty() {
                findings.broken(format!("{name}: no {field}"));
            }
        }
        if operation["tags"].as_array().is_none_or(|tags| tags.len() != 1) {
            findings.broken(format!("{name}: belongs to no module"));
        }
        let responses = operation["responses"].as_object().cloned().unwrap_or_default();
        if !responses.keys().any(|status| status.starts_with('2')) || !responses.contains_key("500") {
            findings.broken(format!("{name}: lacks a good answer or the problems"));
        }
        let described = |parameter: &&Value| parameter["description"].as_str().is_none_or(str::is_empty);
        for parameter in operation["parameters"].as_array().into_iter().flatten().filter(described) {
            findings.broken(format!("{name}: parameter {} is not described", parameter["name"]));
        }
    }
    findings
}

fn every_text_and_list_is_bounded(document: &Value) -> Findings {
    let mut findings = Findings::default();
    for (name, schema) in document["components"]["schemas"].as_object().into_iter().flatten() {
        findings.saw_one();
        look_for_unbounded(name, schema, &mut findings);
    }
    findings
}

fn look_for_unbounded(place: &str, schema: &Value, findings: &mut Findings) {
    let is =
        |kind: &str| schema["type"] == kind || schema["type"].as_array().is_some_and(|all| all.contains(&kind.into()));
    let bounded = ["maxLength", "enum", "const", "format"].iter().any(|key| schema.get(*key).is_some());
    if is("string") && !bounded {
        findings.broken(format!("{place}: a text without maxLength"));
    }
    if is("array") && schema.get("maxItems").is_none() {
        findings.broken(format!("{place}: a list without maxItems"));
    }
    for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
        look_for_unbounded(&format!("{place}.{name}"), inner, findings);
    }
    if let Some(items) = schema.get("items") {
        look_for_unbounded(&format!("{place}[]"), items, findings);
    }
}

#[tokio::test]
async fn the_committed_document_is_what_the_handlers_say() {
    let committed = include_str!("../openapi/v1.json");
    let committed: Value = serde_json::from_str(committed).expect("openapi/v1.json is JSON");
    assert!(committed == document(), "openapi/v1.json is stale: run `cargo xtask openapi` and look at the difference");
}

#[tokio::test]
async fn every_operation_has_id_summary_description_module_and_problems() {
    every_operation_says_enough(&document()).hold();
}

#[test]
fn an_operation_that_says_nothing_is_found() {
    let bare = serde_json::json!({ "paths": { "/v1/x": { "get": { "responses": {} } } } });
    assert!(every_operation_says_enough(&bare).fails());
}

#[tokio::test]
async fn every_text_and_list_in_the_document_is_bounded() {
    every_text_and_list_is_bounded(&document()).hold();
}

#[test]
fn an_unbounded_text_or_list_is_found() {
    let schema = serde_json::json!({ "properties": { "a": { "type": ["string", "null"] }, "b": { "type": "array" } } });
    let document = serde_json::json!({ "components": { "schemas": { "X": schema } } });
    assert!(every_text_and_list_is_bounded(&document).fails());
}
