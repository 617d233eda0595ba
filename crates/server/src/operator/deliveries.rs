//! `server deliveries`: what goes out to the endpoints of organizations.

use std::process::ExitCode;

use chrono::{DateTime, Utc};
use clap::Subcommand;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use platform::caller::OrgId;
use serde::Serialize;
use uuid::Uuid;
use webhooks::{AttemptEntry, DeliveryEntry, DeliveryFilter, DeliveryOutcome, DeliveryStatus};

use super::many::{Deed, Discarding, Filtering, Refusal, Retrying, Shelf, fulfil, missing};
use super::moments::{in_full, seen_from, span};
use super::table::{Facts, Table};
use super::{Desk, Part, Since, say_json};
use crate::check::StartError;
use crate::cli::say;
use crate::wiring::WiringError;

/// How many attempts are shown, the newest ones.
const ATTEMPTS_SHOWN: i64 = 100;

#[derive(Debug, Subcommand)]
pub(crate) enum DeliveriesCommand {
    /// List deliveries, the newest first
    #[command(after_help = "Examples:
  server deliveries list --status dead --since 1d
  server deliveries list --status pending --endpoint 0197a3f1-5c4e-7d2a-9b1f-3e8c6a4d2b10
  server deliveries list --organization 0197a3f1-2b6d-7c11-8a90-5f1e9d3c7a42 --json
")]
    List {
        #[command(flatten)]
        filter: Filter,
        #[command(flatten)]
        part: Part,
    },
    /// Show a delivery with its attempts
    #[command(after_help = "Answers are what receivers said; --json shows the first 4 KiB of each.
")]
    Show {
        /// The delivery
        id: Uuid,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Send deliveries again
    ///
    /// What ended begins again with the whole schedule; what waits is due now. What is being sent is refused, and what goes to
    /// an endpoint that is disabled. A filter means dead ones unless --status says otherwise. Receivers recognize repetitions
    /// by `webhook-id`.
    #[command(after_help = "Examples:
  server deliveries retry 0197a3f1-5c4e-7d2a-9b1f-3e8c6a4d2b10
  server deliveries retry --endpoint 0197a3f1-5c4e-7d2a-9b1f-3e8c6a4d2b10 --all
  server deliveries retry --status pending --since 1h --all       do not wait for the next try

Ends with 0 if everything was retried, else with 1.
")]
    Retry(Retrying<Filter>),
    /// Give up deliveries that wait: they are dead
    ///
    /// What is being sent is refused. A filter means pending ones.
    #[command(after_help = "Examples:
  server deliveries discard 0197a3f1-5c4e-7d2a-9b1f-3e8c6a4d2b10
  server deliveries discard --endpoint 0197a3f1-5c4e-7d2a-9b1f-3e8c6a4d2b10 --all --yes

Ends with 0 if everything was discarded, else with 1.
")]
    Discard(Discarding<Filter>),
}

/// Which deliveries.
#[derive(Debug, clap::Args)]
pub(crate) struct Filter {
    /// Only to the endpoints that this organization has
    #[arg(long, value_name = "ID")]
    organization: Option<Uuid>,
    /// Only to this endpoint
    #[arg(long, value_name = "ID")]
    endpoint: Option<Uuid>,
    /// Only in these states
    #[arg(long, value_delimiter = ',', value_parser = statuses())]
    status: Vec<DeliveryStatus>,
    /// Only those that began since then (15m, 2h, 3d, 2026-01-31, RFC 3339)
    #[arg(long, value_parser = Since::parse)]
    since: Option<Since>,
}

fn statuses() -> impl TypedValueParser<Value = DeliveryStatus> {
    let status_of = |name: String| DeliveryStatus::ALL.into_iter().find(|status| status.as_str() == name);
    PossibleValuesParser::new(DeliveryStatus::ALL.map(DeliveryStatus::as_str))
        .map(move |name| status_of(name).unwrap_or(DeliveryStatus::Dead))
}

impl Filtering for Filter {
    fn is_given(&self) -> bool {
        self.organization.is_some() || self.endpoint.is_some() || !self.status.is_empty() || self.since.is_some()
    }
}

impl Filter {
    /// As the module takes it; these states unless others were given.
    fn resolve(&self, statuses: &[DeliveryStatus], now: DateTime<Utc>) -> DeliveryFilter {
        DeliveryFilter {
            organization: self.organization.map(OrgId::from),
            endpoint: self.endpoint,
            statuses: if self.status.is_empty() { statuses.to_vec() } else { self.status.clone() },
            since: self.since.map(|since| since.at(now)),
        }
    }
}

/// A delivery with its attempts.
#[derive(Serialize)]
struct Whole {
    #[serde(flatten)]
    delivery: DeliveryEntry,
    attempts_made: Vec<AttemptEntry>,
}

pub(crate) async fn run(command: DeliveriesCommand) -> Result<ExitCode, StartError> {
    let desk = Desk::open().await?;
    let now = desk.clock.now();
    match command {
        DeliveriesCommand::List { filter, part } => {
            let deliveries = Deliveries { desk: &desk, filter: filter.resolve(&DeliveryStatus::ALL, now) };
            let entries = deliveries.find(&deliveries.ids(part.before(), part.fetch()).await?).await?;
            part.print(entries, |entries| table(entries, now), |entry| entry.id);
            Ok(ExitCode::SUCCESS)
        }
        DeliveriesCommand::Show { id, json } => {
            let deliveries = Deliveries { desk: &desk, filter: filter_of_one() };
            let found = deliveries.find(&[id]).await?.pop();
            let delivery = found.ok_or_else(|| StartError::Refused(missing::<Deliveries>(id)))?;
            let attempts = desk.house.webhooks.list_delivery_attempts(id, ATTEMPTS_SHOWN).await;
            let whole = Whole { delivery, attempts_made: attempts.map_err(WiringError::from)? };
            if json {
                say_json(&whole);
            } else {
                say(&shown(&whole, now));
            }
            Ok(ExitCode::SUCCESS)
        }
        DeliveriesCommand::Retry(retrying) => {
            let filter = retrying.filter.resolve(&[DeliveryStatus::Dead], now);
            fulfil(&Deliveries { desk: &desk, filter }, retrying.wish()).await
        }
        DeliveriesCommand::Discard(discarding) => {
            let filter = discarding.filter.resolve(&[DeliveryStatus::Pending], now);
            fulfil(&Deliveries { desk: &desk, filter }, discarding.wish()).await
        }
    }
}

fn filter_of_one() -> DeliveryFilter {
    DeliveryFilter { organization: None, endpoint: None, statuses: DeliveryStatus::ALL.to_vec(), since: None }
}

/// The deliveries, through a filter.
struct Deliveries<'a> {
    desk: &'a Desk,
    filter: DeliveryFilter,
}

impl Deliveries<'_> {
    async fn find(&self, ids: &[Uuid]) -> Result<Vec<DeliveryEntry>, StartError> {
        Ok(self.desk.house.webhooks.find_deliveries(ids).await.map_err(WiringError::from)?)
    }
}

impl Shelf for Deliveries<'_> {
    const NAMES: (&'static str, &'static str) = ("delivery", "deliveries");
    const HINT: &'static str = "`server deliveries list` lists those there are";

    async fn count(&self) -> Result<Option<u64>, StartError> {
        let count = self.desk.house.webhooks.count_deliveries(&self.filter).await.map_err(WiringError::from)?;
        Ok(count.map(i64::unsigned_abs))
    }

    async fn ids(&self, before: Uuid, limit: i64) -> Result<Vec<Uuid>, StartError> {
        let ids = self.desk.house.webhooks.list_delivery_ids(&self.filter, before, limit).await;
        Ok(ids.map_err(WiringError::from)?)
    }

    async fn carry_out(&self, deed: Deed, ids: &[Uuid]) -> Result<Vec<(Uuid, Option<Refusal>)>, StartError> {
        let outcomes = match deed {
            Deed::Retry => self.desk.house.webhooks.retry_deliveries(ids).await,
            Deed::Discard => self.desk.house.webhooks.discard_deliveries(ids).await,
        };
        let outcomes = outcomes.map_err(WiringError::from)?;
        Ok(outcomes.into_iter().map(|(id, outcome)| (id, refusal(outcome))).collect())
    }
}

fn refusal(outcome: DeliveryOutcome) -> Option<Refusal> {
    let why = match outcome {
        DeliveryOutcome::Done => return None,
        DeliveryOutcome::Missing => return Some(Refusal::Missing),
        DeliveryOutcome::Sending => "it is being sent at the moment",
        DeliveryOutcome::Finished => "it does not wait",
        DeliveryOutcome::EndpointDisabled => "its endpoint is disabled; the organization has to enable it first",
        DeliveryOutcome::EndpointGone => "its endpoint was deleted",
        DeliveryOutcome::MessageExpired => "its message is older than what is kept",
    };
    Some(Refusal::Because(why))
}

fn table(deliveries: &[DeliveryEntry], now: DateTime<Utc>) -> Table {
    let row = |delivery: &DeliveryEntry| {
        [
            delivery.status.as_str().to_owned(),
            delivery.id.to_string(),
            span(now - delivery.created_at),
            moment(delivery, now),
            delivery.attempts.to_string(),
            last_answer(delivery),
            delivery.event_type.clone(),
            delivery.endpoint_id.to_string(),
            place(delivery),
        ]
    };
    let heads = ["status", "id", "age", "when", "tries", "last", "type", "endpoint", "at"];
    Table::new(heads, deliveries.iter().map(row))
}

fn place(delivery: &DeliveryEntry) -> String {
    delivery.endpoint_origin.clone().unwrap_or_else(|| "deleted".to_owned())
}

/// The moment that matters in its state.
fn moment(delivery: &DeliveryEntry, now: DateTime<Utc>) -> String {
    match (delivery.status, delivery.finished_at, delivery.next_attempt_at) {
        (DeliveryStatus::Pending, _, _) if is_sending(delivery, now) => "being sent".to_owned(),
        (DeliveryStatus::Pending, _, Some(due)) => format!("due {}", seen_from(now, due)),
        (DeliveryStatus::Pending, _, None) => "dropped".to_owned(),
        (DeliveryStatus::Delivered, Some(finished), _) => format!("arrived {}", seen_from(now, finished)),
        (DeliveryStatus::Dead, Some(finished), _) => format!("given up {}", seen_from(now, finished)),
        _ => String::new(),
    }
}

fn is_sending(delivery: &DeliveryEntry, now: DateTime<Utc>) -> bool {
    delivery.leased_until.is_some_and(|until| until > now)
}

/// What the last attempt came to: the status of the answer, else why there was none.
fn last_answer(delivery: &DeliveryEntry) -> String {
    let status = delivery.last_http_status.map(|status| status.to_string());
    status.or_else(|| delivery.last_error.clone()).unwrap_or_default()
}

fn shown(Whole { delivery, attempts_made }: &Whole, now: DateTime<Utc>) -> String {
    let mut facts = Facts::default();
    facts.add("delivery", delivery.id.to_string());
    facts.add("status", format!("{}, {}", delivery.status.as_str(), moment(delivery, now)));
    facts.add("type", &delivery.event_type);
    facts.add("message", format!("msg_{}", delivery.message_id));
    facts.add("organization", delivery.organization_id.to_string());
    facts.add("endpoint", delivery.endpoint_id.to_string());
    facts.add("at", place(delivery));
    facts.add("began", in_full(now, delivery.created_at));
    facts.add_known("next attempt", delivery.next_attempt_at.map(|at| in_full(now, at)));
    facts.add_known("ended", delivery.finished_at.map(|at| in_full(now, at)));
    facts.add("attempts", delivery.attempts.to_string());
    if attempts_made.is_empty() {
        return facts.to_string();
    }
    let row = |attempt: &AttemptEntry| {
        [
            in_full(now, attempt.sent_at),
            format!("{} ms", attempt.duration_ms),
            attempt.http_status.map(|status| status.to_string()).unwrap_or_default(),
            attempt.error.clone().unwrap_or_default(),
            attempt.answer.clone().unwrap_or_default(),
        ]
    };
    let attempts = Table::new(["attempt", "took", "status", "error", "answer"], attempts_made.iter().map(row));
    format!("{facts}\n\n{attempts}")
}
