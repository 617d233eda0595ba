use sqlx::PgConnection;
use uuid::Uuid;

use super::recording::Mailing;
use crate::endpoints::EndpointId;

/// An endpoint that wants a type of message.
pub(super) struct Subscriber {
    /// Which of the messages.
    pub(super) of: usize,
    pub(super) id: EndpointId,
    pub(super) enabled: bool,
}

/// The endpoints of each message's organization that want its type. An organization has at most as many as the configuration
/// allows, and never more than 1000.
pub(super) async fn list_subscribers(
    connection: &mut PgConnection,
    mailings: &[Mailing<'_>],
) -> Result<Vec<Subscriber>, sqlx::Error> {
    let organizations: Vec<Uuid> = mailings.iter().map(|mailing| mailing.organization.uuid()).collect();
    let types: Vec<String> = mailings.iter().map(|mailing| mailing.message.event_type.to_owned()).collect();
    sqlx::query!(
        r#"SELECT message.position AS "position!", endpoint.id AS "id!: EndpointId", endpoint.enabled AS "enabled!"
           FROM unnest($1::uuid[], $2::text[]) WITH ORDINALITY AS message (organization_id, event_type, position)
           CROSS JOIN LATERAL (
               SELECT id, disabled_at IS NULL AS enabled
               FROM webhooks.endpoints
               WHERE organization_id = message.organization_id AND message.event_type = ANY (event_types)
               LIMIT 1000
           ) AS endpoint"#,
        &organizations,
        &types,
    )
    .map(|row| Subscriber {
        of: usize::try_from(row.position - 1).unwrap_or_default(),
        id: row.id,
        enabled: row.enabled,
    })
    .fetch_all(connection)
    .await
}

pub(crate) async fn insert(connection: &mut PgConnection, mailings: &[Mailing<'_>]) -> Result<(), sqlx::Error> {
    let ids: Vec<Uuid> = mailings.iter().map(|mailing| mailing.message.id.uuid()).collect();
    let organizations: Vec<Uuid> = mailings.iter().map(|mailing| mailing.organization.uuid()).collect();
    let types: Vec<String> = mailings.iter().map(|mailing| mailing.message.event_type.to_owned()).collect();
    let bodies: Vec<Vec<u8>> = mailings.iter().map(|mailing| mailing.message.body.clone()).collect();
    let requests: Vec<Option<String>> = mailings.iter().map(|mailing| mailing.message.request_id.clone()).collect();
    let parents: Vec<Option<String>> = mailings.iter().map(|mailing| mailing.message.traceparent.clone()).collect();
    sqlx::query!(
        "INSERT INTO webhooks.messages (id, organization_id, event_type, body, request_id, traceparent)
         SELECT id, organization_id, event_type, body, request_id, traceparent
         FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::bytea[], $5::text[], $6::text[])
             AS message (id, organization_id, event_type, body, request_id, traceparent)",
        &ids,
        &organizations,
        &types,
        &bodies,
        &requests as &[Option<String>],
        &parents as &[Option<String>],
    )
    .execute(connection)
    .await?;
    Ok(())
}
