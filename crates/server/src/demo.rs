//! The product's main job performed on this machine, from signing up to a paid plan that the customer's own systems hear of:
//! what `demo` does. Everything it needs is started for it and gone afterwards, whatever happens.

mod database;
mod journey;
mod receiver;
mod records;
mod shown;
mod stage;
mod story;

use std::net::{Ipv4Addr, SocketAddr};
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::time::Instant;

use futures_util::FutureExt;
use platform::shutdown::Shutdown;
use platform::telemetry;

use self::database::Database;
use self::stage::Stage;
use self::story::Story;
use crate::check::{StartError, read_checked};
use crate::dev::client::Failure;
use crate::{Config, cli, dev};

/// Performs the journey on a database of its own; an error names the first step that went wrong.
pub(crate) async fn run() -> Result<(), StartError> {
    let began = Instant::now();
    let (environment, mut config) = read_checked()?;
    dev::refuse_the_world(environment, &config)?;
    keep_to_this_machine(&mut config)?;
    log_warnings(&mut config)?;
    let interrupted = Shutdown::on_signals()?;
    let database = Database::create(&mut config).await?;
    let name = database.name().to_owned();
    let outcome = AssertUnwindSafe(perform(config, &interrupted, &name)).catch_unwind().await;
    database.destroy().await?;
    let steps = outcome.unwrap_or_else(|panic| resume_unwind(panic))?;
    let seconds = format!("{}.{:02}", began.elapsed().as_secs(), began.elapsed().subsec_millis() / 10);
    cli::say(&format!("\nAll {steps} steps went well, in {seconds} s. The database and all servers are gone again."));
    Ok(())
}

/// Performs the journey and says how many steps it has.
async fn perform(config: Config, interrupted: &Shutdown, database: &str) -> Result<usize, StartError> {
    let stage = Stage::set(config).await?;
    let mut story = Story::begin(&stage.programme(database));
    let outcome = tokio::select! {
        outcome = journey::travel(&stage, &mut story) => outcome,
        () = interrupted.wait() => Err(Failure::Interrupted),
    };
    if outcome.is_err() {
        story.failed();
    }
    stage.strike().await;
    match outcome {
        Ok(()) => Ok(story.steps()),
        Err(failure) => Err(StartError::Demo { step: story.steps(), failure }),
    }
}

/// Free ports, no mail server, cards that cost nobody anything.
fn keep_to_this_machine(config: &mut Config) -> Result<(), StartError> {
    if !config.billing.stripe.api_url.is_empty() {
        let refusal = "the demo pays with invented cards at a stand-in of its own; unset billing.stripe.api_url for it";
        return Err(StartError::Refused(refusal.to_owned()));
    }
    let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    (config.http.address, config.http.operations_address) = (free, free);
    config.mail.smtp_url = None;
    config.database.role_prefix = None;
    Ok(())
}

/// Standard output belongs to the story, so what goes wrong is logged beside it.
fn log_warnings(config: &mut Config) -> Result<(), StartError> {
    // A statement that is slow on a busy machine is no failure.
    "warn,sqlx=error".clone_into(&mut config.telemetry.filter);
    let subscriber = telemetry::subscriber(&config.telemetry, std::io::stderr)?;
    if let Err(taken) = tracing::subscriber::set_global_default(subscriber) {
        return Err(StartError::Refused(taken.to_string()));
    }
    telemetry::metrics_handle();
    Ok(())
}
