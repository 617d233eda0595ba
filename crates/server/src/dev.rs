//! Everything on one machine, with nothing set up: what a bare `cargo run` does.

mod banner;
pub(crate) mod client;
pub(crate) mod payments;
pub(crate) mod seed;

use std::path::Path;
use std::time::Instant;

use dev_postgres::{Cluster, Kind};
use platform::clock::Clock;
use platform::shutdown::Shutdown;
use platform::telemetry;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use self::banner::Banner;
use self::seed::{ACCOUNT, Account, PayingOrganization, paid_organization};
use crate::check::{StartError, read_checked};
use crate::process::{Parts, Running};
use crate::{Config, Environment, House, Listeners, cli, start};

const DATABASE: &str = "development";

/// Starts PostgreSQL unless a database is configured, and a stand-in for the payment provider unless one is; brings the database
/// up to date, then serves and works until a signal comes.
pub(crate) async fn run() -> Result<(), StartError> {
    let began = Instant::now();
    let (environment, mut config) = read_checked()?;
    refuse_the_world(environment, &config)?;
    let telemetry = telemetry::init(&config.telemetry, &config.service.name, env!("CARGO_PKG_VERSION"))?;
    let shutdown = Shutdown::on_signals()?;
    let listeners = Listeners::bind(&config, true).await?;
    let cluster = ensure_database(&mut config).await?;
    let payments = payments::ensure(&mut config, &listeners).await?;
    let house = House::assemble(config.clone(), &Clock::system(), &shutdown)?;
    cli::bring_up_to_date(&house, &config).await?;
    let Account { email, password, name } = ACCOUNT;
    house.seed_account(email, password, name).await?;
    let running = start(&house, &config, listeners, Parts { worker: true, developer: true }, &shutdown)?;
    let paying = tokio::select! {
        paying = seed_organization(&config, &running, payments.as_ref()) => paying,
        () = shutdown.wait() => None,
    };
    let stripe = payments.as_ref().map(dev_stripe::Running::url);
    Banner { config: &config, running: &running, cluster: cluster.as_ref(), payments: stripe, paying }.print(began);
    running.finish().await;
    if let Some(payments) = payments {
        payments.stop().await;
    }
    if let Some(cluster) = cluster {
        drop(house);
        cluster.stop()?;
    }
    telemetry.shutdown().await;
    Ok(())
}

/// A service without its toys is still a service: what goes wrong here is told and does not end it.
async fn seed_organization(
    config: &Config,
    running: &Running,
    payments: Option<&dev_stripe::Running>,
) -> Option<PayingOrganization> {
    let (api, payments) = (running.public?, payments?);
    match paid_organization(config, &format!("http://{api}"), payments.control()).await {
        Ok(paying) => Some(paying),
        Err(failure) => {
            let error: &dyn std::error::Error = &failure;
            tracing::warn!(error, "there is no organization on a paid plan to play with");
            None
        }
    }
}

/// Drops the development database.
pub(crate) async fn reset() -> Result<(), StartError> {
    let (environment, config) = read_checked()?;
    refuse_the_world(environment, &config)?;
    if !config.database.url.is_empty() {
        let refusal = "a database is configured (database.url); only the built-in development database is reset";
        return Err(StartError::Refused(refusal.to_owned()));
    }
    let cluster = Cluster::start(Kind::Development, &data_directory())?;
    let mut connection = PgConnection::connect(&cluster.url("postgres")).await?;
    sqlx::raw_sql(AssertSqlSafe(format!("DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")))
        .execute(&mut connection)
        .await?;
    connection.close().await?;
    cluster.stop()?;
    cli::say("The development database is gone; `cargo run` makes a new one.");
    Ok(())
}

/// The configured database, or the built-in one, which the configuration then names.
pub(crate) async fn ensure_database(config: &mut Config) -> Result<Option<Cluster>, StartError> {
    if !config.database.url.is_empty() {
        return Ok(None);
    }
    let cluster = Cluster::start(Kind::Development, &data_directory())?;
    let mut connection = PgConnection::connect(&cluster.url("postgres")).await?;
    let known: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)")
        .bind(DATABASE)
        .fetch_one(&mut connection)
        .await?;
    if !known {
        sqlx::raw_sql(AssertSqlSafe(format!("CREATE DATABASE {DATABASE}"))).execute(&mut connection).await?;
    }
    connection.close().await?;
    config.database.url = cluster.url(DATABASE).into();
    Ok(Some(cluster))
}

/// The database of a `dev` that is running, which the configuration then names; nothing is started for it.
pub(crate) fn join_database(config: &mut Config) -> Result<Option<Cluster>, StartError> {
    if !config.database.url.is_empty() {
        return Ok(None);
    }
    let cluster = Cluster::join(Kind::Development, &data_directory())?;
    if let Some(cluster) = &cluster {
        config.database.url = cluster.url(DATABASE).into();
    }
    Ok(cluster)
}

/// What `dev` does before it serves, for `doctor`.
pub(crate) async fn bring_up_to_date(config: &Config) -> Result<(), StartError> {
    let house = House::assemble(config.clone(), &Clock::system(), &Shutdown::new())?;
    cli::bring_up_to_date(&house, config).await
}

pub(crate) fn data_directory() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.data/postgres")
}

/// Development migrates and seeds whatever it finds and shows mail to anyone who can reach it: this machine only.
pub(crate) fn refuse_the_world(environment: Environment, config: &Config) -> Result<(), StartError> {
    if environment == Environment::Production {
        return Err(StartError::Refused(
            "`dev` and `demo` do not run in production; use `serve`, `work` and `migrate`".to_owned(),
        ));
    }
    let url = config.database.url.expose();
    let options = (!url.is_empty()).then(|| url.parse::<PgConnectOptions>()).transpose()?;
    let host = options.as_ref().map_or("localhost", PgConnectOptions::get_host);
    if !host.starts_with('/') && !["localhost", "127.0.0.1", "::1", "[::1]"].contains(&host) {
        let refusal = format!(
            "`dev` and `demo` fill the database server they are given, so they use none on {host}; unset DATABASE_URL"
        );
        return Err(StartError::Refused(refusal));
    }
    cli::require_loopback(config)
}
