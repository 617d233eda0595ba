use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Receipt, ReceiptId};

/// Stores the events that are not known yet; says which. A twin that is being stored at this moment is waited for, and in an
/// order in which nobody waits in a circle.
pub(super) async fn insert(
    connection: &mut PgConnection,
    receipts: &[Arc<Receipt>],
) -> Result<BTreeSet<ReceiptId>, sqlx::Error> {
    let mut receipts: Vec<&Receipt> = receipts.iter().map(AsRef::as_ref).collect();
    receipts.sort_by_key(|receipt| (&receipt.handling.event.source, &receipt.handling.event.id));
    let each = || receipts.iter();
    let events = || each().map(|receipt| &receipt.handling.event);
    let ids: Vec<Uuid> = each().map(|receipt| receipt.handling.receipt_id.uuid()).collect();
    let sources: Vec<String> = events().map(|event| event.source.clone()).collect();
    let external_ids: Vec<String> = events().map(|event| event.id.clone()).collect();
    let types: Vec<String> = events().map(|event| event.event_type.clone()).collect();
    let objects: Vec<Option<String>> = events().map(|event| event.object_id.clone()).collect();
    let modes: Vec<Option<bool>> = events().map(|event| event.livemode).collect();
    let versions: Vec<Option<String>> = each().map(|receipt| receipt.api_version.clone()).collect();
    let times: Vec<DateTime<Utc>> = events().map(|event| event.occurred_at).collect();
    let payloads: Vec<&[u8]> = each().map(|receipt| receipt.payload.as_slice()).collect();
    let requests: Vec<Option<String>> = each().map(|receipt| receipt.request_id.clone()).collect();
    let stored = sqlx::query_scalar!(
        r#"INSERT INTO webhooks.inbox
               (id, source, external_id, event_type, object_id, livemode, api_version, occurred_at, payload, request_id)
           SELECT id, source, external_id, event_type, object_id, livemode, api_version, occurred_at, payload, request_id
           FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::boolean[], $7::text[],
                       $8::timestamptz[], $9::bytea[], $10::text[])
               AS receipt (id, source, external_id, event_type, object_id, livemode, api_version, occurred_at, payload,
                           request_id)
           ON CONFLICT ON CONSTRAINT inbox_source_external_id_unique DO NOTHING
           RETURNING id AS "id: ReceiptId""#,
        &ids,
        &sources,
        &external_ids,
        &types,
        &objects as &[Option<String>],
        &modes as &[Option<bool>],
        &versions as &[Option<String>],
        &times,
        &payloads as &[&[u8]],
        &requests as &[Option<String>],
    )
    .fetch_all(connection)
    .await?;
    Ok(stored.into_iter().collect())
}

/// The bytes that were signed; none when the receipt is gone.
pub(super) async fn find_payload(
    connection: &mut PgConnection,
    receipt: ReceiptId,
) -> Result<Option<Vec<u8>>, sqlx::Error> {
    sqlx::query_scalar!("SELECT payload FROM webhooks.inbox WHERE id = $1", receipt.uuid())
        .fetch_optional(connection)
        .await
}

/// Deletes up to so many of the oldest receipts that are older than this; says how many.
pub(super) async fn delete_old(
    connection: &mut PgConnection,
    older_than_days: i32,
    limit: i64,
) -> Result<u64, sqlx::Error> {
    let deleted = sqlx::query!(
        "DELETE FROM webhooks.inbox WHERE id IN (
             SELECT id FROM webhooks.inbox WHERE id < webhooks.first_id(now() - make_interval(days => $1))
             ORDER BY id LIMIT $2
         )",
        older_than_days,
        limit,
    )
    .execute(connection)
    .await?;
    Ok(deleted.rows_affected())
}
