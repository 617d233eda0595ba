//! Modules cannot reach each other's tables: the database says no, whatever the code says.

use platform::db::{Databases, PLATFORM};
use server::migrations;
use sqlx::AssertSqlSafe;
use test_support::database::TestDatabase;

use crate::home::config;

const TABLES: &[(&str, &str)] = &[
    ("users", "users.accounts"),
    ("billing", "billing.plans"),
    ("webhooks", "webhooks.endpoints"),
    (PLATFORM, "platform.jobs"),
];

/// PostgreSQL's word for a missing permission.
const INSUFFICIENT_PRIVILEGE: &str = "42501";

#[tokio::test]
async fn a_module_that_reads_another_modules_table_gets_permission_denied() {
    let database = TestDatabase::create(&migrations()).await;
    let databases = Databases::open(&config(&database).database).expect("pools");
    for (module, _) in TABLES.iter().filter(|(module, _)| *module != PLATFORM) {
        let mut connection = databases.module(module).read().await.expect("a connection");
        for (owner, table) in TABLES {
            let statement = AssertSqlSafe(format!("SELECT 1 FROM {table} LIMIT 1"));
            let read = sqlx::raw_sql(statement).execute(&mut *connection).await;
            match read {
                Ok(_) => assert_eq!(owner, module, "{module} read {table}"),
                Err(sqlx::Error::Database(error)) => {
                    assert_ne!(owner, module, "{module} cannot read its own {table}: {error}");
                    assert_eq!(
                        error.code().as_deref(),
                        Some(INSUFFICIENT_PRIVILEGE),
                        "{module} reading {table}: {error}"
                    );
                    assert!(error.message().contains("permission denied"), "{error}");
                }
                Err(other) => panic!("{module} reading {table}: {other}"),
            }
        }
    }
}

#[tokio::test]
async fn a_module_cannot_step_out_of_its_role_or_change_its_tables() {
    let database = TestDatabase::create(&migrations()).await;
    let databases = Databases::open(&config(&database).database).expect("pools");
    let mut connection = databases.module("users").read().await.expect("a connection");
    sqlx::raw_sql("RESET ROLE").execute(&mut *connection).await.expect("a harmless statement");
    for statement in [
        "SELECT 1 FROM webhooks.endpoints",
        "DROP TABLE users.accounts",
        "CREATE TABLE users.own (id uuid)",
        "DELETE FROM users._migrations",
        "DELETE FROM platform.jobs",
    ] {
        let refused = sqlx::raw_sql(statement).execute(&mut *connection).await.expect_err(statement);
        let code = refused.as_database_error().and_then(|error| error.code().map(std::borrow::Cow::into_owned));
        assert_eq!(code.as_deref(), Some(INSUFFICIENT_PRIVILEGE), "{statement}: {refused}");
    }
}

#[tokio::test]
async fn without_roles_the_same_statement_passes_so_it_is_the_role_that_refuses() {
    let database = TestDatabase::create(&migrations()).await;
    let mut config = config(&database).database;
    config.roles = false;
    let databases = Databases::open(&config).expect("pools");
    let mut connection = databases.module("users").read().await.expect("a connection");
    sqlx::raw_sql("SELECT 1 FROM webhooks.endpoints").execute(&mut *connection).await.expect("no role, no refusal");
}
