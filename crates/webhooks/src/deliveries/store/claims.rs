//! What the delivery loop takes. It serves every organization at once, so these functions take none.
//!
//! Whoever gives or takes a lease holds the lock on the endpoint's row, so that two loops never exceed its slots.

use std::time::Duration;

use platform::caller::OrgId;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::deliveries::DeliveryId;
use crate::deliveries::health::PROBES;
use crate::endpoints::EndpointId;
use crate::messages::MessageId;

/// An endpoint that something may be due for; its row is locked.
pub(in crate::deliveries) struct Ready {
    pub(in crate::deliveries) id: EndpointId,
    pub(in crate::deliveries) organization: OrgId,
    pub(in crate::deliveries) url: String,
    pub(in crate::deliveries) slots: i32,
    pub(in crate::deliveries) in_flight: i32,
}

/// How much may be taken for an endpoint.
pub(in crate::deliveries) struct Portion {
    pub(in crate::deliveries) endpoint: EndpointId,
    /// Otherwise only what a lease that ended held is taken over, slot and all.
    pub(in crate::deliveries) has_free: bool,
    pub(in crate::deliveries) most: i32,
}

/// A delivery under our lease.
pub(in crate::deliveries) struct Taken {
    pub(in crate::deliveries) delivery: DeliveryId,
    pub(in crate::deliveries) endpoint: EndpointId,
    pub(in crate::deliveries) message: MessageId,
    /// How many attempts failed before.
    pub(in crate::deliveries) attempts: i32,
    /// Taken over from a worker whose lease ended; it holds its slot already.
    pub(in crate::deliveries) inherited: bool,
}

/// A key of an endpoint, sealed.
pub(in crate::deliveries) struct SealedKey {
    pub(in crate::deliveries) endpoint: EndpointId,
    pub(in crate::deliveries) sealed: Vec<u8>,
}

/// What is sent.
pub(in crate::deliveries) struct Letter {
    pub(in crate::deliveries) id: MessageId,
    pub(in crate::deliveries) body: Vec<u8>,
    pub(in crate::deliveries) request_id: Option<String>,
    pub(in crate::deliveries) traceparent: Option<String>,
}

/// Locks the endpoints that have waited longest, but none of these organizations. Those that another loop is looking at are
/// left to it. One that failed and was left alone has a single slot, for a probe.
pub(in crate::deliveries) async fn lock_ready(
    connection: &mut PgConnection,
    satisfied: &[Uuid],
    limit: usize,
) -> Result<Vec<Ready>, sqlx::Error> {
    sqlx::query_as!(
        Ready,
        r#"SELECT id AS "id: EndpointId", organization_id AS "organization: OrgId", url,
                  CASE WHEN paused_until IS NULL THEN max_in_flight ELSE $3 END AS "slots!", in_flight
           FROM webhooks.endpoints
           WHERE next_ready_at <= now() AND disabled_at IS NULL AND (paused_until IS NULL OR paused_until <= now())
             AND organization_id <> ALL ($1)
           ORDER BY next_ready_at
           LIMIT $2
           FOR NO KEY UPDATE SKIP LOCKED"#,
        satisfied,
        i64::try_from(limit).unwrap_or(i64::MAX),
        PROBES,
    )
    .fetch_all(connection)
    .await
}

/// Leases what is due for these endpoints, as much as each may have.
pub(in crate::deliveries) async fn take(
    connection: &mut PgConnection,
    portions: &[Portion],
    lease: Uuid,
    lease_time: Duration,
    limit: i64,
) -> Result<Vec<Taken>, sqlx::Error> {
    let ids: Vec<Uuid> = portions.iter().map(|portion| portion.endpoint.uuid()).collect();
    let has_free: Vec<bool> = portions.iter().map(|portion| portion.has_free).collect();
    let most: Vec<i32> = portions.iter().map(|portion| portion.most).collect();
    sqlx::query_as!(
        Taken,
        r#"WITH wanted AS (
               SELECT due.delivery_id, due.lease IS NOT NULL AS inherited
               FROM unnest($1::uuid[], $2::boolean[], $3::integer[]) AS portion (endpoint_id, has_free, most)
               CROSS JOIN LATERAL (
                   SELECT delivery_id, lease
                   FROM webhooks.due_deliveries
                   WHERE endpoint_id = portion.endpoint_id AND next_at <= now()
                     AND (leased_until <= now() OR (lease IS NULL AND portion.has_free))
                   ORDER BY next_at
                   LIMIT portion.most
               ) due
               LIMIT $6
           )
           UPDATE webhooks.due_deliveries due
           SET lease = $4, leased_until = now() + make_interval(secs => $5)
           FROM wanted
           WHERE due.delivery_id = wanted.delivery_id
           RETURNING due.delivery_id AS "delivery: DeliveryId", due.endpoint_id AS "endpoint: EndpointId",
                     due.message_id AS "message: MessageId", due.attempts, wanted.inherited AS "inherited!""#,
        &ids,
        &has_free,
        &most,
        lease,
        lease_time.as_secs_f64(),
        limit,
    )
    .fetch_all(connection)
    .await
}

/// Those of the endpoints, locked by us, to which nobody is adding deliveries at the moment. Whoever wants to add some
/// waits for us from now on, so what the next statement sees is all there is.
pub(in crate::deliveries) async fn list_quiet(
    connection: &mut PgConnection,
    portions: &[Portion],
) -> Result<Vec<EndpointId>, sqlx::Error> {
    let ids: Vec<Uuid> = portions.iter().map(|portion| portion.endpoint.uuid()).collect();
    sqlx::query_scalar!(
        r#"SELECT id AS "id: EndpointId" FROM webhooks.endpoints WHERE id = ANY ($1) FOR UPDATE SKIP LOCKED"#,
        &ids,
    )
    .fetch_all(connection)
    .await
}

/// The keys that sign for these endpoints now, the oldest first.
pub(in crate::deliveries) async fn list_keys(
    connection: &mut PgConnection,
    endpoints: &[Uuid],
) -> Result<Vec<SealedKey>, sqlx::Error> {
    sqlx::query_as!(
        SealedKey,
        r#"SELECT endpoint_id AS "endpoint: EndpointId", sealed
           FROM webhooks.endpoint_secrets
           WHERE endpoint_id = ANY ($1) AND (expires_at IS NULL OR expires_at > now())
           ORDER BY id"#,
        endpoints,
    )
    .fetch_all(connection)
    .await
}

/// These messages, those that are still kept.
pub(in crate::deliveries) async fn list_letters(
    connection: &mut PgConnection,
    messages: &[Uuid],
) -> Result<Vec<Letter>, sqlx::Error> {
    sqlx::query_as!(
        Letter,
        r#"SELECT id AS "id: MessageId", body, request_id, traceparent
           FROM webhooks.messages
           WHERE id = ANY ($1)"#,
        messages,
    )
    .fetch_all(connection)
    .await
}
