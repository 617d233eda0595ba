//! Somebody who buys for their organization, and the stand-in for the provider they pay at.

use std::collections::BTreeMap;

use dev_stripe::Time;
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use server::{Config, Environment};
use sqlx::PgConnection;

use crate::home::{Answer, client, send};

/// A stand-in that sells the catalogue of the configuration. It knows no receiver of its events yet.
pub(crate) async fn stand_in(time: Time) -> dev_stripe::Running {
    let config = Config::load(Environment::Test, &BTreeMap::new()).expect("a configuration");
    let mut options = server::stand_in_options(&config);
    options.time = time;
    dev_stripe::StripeServer::start(options).await.expect("a free port")
}

/// Where the provider tells an API what happened.
pub(crate) fn inbound(api: &str) -> String {
    format!("{api}/v1/inbound/stripe")
}

/// A wish for three seats of the first plan that costs something.
pub(crate) async fn checkout_wish(api: &str) -> Value {
    let plans = send(client().get(format!("{api}/v1/plans"))).await.expect(200);
    let price = plans["data"].as_array().expect("plans").iter().find_map(|plan| plan.pointer("/prices/0/id"));
    let (success, cancel) = ("http://localhost:8080/paid", "http://localhost:8080/plans");
    json!({ "price_id": price, "quantity": 3, "success_url": success, "cancel_url": cancel })
}

/// An owner of an organization at work.
pub(crate) struct Buyer {
    client: Client,
    api: String,
    token: String,
    /// `/v1/organizations/{id}`
    path: String,
}

impl Buyer {
    pub(crate) fn new(api: &str, token: impl Into<String>, organization: impl std::fmt::Display) -> Self {
        let path = format!("/v1/organizations/{organization}");
        Self { client: client(), api: api.to_owned(), token: token.into(), path }
    }

    /// Logs in with the seeded account and creates an organization.
    pub(crate) async fn of_seeded_account(api: &str) -> Self {
        let credentials = json!({ "email": "ada@example.com", "password": "a-long-walk-by-the-sea" });
        let login = client().post(format!("{api}/v1/auth/login")).json(&credentials);
        let tokens = send(login).await.expect(200);
        let token = tokens["access_token"].as_str().expect("a token");
        let create = client().post(format!("{api}/v1/organizations")).bearer_auth(token);
        let created = send(create.json(&json!({ "name": "Acme" }))).await.expect(201);
        Self::new(api, token, created["id"].as_str().expect("an id"))
    }

    /// At another process of the same service.
    pub(crate) fn at(self, api: &str) -> Self {
        Self { api: api.to_owned(), ..self }
    }

    pub(crate) fn ask(&self, method: Method, below: &str) -> RequestBuilder {
        let url = format!("{}{}{below}", self.api, self.path);
        self.client.request(method, url).bearer_auth(&self.token)
    }

    pub(crate) async fn get(&self, below: &str) -> Value {
        send(self.ask(Method::GET, below)).await.expect(200)
    }

    pub(crate) async fn plan(&self) -> String {
        self.get("/entitlements").await["plan"].as_str().expect("a plan").to_owned()
    }

    /// Registers an endpoint for changes of the subscription: its id and secret.
    pub(crate) async fn listen_at(&self, url: &str) -> (String, String) {
        let wish = json!({ "url": url, "event_types": ["billing.subscription.updated"] });
        let created = send(self.ask(Method::POST, "/webhook-endpoints").json(&wish)).await.expect(201);
        let text = |field: &str| created[field].as_str().expect(field).to_owned();
        (text("id"), text("secret"))
    }

    /// Asks for three seats of the first plan that costs something.
    pub(crate) async fn open_checkout(&self, key: &str) -> Answer {
        let wish = checkout_wish(&self.api).await;
        send(self.ask(Method::POST, "/billing/checkout").header("idempotency-key", key).json(&wish)).await
    }

    /// Subscribes; the events are on their way then. Gives the provider's id of the subscription.
    pub(crate) async fn subscribe(&self, payments: &dev_stripe::Control) -> String {
        let opened = self.open_checkout("subscribe").await.expect(201);
        let url = opened["url"].as_str().expect("a url");
        let session = url.rsplit('/').next().expect("a session");
        payments.pay(session).expect("an open session");
        let session = payments.object(session).expect("the session");
        session["subscription"].as_str().expect("a subscription").to_owned()
    }
}

/// What the house has written down about payments.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Records {
    /// Received events.
    pub(crate) inbox: i64,
    /// Jobs that are not done.
    pub(crate) jobs: i64,
    /// Jobs that failed for good.
    pub(crate) dead: i64,
    /// Mirrored subscriptions: the provider's id and status.
    pub(crate) subscriptions: Vec<(String, String)>,
    /// How often subscriptions were fetched and compared.
    pub(crate) tickets: Vec<(i64, i64)>,
    /// Messages to the organization's endpoints about its subscription.
    pub(crate) messages: i64,
}

impl Records {
    pub(crate) async fn of(owner: &mut PgConnection) -> Self {
        let counts: (i64, i64, i64, i64) = sqlx::query_as(
            "SELECT (SELECT count(*) FROM webhooks.inbox), (SELECT count(*) FROM platform.jobs),
                    (SELECT count(*) FROM platform.dead_jobs),
                    (SELECT count(*) FROM webhooks.messages WHERE event_type = 'billing.subscription.updated')",
        )
        .fetch_one(&mut *owner)
        .await
        .expect("counts");
        let subscriptions =
            sqlx::query_as("SELECT provider_subscription_id, status FROM billing.subscriptions ORDER BY id");
        let tickets = sqlx::query_as("SELECT issued, applied FROM billing.sync_tickets ORDER BY object_id");
        Self {
            inbox: counts.0,
            jobs: counts.1,
            dead: counts.2,
            subscriptions: subscriptions.fetch_all(&mut *owner).await.expect("subscriptions"),
            tickets: tickets.fetch_all(&mut *owner).await.expect("tickets"),
            messages: counts.3,
        }
    }
}
