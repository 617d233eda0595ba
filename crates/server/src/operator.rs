//! What the people on call look at and mend from the command line: jobs, what came in, what goes out.
//! docs/operating-background-work.md is their page.

pub(crate) mod deliveries;
pub(crate) mod inbox;
pub(crate) mod jobs;
mod many;
mod moments;
mod table;

use platform::clock::Clock;
use platform::db::is_current;
use platform::shutdown::Shutdown;
use serde::Serialize;
use uuid::Uuid;

use self::moments::Since;
use crate::check::{StartError, read_checked};
use crate::cli::{say, whisper};
use crate::{Config, Environment, House, migrations};

/// The house for one command, with nobody served and nothing worked on.
pub(crate) struct Desk {
    pub(crate) house: House,
    clock: Clock,
    // Left after the house, whose connections lead there.
    _database: BuiltIn,
}

#[cfg(feature = "dev")]
type BuiltIn = Option<dev_postgres::Cluster>;
#[cfg(not(feature = "dev"))]
type BuiltIn = ();

impl Desk {
    /// Opens the configured database; in development, unless one is configured, the one that `dev` runs on.
    pub(crate) async fn open() -> Result<Self, StartError> {
        let (environment, mut config) = read_checked()?;
        let database = find_database(environment, &mut config)?;
        if config.database.url.is_empty() {
            let refusal =
                "no database is named and none is running; set DATABASE_URL, or start `server dev` beside this";
            return Err(StartError::Refused(refusal.to_owned()));
        }
        let clock = Clock::system();
        let house = House::assemble(config, &clock, &Shutdown::new())?;
        if !is_current(&mut *house.databases.platform().read().await?, &migrations()).await? {
            return Err(StartError::Refused("the database is not up to date; run `server migrate` first".to_owned()));
        }
        Ok(Self { house, clock, _database: database })
    }
}

#[cfg(feature = "dev")]
fn find_database(environment: Environment, config: &mut Config) -> Result<BuiltIn, StartError> {
    if environment == Environment::Development { crate::dev::join_database(config) } else { Ok(None) }
}

#[cfg(not(feature = "dev"))]
#[expect(clippy::unnecessary_wraps, reason = "with the feature dev it can fail")]
fn find_database(_: Environment, _: &mut Config) -> Result<BuiltIn, StartError> {
    Ok(())
}

/// Which part of a list.
#[derive(Debug, clap::Args)]
pub(crate) struct Part {
    /// How many, at most
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i64).range(1..=1000))]
    limit: i64,
    /// Only what is older than this id: the last one of the list before
    #[arg(long, value_name = "ID")]
    before: Option<Uuid>,
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
}

impl Part {
    fn before(&self) -> Uuid {
        self.before.unwrap_or(Uuid::max())
    }

    /// One more than shown tells whether there is more.
    fn fetch(&self) -> i64 {
        self.limit + 1
    }

    /// Prints a list that was fetched with [`Part::fetch`].
    fn print<T: Serialize>(
        &self,
        mut entries: Vec<T>,
        table: impl FnOnce(&[T]) -> table::Table,
        id: impl Fn(&T) -> Uuid,
    ) {
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let more = entries.len() > limit;
        entries.truncate(limit);
        if self.json {
            entries.iter().for_each(say_json);
        } else if entries.is_empty() {
            whisper("nothing to list");
        } else {
            say(&table(&entries).to_string());
        }
        if let Some(last) = entries.last().filter(|_| more) {
            whisper(&format!("there is more: --before {}", id(last)));
        }
    }
}

/// One object on one line.
fn say_json<T: Serialize>(entry: &T) {
    say(&serde_json::to_string(entry).unwrap_or_default());
}
