//! What goes out, of every organization.

use chrono::{DateTime, Utc};
use platform::caller::OrgId;
use platform::ids::first_uuid_at;
use serde::Serialize;
use sqlx::PgConnection;
use uuid::Uuid;

use super::store;
use crate::deliveries::DeliveryStatus;
use crate::{Error, Webhooks};

/// Counting further would take long, and is not worth it.
const MOST_COUNTED: i64 = 100_000;

/// A delivery as operators see it.
#[derive(Clone, Debug, Serialize)]
pub struct DeliveryEntry {
    /// Names the delivery.
    pub id: Uuid,
    /// Whose endpoint it is for.
    pub organization_id: OrgId,
    /// The endpoint.
    pub endpoint_id: Uuid,
    /// Scheme, host and port of the endpoint, as the rest of a URL may hold a secret of the receiver's; none when it was
    /// deleted.
    pub endpoint_origin: Option<String>,
    /// What is sent.
    pub message_id: Uuid,
    /// The kind of message.
    pub event_type: String,
    /// How it is doing.
    pub status: DeliveryStatus,
    /// When it began.
    pub created_at: DateTime<Utc>,
    /// When it arrived or was given up.
    pub finished_at: Option<DateTime<Utc>>,
    /// When it is tried again; while it is on its way, when that was due.
    pub next_attempt_at: Option<DateTime<Utc>>,
    /// Until when a worker has it.
    pub leased_until: Option<DateTime<Utc>>,
    /// How often it was tried.
    pub attempts: i64,
    /// What the last attempt was answered with.
    pub last_http_status: Option<i16>,
    /// Why the last attempt failed.
    pub last_error: Option<String>,
}

/// A try as operators see it.
#[derive(Clone, Debug, Serialize)]
pub struct AttemptEntry {
    /// When.
    pub sent_at: DateTime<Utc>,
    /// How long it took.
    pub duration_ms: i32,
    /// None when no complete answer came.
    pub http_status: Option<i16>,
    /// Why it failed; none when it did not.
    pub error: Option<String>,
    /// The beginning of the answer.
    pub answer: Option<String>,
}

/// Which deliveries.
#[derive(Clone, Debug)]
pub struct DeliveryFilter {
    /// To the endpoints that this organization has.
    pub organization: Option<OrgId>,
    /// To this endpoint.
    pub endpoint: Option<Uuid>,
    /// In one of these states.
    pub statuses: Vec<DeliveryStatus>,
    /// That began since then.
    pub since: Option<DateTime<Utc>>,
}

impl DeliveryFilter {
    pub(super) fn oldest_id(&self) -> Uuid {
        self.since.map_or(Uuid::nil(), first_uuid_at)
    }

    pub(super) fn wants(&self, status: DeliveryStatus) -> bool {
        self.statuses.contains(&status)
    }

    /// The endpoints to look through; none for all of them.
    async fn endpoints(&self, connection: &mut PgConnection) -> Result<Option<Vec<Uuid>>, Error> {
        let Some(organization) = self.organization else { return Ok(self.endpoint.map(|endpoint| vec![endpoint])) };
        let mut endpoints = store::list_endpoints(connection, organization).await?;
        endpoints.retain(|known| self.endpoint.is_none_or(|wanted| wanted == *known));
        Ok(Some(endpoints))
    }
}

impl Webhooks {
    /// The ids of deliveries, those smaller than `before`, the newest first.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn list_delivery_ids(
        &self,
        filter: &DeliveryFilter,
        before: Uuid,
        limit: i64,
    ) -> Result<Vec<Uuid>, Error> {
        let mut connection = self.0.db.read().await?;
        Ok(match filter.endpoints(&mut connection).await? {
            Some(endpoints) => store::list_ids_to(&mut connection, &endpoints, filter, before, limit).await?,
            None => store::list_ids(&mut connection, filter, before, limit).await?,
        })
    }

    /// How many deliveries a filter lets through; none when they are more than a hundred thousand.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn count_deliveries(&self, filter: &DeliveryFilter) -> Result<Option<i64>, Error> {
        let mut connection = self.0.db.read().await?;
        let count = match filter.endpoints(&mut connection).await? {
            Some(endpoints) => store::count_to(&mut connection, &endpoints, filter, MOST_COUNTED + 1).await?,
            None => store::count(&mut connection, filter, MOST_COUNTED + 1).await?,
        };
        Ok((count <= MOST_COUNTED).then_some(count))
    }

    /// These deliveries, those that there are, the newest first.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn find_deliveries(&self, ids: &[Uuid]) -> Result<Vec<DeliveryEntry>, Error> {
        Ok(store::find_deliveries(&mut *self.0.db.read().await?, ids).await?)
    }

    /// The newest attempts of a delivery.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn list_delivery_attempts(&self, id: Uuid, limit: i64) -> Result<Vec<AttemptEntry>, Error> {
        Ok(store::list_attempts(&mut *self.0.db.read().await?, id, limit).await?)
    }
}
