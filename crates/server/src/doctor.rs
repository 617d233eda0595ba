//! Checks everything the service needs, one line each, with the mend for what is wrong.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use platform::db::{Databases, is_current};
use platform::http::bind;
use sqlx::{Connection, PgConnection};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::check::{StartError, read};
use crate::cli::say;
use crate::{Config, Environment, migrations};

const OLDEST_POSTGRES: i32 = 150_000;

/// What a check found.
enum Finding {
    Good(String),
    Bad { cause: String, mend: String },
}

fn bad(cause: impl Into<String>, mend: impl Into<String>) -> Finding {
    Finding::Bad { cause: cause.into(), mend: mend.into() }
}

/// Collects findings and prints each as it comes, as some checks take a moment.
#[derive(Default)]
struct Report {
    bad: usize,
}

impl Report {
    fn add(&mut self, what: &str, finding: Finding) {
        match finding {
            Finding::Good(fact) => say(&format!("  ok    {what}: {fact}")),
            Finding::Bad { cause, mend } => {
                self.bad += 1;
                say(&format!("  WRONG {what}: {cause}\n        mend: {mend}"));
            }
        }
    }
}

/// Runs every check; the exit code says whether all is well.
pub(crate) async fn run(replicas: u32) -> Result<ExitCode, StartError> {
    let (environment, mut config) = read()?;
    say(&format!("Checking for the environment `{}`:", environment.as_str()));
    let mut report = Report::default();
    check_configuration(&mut report, &config, environment);
    let cluster = find_database(&mut report, &mut config).await;
    if !config.database.url.is_empty() {
        check_database(&mut report, &config, replicas).await;
    }
    check_port(&mut report, "http.address", config.http.address, "APP__HTTP__ADDRESS").await;
    let operations = config.http.operations_address;
    check_port(&mut report, "http.operations_address", operations, "APP__HTTP__OPERATIONS_ADDRESS").await;
    leave(cluster)?;
    match report.bad {
        0 => say("All is well."),
        1 => say("One thing is wrong."),
        count => say(&format!("{count} things are wrong.")),
    }
    Ok(if report.bad == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn check_configuration(report: &mut Report, config: &Config, environment: Environment) {
    let complaints = config.complaints(environment);
    if complaints.is_empty() {
        report.add("configuration", Finding::Good("complete, no placeholders".to_owned()));
    }
    for (key, complaint) in complaints {
        let variable = format!("APP__{}", key.replace('.', "__").to_uppercase());
        report.add(&key, bad(complaint, format!("set {variable} (or {variable}_FILE)")));
    }
}

#[cfg(feature = "dev")]
type BuiltIn = Option<dev_postgres::Cluster>;
#[cfg(not(feature = "dev"))]
type BuiltIn = ();

/// In development without a configured database: the built-in PostgreSQL, brought up to date as `dev` would.
#[cfg(feature = "dev")]
async fn find_database(report: &mut Report, config: &mut Config) -> BuiltIn {
    if !config.database.url.is_empty() {
        return None;
    }
    match dev_postgres::find_binaries() {
        Ok(found) => {
            let fact = format!("PostgreSQL {} in {}", found.version(), found.directory().display());
            report.add("server binaries", Finding::Good(fact));
        }
        Err(error) => {
            report.add("server binaries", bad(error.to_string(), "one of the above, then `doctor` again"));
            return None;
        }
    }
    let cluster = match crate::dev::ensure_database(config).await {
        Ok(cluster) => cluster,
        Err(error) => {
            report.add("built-in database", bad(error.to_string(), "`server db reset`, or set DATABASE_URL"));
            return None;
        }
    };
    report.add(
        "built-in database",
        match crate::dev::bring_up_to_date(config).await {
            Ok(()) => Finding::Good("starts and is up to date".to_owned()),
            Err(error) => bad(error.to_string(), "`server db reset`"),
        },
    );
    cluster
}

#[cfg(not(feature = "dev"))]
async fn find_database(report: &mut Report, config: &mut Config) -> BuiltIn {
    if config.database.url.is_empty() {
        report.add("database.url", bad("no database is configured", "set DATABASE_URL"));
    }
}

#[cfg(feature = "dev")]
fn leave(cluster: BuiltIn) -> Result<(), StartError> {
    Ok(cluster.map_or(Ok(()), dev_postgres::Cluster::stop)?)
}

#[cfg(not(feature = "dev"))]
fn leave((): BuiltIn) -> Result<(), StartError> {
    Ok(())
}

async fn check_database(report: &mut Report, config: &Config, replicas: u32) {
    let databases = match Databases::open(&config.database) {
        Ok(databases) => databases,
        Err(error) => {
            let mend = "write it as postgres://user:password@host:5432/name";
            return report.add("database.url", bad(error.to_string(), mend));
        }
    };
    let mut connection = match databases.connect().await {
        Ok(connection) => connection,
        Err(error) => {
            let mend = "start PostgreSQL (`docker compose up -d postgres`) or correct DATABASE_URL";
            return report.add("database", bad(error.to_string(), mend));
        }
    };
    for (what, finding) in [
        ("database version", version(&mut connection).await),
        ("pooler", pooler(&mut connection, &databases).await),
        ("connections", budget(&mut connection, config, replicas).await),
        ("migrations", migrated(&mut connection).await),
        ("module roles", roles(&mut connection, config, &databases).await),
    ] {
        report.add(what, finding.unwrap_or_else(|error| bad(error.to_string(), "see PostgreSQL's log")));
    }
}

async fn version(connection: &mut PgConnection) -> Result<Finding, sqlx::Error> {
    let (number, text): (i32, String) =
        sqlx::query_as("SELECT current_setting('server_version_num')::int, current_setting('server_version')")
            .fetch_one(connection)
            .await?;
    Ok(if number >= OLDEST_POSTGRES {
        Finding::Good(format!("PostgreSQL {text}"))
    } else {
        bad(format!("PostgreSQL {text} is too old"), "upgrade to PostgreSQL 15 or newer")
    })
}

/// Two connections with one server process between them mean a pooler in transaction mode.
async fn pooler(first: &mut PgConnection, databases: &Databases) -> Result<Finding, sqlx::Error> {
    const PROCESS: &str = "SELECT pg_backend_pid()";
    let mut second = databases.connect().await?;
    let of_first: i32 = sqlx::query_scalar(PROCESS).fetch_one(first).await?;
    let mut transaction = second.begin().await?;
    let of_second: i32 = sqlx::query_scalar(PROCESS).fetch_one(&mut *transaction).await?;
    transaction.rollback().await?;
    Ok(if of_first == of_second {
        let mend = "connect directly or use session pooling: module roles, timeouts and LISTEN belong to a session";
        bad("a pooler in transaction mode sits in between", mend)
    } else {
        Finding::Good("sessions are our own".to_owned())
    })
}

async fn budget(connection: &mut PgConnection, config: &Config, replicas: u32) -> Result<Finding, sqlx::Error> {
    let sql = "SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int";
    let available: i32 = sqlx::query_scalar(sql).fetch_one(connection).await?;
    let wanted = config.database.total_connections().saturating_mul(replicas);
    let fact = format!("{replicas} processes want {wanted} of {available}");
    Ok(if i64::from(wanted) <= i64::from(available) {
        Finding::Good(fact)
    } else {
        bad(fact, "raise max_connections, lower database.connections.*, or run fewer processes")
    })
}

async fn migrated(connection: &mut PgConnection) -> Result<Finding, sqlx::Error> {
    Ok(if is_current(connection, &migrations()).await? {
        Finding::Good("up to date".to_owned())
    } else {
        bad("not up to date", "run `server migrate`; in development `cargo run` does it")
    })
}

async fn roles(connection: &mut PgConnection, config: &Config, databases: &Databases) -> Result<Finding, sqlx::Error> {
    if !config.database.roles {
        return Ok(Finding::Good("switched off (database.roles = false)".to_owned()));
    }
    let wanted: Vec<String> = migrations()
        .iter()
        .filter(|known| known.module != platform::db::PLATFORM)
        .map(|known| format!("{}_{}", databases.role_prefix(), known.module))
        .collect();
    let found: i64 = sqlx::query_scalar("SELECT count(*) FROM pg_roles WHERE rolname = ANY($1)")
        .bind(&wanted)
        .fetch_one(connection)
        .await?;
    Ok(if usize::try_from(found).is_ok_and(|found| found == wanted.len()) {
        Finding::Good(wanted.join(", "))
    } else {
        bad(format!("{found} of {} exist", wanted.len()), "run `server migrate`")
    })
}

async fn check_port(report: &mut Report, key: &str, address: SocketAddr, variable: &str) {
    report.add(
        key,
        match bind(address, variable).await {
            Ok(_) => Finding::Good(format!("{address} is free")),
            Err(_) if answers_as_alive(address).await => Finding::Good(format!("the service is running on {address}")),
            Err(error) => bad(error.to_string(), "stop what uses it, perhaps this service, or choose another address"),
        },
    );
}

async fn answers_as_alive(address: SocketAddr) -> bool {
    let ask = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(b"GET /livez HTTP/1.1\r\nhost: doctor\r\nconnection: close\r\n\r\n").await?;
        let mut answer = String::new();
        stream.take(4096).read_to_string(&mut answer).await?;
        std::io::Result::Ok(answer)
    };
    let answer = tokio::time::timeout(Duration::from_secs(2), ask).await;
    answer.is_ok_and(|answer| answer.is_ok_and(|text| text.starts_with("HTTP/1.1 200") && text.ends_with("ok")))
}
