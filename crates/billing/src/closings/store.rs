use chrono::{DateTime, Utc};
use platform::caller::OrgId;
use sqlx::PgConnection;

pub(super) async fn close(
    connection: &mut PgConnection,
    organization: OrgId,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "INSERT INTO billing.closed_organizations (organization_id, closed_at) VALUES ($1, $2) ON CONFLICT DO NOTHING",
        organization.uuid(),
        now,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Whether the organization is gone. Ask with the organization locked.
pub(crate) async fn is_closed(connection: &mut PgConnection, organization: OrgId) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM billing.closed_organizations WHERE organization_id = $1) AS "closed!""#,
        organization.uuid(),
    )
    .fetch_one(connection)
    .await
}
