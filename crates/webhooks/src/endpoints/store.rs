use chrono::{DateTime, Utc};
use platform::caller::OrgId;
use platform::http::PageRequest;
use platform::ids::new_uuid;
use sqlx::PgConnection;

use super::{DisabledReason, Endpoint, EndpointId};

/// The database's time, which decides what has expired and which messages are past.
pub(crate) async fn now(connection: &mut PgConnection) -> Result<DateTime<Utc>, sqlx::Error> {
    sqlx::query_scalar!(r#"SELECT now() AS "now!""#).fetch_one(connection).await
}

/// Locks out others who add endpoints to the organization, until the transaction ends.
pub(super) async fn lock_organization(connection: &mut PgConnection, organization: OrgId) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "SELECT pg_advisory_xact_lock(hashtextextended('webhooks.endpoints ' || $1::uuid::text, 0))",
        organization.uuid(),
    )
    .fetch_one(connection)
    .await?;
    Ok(())
}

pub(super) async fn count(connection: &mut PgConnection, organization: OrgId) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM webhooks.endpoints WHERE organization_id = $1"#,
        organization.uuid(),
    )
    .fetch_one(connection)
    .await
}

pub(super) async fn insert(
    connection: &mut PgConnection,
    organization: OrgId,
    endpoint: &Endpoint,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "INSERT INTO webhooks.endpoints
             (id, organization_id, url, description, event_types, max_in_flight, version, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        endpoint.id.uuid(),
        organization.uuid(),
        endpoint.url,
        endpoint.description,
        &endpoint.event_types,
        endpoint.max_in_flight,
        endpoint.version,
        endpoint.created_at,
        endpoint.updated_at,
    )
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn insert_secret(
    connection: &mut PgConnection,
    organization: OrgId,
    endpoint: EndpointId,
    sealed: &[u8],
    created_at: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "INSERT INTO webhooks.endpoint_secrets (id, endpoint_id, sealed, created_at)
         SELECT $1, id, $4, $5 FROM webhooks.endpoints WHERE organization_id = $2 AND id = $3",
        new_uuid(),
        organization.uuid(),
        endpoint.uuid(),
        sealed,
        created_at,
    )
    .execute(connection)
    .await?;
    Ok(())
}

pub(crate) async fn list(
    connection: &mut PgConnection,
    organization: OrgId,
    page: &PageRequest,
) -> Result<Vec<Endpoint>, sqlx::Error> {
    sqlx::query_as!(
        Endpoint,
        r#"SELECT id AS "id: EndpointId", url, description, event_types, max_in_flight, version, created_at, updated_at,
                  disabled_at, disabled_reason AS "disabled_reason: DisabledReason", paused_until, failing_since
           FROM webhooks.endpoints
           WHERE organization_id = $1 AND id < $2
           ORDER BY id DESC LIMIT $3"#,
        organization.uuid(),
        page.before,
        page.fetch(),
    )
    .fetch_all(connection)
    .await
}

pub(crate) async fn find(
    connection: &mut PgConnection,
    organization: OrgId,
    id: EndpointId,
) -> Result<Option<Endpoint>, sqlx::Error> {
    sqlx::query_as!(
        Endpoint,
        r#"SELECT id AS "id: EndpointId", url, description, event_types, max_in_flight, version, created_at, updated_at,
                  disabled_at, disabled_reason AS "disabled_reason: DisabledReason", paused_until, failing_since
           FROM webhooks.endpoints
           WHERE organization_id = $1 AND id = $2"#,
        organization.uuid(),
        id.uuid(),
    )
    .fetch_optional(connection)
    .await
}

/// Locks the endpoint until the transaction ends, so that two changes follow one another.
pub(crate) async fn lock(
    connection: &mut PgConnection,
    organization: OrgId,
    id: EndpointId,
) -> Result<Option<Endpoint>, sqlx::Error> {
    sqlx::query_as!(
        Endpoint,
        r#"SELECT id AS "id: EndpointId", url, description, event_types, max_in_flight, version, created_at, updated_at,
                  disabled_at, disabled_reason AS "disabled_reason: DisabledReason", paused_until, failing_since
           FROM webhooks.endpoints
           WHERE organization_id = $1 AND id = $2
           FOR UPDATE"#,
        organization.uuid(),
        id.uuid(),
    )
    .fetch_optional(connection)
    .await
}

/// Saves a change and has the delivery loop look at the endpoint again, as it may have more slots now; after its pause, if it
/// is paused.
pub(super) async fn save(
    connection: &mut PgConnection,
    organization: OrgId,
    changed: &Endpoint,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE webhooks.endpoints
         SET url = $3, description = $4, event_types = $5, max_in_flight = $6, version = $7, updated_at = $8,
             failing_since = $9, paused_until = $10, next_ready_at = greatest(now(), $10),
             consecutive_failures = CASE url WHEN $3 THEN consecutive_failures ELSE 0 END,
             pauses = CASE url WHEN $3 THEN pauses ELSE 0 END
         WHERE organization_id = $1 AND id = $2",
        organization.uuid(),
        changed.id.uuid(),
        changed.url,
        changed.description,
        &changed.event_types,
        changed.max_in_flight,
        changed.version,
        changed.updated_at,
        changed.failing_since,
        changed.paused_until,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Deletes the endpoint; its secrets and what waits for it go with it.
pub(super) async fn delete(
    connection: &mut PgConnection,
    organization: OrgId,
    id: EndpointId,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "DELETE FROM webhooks.endpoints WHERE organization_id = $1 AND id = $2",
        organization.uuid(),
        id.uuid(),
    )
    .execute(connection)
    .await?;
    Ok(())
}
