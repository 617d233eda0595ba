//! What webhooks needs of others, in its own words.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use platform::jobs::{JobError, Running};
use serde::{Deserialize, Serialize};

use crate::Webhooks;
use crate::inbox::ReceiptId;

/// Something that a source told us: what it says it is about, not what is so. Ask the source for the state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InboundEvent {
    /// The name of the source in the configuration.
    pub source: String,
    /// The sender's id of the event, the same over all its repetitions.
    pub id: String,
    /// The sender's word for what happened; there may be new ones some day.
    pub event_type: String,
    /// The sender's id of what it happened to.
    pub object_id: Option<String>,
    /// Whether it is more than a test; none where the sender does not say.
    pub livemode: Option<bool>,
    /// When it happened, by the sender's clock. Nothing arrives in order, and many senders count whole seconds.
    pub occurred_at: DateTime<Utc>,
}

/// The exact bytes that the source signed. They are read when somebody asks for them: a handler that asks the source for the
/// state instead costs nothing more.
pub struct Payload {
    pub(crate) webhooks: Webhooks,
    pub(crate) receipt: ReceiptId,
}

impl Payload {
    /// Reads them from the receipt. What the headers said besides is in the event.
    ///
    /// # Errors
    /// [`JobError::Discard`] when the receipt is past the retention, as it may be when a dead letter is retried late;
    /// [`JobError::Retry`] when the database is away.
    pub async fn read(&self) -> Result<Vec<u8>, JobError> {
        self.webhooks.load_payload(self.receipt).await
    }
}

/// Knows what to do with the events of a source.
#[async_trait]
pub trait InboundHandler: Send + Sync {
    /// Handles one event, as a job: settle `running` in the transaction that holds the effect, so that the event has its
    /// effect once. Types it does not know it ignores, by returning: their receipts stay in the inbox.
    ///
    /// # Errors
    /// [`JobError::Retry`] to be asked again later, [`JobError::Discard`] where that cannot help.
    async fn handle(&self, event: InboundEvent, payload: &Payload, running: &Running) -> Result<(), JobError>;
}
