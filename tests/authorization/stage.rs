use std::collections::BTreeMap;
use std::time::Duration;

use platform::caller::{OrgId, Role};
use platform::clock::Clock;
use platform::ids::new_uuid;
use reqwest::Method;
use serde_json::{Value, json};

use super::table::{LEAVING, OF_AN_OWNER, READ_TOKEN, Row, WRITE_TOKEN};
use crate::buyer;
use crate::home::{Home, PASSWORD, Person, send};

/// An organization with one caller of each kind.
pub(super) struct Stage {
    home: Home,
    org: OrgId,
    callers: BTreeMap<&'static str, Person>,
    /// The body that opens a checkout.
    checkout: Value,
    _payments: dev_stripe::Running,
}

/// A good request.
pub(super) struct Request {
    path: String,
    body: Option<Value>,
    /// Of somebody who stands in for the caller.
    token: Option<String>,
}

impl Stage {
    pub(super) async fn set() -> Self {
        let (home, payments) = Home::open_with_payments().await;
        let owner = home.person(&address("owner")).await;
        let org = home.organization(&owner).await;
        let mut callers = BTreeMap::new();
        for (name, scope) in [(READ_TOKEN, "read"), (WRITE_TOKEN, "write")] {
            let token = text(&made_token(&home, &owner, scope).await["token"]);
            callers.insert(name, Person { id: owner.id, token });
        }
        callers.insert("owner", owner);
        for (name, role) in
            [("admin", Role::Admin), ("member", Role::Member), ("billing", Role::Billing), ("viewer", Role::Viewer)]
        {
            let person = home.person(&address(name)).await;
            home.join(&person, org, role).await;
            callers.insert(name, person);
        }
        let stranger = home.person(&address("stranger")).await;
        home.organization(&stranger).await;
        callers.insert("stranger", stranger);
        let checkout = buyer::checkout_wish(&home.api).await;
        let stage = Self { home, org, callers, checkout, _payments: payments };
        let removed = stage.removed().await;
        stage.home.work().await;
        Self { callers: stage.callers.into_iter().chain([("removed", removed)]).collect(), ..stage }
    }

    /// Somebody who was an admin, used that, and is no member any more.
    async fn removed(&self) -> Person {
        let person = self.home.person(&address("removed")).await;
        self.home.join(&person, self.org, Role::Admin).await;
        let path = format!("/v1/organizations/{}", self.org);
        send(self.home.ask(Method::GET, &path).bearer_auth(&person.token)).await.expect(200);
        self.as_owner(Method::DELETE, &format!("{path}/members/{}", person.id), None).await;
        person
    }

    /// The request of the row, with what it is about made anew: rows use it up.
    pub(super) async fn request(&self, row: &Row, path: &str, caller: &str) -> Request {
        let path = path.replace("{org_id}", &self.org.to_string()).replace("{source}", "stripe");
        let owned = row.case == OF_AN_OWNER;
        let (path, body) = match row.operation {
            "invitation_accept" => (path, Some(json!({ "token": self.invitation_for(caller).await }))),
            "session_revoke" => (path.replace("{id}", &self.other_session(caller).await), None),
            "personal_token_create" => (path, Some(new_token("read"))),
            "personal_token_delete" => (path.replace("{id}", &self.own_token(caller).await), None),
            "export_show" => (path.replace("{id}", &self.own_export(caller).await), None),
            "session_revoke_many" => (format!("{path}?scope=others"), None),
            "checkout_open" => (path, Some(self.checkout.clone())),
            "operation_show" => (path.replace("{id}", &self.operation().await), None),
            _ if row.case == LEAVING => (self.own_membership(caller).await, None),
            _ if path.contains("/members/{user_id}") => {
                (path.replace("{user_id}", &self.colleague(owned).await), row.body.clone())
            }
            _ if path.contains("/invitations/{id}") => (path.replace("{id}", &self.invitation(owned).await), None),
            "replay_create" => (self.endpoint_or_delivery(&path).await, Some(last_hour())),
            _ if path.contains("{id}") => (self.endpoint_or_delivery(&path).await, row.body.clone()),
            _ => (path, row.body.clone()),
        };
        let token = if row.operation == "me_delete" { self.stand_in(caller).await } else { None };
        Request { path, body, token }
    }

    pub(super) async fn status(&self, caller: &str, method: &str, request: &Request) -> u16 {
        let method = Method::from_bytes(method.to_uppercase().as_bytes()).expect("a method");
        let mut ask = self.home.ask(method, &request.path).header("idempotency-key", new_uuid().to_string());
        if let Some(token) = request.token.as_ref().or(self.callers.get(caller).map(|caller| &caller.token)) {
            ask = ask.bearer_auth(token);
        }
        if let Some(body) = &request.body {
            ask = ask.json(body);
        }
        send(ask).await.status.as_u16()
    }

    /// Asks as the owner of the organization, who may.
    async fn as_owner(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let mut ask = self.home.ask(method, path).bearer_auth(&self.callers["owner"].token);
        ask = ask.header("idempotency-key", new_uuid().to_string());
        if let Some(body) = body {
            ask = ask.json(&body);
        }
        let answer = send(ask).await;
        assert!(answer.status.is_success(), "{path}: {}", answer.text);
        serde_json::from_str(&answer.text).unwrap_or_default()
    }

    /// A token of the caller, which acts for nobody else.
    async fn own_token(&self, caller: &str) -> String {
        let Some(person) = self.callers.get(behind(caller)) else { return self.org.to_string() };
        text(&made_token(&self.home, person, "read").await["id"])
    }

    /// An export of the caller's data; nobody has two at a time.
    async fn own_export(&self, caller: &str) -> String {
        let Some(person) = self.callers.get(behind(caller)) else { return self.org.to_string() };
        self.home.work().await;
        text(&send(self.home.ask(Method::POST, "/v1/me/export").bearer_auth(&person.token)).await.expect(202)["id"])
    }

    /// The token of another person of the caller's kind, as the caller is still needed.
    async fn stand_in(&self, caller: &str) -> Option<String> {
        self.callers.get(caller).filter(|_| behind(caller) == caller)?;
        let person = self.home.person(&format!("{}@example.com", new_uuid())).await;
        if let Ok(role) = caller.parse() {
            self.home.join(&person, self.org, role).await;
        }
        Some(person.token)
    }

    /// Another organization, owned by somebody else.
    async fn elsewhere(&self) -> (OrgId, Person) {
        let host = self.home.person(&address("host")).await;
        (self.home.organization(&host).await, host)
    }

    /// The token that was mailed to the caller by another organization.
    async fn invitation_for(&self, caller: &str) -> String {
        let (org, host) = self.elsewhere().await;
        let body = json!({ "email": address(behind(caller)), "role": "viewer" });
        let invite = self.home.ask(Method::POST, &format!("/v1/organizations/{org}/invitations"));
        send(invite.bearer_auth(&host.token).json(&body)).await.expect(201);
        self.home.work().await;
        let mails = self.home.house.mailbox.to(&address(behind(caller)));
        let link = mails.iter().find_map(|held| held.mail.text.split_once("/invitations/accept?token="));
        link.expect("a link").1.split_whitespace().next().expect("a token").to_owned()
    }

    /// A session of the caller besides the one that calls.
    async fn other_session(&self, caller: &str) -> String {
        let Some(person) = self.callers.get(behind(caller)) else { return self.org.to_string() };
        let credentials = json!({ "email": address(behind(caller)), "password": PASSWORD });
        send(self.home.ask(Method::POST, "/v1/auth/login").json(&credentials)).await.expect(200);
        let sessions = send(self.home.ask(Method::GET, "/v1/me/sessions").bearer_auth(&person.token)).await.expect(200);
        let sessions = sessions["data"].as_array().expect("data").clone();
        let other = sessions.iter().find(|session| session["current"] == false).expect("another session");
        text(&other["id"])
    }

    /// Where the caller is a member of an organization that has another owner, if they are a member of this one.
    async fn own_membership(&self, caller: &str) -> String {
        let (org, _) = self.elsewhere().await;
        let id = self.callers.get(caller).map_or_else(|| org.to_string(), |person| person.id.to_string());
        if let (Ok(role), Some(person)) = (behind(caller).parse(), self.callers.get(caller)) {
            self.home.join(person, org, role).await;
        }
        format!("/v1/organizations/{org}/members/{id}")
    }

    /// A member who is nobody of the callers.
    async fn colleague(&self, is_owner: bool) -> String {
        let person = self.home.person(&format!("{}@example.com", new_uuid())).await;
        self.home.join(&person, self.org, if is_owner { Role::Owner } else { Role::Member }).await;
        person.id.to_string()
    }

    async fn invitation(&self, is_owner: bool) -> String {
        let role = if is_owner { "owner" } else { "member" };
        let body = json!({ "email": format!("{}@example.com", new_uuid()), "role": role });
        let path = format!("/v1/organizations/{}/invitations", self.org);
        text(&self.as_owner(Method::POST, &path, Some(body)).await["id"])
    }

    /// An operation of billing.
    async fn operation(&self) -> String {
        let path = format!("/v1/organizations/{}/billing/checkout", self.org);
        text(&self.as_owner(Method::POST, &path, Some(self.checkout.clone())).await["id"])
    }

    /// An endpoint and, where the path asks for one, a delivery.
    async fn endpoint_or_delivery(&self, path: &str) -> String {
        let organization = format!("/v1/organizations/{}", self.org);
        let body = json!({ "url": "http://127.0.0.1:9/hook", "event_types": ["organization.updated"] });
        let endpoints = format!("{organization}/webhook-endpoints");
        let endpoint = text(&self.as_owner(Method::POST, &endpoints, Some(body)).await["id"]);
        if !path.contains("/deliveries/{id}") {
            return path.replace("{id}", &endpoint);
        }
        self.as_owner(Method::PATCH, &organization, Some(json!({ "name": "Acme" }))).await;
        self.home.work().await;
        let page = self.as_owner(Method::GET, &format!("{endpoints}/{endpoint}/deliveries"), None).await;
        path.replace("{id}", &text(&page["data"][0]["id"]))
    }
}

/// Who acts: behind a token its owner does.
fn behind(caller: &str) -> &str {
    if [READ_TOKEN, WRITE_TOKEN].contains(&caller) { "owner" } else { caller }
}

fn new_token(scope: &str) -> Value {
    let expires_at = Clock::system().now() + Duration::from_hours(24);
    json!({ "name": "A program", "scopes": [scope], "expires_at": expires_at })
}

/// A period to be replayed.
fn last_hour() -> Value {
    json!({ "since": Clock::system().now() - Duration::from_hours(1) })
}

async fn made_token(home: &Home, owner: &Person, scope: &str) -> Value {
    let ask = home.ask(Method::POST, "/v1/me/tokens").bearer_auth(&owner.token);
    send(ask.json(&new_token(scope))).await.expect(201)
}

fn address(name: &str) -> String {
    format!("{name}@example.com")
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}
