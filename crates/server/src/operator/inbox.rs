//! `server inbox`: what sources told us. A receipt never changes; how far its handling is, the job of its key says.

use std::collections::HashMap;
use std::io::Write;
use std::process::ExitCode;

use chrono::{DateTime, Utc};
use clap::{Subcommand, ValueEnum};
use platform::jobs::operator::{self, JobEntry, JobState};
use serde::Serialize;
use uuid::Uuid;
use webhooks::{ReceiptEntry, ReceiptFilter};

use super::many::{Deed, Discarding, Filtering, Refusal, Retrying, Shelf, fulfil, missing};
use super::moments::{in_full, span};
use super::table::{Facts, Table};
use super::{Desk, Part, Since, jobs, say_json};
use crate::check::StartError;
use crate::cli::say;
use crate::wiring::WiringError;

/// How many receipts are looked at in one go.
const LOOK: i64 = 200;

#[derive(Debug, Subcommand)]
pub(crate) enum InboxCommand {
    /// List what came in, the newest first
    #[command(after_help = "Examples:
  server inbox list --source stripe --since 1h
  server inbox list --state dead                 what could not be handled
  server inbox list --type invoice.paid --json

handled: no job is left for it; it was handled, or an operator discarded the job.
")]
    List {
        #[command(flatten)]
        filter: Filter,
        #[command(flatten)]
        part: Part,
    },
    /// Show all that is known about a receipt
    #[command(after_help = "Examples:
  server inbox show 0197a3f1-5c4e-7d2a-9b1f-3e8c6a4d2b10
  server inbox show 0197a3f1-5c4e-7d2a-9b1f-3e8c6a4d2b10 --payload | jq .

The payload may hold personal data: it is what the source sent.
")]
    Show {
        /// The receipt
        id: Uuid,
        /// Print JSON
        #[arg(long, conflicts_with = "payload")]
        json: bool,
        /// Print the exact bytes that came in, and nothing else
        #[arg(long)]
        payload: bool,
    },
    /// Hand receipts on again
    ///
    /// A dead handling job gets all its tries again, one that waits is due now. What was handled is handed on once more; the
    /// handler knows it and changes nothing that is right already. A filter means dead ones unless --state says otherwise.
    #[command(after_help = "Examples:
  server inbox retry 0197a3f1-5c4e-7d2a-9b1f-3e8c6a4d2b10
  server inbox retry --source stripe --all
  server inbox retry --source stripe --state handled --since 2h --all

Ends with 0 if everything was retried, else with 1.
")]
    Retry(Retrying<Filter>),
    /// Drop the jobs that would hand receipts on; the receipts stay
    ///
    /// A filter means dead ones unless --state says otherwise.
    #[command(after_help = "Examples:
  server inbox discard 0197a3f1-5c4e-7d2a-9b1f-3e8c6a4d2b10
  server inbox discard --type customer.created --all --yes

Ends with 0 if everything was discarded, else with 1.
")]
    Discard(Discarding<Filter>),
}

/// How far the handling of a receipt is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    /// Its job waits, runs or will be tried again
    Pending,
    /// No job is left
    Handled,
    /// Its job failed for good
    Dead,
}

impl State {
    fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Handled => "handled",
            Self::Dead => "dead",
        }
    }

    fn of(job: Option<&JobEntry>) -> Self {
        match job.map(|job| job.state) {
            None => Self::Handled,
            Some(JobState::Dead) => Self::Dead,
            Some(JobState::Waiting | JobState::Running | JobState::Scheduled) => Self::Pending,
        }
    }

    /// The states of jobs that mean it; none for what has no job.
    fn job_states(self) -> Option<&'static [JobState]> {
        match self {
            Self::Pending => Some(&[JobState::Waiting, JobState::Running, JobState::Scheduled]),
            Self::Handled => None,
            Self::Dead => Some(&[JobState::Dead]),
        }
    }
}

/// Which receipts.
#[derive(Debug, clap::Args)]
pub(crate) struct Filter {
    /// Only in this state
    #[arg(long)]
    state: Option<State>,
    /// Only of this source
    #[arg(long)]
    source: Option<String>,
    /// Only events of this type
    #[arg(long = "type", value_name = "TYPE")]
    event_type: Option<String>,
    /// Only what came in since then (15m, 2h, 3d, 2026-01-31, RFC 3339)
    #[arg(long, value_parser = Since::parse)]
    since: Option<Since>,
}

impl Filtering for Filter {
    fn is_given(&self) -> bool {
        self.state.is_some() || self.source.is_some() || self.event_type.is_some() || self.since.is_some()
    }
}

impl Filter {
    fn resolve(&self, now: DateTime<Utc>) -> ReceiptFilter {
        let (source, event_type) = (self.source.clone(), self.event_type.clone());
        ReceiptFilter { source, event_type, since: self.since.map(|since| since.at(now)) }
    }
}

/// A receipt with the job that hands it on.
#[derive(Serialize)]
struct Entry {
    state: State,
    #[serde(flatten)]
    receipt: ReceiptEntry,
    job: Option<JobEntry>,
}

pub(crate) async fn run(command: InboxCommand) -> Result<ExitCode, StartError> {
    let desk = Desk::open().await?;
    let now = desk.clock.now();
    match command {
        InboxCommand::List { filter, part } => {
            let inbox = Inbox { desk: &desk, filter: filter.resolve(now), state: filter.state };
            let entries = inbox.list(part.before(), part.fetch()).await?;
            part.print(entries, |entries| table(entries, now), |entry| entry.receipt.id);
            Ok(ExitCode::SUCCESS)
        }
        InboxCommand::Show { id, payload: true, .. } => print_payload(&desk, id).await,
        InboxCommand::Show { id, json, .. } => {
            let inbox = Inbox { desk: &desk, filter: ReceiptFilter::default(), state: None };
            let found = inbox.with_jobs(inbox.receipts(&[id]).await?).await?.pop();
            let entry = found.ok_or_else(|| StartError::Refused(missing::<Inbox>(id)))?;
            if json {
                say_json(&entry);
            } else {
                say(&shown(&entry, now));
            }
            Ok(ExitCode::SUCCESS)
        }
        InboxCommand::Retry(retrying) => fulfil(&Inbox::to_mend(&desk, &retrying.filter, now), retrying.wish()).await,
        InboxCommand::Discard(discarding) => {
            fulfil(&Inbox::to_mend(&desk, &discarding.filter, now), discarding.wish()).await
        }
    }
}

async fn print_payload(desk: &Desk, id: Uuid) -> Result<ExitCode, StartError> {
    let payload = desk.house.webhooks.receipt_payload(id).await.map_err(WiringError::from)?;
    let payload = payload.ok_or_else(|| StartError::Refused(missing::<Inbox>(id)))?;
    // A reader that went away is no failure.
    let mut stdout = std::io::stdout();
    stdout.write_all(&payload).and_then(|()| stdout.flush()).ok();
    Ok(ExitCode::SUCCESS)
}

/// The inbox, through a filter.
struct Inbox<'a> {
    desk: &'a Desk,
    filter: ReceiptFilter,
    state: Option<State>,
}

impl<'a> Inbox<'a> {
    /// Dead ones unless the filter names another state.
    fn to_mend(desk: &'a Desk, filter: &Filter, now: DateTime<Utc>) -> Self {
        Self { desk, filter: filter.resolve(now), state: Some(filter.state.unwrap_or(State::Dead)) }
    }

    async fn receipts(&self, ids: &[Uuid]) -> Result<Vec<ReceiptEntry>, StartError> {
        Ok(self.desk.house.webhooks.find_receipts(ids).await.map_err(WiringError::from)?)
    }

    async fn with_jobs(&self, receipts: Vec<ReceiptEntry>) -> Result<Vec<Entry>, StartError> {
        let keys: Vec<_> = receipts.iter().map(ReceiptEntry::handling).collect();
        let found = operator::find_keyed(&mut *self.desk.house.databases.platform().read().await?, &keys).await?;
        let mut jobs: HashMap<_, _> =
            found.into_iter().filter_map(|job| Some(((job.name.clone(), job.unique_key.clone()?), job))).collect();
        let entry = |receipt: ReceiptEntry| {
            let job = jobs.remove(&receipt.handling());
            Entry { state: State::of(job.as_ref()), receipt, job }
        };
        Ok(receipts.into_iter().map(entry).collect())
    }

    /// Receipts with a smaller id than `before`, the newest first: what has a job is found by the jobs, which are few, and
    /// everything else along the inbox.
    async fn list(&self, before: Uuid, limit: i64) -> Result<Vec<Entry>, StartError> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let (mut entries, mut before) = (Vec::new(), before);
        while entries.len() < limit {
            let Some((last, receipts)) = self.look(before).await? else { break };
            before = last;
            let seen = self.with_jobs(receipts).await?;
            entries.extend(seen.into_iter().filter(|entry| self.lets_through(entry)));
        }
        entries.truncate(limit);
        Ok(entries)
    }

    /// The next receipts, and the id of the last that was looked at.
    async fn look(&self, before: Uuid) -> Result<Option<(Uuid, Vec<ReceiptEntry>)>, StartError> {
        if let Some(states) = self.state.and_then(State::job_states) {
            let ids = self.ids_with_jobs(states, before).await?;
            let Some(last) = ids.last() else { return Ok(None) };
            return Ok(Some((*last, self.receipts(&ids).await?)));
        }
        let receipts = self.desk.house.webhooks.list_receipts(&self.filter, before, LOOK).await;
        let receipts = receipts.map_err(WiringError::from)?;
        Ok(receipts.last().map(|last| last.id).map(|last| (last, receipts)))
    }

    fn lets_through(&self, entry: &Entry) -> bool {
        self.state.is_none_or(|state| state == entry.state) && self.filter.lets_through(&entry.receipt)
    }

    /// The receipts that there are such jobs for, of each source the greatest, and of those the greatest.
    async fn ids_with_jobs(&self, states: &[JobState], before: Uuid) -> Result<Vec<Uuid>, StartError> {
        let mut connection = self.desk.house.databases.platform().read().await?;
        let (before, mut ids) = (before.to_string(), Vec::new());
        for name in self.desk.house.webhooks.handling_names(self.filter.source.as_deref()) {
            let jobs = operator::list_keyed(&mut connection, &name, states, &before, LOOK).await?;
            ids.extend(jobs.into_iter().filter_map(|job| job.unique_key?.parse::<Uuid>().ok()));
        }
        ids.sort_unstable_by(|one, other| other.cmp(one));
        ids.dedup();
        ids.truncate(usize::try_from(LOOK).unwrap_or(usize::MAX));
        if let Some(since) = self.filter.since {
            ids.retain(|id| *id >= platform::ids::first_uuid_at(since));
        }
        Ok(ids)
    }
}

impl Shelf for Inbox<'_> {
    const NAMES: (&'static str, &'static str) = ("receipt", "receipts");
    const HINT: &'static str = "`server inbox list` lists what came in";

    async fn count(&self) -> Result<Option<u64>, StartError> {
        if self.state.and_then(State::job_states).is_none() {
            return Ok(None);
        }
        let (mut count, mut before) = (0, Uuid::max());
        loop {
            let ids = self.ids(before, LOOK).await?;
            let Some(last) = ids.last() else { return Ok(Some(count)) };
            before = *last;
            count += ids.len() as u64;
        }
    }

    async fn ids(&self, before: Uuid, limit: i64) -> Result<Vec<Uuid>, StartError> {
        Ok(self.list(before, limit).await?.into_iter().map(|entry| entry.receipt.id).collect())
    }

    /// What has a job is done to the job; what has none is handed on anew.
    async fn carry_out(&self, deed: Deed, ids: &[Uuid]) -> Result<Vec<(Uuid, Option<Refusal>)>, StartError> {
        let mut outcomes: HashMap<Uuid, Option<Refusal>> = HashMap::new();
        let (mut receipt_of, mut handled) = (HashMap::new(), Vec::new());
        for Entry { receipt, job, .. } in self.with_jobs(self.receipts(ids).await?).await? {
            match job {
                Some(job) => drop(receipt_of.insert(job.id, receipt.id)),
                None => handled.push(receipt.id),
            }
        }
        let job_ids: Vec<Uuid> = receipt_of.keys().copied().collect();
        for (job, outcome) in jobs::carry_out(self.desk, deed, &job_ids).await? {
            outcomes.insert(receipt_of[&job], jobs::refusal(outcome));
        }
        if deed == Deed::Retry && !handled.is_empty() {
            self.desk.house.webhooks.hand_on_again(&handled).await.map_err(WiringError::from)?;
        }
        let of_handled = match deed {
            Deed::Retry => None,
            Deed::Discard => Some(Refusal::Because("no job is left that could be discarded")),
        };
        outcomes.extend(handled.into_iter().map(|id| (id, of_handled)));
        Ok(ids.iter().map(|id| (*id, outcomes.get(id).copied().unwrap_or(Some(Refusal::Missing)))).collect())
    }
}

fn table(entries: &[Entry], now: DateTime<Utc>) -> Table {
    let row = |Entry { state, receipt, job }: &Entry| {
        let error = job.as_ref().and_then(|job| job.error.clone());
        [
            state.as_str().to_owned(),
            receipt.id.to_string(),
            span(now - receipt.received_at),
            job.as_ref().map(jobs::tries).unwrap_or_default(),
            receipt.source.clone(),
            receipt.event_type.clone(),
            receipt.object_id.clone().unwrap_or_default(),
            error.unwrap_or_default(),
        ]
    };
    Table::new(["state", "id", "age", "tries", "source", "type", "about", "last error"], entries.iter().map(row))
}

fn shown(Entry { state, receipt, job }: &Entry, now: DateTime<Utc>) -> String {
    let mut facts = Facts::default();
    facts.add("receipt", receipt.id.to_string());
    facts.add("state", state.as_str());
    facts.add("source", &receipt.source);
    facts.add("their id", &receipt.external_id);
    facts.add("type", &receipt.event_type);
    facts.add_known("about", receipt.object_id.as_deref());
    facts.add_known("live", receipt.livemode.map(|live| if live { "yes" } else { "no, a test" }));
    facts.add_known("version", receipt.api_version.as_deref());
    facts.add("happened", in_full(now, receipt.occurred_at));
    facts.add("came in", in_full(now, receipt.received_at));
    facts.add("payload", format!("{} bytes; --payload prints them", receipt.payload_bytes));
    facts.add_known("request", receipt.request_id.as_deref());
    if let Some(job) = job {
        facts.add("job", format!("{}; `server jobs show` says more", job.id));
        facts.add("tries", format!("{} of {}", job.attempts, job.max_attempts));
        facts.add_known("last error", job.error.as_deref());
    }
    facts.to_string()
}
