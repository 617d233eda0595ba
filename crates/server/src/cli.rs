//! The commands of the binary.

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use platform::clock::Clock;
use platform::db::{is_current, migrate};
use platform::shutdown::Shutdown;
use platform::telemetry;

use crate::check::{StartError, read, read_checked};
use crate::config::HttpConfig;
use crate::keys::KeysCommand;
use crate::operator::deliveries::DeliveriesCommand;
use crate::operator::inbox::InboxCommand;
use crate::operator::jobs::JobsCommand;
use crate::process::Parts;
use crate::{Config, Environment, House, Listeners, doctor, keys, migrations, operator, start};

/// A modular-monolith web service.
///
/// Without a command it runs for development: PostgreSQL, API and worker together, on this machine only.
#[derive(Debug, Parser)]
#[command(version, about)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run everything for development: PostgreSQL, API and worker, on this machine only (what no command does)
    #[cfg(feature = "dev")]
    Dev,
    /// Show the product's main job, from signing up to a paid plan, on a database of its own
    #[cfg(feature = "dev")]
    Demo,
    /// Serve the API; several processes may share a database
    Serve,
    /// Work on jobs, schedules and deliveries; several processes may share a database
    Work,
    /// Bring the database up to date: migrations, module roles, plan catalogue
    Migrate,
    /// Print the API document
    Openapi,
    /// Print the effective configuration with secrets masked
    Config,
    /// Check everything the service needs and say how to mend what is wrong
    Doctor {
        /// How many processes will run, for the connection budget
        #[arg(long, default_value_t = 2)]
        replicas: u32,
    },
    /// The keys that sign access tokens
    Keys {
        #[command(subcommand)]
        command: KeysCommand,
    },
    /// Background jobs: list, show, retry, discard
    Jobs {
        #[command(subcommand)]
        command: JobsCommand,
    },
    /// What sources told us: list, show, retry, discard
    Inbox {
        #[command(subcommand)]
        command: InboxCommand,
    },
    /// What is sent to the endpoints of organizations: list, show, retry, discard
    Deliveries {
        #[command(subcommand)]
        command: DeliveriesCommand,
    },
    /// The development database
    #[cfg(feature = "dev")]
    Db {
        #[command(subcommand)]
        command: DbCommand,
    },
}

#[cfg(feature = "dev")]
#[derive(Debug, Subcommand)]
enum DbCommand {
    /// Drop the development database; the next start makes a new one
    Reset,
}

/// Runs a command to its end.
pub async fn run(cli: Cli) -> ExitCode {
    match execute(cli.command).await {
        Ok(code) => code,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stderr, reason = "the command line talks to people")]
fn complain(error: &dyn std::error::Error) {
    eprintln!("error: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        eprintln!("  because: {error}");
        cause = error.source();
    }
}

/// Prints a line for people or pipes. A reader that went away, as `head` does, is no failure.
pub(crate) fn say(text: &str) {
    writeln!(std::io::stdout(), "{text}").ok();
}

/// Prints a line beside the result: progress, hints, refusals.
pub(crate) fn whisper(text: &str) {
    writeln!(std::io::stderr(), "{text}").ok();
}

async fn execute(command: Option<Command>) -> Result<ExitCode, StartError> {
    match command {
        #[cfg(feature = "dev")]
        None | Some(Command::Dev) => crate::dev::run().await?,
        #[cfg(not(feature = "dev"))]
        None => return Err(StartError::Refused("say which command to run; `server --help` lists them".to_owned())),
        #[cfg(feature = "dev")]
        Some(Command::Demo) => crate::demo::run().await?,
        Some(Command::Serve) => run_parts(true, false).await?,
        Some(Command::Work) => run_parts(false, true).await?,
        Some(Command::Migrate) => migrate_database().await?,
        Some(Command::Openapi) => print_document()?,
        Some(Command::Config) => print_config()?,
        Some(Command::Doctor { replicas }) => return doctor::run(replicas).await,
        Some(Command::Keys { command }) => keys::run(command).await?,
        Some(Command::Jobs { command }) => return operator::jobs::run(command).await,
        Some(Command::Inbox { command }) => return operator::inbox::run(command).await,
        Some(Command::Deliveries { command }) => return operator::deliveries::run(command).await,
        #[cfg(feature = "dev")]
        Some(Command::Db { command: DbCommand::Reset }) => crate::dev::reset().await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// `serve` and `work`: expect a migrated database and never migrate it.
async fn run_parts(api: bool, worker: bool) -> Result<(), StartError> {
    let (environment, config) = read_checked()?;
    if environment != Environment::Production && !config.http.beyond_loopback {
        require_loopback(&config)?;
    }
    let telemetry = telemetry::init(&config.telemetry, &config.service.name, env!("CARGO_PKG_VERSION"))?;
    let shutdown = Shutdown::on_signals()?;
    let listeners = Listeners::bind(&config, api).await?;
    let house = House::assemble(config.clone(), &Clock::system(), &shutdown)?;
    if !is_current(&mut *house.databases.platform().read().await?, &migrations()).await? {
        return Err(StartError::Refused("the database is not up to date; run `server migrate` first".to_owned()));
    }
    house.load().await?;
    let running = start(&house, &config, listeners, Parts { worker, developer: false }, &shutdown)?;
    tracing::info!(public = running.public.map(tracing::field::display), operations = %running.operations, "ready");
    running.finish().await;
    telemetry.shutdown().await;
    Ok(())
}

/// Outside production secrets are public, outgoing calls are not checked and mail stays in memory: this machine only.
pub(crate) fn require_loopback(config: &Config) -> Result<(), StartError> {
    let HttpConfig { address, operations_address, .. } = config.http;
    for (key, address) in [("http.address", address), ("http.operations_address", operations_address)] {
        if !address.ip().is_loopback() {
            return Err(StartError::Refused(format!(
                "{key} is {address}, but outside production the service listens on this machine only; \
                 use 127.0.0.1, or set APP_ENVIRONMENT=production"
            )));
        }
    }
    Ok(())
}

async fn migrate_database() -> Result<(), StartError> {
    let (_, config) = read_checked()?;
    let _telemetry = telemetry::init(&config.telemetry, &config.service.name, env!("CARGO_PKG_VERSION"))?;
    let house = House::assemble(config.clone(), &Clock::system(), &Shutdown::new())?;
    bring_up_to_date(&house, &config).await?;
    tracing::info!("the database is up to date");
    Ok(())
}

/// Applies migrations, sets up module roles and seeds the catalogue. As often as you like.
pub(crate) async fn bring_up_to_date(house: &House, config: &Config) -> Result<(), StartError> {
    let prefix = config.database.roles.then(|| house.databases.role_prefix());
    migrate(&mut house.databases.connect().await?, &migrations(), prefix).await?;
    Ok(house.seed().await?)
}

/// The document needs no database: nothing is connected.
fn print_document() -> Result<(), StartError> {
    let (_, mut config) = read()?;
    if config.database.url.is_empty() {
        config.database.url = "postgres://localhost/nowhere".to_owned().into();
    }
    let house = House::assemble(config, &Clock::system(), &Shutdown::new())?;
    say(house.contract().to_json().trim_end());
    Ok(())
}

fn print_config() -> Result<(), StartError> {
    let (environment, config) = read()?;
    say(&format!("# environment: {}", environment.as_str()));
    say(&serde_json::to_string_pretty(&config).unwrap_or_default());
    for (key, complaint) in config.complaints(environment) {
        say(&format!("# not usable: {key} {complaint}"));
    }
    Ok(())
}
