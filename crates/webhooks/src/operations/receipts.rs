//! What came in. A receipt never changes; how far its handling is, the job of its key says, which the platform knows.

use chrono::{DateTime, Utc};
use platform::ids::first_uuid_at;
use platform::jobs::{NamedJob, enqueue_named};
use serde::Serialize;
use uuid::Uuid;

use super::store;
use crate::inbox::{Handling, ReceiptId, job_name};
use crate::ports::InboundEvent;
use crate::{Error, Webhooks};

/// A receipt as operators see it.
#[derive(Clone, Debug, Serialize)]
pub struct ReceiptEntry {
    /// Names the receipt.
    pub id: Uuid,
    /// Who sent it.
    pub source: String,
    /// The sender's own id of the event.
    pub external_id: String,
    /// The sender's word for what happened.
    pub event_type: String,
    /// The sender's id of what it happened to.
    pub object_id: Option<String>,
    /// Whether it is more than a test, where the sender says so.
    pub livemode: Option<bool>,
    /// The dialect it speaks, where the sender says so.
    pub api_version: Option<String>,
    /// When it happened, by the sender's clock.
    pub occurred_at: DateTime<Utc>,
    /// The request that brought it.
    pub request_id: Option<String>,
    /// When it came in.
    pub received_at: DateTime<Utc>,
    /// How many bytes were signed.
    pub payload_bytes: i32,
}

impl ReceiptEntry {
    /// Name and unique key of the job that hands it on.
    #[must_use]
    pub fn handling(&self) -> (String, String) {
        (job_name(&self.source), self.id.to_string())
    }

    fn into_handling(self) -> Handling {
        let event = InboundEvent {
            source: self.source,
            id: self.external_id,
            event_type: self.event_type,
            object_id: self.object_id,
            livemode: self.livemode,
            occurred_at: self.occurred_at,
        };
        Handling { receipt_id: ReceiptId::from(self.id), event }
    }
}

/// Which receipts.
#[derive(Clone, Debug, Default)]
pub struct ReceiptFilter {
    /// Of this source.
    pub source: Option<String>,
    /// Of this type.
    pub event_type: Option<String>,
    /// That came in since then.
    pub since: Option<DateTime<Utc>>,
}

impl ReceiptFilter {
    /// Whether it lets a receipt through.
    #[must_use]
    pub fn lets_through(&self, receipt: &ReceiptEntry) -> bool {
        self.source.as_ref().is_none_or(|source| *source == receipt.source)
            && self.event_type.as_ref().is_none_or(|wanted| *wanted == receipt.event_type)
            && self.since.is_none_or(|since| receipt.id >= first_uuid_at(since))
    }

    pub(super) fn oldest_id(&self) -> Uuid {
        self.since.map_or(Uuid::nil(), first_uuid_at)
    }
}

impl Webhooks {
    /// The names of the jobs that hand on what the configured sources send.
    #[must_use]
    pub fn handling_names(&self, source: Option<&str>) -> Vec<String> {
        match source {
            Some(source) => vec![job_name(source)],
            None => self.0.sources.iter().map(|(name, _)| job_name(name)).collect(),
        }
    }

    /// Receipts with a smaller id than `before`, the newest first.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn list_receipts(
        &self,
        filter: &ReceiptFilter,
        before: Uuid,
        limit: i64,
    ) -> Result<Vec<ReceiptEntry>, Error> {
        Ok(store::list_receipts(&mut *self.0.db.read().await?, filter, before, limit).await?)
    }

    /// These receipts, those that there are, the newest first.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn find_receipts(&self, ids: &[Uuid]) -> Result<Vec<ReceiptEntry>, Error> {
        Ok(store::find_receipts(&mut *self.0.db.read().await?, ids).await?)
    }

    /// The exact bytes that came in; none when there is no such receipt.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn receipt_payload(&self, id: Uuid) -> Result<Option<Vec<u8>>, Error> {
        Ok(store::find_payload(&mut *self.0.db.read().await?, id).await?)
    }

    /// Has these receipts handed on once more, those that there are, all or none. One that is waiting to be handed on already
    /// is not handed on twice.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn hand_on_again(&self, ids: &[Uuid]) -> Result<(), Error> {
        let mut tx = self.0.db.begin().await?;
        let receipts = store::find_receipts(&mut tx, ids).await?;
        let jobs: Result<Vec<NamedJob>, sqlx::Error> =
            receipts.into_iter().map(|receipt| receipt.into_handling().job()).collect();
        enqueue_named(&mut tx, &jobs?).await?;
        Ok(tx.commit().await?)
    }
}
