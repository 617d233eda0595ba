//! A house with nothing in it but this module.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use platform::caller::{OrgId, Role};
use platform::clock::Clock;
use platform::db::{Databases, Db};
use platform::events::Events;
use platform::http::Routes;
use platform::jobs::{Job, JobError, Jobs, JobsConfig, Running, Worker, enqueue};
use platform::outbound::{AddressRules, Outbound, OutboundConfig};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use test_support::database::TestDatabase;
use test_support::{ApiClient, People, database_config, jobs_config, secrets, stack, start_of_time};
use webhooks::events::EndpointDisabled;
use webhooks::ports::InboundHandler;
use webhooks::{Config, Needs, NewMessage, Webhooks};

/// Who handles what comes in, by source.
pub(crate) type Handlers = BTreeMap<&'static str, Arc<dyn InboundHandler>>;

/// What the module told the others.
type Told = Arc<Mutex<Vec<EndpointDisabled>>>;

/// A fact of another module, told as the wiring would tell it.
#[derive(Serialize, Deserialize)]
pub(crate) struct Tell {
    pub(crate) organization: OrgId,
    pub(crate) event_type: String,
    pub(crate) data: Value,
    pub(crate) fail_afterwards: bool,
}

impl Job for Tell {
    const NAME: &'static str = "test.tell";
}

/// An organization that is gone.
#[derive(Serialize, Deserialize)]
struct Close {
    organization: OrgId,
}

impl Job for Close {
    const NAME: &'static str = "test.close";
}

pub(crate) struct House {
    // Dropped first, so that nobody is connected when the database goes.
    pub(crate) worker: Worker,
    pub(crate) api: ApiClient,
    pub(crate) people: People,
    pub(crate) org: OrgId,
    pub(crate) clock: Clock,
    pub(crate) db: Db,
    config: Config,
    handlers: Handlers,
    told: Told,
    opening: Opening,
    pub(crate) database: TestDatabase,
}

/// The module as a process opens it.
struct Opening {
    webhooks: Webhooks,
    events: Events,
    databases: Databases,
}

impl House {
    pub(crate) async fn open() -> Self {
        Self::with(AddressRules::Any, Config::default()).await
    }

    pub(crate) async fn with(rules: AddressRules, config: Config) -> Self {
        Self::with_handlers(rules, config, |_| Handlers::new()).await
    }

    /// With handlers, made of the module's pool, for the sources of the configuration.
    pub(crate) async fn with_handlers(
        rules: AddressRules,
        config: Config,
        handlers: impl FnOnce(&Db) -> Handlers,
    ) -> Self {
        let database = TestDatabase::create(&[platform::db::MIGRATIONS, webhooks::MIGRATIONS]).await;
        let databases = databases(&database);
        let clock = Clock::fixed(start_of_time());
        let db = databases.module("webhooks");
        let handlers = handlers(&db);
        let opening = opening(databases, &clock, rules, (config.clone(), handlers.clone()));
        let (people, told) = (People::default(), Told::default());
        let api = client(&opening.webhooks, &people);
        let worker = worker(&opening, &opening.events, &told, jobs_config());
        Self { worker, api, people, org: OrgId::new(), clock, db, config, handlers, told, opening, database }
    }

    /// The module as another process opens it, with its pools.
    fn another_opening(&self) -> Opening {
        let parts = (self.config.clone(), self.handlers.clone());
        opening(databases(&self.database), &self.clock, AddressRules::Any, parts)
    }

    /// The front door.
    pub(crate) fn webhooks(&self) -> &Webhooks {
        &self.opening.webhooks
    }

    /// Who handles what comes in.
    pub(crate) fn handlers(&self) -> Handlers {
        self.handlers.clone()
    }

    /// The worker of another process.
    pub(crate) fn another_worker(&self) -> Worker {
        let opening = self.another_opening();
        worker(&opening, &opening.events, &self.told, jobs_config())
    }

    /// The API of another process.
    pub(crate) fn another_api(&self) -> ApiClient {
        client(&self.another_opening().webhooks, &self.people)
    }

    pub(crate) fn member(&self, role: Role) -> String {
        self.people.member(self.org, role)
    }

    /// A worker of this process that looks for work only when it is woken.
    pub(crate) fn patient_worker(&self) -> Worker {
        let config = JobsConfig { poll_interval_ms: 3_600_000, ..jobs_config() };
        // Everything is heard already, by the other worker of this process.
        worker(&self.opening, &Events::new(), &self.told, config)
    }

    /// The path of something of the organization.
    pub(crate) fn path(&self, rest: &str) -> String {
        format!("/v1/organizations/{}/{rest}", self.org)
    }

    /// Registers an endpoint for `organization.created`.
    pub(crate) async fn register(&self, url: &str) -> Value {
        self.register_with(url, json!({})).await
    }

    pub(crate) async fn register_with(&self, url: &str, more: Value) -> Value {
        let mut wish = json!({ "url": url, "event_types": ["organization.created"] });
        for (field, value) in more.as_object().expect("fields") {
            wish[field] = value.clone();
        }
        let owner = self.member(Role::Owner);
        self.api.post(&self.path("webhook-endpoints"), &wish).bearer(&owner).send().await.expect(201)
    }

    /// Records so many messages; nothing is sent yet, as no worker runs.
    pub(crate) async fn happen(&self, count: usize) {
        let mut tx = self.db.begin().await.expect("begins");
        for number in 0..count {
            let data = json!({ "id": format!("{number}"), "name": "Ada" });
            let event_type = "organization.created".to_owned();
            let tell = Tell { organization: self.org, event_type, data, fail_afterwards: false };
            enqueue(&mut tx, &tell).await.expect("enqueued");
        }
        tx.commit().await.expect("committed");
    }

    /// The organization is gone; nothing is done about it yet.
    pub(crate) async fn close(&self) {
        let mut tx = self.db.begin().await.expect("begins");
        enqueue(&mut tx, &Close { organization: self.org }).await.expect("enqueued");
        tx.commit().await.expect("committed");
    }

    /// What organizations take with them.
    pub(crate) async fn records(&self, organizations: &[OrgId]) -> Value {
        self.opening.webhooks.export_records(organizations).await.unwrap_or_else(|error| panic!("{error}"))
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        self.api.get(&self.path(path)).bearer(&self.member(Role::Viewer)).send().await.expect(200)
    }

    /// What was sent to an endpoint, newest first, with its attempts.
    pub(crate) async fn deliveries(&self, endpoint: &Value) -> Vec<Value> {
        let id = endpoint["id"].as_str().expect("an id");
        let page = self.get(&format!("webhook-endpoints/{id}/deliveries?limit=100")).await;
        let mut shown = Vec::new();
        for delivery in page["data"].as_array().expect("a page") {
            shown.push(self.get(&format!("deliveries/{}", delivery["id"].as_str().expect("an id"))).await);
        }
        shown
    }

    /// What the others were told so far.
    pub(crate) fn told(&self) -> Vec<EndpointDisabled> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A connection that may do everything.
    pub(crate) async fn owner(&self) -> PgConnection {
        PgConnection::connect(&self.database.url()).await.expect("connects")
    }

    pub(crate) async fn run_sql(&self, sql: &'static str) {
        sqlx::raw_sql(sql).execute(&mut self.owner().await).await.expect(sql);
    }

    pub(crate) async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&mut self.owner().await).await.expect(sql)
    }

    /// Sends what was ever sent once more, in a transaction that is still open, by somebody who draws no attention to
    /// it.
    pub(crate) async fn add_uncommitted(&self) -> PgConnection {
        let mut connection = self.owner().await;
        let add = "BEGIN; INSERT INTO webhooks.due_deliveries (delivery_id, endpoint_id, message_id, next_at)
                   SELECT gen_random_uuid(), endpoint_id, message_id, now() FROM webhooks.deliveries";
        sqlx::raw_sql(add).execute(&mut connection).await.expect("adds");
        connection
    }

    /// Makes everything that waits due.
    pub(crate) async fn hurry(&self) {
        self.run_sql(
            "UPDATE webhooks.due_deliveries SET next_at = now() WHERE lease IS NULL;
             UPDATE webhooks.endpoints SET next_ready_at = now()",
        )
        .await;
    }

    /// Ends every lease, as if their holders had been killed a minute ago.
    pub(crate) async fn end_leases(&self) {
        self.run_sql(
            "UPDATE webhooks.due_deliveries SET leased_until = now() WHERE lease IS NOT NULL;
             UPDATE webhooks.endpoints SET next_ready_at = now()",
        )
        .await;
    }
}

fn databases(database: &TestDatabase) -> Databases {
    Databases::open(&database_config(database, &["webhooks"])).expect("a readable URL")
}

fn client(webhooks: &Webhooks, people: &People) -> ApiClient {
    let (router, _) = Routes::new().nest("/v1", webhooks.routes()).split("test", "1");
    ApiClient::new(stack(people.clone()).wrap(router))
}

fn opening(
    databases: Databases,
    clock: &Clock,
    addresses: AddressRules,
    (config, handlers): (Config, Handlers),
) -> Opening {
    let events = Events::new();
    let outbound = OutboundConfig {
        connect_timeout_ms: 20_000,
        total_timeout_ms: 20_000,
        answer_cap_bytes: 64 * 1024,
        addresses,
        user_agent: "tests".to_owned(),
    };
    let outbound = Outbound::new(&outbound).expect("TLS is available");
    let needs = Needs {
        db: databases.module("webhooks"),
        clock: clock.clone(),
        secrets: secrets(),
        events: events.clone(),
        outbound,
        handlers,
        config,
    };
    let webhooks = Webhooks::new(needs).unwrap_or_else(|error| panic!("{error}"));
    Opening { webhooks, events, databases }
}

fn worker(opening: &Opening, events: &Events, told: &Told, config: JobsConfig) -> Worker {
    let Opening { webhooks, databases, .. } = opening;
    let (mut jobs, told) = (Jobs::new(), told.clone());
    webhooks.jobs(&mut jobs);
    events.hear(&mut jobs, "test", move |event: EndpointDisabled, _| {
        told.lock().unwrap_or_else(PoisonError::into_inner).push(event);
        async { Ok(()) }
    });
    let closing = webhooks.clone();
    jobs.register::<Close, _, _>(move |close, running| {
        let webhooks = closing.clone();
        async move { webhooks.close_organization(&running, close.organization).await }
    });
    let webhooks = webhooks.clone();
    jobs.register::<Tell, _, _>(move |tell, running| {
        let webhooks = webhooks.clone();
        async move { publish(&webhooks, tell, &running).await }
    });
    Worker::new(jobs, databases, config).expect("the jobs fit together")
}

async fn publish(webhooks: &Webhooks, tell: Tell, running: &Running) -> Result<(), JobError> {
    let message = NewMessage { event_type: tell.event_type, occurred_at: occurred_at(), data: tell.data };
    webhooks.publish(running, tell.organization, message).await?;
    if tell.fail_afterwards { Err(JobError::Discard("on purpose".to_owned())) } else { Ok(()) }
}

pub(crate) fn occurred_at() -> DateTime<Utc> {
    start_of_time()
}
