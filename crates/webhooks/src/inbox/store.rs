use sqlx::PgConnection;

use super::{Receipt, ReceiptId};

/// Stores an event unless it is known; says whether it was not. A twin that is being stored at this moment is waited for.
pub(super) async fn insert(
    connection: &mut PgConnection,
    receipt: &Receipt,
    payload: &[u8],
) -> Result<bool, sqlx::Error> {
    let inserted = sqlx::query!(
        "INSERT INTO webhooks.inbox
             (id, source, external_id, event_type, object_id, livemode, api_version, occurred_at, payload, request_id)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
         ON CONFLICT ON CONSTRAINT inbox_source_external_id_unique DO NOTHING",
        receipt.id.uuid(),
        receipt.event.source,
        receipt.event.id,
        receipt.event.event_type,
        receipt.event.object_id,
        receipt.event.livemode,
        receipt.api_version,
        receipt.event.occurred_at,
        payload,
        receipt.request_id,
    )
    .execute(connection)
    .await?;
    Ok(inserted.rows_affected() == 1)
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
