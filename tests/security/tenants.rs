//! Cases 20 and 52: whoever knows another organization's ids can do nothing with them, and nobody overwrites what they did
//! not read.

use reqwest::Method;
use serde_json::{Value, json};

use super::asking::{contents, get, home_of_ada, invite, log_in, patch, post, problem, text};
use super::samples::{body_of, request_schemas};
use crate::buyer::Buyer;
use crate::contract::{document, operations};
use crate::home::{Home, Person, send};
use platform::caller::Role;

const OWNER: &str = "olga@example.com";

/// Two organizations; of one a stranger knows every id.
struct Neighbours {
    home: Home,
    victim: Person,
    stranger: Person,
    /// `/v1/organizations/{org_id}` of the victim and of the stranger.
    theirs: String,
    ours: String,
    colleague: String,
    invitation: String,
    endpoint: String,
    delivery: String,
    operation: String,
    session: String,
    token: String,
    export: String,
    _payments: dev_stripe::Running,
}

impl Neighbours {
    async fn move_in() -> Self {
        let (home, payments) = Home::open_with_payments().await;
        let (victim, stranger) = (home.person(OWNER).await, home.person("sam@example.com").await);
        let colleague = home.person("colin@example.com").await;
        let org = home.organization(&victim).await;
        home.join(&colleague, org, Role::Member).await;
        let theirs = format!("/v1/organizations/{org}");
        let ours = format!("/v1/organizations/{}", home.organization(&stranger).await);
        let id = |body: Value| text(&body["id"]);
        let invitation = id(send(invite(&home, &victim, &theirs, "ina@example.com", "member")).await.expect(201));
        let create = |path: &str, body: &Value| send(post(&home, path, body).bearer_auth(&victim.token));
        let endpoint = json!({ "url": "http://127.0.0.1:9/hook", "event_types": ["organization.updated"] });
        let endpoint = id(create(&format!("{theirs}/webhook-endpoints"), &endpoint).await.expect(201));
        send(patch(&home, &victim.token, &theirs, &json!({ "name": "Victims" }))).await.expect(200);
        let operation = id(Buyer::new(&home.api, &victim.token, org).open_checkout("first").await.expect(201));
        let expires_at = home.clock.now() + chrono::TimeDelta::days(1);
        let token = json!({ "name": "CI", "scopes": ["read"], "expires_at": expires_at });
        let token = id(create("/v1/me/tokens", &token).await.expect(201));
        let export = send(home.ask(Method::POST, "/v1/me/export").bearer_auth(&victim.token)).await.expect(202);
        home.work().await;
        let deliveries = format!("{theirs}/webhook-endpoints/{endpoint}/deliveries");
        let delivery = text(&send(get(&home, &victim.token, &deliveries)).await.expect(200)["data"][0]["id"]);
        log_in(&home, OWNER).await;
        let sessions = send(get(&home, &victim.token, "/v1/me/sessions")).await.expect(200);
        let (session, colleague) = (text(&sessions["data"][0]["id"]), colleague.id.to_string());
        let export = id(export);
        Self {
            home,
            victim,
            stranger,
            theirs,
            ours,
            colleague,
            invitation,
            endpoint,
            delivery,
            operation,
            session,
            token,
            export,
            _payments: payments,
        }
    }

    /// The path with the victim's ids, below an organization.
    fn filled(&self, path: &str, organization: &str) -> String {
        let path = path.replace("/v1/organizations/{org_id}", organization).replace("{user_id}", &self.colleague);
        let ids = [
            ("/webhook-endpoints/{id}", &self.endpoint),
            ("/deliveries/{id}", &self.delivery),
            ("/operations/{id}", &self.operation),
            ("/invitations/{id}", &self.invitation),
            ("/sessions/{id}", &self.session),
            ("/tokens/{id}", &self.token),
            ("/exports/{id}", &self.export),
        ];
        let filled = ids.iter().fold(path, |path, (place, id)| path.replace(place, &place.replace("{id}", id)));
        assert!(!filled.contains('{'), "{filled}: give the victim one of these as well");
        filled
    }

    /// The victim's ids in the path: all of them, and below the stranger's own organization.
    fn foreign_paths(&self, path: &str) -> Vec<String> {
        if !path.contains('{') || path.contains("{source}") {
            return Vec::new();
        }
        let mut paths = vec![self.filled(path, &self.theirs)];
        if path.strip_prefix("/v1/organizations/{org_id}").is_some_and(|rest| rest.contains('{')) {
            paths.push(self.filled(path, &self.ours));
        }
        paths
    }

    fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> reqwest::RequestBuilder {
        let method = Method::from_bytes(method.to_uppercase().as_bytes()).expect("a method");
        let ask = self.home.ask(method, path).bearer_auth(&self.stranger.token);
        if let Some(body) = body { ask.json(body) } else { ask }
    }
}

#[tokio::test]
async fn case_20_another_organizations_ids_lead_nowhere_in_any_operation() {
    let house = Neighbours::move_in().await;
    let document = document();
    let before = contents(&house.home).await;
    let (mut wrong, mut tried) = (Vec::new(), 0);
    for (method, path, operation) in operations(&document) {
        let body = body_of(&document, operation);
        for path in house.foreign_paths(&path) {
            tried += 1;
            let answer = send(house.ask(&method, &path, body.as_ref())).await;
            if answer.status.as_u16() != 404 || answer.problem().1 != "not_found" {
                wrong.push(format!("{method} {path}: {} {}", answer.status, answer.text));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(tried >= 30, "only {tried} requests");
    assert_eq!(contents(&house.home).await, before, "something was changed");
    for path in [&house.theirs, &format!("{}/webhook-endpoints/{}", house.theirs, house.endpoint)] {
        send(get(&house.home, &house.victim.token, path)).await.expect(200);
    }
}

#[tokio::test]
async fn case_20_b_another_organizations_ids_lead_nowhere_in_queries() {
    let house = Neighbours::move_in().await;
    let by_victim = format!("{}/audit-log?actor={}", house.ours, house.victim.id);
    let found = send(house.ask("get", &by_victim, None)).await.expect(200);
    assert_eq!(found["data"], json!([]));
    let mut tried = 0;
    for list in ["/members", "/audit-log", "/v1/me/sessions"] {
        let at =
            |organization: &str| if list.starts_with("/v1") { list.into() } else { format!("{organization}{list}") };
        let page = format!("{}?limit=1", at(&house.theirs));
        let page = send(get(&house.home, &house.victim.token, &page)).await.expect(200);
        let with_cursor = format!("{}?cursor={}", at(&house.ours), text(&page["next_cursor"]));
        assert_eq!(problem(house.ask("get", &with_cursor, None)).await, (400, "invalid_cursor".to_owned()), "{list}");
        tried += 1;
    }
    assert_eq!(tried, 3);
}

/// A body that names something of a tenant wants a test here: somebody else's is to be a 404.
#[tokio::test]
async fn case_20_c_no_body_names_what_belongs_to_an_organization() {
    let document = document();
    let mut named = Vec::new();
    for (_, schema) in request_schemas(&document) {
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            if name == "id" || name.ends_with("_id") || property["format"] == "uuid" {
                named.push(name.clone());
            }
        }
    }
    // The catalogue's, the same for everybody.
    assert_eq!(named, ["price_id"]);
}

#[tokio::test]
async fn case_52_who_changes_what_somebody_else_changed_meanwhile_is_told() {
    let (home, tokens) = home_of_ada().await;
    let create = |path: &str, body: &Value| send(post(&home, path, body).bearer_auth(&tokens.access));
    let org = text(&create("/v1/organizations", &json!({ "name": "Acme" })).await.expect(201)["id"]);
    let organization = format!("/v1/organizations/{org}");
    let endpoint = json!({ "url": "http://127.0.0.1:9/hook", "event_types": ["organization.updated"] });
    let endpoint = create(&format!("{organization}/webhook-endpoints"), &endpoint).await.expect(201);
    let endpoint = format!("{organization}/webhook-endpoints/{}", text(&endpoint["id"]));
    for (path, field) in [("/v1/me", "name"), (&organization, "name"), (&endpoint, "description")] {
        let read = send(get(&home, &tokens.access, path)).await;
        let etag = read.headers["etag"].to_str().expect("text").to_owned();
        let change =
            |value: &str| patch(&home, &tokens.access, path, &json!({ field: value })).header("if-match", &etag);
        send(change("First")).await.expect(200);
        assert_eq!(problem(change("Second")).await, (412, "version_mismatch".to_owned()), "{path}");
        let kept = send(get(&home, &tokens.access, path)).await.expect(200);
        assert_eq!(kept[field], "First", "{path}");
    }
}
