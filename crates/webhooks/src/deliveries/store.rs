pub(super) mod claims;
pub(super) mod expiry;
pub(super) mod gauges;
pub(super) mod settlements;
pub(super) mod standings;

use platform::caller::OrgId;
use platform::http::PageRequest;
use sqlx::PgConnection;
use uuid::Uuid;

use super::health::PROBES;
use super::retrying::Destination;
use super::{Attempt, AttemptId, Delivery, DeliveryId, DeliveryStatus, Repetition};
use crate::endpoints::EndpointId;
use crate::messages::MessageId;
use crate::messages::recording::Mailing;

/// Begins deliveries of messages. The foreign key keeps a share of the endpoints' rows until the transaction ends, by which
/// the delivery loop knows that something is being added.
pub(crate) async fn insert(connection: &mut PgConnection, mailings: &[Mailing<'_>]) -> Result<(), sqlx::Error> {
    let mut begun = Vec::new();
    for mailing in mailings {
        begun.extend(mailing.deliveries.iter().map(|delivery| (mailing, delivery)));
    }
    // The endpoints are locked in this order, which is that of their ids, as everywhere.
    begun.sort_by_key(|(_, delivery)| delivery.endpoint.uuid());
    let each = || begun.iter();
    let ids: Vec<Uuid> = each().map(|(_, delivery)| delivery.id.uuid()).collect();
    let organizations: Vec<Uuid> = each().map(|(mailing, _)| mailing.organization.uuid()).collect();
    let endpoints: Vec<Uuid> = each().map(|(_, delivery)| delivery.endpoint.uuid()).collect();
    let messages: Vec<Uuid> = each().map(|(mailing, _)| mailing.message.id.uuid()).collect();
    let types: Vec<String> = each().map(|(mailing, _)| mailing.message.event_type.to_owned()).collect();
    sqlx::query!(
        "WITH begun AS (
             SELECT id, organization_id, endpoint_id, message_id, event_type
             FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::text[])
                 AS begun (id, organization_id, endpoint_id, message_id, event_type)
         ), filed AS (
             INSERT INTO webhooks.deliveries (id, organization_id, endpoint_id, message_id, event_type, status)
             SELECT id, organization_id, endpoint_id, message_id, event_type, 'pending' FROM begun
         )
         INSERT INTO webhooks.due_deliveries (delivery_id, endpoint_id, message_id, next_at)
         SELECT id, endpoint_id, message_id, now() FROM begun",
        &ids,
        &organizations,
        &endpoints,
        &messages,
        &types,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Begins deliveries of old messages to one endpoint, in their order.
pub(crate) async fn insert_repetitions(
    connection: &mut PgConnection,
    organization: OrgId,
    endpoint: EndpointId,
    repetitions: &[Repetition],
) -> Result<(), sqlx::Error> {
    let ids: Vec<Uuid> = repetitions.iter().map(|repetition| repetition.id.uuid()).collect();
    let messages: Vec<Uuid> = repetitions.iter().map(|repetition| repetition.message.uuid()).collect();
    let types: Vec<String> = repetitions.iter().map(|repetition| repetition.event_type.clone()).collect();
    sqlx::query!(
        "WITH begun AS (
             SELECT id, message_id, event_type
             FROM unnest($1::uuid[], $2::uuid[], $3::text[]) AS begun (id, message_id, event_type)
         ), filed AS (
             INSERT INTO webhooks.deliveries (id, organization_id, endpoint_id, message_id, event_type, status)
             SELECT id, $4, $5, message_id, event_type, 'pending' FROM begun
         )
         INSERT INTO webhooks.due_deliveries (delivery_id, endpoint_id, message_id, next_at)
         SELECT id, $5, message_id, now() FROM begun",
        &ids,
        &messages,
        &types,
        organization.uuid(),
        endpoint.uuid(),
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// How many deliveries wait for an endpoint or are on their way to it, counted up to a limit.
pub(crate) async fn count_waiting(
    connection: &mut PgConnection,
    organization: OrgId,
    endpoint: EndpointId,
    limit: i64,
) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM (
               SELECT FROM webhooks.endpoints endpoint
               JOIN webhooks.due_deliveries due ON due.endpoint_id = endpoint.id
               WHERE endpoint.organization_id = $1 AND endpoint.id = $2
               LIMIT $3
           ) waiting"#,
        organization.uuid(),
        endpoint.uuid(),
        limit,
    )
    .fetch_one(connection)
    .await
}

/// Locks the endpoint of a delivery, as the delivery loop does whenever it takes or settles one: until the transaction ends,
/// nobody else begins, sends or ends the delivery.
pub(super) async fn lock_destination(
    connection: &mut PgConnection,
    organization: OrgId,
    id: DeliveryId,
) -> Result<Option<Destination>, sqlx::Error> {
    sqlx::query_as!(
        Destination,
        r#"SELECT endpoint.id AS "endpoint: EndpointId", endpoint.disabled_at IS NULL AS "enabled!"
           FROM webhooks.deliveries delivery
           JOIN webhooks.endpoints endpoint ON endpoint.id = delivery.endpoint_id
           WHERE delivery.organization_id = $1 AND delivery.id = $2
           FOR NO KEY UPDATE OF endpoint"#,
        organization.uuid(),
        id.uuid(),
    )
    .fetch_optional(connection)
    .await
}

/// Whether a message is still kept.
pub(super) async fn has_message(
    connection: &mut PgConnection,
    organization: OrgId,
    id: MessageId,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM webhooks.messages WHERE organization_id = $1 AND id = $2) AS "exists!""#,
        organization.uuid(),
        id.uuid(),
    )
    .fetch_one(connection)
    .await
}

/// Makes deliveries due now: those that ended begin again, with no attempt counted. What is on its way stays so. The
/// endpoints are locked.
pub(super) async fn make_due(
    connection: &mut PgConnection,
    organization: OrgId,
    ids: &[Uuid],
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "WITH begun AS (
             UPDATE webhooks.deliveries SET status = 'pending', finished_at = NULL
             WHERE organization_id = $1 AND id = ANY ($2) AND status <> 'pending'
         )
         INSERT INTO webhooks.due_deliveries AS due (delivery_id, endpoint_id, message_id, next_at)
         SELECT id, endpoint_id, message_id, now() FROM webhooks.deliveries
         WHERE organization_id = $1 AND id = ANY ($2)
         ON CONFLICT (delivery_id) DO UPDATE SET next_at = now() WHERE due.lease IS NULL",
        organization.uuid(),
        ids,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Has the delivery loop look at these endpoints, after [`insert`]. An endpoint that it is about to
/// look at anyway is left alone: writing its row would make messages to one endpoint wait for each other's commit. So
/// is one without a free slot: it is looked at when one is free. One that is paused is looked at when that is over. Rows
/// are locked in the order of their ids, as everywhere, so that nobody waits in a circle.
pub(crate) async fn draw_attention(connection: &mut PgConnection, endpoints: &[EndpointId]) -> Result<(), sqlx::Error> {
    let endpoints: Vec<Uuid> = endpoints.iter().map(|endpoint| endpoint.uuid()).collect();
    sqlx::query!(
        "UPDATE webhooks.endpoints SET next_ready_at = greatest(now(), paused_until)
         WHERE id IN (
             SELECT id FROM webhooks.endpoints
             WHERE id = ANY ($1)
               AND in_flight < CASE WHEN paused_until IS NULL THEN max_in_flight ELSE $2 END
               AND (next_ready_at IS NULL OR next_ready_at > greatest(clock_timestamp(), paused_until))
             ORDER BY id FOR NO KEY UPDATE
         )",
        &endpoints,
        PROBES,
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
