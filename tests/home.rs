//! The whole house on real sockets: its own database, the clock standing still, the worker stepped by hand.

use std::collections::BTreeMap;
use std::net::IpAddr;

use platform::caller::{OrgId, Role, UserId};
use platform::clock::Clock;
use platform::db::PLATFORM;
use platform::outbound::{Outbound, OutboundConfig};
use platform::shutdown::Shutdown;
use reqwest::redirect::Policy;
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use server::{Config, Environment, House, Listeners, Parts, Running, migrations, start};
use sqlx::{Connection, PgConnection};
use test_support::database::TestDatabase;
use test_support::eventually;

use crate::buyer::{inbound, stand_in};

pub(crate) const PASSWORD: &str = "a-long-walk-by-the-sea";

/// A running house. The database goes when it is dropped.
pub(crate) struct Home {
    pub(crate) api: String,
    pub(crate) operations: String,
    pub(crate) house: House,
    pub(crate) client: Client,
    pub(crate) database: TestDatabase,
    pub(crate) clock: Clock,
    _running: Running,
}

impl Home {
    pub(crate) async fn open() -> Self {
        Self::open_with(|_| {}).await
    }

    /// With a changed configuration.
    pub(crate) async fn open_with(change: impl FnOnce(&mut Config)) -> Self {
        // The reference library that verifies signatures compares them with the real time.
        Self::open_at(Clock::fixed(Clock::system().now()), change, caller).await
    }

    /// With a changed configuration, where names lead to the addresses that this says, each time anew.
    pub(crate) async fn open_with_names(
        change: impl FnOnce(&mut Config),
        look_up: impl Fn(&str) -> Vec<IpAddr> + Send + Sync + 'static,
    ) -> Self {
        let caller = |config: &OutboundConfig| Outbound::with_names(config, look_up).expect("a client");
        Self::open_at(Clock::fixed(Clock::system().now()), change, caller).await
    }

    /// With a stand-in for the payment provider, which tells the house what happens and goes by its clock.
    pub(crate) async fn open_with_payments() -> (Self, dev_stripe::Running) {
        let clock = Clock::fixed(Clock::system().now());
        let theirs = clock.clone();
        let payments = stand_in(dev_stripe::Time::from_fn(move || theirs.now())).await;
        let url = payments.url().to_owned();
        let home = Self::open_at(clock, |config| config.billing.stripe.api_url = url, caller).await;
        payments.control().send_events_to(inbound(&home.api));
        (home, payments)
    }

    async fn open_at(
        clock: Clock,
        change: impl FnOnce(&mut Config),
        caller: impl FnOnce(&OutboundConfig) -> Outbound,
    ) -> Self {
        let database = TestDatabase::create(&migrations()).await;
        let mut config = config(&database);
        change(&mut config);
        let shutdown = Shutdown::new();
        let outbound = caller(&config.outbound);
        let house = House::assemble_with(config.clone(), &clock, &shutdown, outbound).expect("a house");
        house.seed().await.expect("catalogue and keys");
        let listeners = Listeners::bind(&config, true).await.expect("free ports");
        let parts = Parts { worker: false, developer: false };
        let running = start(&house, &config, listeners, parts, &shutdown).expect("a start");
        eventually("it listens", async || house.databases.hears_changes()).await;
        Self {
            api: format!("http://{}", running.public.expect("a public address")),
            operations: format!("http://{}", running.operations),
            house,
            client: client(),
            database,
            clock,
            _running: running,
        }
    }

    /// Lets background work happen.
    pub(crate) async fn work(&self) {
        self.house.worker.run_due().await;
    }

    pub(crate) fn ask(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.api))
    }

    /// A connection of the database's owner, to look and to arrange.
    pub(crate) async fn owner(&self) -> PgConnection {
        PgConnection::connect(&self.database.url()).await.expect("a connection")
    }

    /// An account with its access token.
    pub(crate) async fn person(&self, email: &str) -> Person {
        let id = self.house.users.seed_account(email, PASSWORD, "Somebody").await.expect("an account");
        let credentials = json!({ "email": email, "password": PASSWORD });
        let tokens = send(self.ask(Method::POST, "/v1/auth/login").json(&credentials)).await.expect(200);
        Person { id, token: tokens["access_token"].as_str().expect("a token").to_owned() }
    }

    /// An organization owned by the person.
    pub(crate) async fn organization(&self, owner: &Person) -> OrgId {
        let ask = self.ask(Method::POST, "/v1/organizations").bearer_auth(&owner.token);
        let created = send(ask.json(&json!({ "name": "Acme" }))).await.expect(201);
        created["id"].as_str().expect("an id").parse().expect("an id")
    }

    /// Makes the person a member. The row is written directly; being invited takes two requests and a mail.
    pub(crate) async fn join(&self, person: &Person, org: OrgId, role: Role) {
        let statement = "INSERT INTO users.memberships (organization_id, account_id, role, created_at)
             VALUES ($1, $2, $3, now()) ON CONFLICT (organization_id, account_id) DO UPDATE SET role = $3";
        let insert = sqlx::query(statement).bind(org.uuid()).bind(person.id.uuid()).bind(role.as_str());
        insert.execute(&mut self.owner().await).await.expect("a membership");
    }
}

/// Somebody who can call.
pub(crate) struct Person {
    pub(crate) id: UserId,
    pub(crate) token: String,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    #[track_caller]
    pub(crate) fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        serde_json::from_str(&self.text).unwrap_or(Value::Null)
    }

    /// Status, code and the fields at fault of a well-formed problem.
    #[track_caller]
    pub(crate) fn problem(&self) -> (u16, String, Vec<(String, String)>) {
        let body: Value = serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"));
        assert_eq!(self.headers["content-type"], "application/problem+json", "{}", self.text);
        assert_eq!(body["request_id"].as_str(), self.headers["x-request-id"].to_str().ok());
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let errors = body["errors"].as_array().expect("errors");
        let fields = errors.iter().map(|error| (text(&error["field"]), text(&error["code"]))).collect();
        (self.status.as_u16(), text(&body["code"]), fields)
    }
}

pub(crate) async fn send(ask: RequestBuilder) -> Answer {
    let response = ask.send().await.expect("an answer");
    let (status, headers) = (response.status(), response.headers().clone());
    Answer { status, headers, text: response.text().await.expect("a body") }
}

/// What calls others as the configuration says.
fn caller(config: &OutboundConfig) -> Outbound {
    Outbound::new(config).expect("a client")
}

/// A client that does not follow redirects: they are answers to look at.
#[expect(clippy::disallowed_methods, reason = "tests call the house, not the world")]
pub(crate) fn client() -> Client {
    Client::builder().no_proxy().redirect(Policy::none()).build().expect("a client")
}

pub(crate) fn config(database: &TestDatabase) -> Config {
    let mut config = Config::load(Environment::Test, &BTreeMap::new()).expect("a configuration");
    let pools = test_support::database_config(database, &["users", "billing", "webhooks"]);
    assert!(pools.connections.contains_key(PLATFORM));
    config.database = pools;
    config
}
