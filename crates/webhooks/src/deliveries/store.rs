pub(super) mod claims;
pub(super) mod settlements;

use platform::caller::OrgId;
use platform::http::PageRequest;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Attempt, AttemptId, Delivery, DeliveryId, DeliveryStatus, NewDelivery};
use crate::endpoints::EndpointId;
use crate::messages::{Message, MessageId};

/// Begins deliveries of a message. The foreign key keeps a share of the endpoints' rows until the transaction ends, by
/// which the delivery loop knows that something is being added.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    organization: OrgId,
    message: &Message,
    deliveries: &[NewDelivery],
) -> Result<(), sqlx::Error> {
    let ids: Vec<Uuid> = deliveries.iter().map(|delivery| delivery.id.uuid()).collect();
    let endpoints: Vec<Uuid> = deliveries.iter().map(|delivery| delivery.endpoint.uuid()).collect();
    sqlx::query!(
        "WITH begun AS (
             SELECT id, endpoint_id FROM unnest($1::uuid[], $2::uuid[]) AS begun (id, endpoint_id)
         ), filed AS (
             INSERT INTO webhooks.deliveries (id, organization_id, endpoint_id, message_id, event_type, status)
             SELECT id, $3, endpoint_id, $4, $5, 'pending' FROM begun
         )
         INSERT INTO webhooks.due_deliveries (delivery_id, endpoint_id, message_id, next_at)
         SELECT id, endpoint_id, $4, now() FROM begun",
        &ids,
        &endpoints,
        organization.uuid(),
        message.id.uuid(),
        message.event_type,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Has the delivery loop look at the endpoints of these deliveries, after [`insert`]. An endpoint that it is about to
/// look at anyway is left alone: writing its row would make messages to one endpoint wait for each other's commit. So
/// is one without a free slot: it is looked at when one is free. Rows are locked in the order of their ids, as
/// everywhere, so that nobody waits in a circle.
pub(crate) async fn draw_attention(
    connection: &mut PgConnection,
    organization: OrgId,
    deliveries: &[NewDelivery],
) -> Result<(), sqlx::Error> {
    let endpoints: Vec<Uuid> = deliveries.iter().map(|delivery| delivery.endpoint.uuid()).collect();
    sqlx::query!(
        "UPDATE webhooks.endpoints SET next_ready_at = now()
         WHERE id IN (
             SELECT id FROM webhooks.endpoints
             WHERE organization_id = $1 AND id = ANY ($2) AND in_flight < max_in_flight
               AND (next_ready_at IS NULL OR next_ready_at > clock_timestamp())
             ORDER BY id FOR NO KEY UPDATE
         )",
        organization.uuid(),
        &endpoints,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Reads each wanted status along the index and merges the newest of each.
pub(super) async fn list(
    connection: &mut PgConnection,
    organization: OrgId,
    endpoint: EndpointId,
    wanted: &[DeliveryStatus],
    page: &PageRequest,
) -> Result<Vec<Delivery>, sqlx::Error> {
    let wanted: Vec<String> = wanted.iter().map(|status| status.as_str().to_owned()).collect();
    sqlx::query_as!(
        Delivery,
        r#"SELECT delivery.id AS "id!: DeliveryId", delivery.endpoint_id AS "endpoint!: EndpointId",
                  delivery.message_id AS "message!: MessageId", delivery.event_type AS "event_type!",
                  delivery.status AS "status!: DeliveryStatus", delivery.created_at AS "created_at!",
                  delivery.finished_at AS "finished_at?", due.next_at AS "next_attempt_at?"
           FROM unnest($3::text[]) AS wanted (status)
           CROSS JOIN LATERAL (
               SELECT id, endpoint_id, message_id, event_type, status, created_at, finished_at
               FROM webhooks.deliveries
               WHERE organization_id = $1 AND endpoint_id = $2 AND status = wanted.status AND id < $4
               ORDER BY id DESC LIMIT $5
           ) delivery
           LEFT JOIN webhooks.due_deliveries due ON due.delivery_id = delivery.id
           ORDER BY delivery.id DESC LIMIT $5"#,
        organization.uuid(),
        endpoint.uuid(),
        &wanted,
        page.before,
        page.fetch(),
    )
    .fetch_all(connection)
    .await
}

/// A delivery of an endpoint that still exists.
pub(super) async fn find(
    connection: &mut PgConnection,
    organization: OrgId,
    id: DeliveryId,
) -> Result<Option<Delivery>, sqlx::Error> {
    sqlx::query_as!(
        Delivery,
        r#"SELECT delivery.id AS "id: DeliveryId", delivery.endpoint_id AS "endpoint: EndpointId",
                  delivery.message_id AS "message: MessageId", delivery.event_type,
                  delivery.status AS "status: DeliveryStatus", delivery.created_at, delivery.finished_at,
                  due.next_at AS "next_attempt_at?"
           FROM webhooks.deliveries delivery
           JOIN webhooks.endpoints endpoint ON endpoint.id = delivery.endpoint_id
           LEFT JOIN webhooks.due_deliveries due ON due.delivery_id = delivery.id
           WHERE delivery.organization_id = $1 AND delivery.id = $2"#,
        organization.uuid(),
        id.uuid(),
    )
    .fetch_optional(connection)
    .await
}

/// The newest attempts of a delivery.
pub(super) async fn list_attempts(
    connection: &mut PgConnection,
    organization: OrgId,
    delivery: DeliveryId,
    limit: i64,
) -> Result<Vec<Attempt>, sqlx::Error> {
    sqlx::query_as!(
        Attempt,
        r#"SELECT attempt.id AS "id: AttemptId", attempt.sent_at, attempt.duration_ms, attempt.http_status,
                  attempt.error, attempt.answer
           FROM webhooks.delivery_attempts attempt
           JOIN webhooks.deliveries delivery ON delivery.id = attempt.delivery_id
           WHERE delivery.organization_id = $1 AND attempt.delivery_id = $2
           ORDER BY attempt.id DESC LIMIT $3"#,
        organization.uuid(),
        delivery.uuid(),
        limit,
    )
    .fetch_all(connection)
    .await
}
