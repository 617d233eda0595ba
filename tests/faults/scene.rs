//! A PostgreSQL with an account, an organization and its endpoints on it, arranged without a running process.

use std::collections::BTreeMap;

use platform::caller::OrgId;
use platform::clock::Clock;
use platform::shutdown::Shutdown;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use server::{Config, Environment, House};
use test_support::{Answer, ApiClient};

use crate::home::{PASSWORD, client};
use crate::processes::{Durable, Process, eventually, eventually_within};

use super::scale::patience;

/// Variables of every process here: what is written behind its back is noticed soon, and leases end soon.
const QUICK: [(&str, &str); 3] = [
    ("APP__JOBS__POLL_INTERVAL_MS", "50"),
    ("APP__JOBS__LEASE_MS", "1000"),
    ("APP__HTTP__STACK__RATE_LIMIT__COUNT", "0"),
];

/// Longer than a call may take otherwise, and shorter than it belongs to its worker: for calls that are left open.
pub(super) const DEADLINE: (&str, &str) = ("APP__OUTBOUND__TOTAL_TIMEOUT_MS", "28000");

/// Jobs that wait or run. Schedules may begin theirs at any time.
const JOBS: &str = "SELECT count(*) FROM platform.jobs WHERE name LIKE '% hears %'";
const DEAD: &str = "SELECT count(*) FROM platform.dead_jobs";
const DUE: &str = "SELECT count(*) FROM webhooks.due_deliveries";

pub(super) struct Scene {
    pub(super) durable: Durable,
    pub(super) config: Config,
    pub(super) org: OrgId,
    token: String,
    client: ApiClient,
}

/// An endpoint and what verifies what it is sent.
pub(super) struct Endpoint {
    pub(super) id: String,
    pub(super) secret: String,
}

impl Scene {
    pub(super) async fn open() -> Self {
        let durable = Durable::create().await;
        let variables = BTreeMap::from([("APP__DATABASE__URL".to_owned(), durable.url.clone())]);
        let config = Config::load(Environment::Development, &variables).expect("a configuration");
        let house = House::assemble(config.clone(), &Clock::system(), &Shutdown::new()).expect("a house");
        house.load().await.expect("keys");
        let email = "ada@example.com";
        house.seed_account(email, PASSWORD, "Ada").await.expect("an account");
        let client = ApiClient::new(house.public_router(false));
        let credentials = json!({ "email": email, "password": PASSWORD });
        let tokens = client.post("/v1/auth/login", &credentials).send().await.expect(200);
        let token = tokens["access_token"].as_str().expect("a token").to_owned();
        let scene = Self { durable, config, org: OrgId::new(), token, client };
        Self { org: scene.organization().await, ..scene }
    }

    /// One more organization of the same person.
    pub(super) async fn organization(&self) -> OrgId {
        let ask = self.client.post("/v1/organizations", &json!({ "name": "Acme" }));
        let created = ask.bearer(&self.token).send().await.expect(201);
        created["id"].as_str().expect("an id").parse().expect("an id")
    }

    /// Asks in the name of the person, in this process.
    pub(super) async fn post(&self, org: OrgId, below: &str, body: &Value) -> Answer {
        let path = format!("/v1/organizations/{org}{below}");
        self.client.post(&path, body).bearer(&self.token).send().await
    }

    /// Deletes an organization.
    pub(super) async fn delete(&self, org: OrgId) {
        let ask = self.client.delete(&format!("/v1/organizations/{org}")).bearer(&self.token);
        assert_eq!(ask.send().await.status, 204);
    }

    /// Asks in the name of the person, another process.
    pub(super) fn ask(&self, process: &Process, method: Method, path: &str) -> RequestBuilder {
        client().request(method, format!("{}{path}", process.api)).bearer_auth(&self.token)
    }

    /// Registers an endpoint for what the organization is called.
    pub(super) async fn register(&self, org: OrgId, url: &str, max_in_flight: i32) -> Endpoint {
        let wish = json!({ "url": url, "event_types": ["organization.updated"], "max_in_flight": max_in_flight });
        let created = self.post(org, "/webhook-endpoints", &wish).await.expect(201);
        let text = |field: &str| created[field].as_str().expect(field).to_owned();
        Endpoint { id: text("id"), secret: text("secret") }
    }

    /// A worker, with more variables.
    pub(super) async fn work(&self, variables: &[(&str, &str)]) -> Process {
        self.start("work", variables).await
    }

    /// An API without a worker.
    pub(super) async fn serve(&self) -> Process {
        self.serve_with(&[]).await
    }

    /// The same, with more variables.
    pub(super) async fn serve_with(&self, variables: &[(&str, &str)]) -> Process {
        self.start("serve", variables).await
    }

    async fn start(&self, command: &str, variables: &[(&str, &str)]) -> Process {
        Process::start_with(command, &self.durable.url, &[&QUICK, variables].concat()).await
    }

    /// The organization was renamed so many times, and whoever hears of that has not yet: each name is another one.
    pub(super) async fn happen(&self, org: OrgId, count: usize) {
        self.run(&format!(
            "INSERT INTO platform.jobs (id, queue, name, args, priority, run_at, max_attempts)
             SELECT gen_random_uuid(), 'events.webhooks', 'webhooks hears users.organization_updated.v1',
                    jsonb_build_object('organization', '{org}', 'name', gen_random_uuid(), 'at', now()), 1, now(), 20
             FROM generate_series(1, {count})"
        ))
        .await;
    }

    pub(super) async fn count(&self, sql: &str) -> usize {
        usize::try_from(self.durable.count(sql).await).expect("a count")
    }

    pub(super) async fn run(&self, sql: &str) {
        self.durable.run(sql).await;
    }

    /// Facts that somebody has yet to hear.
    pub(super) async fn unheard(&self) -> usize {
        self.count(JOBS).await
    }

    /// Waits until how everything was sent is written down.
    pub(super) async fn sent(&self) {
        eventually_within(patience(), "everything is sent", async || self.count(DUE).await == 0).await;
    }

    /// Waits until everybody has heard everything and everything was sent; nothing may have died on the way.
    pub(super) async fn settled(&self) {
        eventually_within(patience(), "everything is heard and sent", async || {
            self.unheard().await == 0 && self.count(DUE).await == 0
        })
        .await;
        assert_eq!(self.count(DEAD).await, 0, "nothing died");
    }

    /// The names that the organizations' messages tell of, in order, repetitions included.
    pub(super) async fn names_told(&self) -> Vec<String> {
        let sql = "SELECT convert_from(body, 'UTF8')::json -> 'data' ->> 'name' FROM webhooks.messages ORDER BY 1";
        self.durable.texts(sql).await
    }

    /// How many connections there are, ours included.
    pub(super) async fn connections(&self) -> usize {
        let sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()";
        self.count(sql).await
    }

    /// Cuts every connection but ours; whoever needs one connects again.
    pub(super) async fn disconnect_others(&self) {
        self.run(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        .await;
        self.back_to(1).await;
    }

    /// Waits until what a killed process had begun to say to the database is over.
    pub(super) async fn back_to(&self, connections: usize) {
        eventually("its connections are gone", async || self.connections().await <= connections).await;
    }

    /// Waits until nobody else is in the middle of anything: a COMMIT that was sent before a kill is carried out after it.
    pub(super) async fn at_rest(&self) {
        let busy = "SELECT count(*) FROM pg_stat_activity
                    WHERE datname = current_database() AND pid <> pg_backend_pid()
                      AND backend_type = 'client backend' AND state <> 'idle'";
        eventually("what was begun is over", async || self.count(busy).await == 0).await;
    }

    /// As if the minute had passed for which a delivery belongs to its worker. Jobs have leases of a second here. Rows are
    /// locked in the order in which workers lock them, as some may be at work.
    pub(super) async fn end_leases(&self) {
        self.run(
            "SELECT id FROM webhooks.endpoints ORDER BY id FOR UPDATE;
             UPDATE webhooks.due_deliveries SET leased_until = now() WHERE lease IS NOT NULL;
             UPDATE webhooks.endpoints SET next_ready_at = now()",
        )
        .await;
    }

    /// As if the pauses had passed after which failed deliveries are tried again.
    pub(super) async fn hurry(&self) {
        self.run(
            "SELECT id FROM webhooks.endpoints ORDER BY id FOR UPDATE;
             UPDATE webhooks.due_deliveries SET next_at = now() WHERE lease IS NULL;
             UPDATE webhooks.endpoints SET next_ready_at = now()",
        )
        .await;
    }

    /// Waits until everything was tried, and lets what was refused wait for a long time; says how much that is.
    pub(super) async fn tried_and_postponed(&self) -> usize {
        eventually_within(patience(), "everything is tried", async || {
            self.run("UPDATE webhooks.due_deliveries SET next_at = now() + interval '1 day' WHERE attempts > 0 AND lease IS NULL")
                .await;
            self.unheard().await == 0 && self.count(&format!("{DUE} WHERE attempts = 0 OR next_at <= now()")).await == 0
        })
        .await;
        self.count(DUE).await
    }

    /// Lets the pauses pass until everything was sent.
    pub(super) async fn hurry_until_settled(&self) {
        eventually_within(patience(), "everything is sent", async || {
            self.hurry().await;
            self.unheard().await == 0 && self.count(DUE).await == 0
        })
        .await;
        self.settled().await;
    }
}
