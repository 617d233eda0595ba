//! How many statements a request may cost. A handler that starts asking once per row, or a check that asks twice, is noticed
//! here and not in production.

use reqwest::{Method, RequestBuilder};
use serde_json::json;
use test_support::Statements;

use crate::home::{Home, send};

/// Statements of one request with its COMMIT; sqlx does not tell about BEGIN.
async fn cost(ask: RequestBuilder, status: u16) -> usize {
    let before = Statements::sent();
    send(ask).await.expect(status);
    Statements::sent() - before
}

#[tokio::test]
async fn requests_keep_their_statement_budgets() {
    let home = Home::open().await;
    let person = home.person("ada@example.com").await;
    let org = home.organization(&person).await;
    for _ in 0..5 {
        home.organization(&person).await;
    }
    let path = format!("/v1/organizations/{org}");
    let hooks = format!("{path}/webhook-endpoints");
    let get = |path: &str| home.ask(Method::GET, path).bearer_auth(&person.token);
    let endpoint = json!({ "url": "http://127.0.0.1:9/hook", "event_types": ["organization.updated"] });
    for _ in 0..3 {
        send(home.ask(Method::POST, &hooks).bearer_auth(&person.token).json(&endpoint)).await.expect(201);
    }
    let rename = home.ask(Method::PATCH, &path).bearer_auth(&person.token).json(&json!({ "name": "Acme 2" }));
    let create = home.ask(Method::POST, "/v1/organizations").bearer_auth(&person.token);
    let create = create.header("idempotency-key", "k").json(&json!({ "name": "Acme" }));
    for (what, ask, status, budget) in [
        ("the catalogue", home.ask(Method::GET, "/v1/plans"), 200, 1),
        ("event types", home.ask(Method::GET, "/v1/event-types"), 200, 0),
        ("me: session, account", get("/v1/me"), 200, 2),
        ("a page: session, rows", get("/v1/organizations?limit=5"), 200, 2),
        ("one: session, role, row", get(&path), 200, 3),
        ("a page of endpoints: session, role, rows", get(&hooks), 200, 3),
        ("a change: session, role, lock, save, event, audit, commit", rename, 200, 7),
        ("a creation: session, key, row, member, event, audit, answer, commit", create, 201, 8),
    ] {
        let cost = cost(ask, status).await;
        assert!(!breaks(cost, budget), "{what}: {cost} statements instead of {budget}; change it only for a reason");
    }
}

/// Fewer is a budget that was not tightened, which hides the next one too many.
fn breaks(cost: usize, budget: usize) -> bool {
    cost != budget
}

#[tokio::test]
async fn a_request_that_asks_once_more_is_noticed() {
    let home = Home::open().await;
    let person = home.person("ada@example.com").await;
    let get = |path: &str| home.ask(Method::GET, path).bearer_auth(&person.token);
    let me = cost(get("/v1/me"), 200).await;
    let before = Statements::sent();
    send(get("/v1/me")).await.expect(200);
    send(get("/v1/me")).await.expect(200);
    assert!(breaks(Statements::sent() - before, me));
}
