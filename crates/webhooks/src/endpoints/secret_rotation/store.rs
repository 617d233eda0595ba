use chrono::{DateTime, Utc};
use platform::caller::OrgId;
use sqlx::PgConnection;
use uuid::Uuid;

use super::Secret;
use crate::endpoints::EndpointId;

/// Deletes the secrets of an endpoint that sign no more.
pub(super) async fn delete_expired(
    connection: &mut PgConnection,
    organization: OrgId,
    endpoint: EndpointId,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "DELETE FROM webhooks.endpoint_secrets secret
         USING webhooks.endpoints endpoint
         WHERE endpoint.organization_id = $1 AND endpoint.id = $2 AND secret.endpoint_id = endpoint.id
           AND secret.expires_at <= now()",
        organization.uuid(),
        endpoint.uuid(),
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The secrets of an endpoint, the oldest first; rotations keep them few.
pub(super) async fn list(
    connection: &mut PgConnection,
    organization: OrgId,
    endpoint: EndpointId,
) -> Result<Vec<Secret>, sqlx::Error> {
    sqlx::query_as!(
        Secret,
        "SELECT secret.id, secret.expires_at
         FROM webhooks.endpoint_secrets secret
         JOIN webhooks.endpoints endpoint ON endpoint.id = secret.endpoint_id
         WHERE endpoint.organization_id = $1 AND endpoint.id = $2
         ORDER BY secret.id LIMIT 100",
        organization.uuid(),
        endpoint.uuid(),
    )
    .fetch_all(connection)
    .await
}

/// Says of secrets of an endpoint until when they sign.
pub(super) async fn save_ends(
    connection: &mut PgConnection,
    organization: OrgId,
    endpoint: EndpointId,
    ends: &[(Uuid, DateTime<Utc>)],
) -> Result<(), sqlx::Error> {
    let (ids, ends): (Vec<Uuid>, Vec<DateTime<Utc>>) = ends.iter().copied().unzip();
    sqlx::query!(
        "UPDATE webhooks.endpoint_secrets secret SET expires_at = ending.expires_at
         FROM unnest($3::uuid[], $4::timestamptz[]) AS ending (id, expires_at), webhooks.endpoints endpoint
         WHERE endpoint.organization_id = $1 AND endpoint.id = $2 AND secret.endpoint_id = endpoint.id
           AND secret.id = ending.id",
        organization.uuid(),
        endpoint.uuid(),
        &ids,
        &ends,
    )
    .execute(connection)
    .await?;
    Ok(())
}
