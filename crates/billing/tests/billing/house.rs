//! A house with nothing in it but this module, and a stand-in for Stripe outside of it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use billing::events::SubscriptionUpdated;
use billing::ports::{Contact, Customers};
use billing::{Billing, Config, Needs, ProviderEvent};
use dev_stripe::{Control, Interval, Options, PriceSpec, StripeServer, Time};
use platform::caller::{OrgId, Role};
use platform::clock::Clock;
use platform::db::Databases;
use platform::events::Events;
use platform::http::Routes;
use platform::jobs::{BoxError, Job, JobError, Jobs, Worker, enqueue};
use platform::outbound::{AddressRules, Outbound, OutboundConfig};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use test_support::database::TestDatabase;
use test_support::{Answer, ApiClient, People, database_config, jobs_config, stack, start_of_time};

use crate::gate::Gate;

const API_KEY: &str = "sk_test_development";

/// An event of the provider, handed in as the wiring would do it.
#[derive(Serialize, Deserialize)]
pub(crate) struct Tell {
    pub(crate) event_type: String,
    pub(crate) object_id: Option<String>,
    pub(crate) livemode: bool,
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

/// Who can be sent an invoice.
#[derive(Clone, Default)]
pub(crate) struct AddressBook(Arc<Mutex<HashMap<OrgId, String>>>);

impl AddressBook {
    pub(crate) fn enter(&self, organization: OrgId, name: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(organization, name.to_owned());
    }
}

#[async_trait]
impl Customers for AddressBook {
    async fn contact(&self, organization: OrgId) -> Result<Option<Contact>, BoxError> {
        let name = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&organization).cloned();
        Ok(name.map(|name| Contact { name, email: "owner@example.com".to_owned() }))
    }
}

/// What the module told the others.
type Told = Arc<Mutex<Vec<SubscriptionUpdated>>>;

pub(crate) struct House {
    // Dropped first, so that nobody is connected when the database goes.
    pub(crate) worker: Worker,
    pub(crate) api: ApiClient,
    people: People,
    pub(crate) org: OrgId,
    pub(crate) clock: Clock,
    pub(crate) gate: Gate,
    pub(crate) book: AddressBook,
    stripe: dev_stripe::Running,
    told: Told,
    needs: Needs,
    database: TestDatabase,
}

impl House {
    pub(crate) async fn open() -> Self {
        let database = TestDatabase::create(&[platform::db::MIGRATIONS, billing::MIGRATIONS]).await;
        let (databases, clock) = (databases(&database), Clock::fixed(start_of_time()));
        let stripe = stand_in(&clock).await;
        let (org, book) = (OrgId::new(), AddressBook::default());
        book.enter(org, "Acme");
        let mut needs = needs(&databases, &clock, config(&plans(), stripe.url()));
        let gate = Gate::before(needs.payments.clone());
        needs = Needs { customers: Arc::new(book.clone()), payments: Arc::new(gate.clone()), ..needs };
        let told = Told::default();
        let worker = worker(&databases, &needs, &told);
        let billing = Billing::new(needs.clone());
        billing.seed_plans().await.expect("the catalogue is sound");
        let people = People::default();
        let (router, _) = Routes::new().nest("/v1", billing.routes()).split("test", "1");
        let api = ApiClient::new(stack(people.clone()).wrap(router));
        Self { worker, api, people, org, clock, gate, book, stripe, told, needs, database }
    }

    /// The worker of another process.
    pub(crate) fn another_worker(&self) -> Worker {
        let databases = databases(&self.database);
        let db = databases.module("billing");
        worker(&databases, &Needs { db, events: Events::new(), ..self.needs.clone() }, &self.told)
    }

    /// Has another catalogue from now on.
    pub(crate) async fn seed(&self, plans: &Value) {
        let needs = Needs { config: config(plans, ""), ..self.needs.clone() };
        Billing::new(needs).seed_plans().await.expect("the catalogue is sound");
    }

    pub(crate) fn stripe(&self) -> &Control {
        self.stripe.control()
    }

    pub(crate) fn member(&self, role: Role) -> String {
        self.people.member(self.org, role)
    }

    pub(crate) fn stranger(&self) -> String {
        self.people.stranger()
    }

    /// The path of something of the organization.
    pub(crate) fn path(&self, rest: &str) -> String {
        format!("/v1/organizations/{}/{rest}", self.org)
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        self.api.get(&self.path(path)).bearer(&self.member(Role::Owner)).send().await.expect(200)
    }

    /// Plan, status and access, as the API shows them.
    pub(crate) async fn standing(&self) -> (String, String, String) {
        let shown = self.get("billing/subscription").await;
        let text = |field: &str| shown[field].as_str().unwrap_or("none").to_owned();
        (text("plan"), text("status"), text("access"))
    }

    /// Our id of a price that is on offer.
    pub(crate) async fn price(&self, plan: &str, currency: &str) -> String {
        let catalogue = self.api.get("/v1/plans").send().await.expect(200);
        let plans = catalogue["data"].as_array().expect("plans").iter();
        let mut prices = plans.filter(|it| it["code"] == plan).flat_map(|it| it["prices"].as_array().expect("prices"));
        let price = prices.find(|price| price["money"]["currency"] == currency).expect("a price");
        price["id"].as_str().expect("an id").to_owned()
    }

    /// A wish for a checkout.
    pub(crate) async fn wish(&self, plan: &str, quantity: i32) -> Value {
        json!({
            "price_id": self.price(plan, "EUR").await,
            "quantity": quantity,
            "success_url": "https://app.example/done",
            "cancel_url": "https://app.example/back",
        })
    }

    /// Asks for a checkout as one person would, again with the same key.
    pub(crate) async fn ask(&self, person: &str, key: &str, wish: &Value) -> Answer {
        let ask = self.api.post(&self.path("billing/checkout"), wish).bearer(person);
        ask.header("idempotency-key", key).send().await
    }

    /// Opens a checkout and pays it. Gives the provider's id of the subscription; no event is heard yet.
    pub(crate) async fn buy(&self, plan: &str, quantity: i32) -> String {
        let wish = self.wish(plan, quantity).await;
        let opened = self.ask(&self.member(Role::Owner), "buy", &wish).await.expect(201);
        self.pay(&opened)
    }

    /// Pays an open checkout. Gives the provider's id of the subscription.
    pub(crate) fn pay(&self, opened: &Value) -> String {
        let session = session(opened);
        self.stripe().pay(&session).expect("it is open");
        let session = self.stripe().object(&session).expect("the session");
        session["subscription"].as_str().expect("a subscription").to_owned()
    }

    /// Buys, and hears everything about it.
    pub(crate) async fn subscribe(&self, plan: &str, quantity: i32) -> String {
        let subscription = self.buy(plan, quantity).await;
        self.hear(&self.stripe().events()).await;
        subscription
    }

    /// The newest event of a type.
    pub(crate) fn event(&self, event_type: &str) -> Value {
        let events = self.stripe().events();
        events.iter().rfind(|event| event["type"] == event_type).cloned().expect("such an event")
    }

    /// Hands in events, in this order, and does what they cause.
    pub(crate) async fn hear(&self, events: &[Value]) {
        for event in events {
            self.hand_in(event).await;
            self.worker.run_due().await;
        }
    }

    /// Hands in an event; nothing is done about it yet.
    pub(crate) async fn hand_in(&self, event: &Value) {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        self.tell(&Tell {
            event_type: text(&event["type"]).expect("a type"),
            object_id: text(&event["data"]["object"]["id"]),
            livemode: event["livemode"] == true,
        })
        .await;
    }

    pub(crate) async fn tell(&self, tell: &Tell) {
        let mut tx = self.needs.db.begin().await.expect("begins");
        enqueue(&mut tx, tell).await.expect("enqueued");
        tx.commit().await.expect("committed");
    }

    /// The organization is gone; nothing is done about it yet.
    pub(crate) async fn close(&self) {
        self.book.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.org);
        let mut tx = self.needs.db.begin().await.expect("begins");
        enqueue(&mut tx, &Close { organization: self.org }).await.expect("enqueued");
        tx.commit().await.expect("committed");
    }

    /// Somebody left the organization.
    pub(crate) async fn renew_contact(&self) -> Result<(), JobError> {
        Billing::new(self.needs.clone()).renew_contact(self.org).await
    }

    /// What organizations take with them.
    pub(crate) async fn records(&self, organizations: &[OrgId]) -> Value {
        Billing::new(self.needs.clone()).export_records(organizations).await.expect("records")
    }

    /// What the others were told so far, as plan, status and access.
    pub(crate) fn told(&self) -> Vec<(String, String, String)> {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let status = |it: &SubscriptionUpdated| it.status.clone().unwrap_or_default();
        told.iter().map(|it| (it.plan.clone(), status(it), it.access.clone())).collect()
    }

    /// The last thing that the others were told.
    pub(crate) fn last_told(&self) -> SubscriptionUpdated {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).last().cloned().expect("something was told")
    }

    pub(crate) async fn run_sql(&self, sql: &'static str) {
        let mut connection = PgConnection::connect(&self.database.url()).await.expect("connects");
        sqlx::raw_sql(sql).execute(&mut connection).await.expect(sql);
    }

    pub(crate) async fn count(&self, sql: &'static str) -> i64 {
        let mut connection = PgConnection::connect(&self.database.url()).await.expect("connects");
        sqlx::query_scalar(sql).fetch_one(&mut connection).await.expect(sql)
    }

    /// Makes every job that waits due, and runs it once more.
    pub(crate) async fn retry(&self) {
        self.run_sql("UPDATE platform.jobs SET run_at = now()").await;
        self.worker.run_due().await;
    }

    /// How many jobs wait, and how many died.
    pub(crate) async fn jobs(&self) -> (i64, i64) {
        let waiting = self.count("SELECT count(*) FROM platform.jobs").await;
        (waiting, self.count("SELECT count(*) FROM platform.dead_jobs").await)
    }
}

/// The provider's id of the page.
pub(crate) fn session(opened: &Value) -> String {
    let url = opened["url"].as_str().expect("a URL");
    url.rsplit('/').next().expect("an id").to_owned()
}

/// What the API shows, for comparison.
pub(crate) fn says(plan: &str, status: &str, access: &str) -> (String, String, String) {
    (plan.to_owned(), status.to_owned(), access.to_owned())
}

/// The catalogue: free, team in two currencies, business.
pub(crate) fn plans() -> Value {
    let price = |id: &str, currency: &str, amount: i64| json!({ "id": id, "provider": "stripe", "currency": currency, "amount": amount, "interval": "month" });
    json!([
        { "code": "free", "name": "Free", "rank": 0, "features": { "seats": 3 } },
        { "code": "team", "name": "Team", "rank": 10, "features": { "seats": 25, "audit_log": true },
          "prices": [price("price_team", "EUR", 1_900), price("price_team_usd", "USD", 2_100)] },
        { "code": "business", "name": "Business", "rank": 20, "features": { "seats": true },
          "prices": [price("price_business", "EUR", 4_900)] },
    ])
}

pub(crate) fn config(plans: &Value, api_url: &str) -> Config {
    let stripe = json!({ "api_url": api_url, "api_key": API_KEY });
    let config = json!({
        "free_plan": "free", "grace_days": 7, "return_origins": ["https://other.example"], "plans": plans, "stripe": stripe,
    });
    serde_json::from_value(config).expect("the configuration is readable")
}

pub(crate) fn databases(database: &TestDatabase) -> Databases {
    Databases::open(&database_config(database, &["billing"])).expect("a readable URL")
}

/// What the module needs, with an empty address book and the adapter for Stripe.
pub(crate) fn needs(databases: &Databases, clock: &Clock, config: Config) -> Needs {
    let outbound = OutboundConfig {
        connect_timeout_ms: 20_000,
        total_timeout_ms: 20_000,
        answer_cap_bytes: 1024 * 1024,
        addresses: AddressRules::Any,
        user_agent: "tests".to_owned(),
    };
    let outbound = Outbound::new(&outbound).expect("a user agent");
    Needs {
        db: databases.module("billing"),
        clock: clock.clone(),
        events: Events::new(),
        customers: Arc::new(AddressBook::default()),
        payments: config.stripe.provider(outbound),
        return_origin: "https://app.example/".to_owned(),
        config,
    }
}

/// Sells the catalogue, and sends its events nowhere: tests hand them in.
async fn stand_in(clock: &Clock) -> dev_stripe::Running {
    let price = |id: &str, currency: &str, unit_amount: i64| PriceSpec {
        id: id.to_owned(),
        product: "A plan".to_owned(),
        currency: currency.to_owned(),
        unit_amount,
        interval: Interval::Month,
        active: true,
    };
    let mut options = Options::new("", "whsec_development", API_KEY);
    options.prices = vec![
        price("price_team", "eur", 1_900),
        price("price_team_usd", "usd", 2_100),
        price("price_business", "eur", 4_900),
    ];
    let clock = clock.clone();
    options.time = Time::from_fn(move || clock.now());
    StripeServer::start(options).await.expect("a stand-in")
}

fn worker(databases: &Databases, needs: &Needs, told: &Told) -> Worker {
    let (mut jobs, told) = (Jobs::new(), told.clone());
    needs.events.hear(&mut jobs, "test", move |event: SubscriptionUpdated, _| {
        told.lock().unwrap_or_else(PoisonError::into_inner).push(event);
        async { Ok(()) }
    });
    let billing = Billing::new(needs.clone());
    billing.jobs(&mut jobs);
    let closing = billing.clone();
    jobs.register::<Close, _, _>(move |close, running| {
        let billing = closing.clone();
        async move { billing.close_organization(&running, close.organization).await }
    });
    jobs.register::<Tell, _, _>(move |tell, running| {
        let Tell { event_type, object_id, livemode } = tell;
        let event = ProviderEvent { id: "evt_test".to_owned(), event_type, object_id, livemode };
        let billing = billing.clone();
        async move { billing.hear_provider(&running, event).await }
    });
    Worker::new(jobs, databases, jobs_config()).expect("the jobs fit together")
}
