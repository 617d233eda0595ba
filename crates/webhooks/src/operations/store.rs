//! What operators look for, in every organization: the delivery loop's view of the tables, not a tenant's.

use platform::caller::OrgId;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{AttemptEntry, DeliveryEntry, DeliveryFilter, ReceiptEntry, ReceiptFilter};
use crate::deliveries::DeliveryStatus;

/// Walks along the primary key, or along an index of types or sources where few receipts are wanted.
pub(super) async fn list_receipts(
    connection: &mut PgConnection,
    filter: &ReceiptFilter,
    before: Uuid,
    limit: i64,
) -> Result<Vec<ReceiptEntry>, sqlx::Error> {
    sqlx::query_as!(
        ReceiptEntry,
        r#"SELECT id, source, external_id, event_type, object_id, livemode, api_version, occurred_at, request_id,
                  received_at, octet_length(payload) AS "payload_bytes!"
           FROM webhooks.inbox
           WHERE id < $1 AND id >= $2 AND ($3::text IS NULL OR source = $3) AND ($4::text IS NULL OR event_type = $4)
           ORDER BY id DESC LIMIT $5"#,
        before,
        filter.oldest_id(),
        filter.source,
        filter.event_type,
        limit,
    )
    .fetch_all(connection)
    .await
}

pub(super) async fn find_receipts(
    connection: &mut PgConnection,
    ids: &[Uuid],
) -> Result<Vec<ReceiptEntry>, sqlx::Error> {
    sqlx::query_as!(
        ReceiptEntry,
        r#"SELECT id, source, external_id, event_type, object_id, livemode, api_version, occurred_at, request_id,
                  received_at, octet_length(payload) AS "payload_bytes!"
           FROM webhooks.inbox
           WHERE id = ANY ($1)
           ORDER BY id DESC"#,
        ids,
    )
    .fetch_all(connection)
    .await
}

pub(super) async fn find_payload(connection: &mut PgConnection, id: Uuid) -> Result<Option<Vec<u8>>, sqlx::Error> {
    sqlx::query_scalar!("SELECT payload FROM webhooks.inbox WHERE id = $1", id).fetch_optional(connection).await
}

/// The endpoints that an organization has, at most a thousand.
pub(super) async fn list_endpoints(
    connection: &mut PgConnection,
    organization: OrgId,
) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar!("SELECT id FROM webhooks.endpoints WHERE organization_id = $1 LIMIT 1000", organization.uuid())
        .fetch_all(connection)
        .await
}

/// Of each endpoint and status the newest, along the index, and of those the newest.
pub(super) async fn list_ids_to(
    connection: &mut PgConnection,
    endpoints: &[Uuid],
    filter: &DeliveryFilter,
    before: Uuid,
    limit: i64,
) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT delivery.id AS "id!"
           FROM unnest($1::uuid[]) AS wanted (endpoint_id)
           CROSS JOIN unnest($2::text[]) AS also (status)
           CROSS JOIN LATERAL (
               SELECT id FROM webhooks.deliveries
               WHERE endpoint_id = wanted.endpoint_id AND status = also.status AND id < $3 AND id >= $4
               ORDER BY id DESC LIMIT $5
           ) delivery
           ORDER BY delivery.id DESC LIMIT $5"#,
        endpoints,
        &names(filter),
        before,
        filter.oldest_id(),
        limit,
    )
    .fetch_all(connection)
    .await
}

/// Each status has an index to walk along: what is dead one of its own, what waits a table of its own, and nearly all the rest
/// has arrived.
pub(super) async fn list_ids(
    connection: &mut PgConnection,
    filter: &DeliveryFilter,
    before: Uuid,
    limit: i64,
) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"(SELECT id AS "id!" FROM webhooks.deliveries
            WHERE $1 AND status = 'dead' AND id < $4 AND id >= $5 ORDER BY id DESC LIMIT $6)
           UNION ALL
           (SELECT delivery_id FROM webhooks.due_deliveries
            WHERE $2 AND delivery_id < $4 AND delivery_id >= $5 ORDER BY delivery_id DESC LIMIT $6)
           UNION ALL
           (SELECT id FROM webhooks.deliveries
            WHERE $3 AND status = 'delivered' AND id < $4 AND id >= $5 ORDER BY id DESC LIMIT $6)
           ORDER BY 1 DESC LIMIT $6"#,
        filter.wants(DeliveryStatus::Dead),
        filter.wants(DeliveryStatus::Pending),
        filter.wants(DeliveryStatus::Delivered),
        before,
        filter.oldest_id(),
        limit,
    )
    .fetch_all(connection)
    .await
}

/// Counts no further than `most`.
pub(super) async fn count_to(
    connection: &mut PgConnection,
    endpoints: &[Uuid],
    filter: &DeliveryFilter,
    most: i64,
) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!"
           FROM (SELECT 1 FROM unnest($1::uuid[]) AS wanted (endpoint_id)
                 CROSS JOIN unnest($2::text[]) AS also (status)
                 JOIN webhooks.deliveries delivery
                      ON delivery.endpoint_id = wanted.endpoint_id AND delivery.status = also.status AND delivery.id >= $3
                 LIMIT $4) found"#,
        endpoints,
        &names(filter),
        filter.oldest_id(),
        most,
    )
    .fetch_one(connection)
    .await
}

/// Counts no further than `most`.
pub(super) async fn count(
    connection: &mut PgConnection,
    filter: &DeliveryFilter,
    most: i64,
) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!"
           FROM ((SELECT 1 FROM webhooks.deliveries WHERE $1 AND status = 'dead' AND id >= $4 LIMIT $5)
                 UNION ALL
                 (SELECT 1 FROM webhooks.due_deliveries WHERE $2 AND delivery_id >= $4 LIMIT $5)
                 UNION ALL
                 (SELECT 1 FROM webhooks.deliveries WHERE $3 AND status = 'delivered' AND id >= $4 LIMIT $5)
                 LIMIT $5) found"#,
        filter.wants(DeliveryStatus::Dead),
        filter.wants(DeliveryStatus::Pending),
        filter.wants(DeliveryStatus::Delivered),
        filter.oldest_id(),
        most,
    )
    .fetch_one(connection)
    .await
}

pub(super) async fn find_deliveries(
    connection: &mut PgConnection,
    ids: &[Uuid],
) -> Result<Vec<DeliveryEntry>, sqlx::Error> {
    sqlx::query_as!(
        DeliveryEntry,
        r#"SELECT delivery.id AS "id!", delivery.organization_id AS "organization_id!: OrgId",
                  delivery.endpoint_id AS "endpoint_id!",
                  regexp_replace(endpoint.url, '^([^:]+://)(?:[^/?#]*@)?([^/?#]*).*$', '\1\2') AS "endpoint_origin?",
                  delivery.message_id AS "message_id!", delivery.event_type AS "event_type!",
                  delivery.status AS "status!: DeliveryStatus", delivery.created_at AS "created_at!",
                  delivery.finished_at AS "finished_at?",
                  due.next_at AS "next_attempt_at?", due.leased_until AS "leased_until?",
                  attempt.count AS "attempts!", attempt.http_status AS "last_http_status?", attempt.error AS "last_error?"
           FROM webhooks.deliveries delivery
           LEFT JOIN webhooks.endpoints endpoint ON endpoint.id = delivery.endpoint_id
           LEFT JOIN webhooks.due_deliveries due ON due.delivery_id = delivery.id
           CROSS JOIN LATERAL (
               SELECT count(*), (array_agg(http_status ORDER BY id DESC))[1] AS http_status,
                      (array_agg(error ORDER BY id DESC))[1] AS error
               FROM webhooks.delivery_attempts WHERE delivery_id = delivery.id
           ) attempt
           WHERE delivery.id = ANY ($1)
           ORDER BY delivery.id DESC"#,
        ids,
    )
    .fetch_all(connection)
    .await
}

/// The newest attempts.
pub(super) async fn list_attempts(
    connection: &mut PgConnection,
    delivery: Uuid,
    limit: i64,
) -> Result<Vec<AttemptEntry>, sqlx::Error> {
    sqlx::query_as!(
        AttemptEntry,
        "SELECT sent_at, duration_ms, http_status, error, answer
         FROM webhooks.delivery_attempts WHERE delivery_id = $1 ORDER BY id DESC LIMIT $2",
        delivery,
        limit,
    )
    .fetch_all(connection)
    .await
}

fn names(filter: &DeliveryFilter) -> Vec<String> {
    filter.statuses.iter().map(|status| status.as_str().to_owned()).collect()
}
