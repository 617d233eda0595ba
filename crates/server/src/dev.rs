//! Everything on one machine, with nothing set up: what a bare `cargo run` does.

use std::path::Path;
use std::time::Instant;

use dev_postgres::{Cluster, Kind};
use platform::clock::Clock;
use platform::shutdown::Shutdown;
use platform::telemetry;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::check::{StartError, read_checked};
use crate::process::{Parts, Running};
use crate::{Config, Environment, House, Listeners, cli, start};

const DATABASE: &str = "development";

/// An account to play with. Its password is public, so it exists on developers' machines only.
const ACCOUNT: (&str, &str, &str) = ("ada@example.com", "a-long-walk-by-the-sea", "Ada");

/// Starts PostgreSQL unless a database is configured, brings it up to date, then serves and works until a signal comes.
pub(crate) async fn run() -> Result<(), StartError> {
    let began = Instant::now();
    let (environment, mut config) = read_checked()?;
    refuse_the_world(environment, &config)?;
    let telemetry = telemetry::init(&config.telemetry, &config.service.name, env!("CARGO_PKG_VERSION"))?;
    let shutdown = Shutdown::on_signals()?;
    let listeners = Listeners::bind(&config, true).await?;
    let cluster = ensure_database(&mut config).await?;
    let house = House::assemble(config.clone(), &Clock::system(), &shutdown)?;
    cli::bring_up_to_date(&house, &config).await?;
    let (email, password, name) = ACCOUNT;
    house.seed_account(email, password, name).await?;
    let running = start(&house, &config, listeners, Parts { worker: true, developer: true }, &shutdown)?;
    print_banner(&config, &running, cluster.as_ref(), began);
    running.finish().await;
    if let Some(cluster) = cluster {
        drop(house);
        cluster.stop()?;
    }
    telemetry.shutdown().await;
    Ok(())
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

/// What `dev` does before it serves, for `doctor`.
pub(crate) async fn bring_up_to_date(config: &Config) -> Result<(), StartError> {
    let house = House::assemble(config.clone(), &Clock::system(), &Shutdown::new())?;
    cli::bring_up_to_date(&house, config).await
}

fn data_directory() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.data/postgres")
}

/// Development migrates and seeds whatever it finds and shows mail to anyone who can reach it: this machine only.
fn refuse_the_world(environment: Environment, config: &Config) -> Result<(), StartError> {
    if environment == Environment::Production {
        return Err(StartError::Refused(
            "`dev` does not run in production; use `serve`, `work` and `migrate`".to_owned(),
        ));
    }
    let url = config.database.url.expose();
    let options = (!url.is_empty()).then(|| url.parse::<PgConnectOptions>()).transpose()?;
    let host = options.as_ref().map_or("localhost", PgConnectOptions::get_host);
    if !host.starts_with('/') && !["localhost", "127.0.0.1", "::1", "[::1]"].contains(&host) {
        let refusal =
            format!("`dev` migrates and seeds the database it is given, so it uses none on {host}; unset DATABASE_URL");
        return Err(StartError::Refused(refusal));
    }
    cli::require_loopback(config)
}

fn print_banner(config: &Config, running: &Running, cluster: Option<&Cluster>, began: Instant) {
    let api = running.public.map(|address| format!("http://{address}")).unwrap_or_default();
    let operations = format!("http://{}", running.operations);
    let (email, password, _) = ACCOUNT;
    let database = match cluster {
        Some(cluster) => {
            format!("built-in PostgreSQL on port {}, data in {}", cluster.port(), shown(cluster.directory()))
        }
        None => "as configured".to_owned(),
    };
    let name = &config.service.name;
    let seconds = format!("{}.{:02}", began.elapsed().as_secs(), began.elapsed().subsec_millis() / 10);
    cli::say(&format!(
        "
{name} is ready after {seconds} s. Ctrl-C ends it.

  API       {api}/v1
  Docs      {api}/docs
  Mail      {api}/dev/mail
  Metrics   {operations}/metrics
  Database  {database}
  Account   {email}, password {password}

Try it:

  curl -s -w '\\n' {api}/v1/plans
  TOKEN=$(curl -s {api}/v1/auth/login -H 'content-type: application/json' -d '{{\"email\":\"{email}\",\"password\":\"{password}\"}}' | sed 's/.*\"access_token\":\"\\([^\"]*\\)\".*/\\1/')
  curl -s -w '\\n' {api}/v1/me -H \"authorization: Bearer $TOKEN\"
"
    ));
}

/// Without the `..` of the way there.
fn shown(path: &Path) -> String {
    path.canonicalize().unwrap_or_else(|_| path.to_owned()).display().to_string()
}
