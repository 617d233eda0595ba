//! What webhooks needs of others, in its own words.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use platform::jobs::{JobError, Running};
use serde::{Deserialize, Serialize};

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

/// Knows what to do with the events of a source.
#[async_trait]
pub trait InboundHandler: Send + Sync {
    /// Handles one event, as a job: settle `running` in the transaction that holds the effect, so that the event has its
    /// effect once.
    ///
    /// # Errors
    /// [`JobError::Retry`] to be asked again later, [`JobError::Discard`] where that cannot help.
    async fn handle(&self, event: InboundEvent, running: &Running) -> Result<(), JobError>;
}
