//! Deliveries: one message to one endpoint, tried until it arrives or the schedule ends.

mod expiry;
mod gauges;
mod health;
pub(crate) mod http;
mod mending;
mod retrying;
mod sending;
mod settling;
mod shares;
pub(crate) mod store;
mod verdict;

use chrono::{DateTime, Utc};
use platform::caller::Member;
use platform::http::{Page, PageRequest};
use serde::Serialize;

use crate::endpoints::{self, EndpointId};
use crate::messages::MessageId;
use crate::{Error, Webhooks, policy};

pub use mending::DeliveryOutcome;
pub(crate) use sending::Sending;

/// How many attempts of a delivery are shown, the newest ones.
const ATTEMPTS_SHOWN: i64 = 100;

platform::id! {
    /// Names a delivery.
    pub struct DeliveryId;
}

platform::id! {
    /// Names an attempt.
    pub struct AttemptId;
}

/// How a delivery is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum DeliveryStatus {
    /// Waiting, or on its way.
    Pending,
    /// The endpoint took it.
    Delivered,
    /// Given up.
    Dead,
}

impl DeliveryStatus {
    /// Every status.
    pub const ALL: [Self; 3] = [Self::Pending, Self::Delivered, Self::Dead];

    /// The stored name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Dead => "dead",
        }
    }
}

/// One message to one endpoint.
#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    pub(crate) id: DeliveryId,
    pub(crate) endpoint: EndpointId,
    pub(crate) message: MessageId,
    pub(crate) event_type: String,
    pub(crate) status: DeliveryStatus,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) finished_at: Option<DateTime<Utc>>,
    /// When it is tried again; while it is on its way, when that was due.
    pub(crate) next_attempt_at: Option<DateTime<Utc>>,
}

/// One try.
#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    pub(crate) id: AttemptId,
    pub(crate) sent_at: DateTime<Utc>,
    pub(crate) duration_ms: i32,
    /// None when no complete answer came.
    pub(crate) http_status: Option<i16>,
    /// Why it failed; none when it did not.
    pub(crate) error: Option<String>,
    /// The beginning of the answer.
    pub(crate) answer: Option<String>,
}

/// A delivery that is about to begin.
pub(crate) struct NewDelivery {
    pub(crate) id: DeliveryId,
    pub(crate) endpoint: EndpointId,
}

impl NewDelivery {
    pub(crate) fn to(endpoint: EndpointId) -> Self {
        Self { id: DeliveryId::new(), endpoint }
    }
}

/// A delivery of a message that was sent before, about to begin.
pub(crate) struct Repetition {
    pub(crate) id: DeliveryId,
    pub(crate) message: MessageId,
    pub(crate) event_type: String,
}

impl Repetition {
    pub(crate) fn of(message: MessageId, event_type: String) -> Self {
        Self { id: DeliveryId::new(), message, event_type }
    }
}

impl Webhooks {
    /// What was and will be sent to an endpoint, newest first.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Forbidden`].
    pub(crate) async fn list_deliveries(
        &self,
        member: &Member,
        endpoint: EndpointId,
        status: Option<DeliveryStatus>,
        page: &PageRequest,
    ) -> Result<Page<Delivery>, Error> {
        let mut connection = self.0.db.read().await?;
        let found = endpoints::store::find(&mut connection, member.org(), endpoint).await?;
        let endpoint = found.ok_or(Error::NotFound)?.id;
        if !policy::may_read_endpoints(member.role()) {
            return Err(Error::Forbidden);
        }
        let wanted = status.map_or(DeliveryStatus::ALL.to_vec(), |status| vec![status]);
        let rows = store::list(&mut connection, member.org(), endpoint, &wanted, page).await?;
        Ok(Page::of(rows, page, |delivery| delivery.id.uuid()))
    }

    /// One delivery with its attempts, the newest first.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Forbidden`].
    pub(crate) async fn show_delivery(
        &self,
        member: &Member,
        id: DeliveryId,
    ) -> Result<(Delivery, Vec<Attempt>), Error> {
        let mut connection = self.0.db.read().await?;
        let found = store::find(&mut connection, member.org(), id).await?.ok_or(Error::NotFound)?;
        if !policy::may_read_endpoints(member.role()) {
            return Err(Error::Forbidden);
        }
        let attempts = store::list_attempts(&mut connection, member.org(), found.id, ATTEMPTS_SHOWN).await?;
        Ok((found, attempts))
    }
}
