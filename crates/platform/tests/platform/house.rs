//! A database of its own for each test, with one module on it, and what the tests ask of both.

use std::collections::BTreeMap;

use platform::config::Secret;
use platform::db::{DatabaseConfig, Databases, Db, MIGRATIONS, Migrations, Tx};
use platform::jobs::{Jobs, JobsConfig, Worker};
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{Connection, PgConnection, SqlSafeStr};
use test_support::database::TestDatabase;

/// The one module of these tests.
pub(crate) const SAMPLE: &str = "sample";

pub(crate) struct House {
    pub(crate) databases: Databases,
    /// The module's own pool: it runs as the module's role.
    pub(crate) db: Db,
    /// What the pools were opened with.
    pub(crate) config: DatabaseConfig,
    url: String,
    _database: TestDatabase,
}

impl House {
    pub(crate) async fn build() -> Self {
        let database = TestDatabase::create(&[MIGRATIONS, sample_migrations()]).await;
        let url = database.url();
        let config = DatabaseConfig {
            url: Secret::from(url.clone()),
            roles: true,
            role_prefix: Some(database.role_prefix().to_owned()),
            connections: BTreeMap::from([("platform".to_owned(), 4), (SAMPLE.to_owned(), 6)]),
            statement_timeout_ms: 30_000,
            lock_timeout_ms: 30_000,
            acquire_timeout_ms: 30_000,
            slow_statement_ms: 30_000,
        };
        let databases = Databases::open(&config).expect("a valid address");
        let db = databases.module(SAMPLE);
        Self { databases, db, config, url, _database: database }
    }

    pub(crate) fn worker(&self, jobs: Jobs) -> Worker {
        Worker::new(jobs, &self.databases, JobsConfig::default()).expect("sound jobs")
    }

    pub(crate) fn worker_with(&self, jobs: Jobs, config: JobsConfig) -> Worker {
        Worker::new(jobs, &self.databases, config).expect("sound jobs")
    }

    /// Commits what `write` does in a transaction of the module.
    pub(crate) async fn commit(&self, write: impl AsyncFnOnce(&mut Tx) -> Result<(), sqlx::Error>) {
        let mut tx = self.db.begin().await.expect("a transaction");
        write(&mut tx).await.expect("written");
        tx.commit().await.expect("committed");
    }

    /// Somebody outside who can do harm.
    pub(crate) fn other_connection(&self) -> Vandal {
        Vandal(self.url.clone())
    }

    /// A connection of the owner of everything, as PostgreSQL gives it.
    pub(crate) async fn owner(&self) -> PgConnection {
        PgConnection::connect(&self.url).await.expect("a connection")
    }

    /// Runs a statement as the owner of everything.
    pub(crate) async fn sql(&self, statement: &'static str) -> u64 {
        let mut owner = self.owner().await;
        sqlx::raw_sql(statement).execute(&mut owner).await.expect("a valid statement").rows_affected()
    }

    /// The one value a query gives, as text.
    pub(crate) async fn ask(&self, query: &'static str) -> String {
        let mut owner = self.owner().await;
        sqlx::query_scalar::<_, String>(query).fetch_one(&mut owner).await.expect("a value")
    }

    pub(crate) async fn count(&self, table: &'static str) -> String {
        self.ask(Box::leak(format!("SELECT count(*)::text FROM {table}").into_boxed_str())).await
    }

    /// Lets the pause before the next try pass.
    pub(crate) async fn make_due(&self) -> u64 {
        self.sql("UPDATE platform.jobs SET run_at = now()").await
    }
}

fn sample_migrations() -> Migrations {
    let sql = "CREATE TABLE sample.effects (name text NOT NULL)".into_sql_str();
    let migration = Migration::new(1, "effects".into(), MigrationType::Simple, sql, false);
    Migrations { module: SAMPLE, migrator: Migrator::with_migrations(vec![migration]) }
}

/// Writes an effect into the module's own table.
pub(crate) async fn effect(tx: &mut Tx, name: &str) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT INTO sample.effects (name) VALUES ($1)").bind(name).execute(&mut **tx).await.map(|_| ())
}

/// Breaks connections from outside.
#[derive(Clone)]
pub(crate) struct Vandal(String);

impl Vandal {
    /// Ends every other connection to the database, as a restart of the server would.
    pub(crate) async fn break_all_others(&self) {
        let mut owner = PgConnection::connect(&self.0).await.expect("a connection");
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                   WHERE datname = current_database() AND pid <> pg_backend_pid()";
        sqlx::raw_sql(end).execute(&mut owner).await.expect("they end");
    }
}
