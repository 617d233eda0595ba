//! What waits although its message is no longer kept. The daily maintenance serves every organization at once, so these
//! functions take none.

use sqlx::PgConnection;
use uuid::Uuid;

use crate::deliveries::DeliveryStatus;
use crate::endpoints::EndpointId;

/// A delivery that nobody can send.
pub(in crate::deliveries) struct Expired {
    pub(in crate::deliveries) delivery: Uuid,
    pub(in crate::deliveries) endpoint: Uuid,
}

/// What was removed of an endpoint.
pub(in crate::deliveries) struct Removed {
    pub(in crate::deliveries) endpoint: EndpointId,
    pub(in crate::deliveries) count: i64,
    /// Slots given back, as a negative number: those of leases that ended.
    pub(in crate::deliveries) slots: i32,
}

/// Some of what waits for a message older than this and is not on its way.
pub(in crate::deliveries) async fn list(
    connection: &mut PgConnection,
    older_than_days: i32,
    limit: usize,
) -> Result<Vec<Expired>, sqlx::Error> {
    sqlx::query_as!(
        Expired,
        "SELECT delivery_id AS delivery, endpoint_id AS endpoint
         FROM webhooks.due_deliveries
         WHERE message_id < (SELECT webhooks.first_id(now() - make_interval(days => $1)))
           AND (lease IS NULL OR leased_until <= now())
         ORDER BY delivery_id LIMIT $2",
        older_than_days,
        i64::try_from(limit).unwrap_or(i64::MAX),
    )
    .fetch_all(connection)
    .await
}

/// Gives these up, unless they were taken meanwhile. Their endpoints are locked.
pub(in crate::deliveries) async fn give_up(
    connection: &mut PgConnection,
    deliveries: &[Uuid],
) -> Result<Vec<Removed>, sqlx::Error> {
    sqlx::query_as!(
        Removed,
        r#"WITH removed AS (
               DELETE FROM webhooks.due_deliveries
               WHERE delivery_id = ANY ($1) AND (lease IS NULL OR leased_until <= now())
               RETURNING delivery_id, endpoint_id, lease
           ), filed AS (
               UPDATE webhooks.deliveries delivery SET status = $2, finished_at = now()
               FROM removed WHERE delivery.id = removed.delivery_id
           )
           SELECT endpoint_id AS "endpoint: EndpointId", count(*) AS "count!",
                  (-count(*) FILTER (WHERE lease IS NOT NULL))::integer AS "slots!"
           FROM removed
           GROUP BY endpoint_id"#,
        deliveries,
        DeliveryStatus::Dead.as_str(),
    )
    .fetch_all(connection)
    .await
}
