//! Case 22: fields that would give power are refused in every body, not ignored.

use reqwest::Method;
use serde_json::{Value, json};

use super::asking::{contents, home_of_ada};
use super::samples::{body_of, request_schemas};
use crate::contract::{document, operations};
use crate::home::{Answer, send};

const UNKNOWN: &str = "019b7a3c-f15c-7d2a-9b1f-3e8c6a4d2b10";

fn powers() -> [(&'static str, Value); 7] {
    [
        ("role", json!("owner")),
        ("is_admin", json!(true)),
        ("email_verified", json!(true)),
        ("org_id", json!(UNKNOWN)),
        ("id", json!(UNKNOWN)),
        ("created_at", json!("2020-01-01T00:00:00Z")),
        ("__proto__", json!({ "is_admin": true })),
    ]
}

fn refuses(answer: &Answer, field: &str) -> bool {
    let (status, code, fields) = answer.problem();
    (status, code.as_str()) == (422, "invalid_request") && fields == [(field.to_owned(), "unknown_field".to_owned())]
}

#[tokio::test]
async fn case_22_fields_that_would_give_power_are_refused_in_every_body_and_nothing_is_stored() {
    let (home, tokens) = home_of_ada().await;
    let create = home.ask(Method::POST, "/v1/organizations").bearer_auth(&tokens.access);
    let org = send(create.json(&json!({ "name": "Acme" }))).await.expect(201)["id"].clone();
    let org = org.as_str().expect("an id");
    let document = document();
    let schemas = request_schemas(&document);
    let before = contents(&home).await;
    let (mut wrong, mut tried) = (Vec::new(), 0);
    for (method, path, operation) in operations(&document) {
        let Some(body) = body_of(&document, operation) else { continue };
        let (_, schema) = schemas.iter().find(|(of, _)| *of == (method.clone(), path.clone())).expect("a schema");
        let at = path.replace("{org_id}", org).replace("{id}", UNKNOWN).replace("{user_id}", UNKNOWN);
        let verb = Method::from_bytes(method.to_uppercase().as_bytes()).expect("a method");
        // Where the field is there on purpose, giving it takes the permission; see the authorization table.
        for (field, value) in powers().into_iter().filter(|(field, _)| schema["properties"].get(*field).is_none()) {
            let mut body = body.clone();
            body[field] = value;
            let mut ask = home.ask(verb.clone(), &at).json(&body);
            if operation["security"].is_array() {
                ask = ask.bearer_auth(&tokens.access);
            }
            let answer = send(ask).await;
            tried += 1;
            if !refuses(&answer, field) {
                wrong.push(format!("{method} {path} with {field}: {} {}", answer.status, answer.text));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(tried >= 100, "only {tried} requests");
    assert_eq!(contents(&home).await, before, "something was stored");
}
