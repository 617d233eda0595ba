use platform::caller::OrgId;
use sqlx::PgConnection;

use super::Message;
use crate::endpoints::EndpointId;

/// An endpoint that wants a type of message.
pub(super) struct Subscriber {
    pub(super) id: EndpointId,
    pub(super) enabled: bool,
}

/// The endpoints that want this type. An organization has at most as many as the configuration allows, and never more
/// than 1000.
pub(super) async fn list_subscribers(
    connection: &mut PgConnection,
    organization: OrgId,
    event_type: &str,
) -> Result<Vec<Subscriber>, sqlx::Error> {
    sqlx::query_as!(
        Subscriber,
        r#"SELECT id AS "id: EndpointId", disabled_at IS NULL AS "enabled!"
           FROM webhooks.endpoints
           WHERE organization_id = $1 AND $2 = ANY (event_types)
           LIMIT 1000"#,
        organization.uuid(),
        event_type,
    )
    .fetch_all(connection)
    .await
}

pub(super) async fn insert(
    connection: &mut PgConnection,
    organization: OrgId,
    message: &Message,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "INSERT INTO webhooks.messages (id, organization_id, event_type, body, request_id, traceparent)
         VALUES ($1, $2, $3, $4, $5, $6)",
        message.id.uuid(),
        organization.uuid(),
        message.event_type,
        message.body,
        message.request_id,
        message.traceparent,
    )
    .execute(connection)
    .await?;
    Ok(())
}
