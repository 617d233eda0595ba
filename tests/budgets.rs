//! How many statements a request may cost. A handler that starts asking once per row, or a check that asks twice, is noticed
//! here and not in production.

use reqwest::{Method, RequestBuilder};
use serde_json::json;
use test_support::Statements;

use crate::home::{Home, Person, send};

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
    let endpoint = json!({ "url": "http://127.0.0.1:9/hook", "event_types": ["organization.updated"] });
    for _ in 0..3 {
        send(home.ask(Method::POST, &hooks).bearer_auth(&person.token).json(&endpoint)).await.expect(201);
    }
    // What this process remembers (who is logged in, what they are where) is asked in the first request after a login only.
    for (what, path, cold, warm) in [
        ("the catalogue", "/v1/plans", 1, 1),
        ("event types", "/v1/event-types", 0, 0),
        ("me: session; account", "/v1/me", 2, 1),
        ("a page: session; rows", "/v1/organizations?limit=5", 2, 1),
        ("one: session, role; row", &path, 3, 1),
        ("a page of members: session, role; rows", &format!("{path}/members"), 3, 1),
        ("a page of the audit log: session, role; rows", &format!("{path}/audit-log"), 3, 1),
        ("a page of endpoints: session, role; rows", &hooks, 3, 1),
    ] {
        let Person { token, .. } = home.person("ada@example.com").await;
        for (when, budget) in [("cold", cold), ("warm", warm)] {
            let cost = cost(home.ask(Method::GET, path).bearer_auth(&token), 200).await;
            assert!(!breaks(cost, budget), "{what}, {when}: {cost} statements instead of {budget}");
        }
    }
    let Person { token, .. } = home.person("ada@example.com").await;
    let rename = home.ask(Method::PATCH, &path).bearer_auth(&token).json(&json!({ "name": "Acme 2" }));
    let create = home.ask(Method::POST, "/v1/organizations").bearer_auth(&token);
    let create = create.header("idempotency-key", "k").json(&json!({ "name": "Acme" }));
    for (what, ask, status, budget) in [
        ("a change, cold: session, role; lock, save, event, audit, commit", rename, 200, 7),
        ("a creation, warm: key, row, member, event, audit, answer, commit", create, 201, 7),
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
    send(get("/v1/me")).await.expect(200);
    let me = cost(get("/v1/me"), 200).await;
    let before = Statements::sent();
    send(get("/v1/me")).await.expect(200);
    send(get("/v1/me")).await.expect(200);
    assert!(breaks(Statements::sent() - before, me));
}
