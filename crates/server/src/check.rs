//! Reading the configuration the way every command needs it: complete, checked, and refused with reasons.

use platform::config::{ConfigError, process_variables};

use crate::{Config, Environment};

/// Why a command cannot start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("the configuration is not usable:\n{0}")]
    Complaints(String),
    #[error("{0}")]
    Refused(String),
    #[error(transparent)]
    Wiring(#[from] crate::wiring::WiringError),
    #[error(transparent)]
    Migrate(#[from] platform::db::MigrateError),
    #[error("the database cannot be used; `server doctor` says more")]
    Database(#[from] sqlx::Error),
    #[error(transparent)]
    Telemetry(#[from] platform::telemetry::TelemetryError),
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[cfg(feature = "dev")]
    #[error("{0}")]
    Postgres(#[from] dev_postgres::Error),
    #[cfg(feature = "dev")]
    #[error("the stand-in for the payment provider does not start")]
    Payments(#[from] dev_stripe::StartError),
    #[cfg(feature = "dev")]
    #[error("the demo failed at step {step}; everything it made is gone again")]
    Demo {
        step: usize,
        #[source]
        failure: crate::dev::client::Failure,
    },
}

/// The configuration of this process, before it is judged.
pub(crate) fn read() -> Result<(Environment, Config), StartError> {
    let variables = process_variables();
    let environment = Environment::from_variables(&variables)?;
    Ok((environment, Config::load(environment, &variables)?))
}

/// The configuration of this process, refused with every reason at once when it is not usable.
pub(crate) fn read_checked() -> Result<(Environment, Config), StartError> {
    let (environment, config) = read()?;
    let complaints = config.complaints(environment);
    if complaints.is_empty() {
        return Ok((environment, config));
    }
    let lines: Vec<String> = complaints.iter().map(|(key, complaint)| format!("  {key} {complaint}")).collect();
    Err(StartError::Complaints(lines.join("\n")))
}
