use std::sync::Arc;
use std::time::Duration;

use platform::clock::Clock;
use platform::db::{self, Databases};
use platform::events::Events;
use platform::jobs::{Job, Jobs, Worker, enqueue};
use platform::mail::Mailbox;
use platform::outbound::{AddressRules, Outbound, OutboundConfig};
use platform::shutdown::Shutdown;
use platform::telemetry;
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use test_support::database::TestDatabase;
use test_support::{Answer, ApiClient, eventually};
use users::{
    Config, FailureLimit, HashingConfig, IssuerConfig, LimitsConfig, Needs, OrganizationConfig, SessionConfig, Users,
};

use crate::exports::Elsewhere;
use crate::notices;
use crate::people::Heard;

pub(crate) const EMAIL: &str = "ada@example.com";
pub(crate) const PASSWORD: &str = "a-long-walk-by-the-sea";

/// The module with everything it stands on.
pub(crate) struct House {
    pub(crate) api: ApiClient,
    pub(crate) clock: Clock,
    pub(crate) mailbox: Mailbox,
    pub(crate) users: Users,
    pub(crate) heard: Heard,
    pub(crate) elsewhere: Elsewhere,
    worker: Worker,
    databases: Databases,
    config: Config,
    database: Arc<TestDatabase>,
}

impl House {
    pub(crate) async fn open() -> Self {
        Self::open_with(|_| {}).await
    }

    /// With a changed configuration.
    pub(crate) async fn open_with(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = config();
        change(&mut config);
        let database = TestDatabase::create(&[db::MIGRATIONS, users::MIGRATIONS]).await;
        Self::build(Arc::new(database), Clock::fixed(test_support::start_of_time()), config).await
    }

    /// Another process over the same database.
    pub(crate) async fn another(&self) -> Self {
        Self::build(self.database.clone(), self.clock.clone(), self.config.clone()).await
    }

    async fn build(database: Arc<TestDatabase>, clock: Clock, config: Config) -> Self {
        let databases = Databases::open(&test_support::database_config(&database, &[users::MODULE])).expect("pools");
        let secrets = test_support::secrets();
        let (mailer, mailbox) = test_support::mailer(&secrets, &clock);
        let events = Events::new();
        let users = Users::new(Needs {
            db: databases.module(users::MODULE),
            clock: clock.clone(),
            secrets,
            events: events.clone(),
            mailer: mailer.clone(),
            outbound: outbound(),
            service: test_support::service_config(),
            config: config.clone(),
        });
        users.load_keys().await.expect("signing keys");
        let mut jobs = Jobs::new();
        mailer.register(&mut jobs);
        let elsewhere = Elsewhere::default();
        users.jobs(&mut jobs, vec![Arc::new(elsewhere.clone())]);
        let heard = Heard::of(&events, &mut jobs);
        notices::register(&users, &mut jobs);
        let worker = Worker::new(jobs, &databases, test_support::jobs_config()).expect("jobs that fit together");
        let routes = platform::http::Routes::new().merge(users.root_routes()).nest("/v1", users.routes());
        let api = ApiClient::new(test_support::stack(users.clone()).wrap(routes.split("test", "1").0));
        Self { api, clock, mailbox, users, heard, elsewhere, worker, databases, config, database }
    }

    /// Adds a job, as another module's announcement would.
    pub(crate) async fn enqueue(&self, job: &impl Job) {
        let mut tx = self.databases.module(users::MODULE).begin().await.expect("begins");
        enqueue(&mut tx, job).await.expect("enqueued");
        tx.commit().await.expect("committed");
    }

    /// A house in which Ada has an account.
    pub(crate) async fn with_account() -> Self {
        let house = Self::open().await;
        house.users.seed_account(EMAIL, PASSWORD, "Ada").await.expect("an account");
        house
    }

    /// From now on this process hears what others change, and so remembers what it read.
    pub(crate) async fn listen(&self) {
        let wakeups = self.databases.wakeups().clone();
        telemetry::spawn("listening", async move { wakeups.listen(Shutdown::new()).await });
        eventually("it listens", async || self.databases.hears_changes()).await;
    }

    /// Where the database is, for its owner.
    pub(crate) fn database_url(&self) -> String {
        self.database.url()
    }

    /// Lets background work happen.
    pub(crate) async fn work(&self) {
        self.worker.run_due().await;
    }

    /// A connection of the database's owner, to look and to move time.
    pub(crate) async fn owner(&self) -> PgConnection {
        PgConnection::connect(&self.database.url()).await.expect("a connection")
    }

    /// Runs a statement as the database's owner.
    pub(crate) async fn sql(&self, statement: &'static str) {
        sqlx::raw_sql(statement).execute(&mut self.owner().await).await.expect(statement);
    }

    /// A number from the database.
    pub(crate) async fn count(&self, query: &'static str) -> i64 {
        sqlx::query_scalar(query).fetch_one(&mut self.owner().await).await.expect(query)
    }

    pub(crate) async fn log_in(&self) -> Tokens {
        Tokens::from(self.try_log_in(EMAIL, PASSWORD).await.expect(200))
    }

    pub(crate) async fn try_log_in(&self, email: &str, password: &str) -> Answer {
        self.api.post("/v1/auth/login", &json!({ "email": email, "password": password })).send().await
    }

    pub(crate) async fn refresh(&self, token: &str) -> Answer {
        self.api.post("/v1/auth/refresh", &json!({ "refresh_token": token })).send().await
    }

    pub(crate) async fn me(&self, token: &str) -> Answer {
        self.api.get("/v1/me").bearer(token).send().await
    }

    /// The token in the newest mail to an address.
    pub(crate) fn mailed_token(&self, address: &str) -> String {
        let mails = self.mailbox.to(address);
        let text = &mails.first().expect("a mail").mail.text;
        let (_, rest) = text.split_once("token=").expect("a link with a token");
        rest.split_whitespace().next().expect("a token").to_owned()
    }

    pub(crate) fn tick(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }
}

/// What a login gives.
pub(crate) struct Tokens {
    pub(crate) access: String,
    pub(crate) refresh: String,
}

impl From<Value> for Tokens {
    fn from(body: Value) -> Self {
        let text = |key: &str| body[key].as_str().expect(key).to_owned();
        Self { access: text("access_token"), refresh: text("refresh_token") }
    }
}

fn config() -> Config {
    Config {
        sessions: SessionConfig {
            audience: "api".to_owned(),
            idle_seconds: 604_800,
            absolute_seconds: 2_592_000,
            reuse_grace_seconds: 10,
            recent_login_seconds: 600,
        },
        hashing: HashingConfig { threads: 1, queue: 64, wait_ms: 60_000 },
        limits: LimitsConfig {
            login_by_address: test_support::unlimited(),
            login_failures: FailureLimit { free: 1_000, longest_wait_seconds: 900, forgotten_after_seconds: 900 },
            second_factor_failures: FailureLimit {
                free: 1_000,
                longest_wait_seconds: 900,
                forgotten_after_seconds: 900,
            },
            register_by_address: test_support::unlimited(),
            mail_by_account: test_support::unlimited(),
            mail_by_address: test_support::unlimited(),
            refresh_by_session: test_support::unlimited(),
            invitations_by_person: test_support::unlimited(),
            exports_by_person: test_support::unlimited(),
        },
        organizations: OrganizationConfig { max_members: 6, max_open_invitations: 3 },
        audit_retention_days: 400,
        issuer: IssuerConfig {
            url: String::new(),
            audience: String::new(),
            other_audiences: Vec::new(),
            jwks_url: String::new(),
            algorithms: Vec::new(),
            token_type: "at+jwt".to_owned(),
        },
    }
}

fn outbound() -> Outbound {
    let config = OutboundConfig {
        connect_timeout_ms: 10_000,
        total_timeout_ms: 10_000,
        answer_cap_bytes: 65_536,
        addresses: AddressRules::Any,
        user_agent: "tests".to_owned(),
    };
    Outbound::new(&config).expect("a client")
}
