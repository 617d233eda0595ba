//! The inbox: what sources tell us, each event stored once, exactly as it was sent. Nothing is done about it while the
//! sender waits: a job hands it on to the module that is wired to the source.

pub(crate) mod http;
mod store;

use std::sync::Arc;

use ::http::HeaderMap;
use platform::jobs::{JobError, NamedJob, enqueue_named};
use platform::telemetry::{current_context, spawn};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use crate::joint_writes::JointWrites;
use crate::ports::InboundEvent;
use crate::sources::Notice;
use crate::{Error, Webhooks};

/// The largest body that is taken, in bytes; larger ones are 413.
pub(crate) const MAX_PAYLOAD: usize = 1024 * 1024;

/// The most events stored at once: together they are no larger than what a statement writes in a second or two.
const BATCH: usize = 32;

/// The most events that are being stored or wait for it. While the database is slow or away, more would only wait for their
/// sender's patience to end.
const PLACES: usize = 256;

/// How many receipts are removed at a time.
const PRUNE_BATCH: i64 = 500;

platform::id! {
    /// Names a receipt.
    pub struct ReceiptId;
}

/// That an event came in: never changed. How far its handling is, the job says.
struct Receipt {
    handling: Handling,
    api_version: Option<String>,
    payload: Vec<u8>,
    request_id: Option<String>,
    /// What hands it on.
    job: NamedJob,
}

/// Where what comes in is stored together.
pub(crate) struct Inbox {
    receipts: JointWrites<Receipt, bool>,
    places: Arc<Semaphore>,
}

impl Default for Inbox {
    fn default() -> Self {
        Self { receipts: JointWrites::of(BATCH), places: Arc::new(Semaphore::new(PLACES)) }
    }
}

/// The arguments of the job that hands an event on. Rows outlive the binary: only add fields that have a default.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Handling {
    /// Where the exact bytes are, for people who look into it.
    pub(crate) receipt_id: ReceiptId,
    #[serde(flatten)]
    pub(crate) event: InboundEvent,
}

/// The name of the job that hands on what comes from a source. Rows outlive the binary, so it never changes.
pub(crate) fn job_name(source: &str) -> String {
    format!("webhooks handles {source}")
}

/// Where these jobs wait: a source that cannot be handled holds up no other.
pub(crate) fn queue(source: &str) -> String {
    format!("inbound.{source}")
}

impl Handling {
    /// The job that hands the event on. Its unique key is the receipt: while one waits or runs no second one is added, and how
    /// far the handling is can be found out.
    pub(crate) fn job(&self) -> Result<NamedJob, sqlx::Error> {
        let source = &self.event.source;
        Ok(NamedJob::new(job_name(source), queue(source), self)?.unique(self.receipt_id.to_string()))
    }
}

impl Receipt {
    fn new(source: &str, notice: Notice, payload: Vec<u8>) -> Result<Self, sqlx::Error> {
        let Notice { id, event_type, object_id, livemode, api_version, occurred_at } = notice;
        let event = InboundEvent { source: source.to_owned(), id, event_type, object_id, livemode, occurred_at };
        let request_id = current_context().map(|context| context.request_id);
        let handling = Handling { receipt_id: ReceiptId::new(), event };
        Ok(Self { job: handling.job()?, handling, api_version, payload, request_id })
    }
}

impl Webhooks {
    /// Takes what a source sends. When this returns, the event is stored and will be handled, once, however often and
    /// however simultaneously it is sent. Says whether the signature covers the time, so that whoever sent this can sign
    /// now; otherwise it may be an old one, repeated for ever by whoever got hold of it.
    ///
    /// # Errors
    /// [`Error::NotFound`] for an unknown source, [`Error::InvalidSignature`], [`Error::InvalidTimestamp`],
    /// [`Error::InvalidEvent`]; nothing is stored then. [`Error::NotWritten`] while too many wait to be stored.
    pub(crate) async fn receive_event(&self, source: &str, headers: &HeaderMap, body: Vec<u8>) -> Result<bool, Error> {
        let known = self.0.sources.find(source).ok_or(Error::NotFound)?;
        let now = self.0.clock.now();
        known.verify(headers, &body, now)?;
        let place = self.0.inbox.places.clone().try_acquire_owned().map_err(|_full| Error::NotWritten)?;
        let receipt = Receipt::new(source, known.read(headers, &body, now)?, body)?;
        // In a task of its own: a sender that hangs up keeps nobody else's event from being stored.
        let webhooks = self.clone();
        let storing = spawn("inbox", async move {
            let _place = place;
            webhooks.0.inbox.receipts.write(receipt, |batch| webhooks.store_all(batch)).await
        });
        let is_new = storing.await.map_err(|_stopped| Error::NotWritten)??;
        let outcome = if is_new { "stored" } else { "repeated" };
        metrics::counter!("webhook_events_received_total", "source" => source.to_owned(), "outcome" => outcome)
            .increment(1);
        Ok(known.signs_time())
    }

    /// Stores events that came at the same time, and has those handed on that were not known: says which.
    async fn store_all(&self, batch: Vec<Arc<Receipt>>) -> Result<Vec<bool>, Error> {
        let mut tx = self.0.db.begin().await?;
        let new = store::insert(&mut tx, &batch).await?;
        let is_new: Vec<bool> = batch.iter().map(|receipt| new.contains(&receipt.handling.receipt_id)).collect();
        if !new.is_empty() {
            let unknown = batch.iter().zip(&is_new).filter(|(_, is_new)| **is_new);
            let jobs: Vec<NamedJob> = unknown.map(|(receipt, _)| receipt.job.clone()).collect();
            enqueue_named(&mut tx, &jobs).await?;
            tx.commit().await?;
        }
        Ok(is_new)
    }

    /// What a source sent, for the handler that wants to read it itself.
    pub(crate) async fn load_payload(&self, receipt: ReceiptId) -> Result<Vec<u8>, JobError> {
        let payload = store::find_payload(&mut *self.0.db.read().await?, receipt).await?;
        payload
            .ok_or_else(|| JobError::Discard("its receipt is past the retention, and the payload with it".to_owned()))
    }

    /// Removes receipts that are past the retention, a batch at a time. A job that still waits has all it needs with it,
    /// unless its handler reads the payload.
    pub(crate) async fn prune_inbox(&self) -> Result<(), Error> {
        let mut connection = self.0.db.read().await?;
        let mut pruned = 0;
        loop {
            let batch = store::delete_old(&mut connection, self.0.config.retention_days, PRUNE_BATCH).await?;
            pruned += batch;
            if batch < PRUNE_BATCH.unsigned_abs() {
                break;
            }
        }
        tracing::info!(pruned, "old receipts are removed from the inbox");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use serde_json::json;

    use super::*;

    #[test]
    fn the_arguments_of_jobs_keep_their_shape() {
        let id = "0197a3f1-5c4e-7d2a-9b1f-3e8c6a4d2b10";
        let stored = json!({
            "receipt_id": id, "source": "stripe", "id": "evt_1", "event_type": "invoice.paid", "object_id": "in_1",
            "livemode": false, "occurred_at": "2023-11-14T22:13:20Z",
        });
        let event = InboundEvent {
            source: "stripe".to_owned(),
            id: "evt_1".to_owned(),
            event_type: "invoice.paid".to_owned(),
            object_id: Some("in_1".to_owned()),
            livemode: Some(false),
            occurred_at: DateTime::from_timestamp(1_700_000_000, 0).expect("a time"),
        };
        let handling = Handling { receipt_id: id.parse().expect("an id"), event };
        assert_eq!(serde_json::to_value(&handling).expect("JSON"), stored);
        assert_eq!(serde_json::from_value::<Handling>(stored).expect("readable"), handling);
        assert_eq!((job_name("stripe"), queue("stripe")), ("webhooks handles stripe".into(), "inbound.stripe".into()));
    }
}
