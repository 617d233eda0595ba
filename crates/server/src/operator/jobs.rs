//! `server jobs`: what waits, runs, is scheduled and died.

use std::process::ExitCode;

use chrono::{DateTime, Utc};
use clap::Subcommand;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use platform::jobs::operator::{self, JobEntry, JobFilter, JobState, Outcome};
use serde_json::Value;
use uuid::Uuid;

use super::many::{Deed, Discarding, Filtering, Refusal, Retrying, Shelf, fulfil, missing};
use super::moments::{in_full, seen_from, span};
use super::table::{Facts, Table, clean_lines, cut};
use super::{Desk, Part, Since, say_json};
use crate::check::StartError;
use crate::cli::say;

/// The longest text inside of arguments that is shown; mail waits sealed, which nobody can read anyway.
const LONGEST_ARGUMENT: usize = 200;

#[derive(Debug, Subcommand)]
pub(crate) enum JobsCommand {
    /// List jobs, the newest first
    #[command(after_help = "Examples:
  server jobs list                               everything there is
  server jobs list --state dead --since 1h       what was given up in the last hour
  server jobs list --state waiting,running --queue mail
  server jobs list --state dead --json | jq -r .error | sort | uniq -c | sort -rn
")]
    List {
        #[command(flatten)]
        filter: Filter,
        #[command(flatten)]
        part: Part,
    },
    /// Show all that is known about a job: its last error, its arguments
    #[command(
        after_help = "Arguments hold ids; mail and addresses wait sealed. Names of organizations may stand in them."
    )]
    Show {
        /// The job
        id: Uuid,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Let dead jobs run again, or waiting ones now
    ///
    /// A dead job gets all its tries again. One that is scheduled becomes due now. One that is running is refused. A filter
    /// means dead jobs unless --state says otherwise.
    #[command(after_help = "Examples:
  server jobs retry 0197a3f1-5c4e-7d2a-9b1f-3e8c6a4d2b10
  server jobs retry --name 'webhooks handles stripe' --since 2h --all
  server jobs retry --state scheduled --queue mail --all     do not wait for the next try

Ends with 0 if everything was retried, else with 1.
")]
    Retry(Retrying<Filter>),
    /// Throw jobs away: what they were to do does not happen
    ///
    /// A job that is running is refused. A filter means dead jobs unless --state says otherwise.
    #[command(after_help = "Examples:
  server jobs discard 0197a3f1-5c4e-7d2a-9b1f-3e8c6a4d2b10
  server jobs discard --name platform.send_mail --all --yes

Ends with 0 if everything was discarded, else with 1.
")]
    Discard(Discarding<Filter>),
}

/// Which jobs.
#[derive(Debug, clap::Args)]
pub(crate) struct Filter {
    /// Only in these states
    #[arg(long, value_delimiter = ',', value_parser = states())]
    state: Vec<JobState>,
    /// Only of this queue
    #[arg(long)]
    queue: Option<String>,
    /// Only of this name
    #[arg(long)]
    name: Option<String>,
    /// Dead: given up since then; others: enqueued since then (15m, 2h, 3d, 2026-01-31, RFC 3339)
    #[arg(long, value_parser = Since::parse)]
    since: Option<Since>,
}

fn states() -> impl TypedValueParser<Value = JobState> {
    let state_of = |name: String| JobState::ALL.into_iter().find(|state| state.as_str() == name);
    PossibleValuesParser::new(JobState::ALL.map(JobState::as_str))
        .map(move |name| state_of(name).unwrap_or(JobState::Dead))
}

impl Filtering for Filter {
    fn is_given(&self) -> bool {
        !self.state.is_empty() || self.queue.is_some() || self.name.is_some() || self.since.is_some()
    }
}

impl Filter {
    /// As the platform takes it; these states unless others were given.
    fn resolve(&self, states: &[JobState], now: DateTime<Utc>) -> JobFilter {
        JobFilter {
            states: if self.state.is_empty() { states.to_vec() } else { self.state.clone() },
            queue: self.queue.clone(),
            name: self.name.clone(),
            since: self.since.map(|since| since.at(now)),
        }
    }
}

pub(crate) async fn run(command: JobsCommand) -> Result<ExitCode, StartError> {
    let desk = Desk::open().await?;
    let now = desk.clock.now();
    match command {
        JobsCommand::List { filter, part } => {
            let filter = filter.resolve(&JobState::ALL, now);
            let mut connection = desk.house.databases.platform().read().await?;
            let jobs = operator::list(&mut connection, &filter, part.before(), part.fetch()).await?;
            part.print(jobs, |jobs| table(jobs, now), |job| job.id);
            Ok(ExitCode::SUCCESS)
        }
        JobsCommand::Show { id, json } => {
            let found = operator::find(&mut *desk.house.databases.platform().read().await?, id).await?;
            let job = found.ok_or_else(|| StartError::Refused(missing::<Jobs>(id)))?;
            if json {
                say_json(&job);
            } else {
                say(&shown(&job, now));
            }
            Ok(ExitCode::SUCCESS)
        }
        JobsCommand::Retry(retrying) => {
            let jobs = Jobs { desk: &desk, filter: retrying.filter.resolve(&[JobState::Dead], now) };
            fulfil(&jobs, retrying.wish()).await
        }
        JobsCommand::Discard(discarding) => {
            let jobs = Jobs { desk: &desk, filter: discarding.filter.resolve(&[JobState::Dead], now) };
            fulfil(&jobs, discarding.wish()).await
        }
    }
}

/// The queue, through a filter.
struct Jobs<'a> {
    desk: &'a Desk,
    filter: JobFilter,
}

impl Shelf for Jobs<'_> {
    const NAMES: (&'static str, &'static str) = ("job", "jobs");
    const HINT: &'static str = "`server jobs list --state dead` lists dead letters";

    async fn count(&self) -> Result<Option<u64>, StartError> {
        let mut connection = self.desk.house.databases.platform().read().await?;
        Ok(Some(operator::count(&mut connection, &self.filter).await?.unsigned_abs()))
    }

    async fn ids(&self, before: Uuid, limit: i64) -> Result<Vec<Uuid>, StartError> {
        let mut connection = self.desk.house.databases.platform().read().await?;
        let jobs = operator::list(&mut connection, &self.filter, before, limit).await?;
        Ok(jobs.into_iter().map(|job| job.id).collect())
    }

    async fn carry_out(&self, deed: Deed, ids: &[Uuid]) -> Result<Vec<(Uuid, Option<Refusal>)>, StartError> {
        let outcomes = carry_out(self.desk, deed, ids).await?;
        Ok(outcomes.into_iter().map(|(id, outcome)| (id, refusal(outcome))).collect())
    }
}

/// Retries or discards jobs in one transaction.
pub(super) async fn carry_out(desk: &Desk, deed: Deed, ids: &[Uuid]) -> Result<Vec<(Uuid, Outcome)>, StartError> {
    let mut tx = desk.house.databases.platform().begin().await?;
    let outcomes = match deed {
        Deed::Retry => operator::retry(&mut tx, ids).await?,
        Deed::Discard => operator::discard(&mut tx, ids).await?,
    };
    tx.commit().await?;
    Ok(outcomes)
}

pub(super) fn refusal(outcome: Outcome) -> Option<Refusal> {
    match outcome {
        Outcome::Done => None,
        Outcome::Running => Some(Refusal::Because("a worker has it at the moment")),
        Outcome::Missing => Some(Refusal::Missing),
    }
}

fn table(jobs: &[JobEntry], now: DateTime<Utc>) -> Table {
    let row = |job: &JobEntry| {
        [
            job.state.as_str().to_owned(),
            job.id.to_string(),
            span(now - job.created_at),
            moment(job, now),
            tries(job),
            job.queue.clone(),
            job.name.clone(),
            job.error.clone().unwrap_or_default(),
        ]
    };
    Table::new(["state", "id", "age", "when", "tries", "queue", "name", "last error"], jobs.iter().map(row))
}

/// The moment that matters in its state.
fn moment(job: &JobEntry, now: DateTime<Utc>) -> String {
    match (job.state, job.run_at, job.died_at) {
        (JobState::Dead, _, Some(died_at)) => format!("died {}", seen_from(now, died_at)),
        (JobState::Waiting | JobState::Scheduled, Some(run_at), _) => format!("due {}", seen_from(now, run_at)),
        (JobState::Running, Some(run_at), _) => format!("lease {}", span(run_at - now)),
        _ => String::new(),
    }
}

pub(super) fn tries(job: &JobEntry) -> String {
    format!("{}/{}", job.attempts, job.max_attempts)
}

fn shown(job: &JobEntry, now: DateTime<Utc>) -> String {
    let mut facts = Facts::default();
    facts.add("job", job.id.to_string());
    facts.add("name", &job.name);
    facts.add("queue", &job.queue);
    facts.add("state", job.state.as_str());
    facts.add("tries", format!("{} of {}", job.attempts, job.max_attempts));
    facts.add("enqueued", in_full(now, job.created_at));
    let due = if job.state == JobState::Running { "lease ends" } else { "due" };
    facts.add_known(due, job.run_at.map(|at| in_full(now, at)));
    facts.add_known("died", job.died_at.map(|at| in_full(now, at)));
    facts.add(
        "priority",
        ["high", "normal", "low"].get(usize::from(job.priority.unsigned_abs())).copied().unwrap_or("?"),
    );
    facts.add_known("unique key", job.unique_key.as_deref());
    facts.add_known("request", job.request_id.as_deref());
    facts.add_known("trace", job.traceparent.as_deref());
    facts.add_known("last error", job.error.as_deref());
    let args = serde_json::to_string_pretty(&shortened(&job.args)).unwrap_or_default();
    format!("{facts}\narguments\n{}", clean_lines(&args))
}

/// With long texts cut; --json shows them whole.
fn shortened(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(cut(text, LONGEST_ARGUMENT)),
        Value::Array(values) => values.iter().map(shortened).collect(),
        Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), shortened(value))).collect(),
        other => other.clone(),
    }
}
