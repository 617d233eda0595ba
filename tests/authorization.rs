//! Who may call what: one row for each operation of the API document, one column for each kind of caller, over real HTTP.
//! An operation without a row fails the run.

use std::collections::BTreeMap;

use platform::caller::{OrgId, Role};
use platform::ids::new_uuid;
use reqwest::Method;
use serde_json::{Value, json};

use crate::contract::{document, operations};
use crate::home::{Home, Person, send};
use crate::tree::Findings;

/// The kinds of callers, in the order of the columns.
const CALLERS: [&str; 8] = ["anonymous", "stranger", "removed", "viewer", "billing", "member", "admin", "owner"];

/// Stands for a price of the catalogue, whose id is known only when the house runs.
const PRICE: &str = "{price_id}";

/// What each caller gets. A good request is sent, so a caller who may gets the 2xx.
struct Row {
    operation: &'static str,
    body: Option<Value>,
    statuses: [u16; 8],
}

fn row(operation: &'static str, body: impl Into<Option<Value>>, statuses: [u16; 8]) -> Row {
    Row { operation, body: body.into(), statuses }
}

/// 401 without a token, the same for everybody with one.
const fn anybody_known(status: u16) -> [u16; 8] {
    [401, status, status, status, status, status, status, status]
}

fn table() -> Vec<Row> {
    let endpoint = json!({ "url": "http://127.0.0.1:9/hook", "event_types": ["organization.created"] });
    let credentials = json!({ "email": "nobody@example.com", "password": "not-the-password-at-all" });
    let wish = json!({ "email": "new@example.com", "password": "not-the-password-at-all", "name": "New" });
    let checkout = json!({
        "price_id": PRICE,
        "quantity": 1,
        "success_url": "http://localhost:8080/paid",
        "cancel_url": "http://localhost:8080/plans",
    });
    vec![
        // Open to the world.
        row("signing_key_list", None, [200; 8]),
        row("plan_list", None, [200; 8]),
        row("event_type_list", None, [200; 8]),
        row("registration_create", wish, [202; 8]),
        row("registration_verify", json!({ "token": "unknown" }), [400; 8]),
        row("session_create", credentials, [401; 8]),
        row("session_refresh", json!({ "refresh_token": "unknown" }), [401; 8]),
        row("inbound_event_receive", json!({ "signed": "by nobody" }), [400; 8]),
        // For whoever is logged in.
        row("me_show", None, anybody_known(200)),
        row("organization_create", json!({ "name": "Mine" }), anybody_known(201)),
        row("organization_list", None, anybody_known(200)),
        //                                                     anon  strg  remv  view  bill  memb  admn  ownr
        row("organization_show", None, [401, 404, 404, 200, 200, 200, 200, 200]),
        row("organization_update", json!({ "name": "Acme" }), [401, 404, 404, 403, 403, 403, 200, 200]),
        row("endpoint_list", None, [401, 404, 404, 200, 403, 200, 200, 200]),
        row("endpoint_show", None, [401, 404, 404, 200, 403, 200, 200, 200]),
        row("delivery_list", None, [401, 404, 404, 200, 403, 200, 200, 200]),
        row("delivery_show", None, [401, 404, 404, 200, 403, 200, 200, 200]),
        row("endpoint_create", endpoint, [401, 404, 404, 403, 403, 403, 201, 201]),
        row("endpoint_update", json!({ "description": "ours" }), [401, 404, 404, 403, 403, 403, 200, 200]),
        row("endpoint_delete", None, [401, 404, 404, 403, 403, 403, 204, 204]),
        row("entitlement_list", None, [401, 404, 404, 200, 200, 200, 200, 200]),
        row("subscription_show", None, [401, 404, 404, 403, 200, 403, 200, 200]),
        row("checkout_open", checkout, [401, 404, 404, 403, 201, 403, 201, 201]),
        row("operation_show", None, [401, 404, 404, 403, 200, 403, 200, 200]),
        // Last: it ends the session of the token that the other rows use.
        row("session_end", None, anybody_known(204)),
    ]
}

fn every_operation_has_a_row(document: &Value, rows: &[Row]) -> Findings {
    let mut findings = Findings::default();
    let known: Vec<&str> = rows.iter().map(|row| row.operation).collect();
    let mut documented = Vec::new();
    for (method, path, operation) in operations(document) {
        findings.saw_one();
        let id = operation["operationId"].as_str().unwrap_or_default();
        documented.push(id);
        if !known.contains(&id) {
            findings.broken(format!("{method} {path}: `{id}` has no row in the authorization table"));
        }
        let open = rows.iter().any(|row| row.operation == id && !matches!(row.statuses[0], 401 | 404 | 403));
        let declared = operation["security"].as_array().is_some_and(|schemes| !schemes.is_empty());
        let asks = rows.iter().any(|row| row.operation == id && row.statuses[0] == 401 && row.statuses[7] < 300);
        if (open && declared) || (asks && !declared) {
            findings
                .broken(format!("{method} {path}: `{id}` and its document disagree on whether it asks for a token"));
        }
    }
    for id in known.into_iter().filter(|id| !documented.contains(id)) {
        findings.broken(format!("the authorization table has a row for `{id}`, which does not exist"));
    }
    findings
}

/// An organization with one caller of each kind, an endpoint and a delivery.
struct Stage {
    home: Home,
    org: OrgId,
    tokens: BTreeMap<&'static str, String>,
    price: String,
    _payments: dev_stripe::Running,
}

impl Stage {
    async fn set() -> Self {
        let (home, payments) = Home::open_with_payments().await;
        let owner = home.person("owner@example.com").await;
        let org = home.organization(&owner).await;
        let mut tokens = BTreeMap::from([("owner", owner.token.clone())]);
        for (name, role) in
            [("admin", Role::Admin), ("member", Role::Member), ("billing", Role::Billing), ("viewer", Role::Viewer)]
        {
            let person = home.person(&format!("{name}@example.com")).await;
            home.join(&person, org, role).await;
            tokens.insert(name, person.token);
        }
        let stranger = home.person("stranger@example.com").await;
        home.organization(&stranger).await;
        tokens.insert("stranger", stranger.token);
        tokens.insert("removed", Self::removed(&home, org).await.token);
        home.work().await;
        let plans = send(home.ask(Method::GET, "/v1/plans")).await.expect(200);
        let price = plans["data"][1]["prices"][0]["id"].as_str().expect("a price").to_owned();
        Self { home, org, tokens, price, _payments: payments }
    }

    /// Somebody who was an admin, used that, and is no member any more.
    async fn removed(home: &Home, org: OrgId) -> Person {
        let person = home.person("removed@example.com").await;
        home.join(&person, org, Role::Admin).await;
        let path = format!("/v1/organizations/{org}");
        send(home.ask(Method::GET, &path).bearer_auth(&person.token)).await.expect(200);
        let delete = sqlx::query("DELETE FROM users.memberships WHERE account_id = $1").bind(person.id.uuid());
        delete.execute(&mut home.owner().await).await.expect("a removal");
        person
    }

    /// An endpoint and, where the path asks for one, a delivery of its own, as rows may use them up.
    async fn target(&self, path: &str) -> String {
        let path = path.replace("{org_id}", &self.org.to_string()).replace("{source}", "stripe");
        if !path.contains("{id}") {
            return path;
        }
        let base = format!("/v1/organizations/{}", self.org);
        if path.contains("/billing/operations/") {
            return path.replace("{id}", &self.checkout(&base).await);
        }
        let owner = &self.tokens["owner"];
        let body = json!({ "url": "http://127.0.0.1:9/hook", "event_types": ["organization.updated"] });
        let create = self.home.ask(Method::POST, &format!("{base}/webhook-endpoints")).bearer_auth(owner);
        let endpoint = send(create.json(&body)).await.expect(201)["id"].as_str().expect("an id").to_owned();
        if !path.contains("/deliveries/{id}") {
            return path.replace("{id}", &endpoint);
        }
        let rename = self.home.ask(Method::PATCH, &base).bearer_auth(owner).json(&json!({ "name": "Acme" }));
        send(rename).await.expect(200);
        self.home.work().await;
        let list = format!("{base}/webhook-endpoints/{endpoint}/deliveries");
        let page = send(self.home.ask(Method::GET, &list).bearer_auth(owner)).await.expect(200);
        path.replace("{id}", page["data"][0]["id"].as_str().expect("a delivery"))
    }

    /// An operation of billing.
    async fn checkout(&self, base: &str) -> String {
        let rows = table();
        let body = rows.iter().find(|row| row.operation == "checkout_open").and_then(|row| row.body.as_ref());
        let ask = self.home.ask(Method::POST, &format!("{base}/billing/checkout")).bearer_auth(&self.tokens["owner"]);
        let ask = ask.header("idempotency-key", new_uuid().to_string()).json(&self.filled(body.expect("a body")));
        send(ask).await.expect(201)["id"].as_str().expect("an id").to_owned()
    }

    fn filled(&self, body: &Value) -> Value {
        let mut body = body.clone();
        if body["price_id"] == PRICE {
            body["price_id"] = json!(self.price);
        }
        body
    }

    async fn status(&self, caller: &str, method: &str, path: &str, body: Option<&Value>) -> u16 {
        let method = Method::from_bytes(method.to_uppercase().as_bytes()).expect("a method");
        let mut ask = self.home.ask(method, path).header("idempotency-key", new_uuid().to_string());
        if let Some(token) = self.tokens.get(caller) {
            ask = ask.bearer_auth(token);
        }
        if let Some(body) = body {
            ask = ask.json(&self.filled(body));
        }
        send(ask).await.status.as_u16()
    }
}

#[tokio::test]
async fn every_caller_gets_what_the_table_says() {
    let stage = Stage::set().await;
    let document = document();
    let operations = operations(&document);
    let mut wrong = Vec::new();
    for Row { operation, body, statuses } in table() {
        let found = operations.iter().find(|(_, _, known)| known["operationId"] == operation);
        let (method, path, _) = found.unwrap_or_else(|| panic!("no operation {operation}"));
        let mut target = stage.target(path).await;
        for (caller, expected) in CALLERS.into_iter().zip(statuses) {
            if operation == "endpoint_delete" && expected == 204 {
                target = stage.target(path).await;
            }
            let got = stage.status(caller, method, &target, body.as_ref()).await;
            if got != expected {
                wrong.push(format!("{operation} as {caller}: expected {expected}, got {got}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn every_documented_operation_has_a_row_in_the_authorization_table() {
    every_operation_has_a_row(&document(), &table()).hold();
}

#[tokio::test]
async fn an_operation_without_a_row_is_found() {
    let rows = table().into_iter().filter(|row| row.operation != "me_show").collect::<Vec<_>>();
    every_operation_has_a_row(&document(), &rows).only_name("me_show");
}
