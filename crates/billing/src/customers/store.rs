use chrono::{DateTime, Utc};
use platform::caller::OrgId;
use sqlx::PgConnection;

pub(crate) async fn find(
    connection: &mut PgConnection,
    organization: OrgId,
    provider: &str,
) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar!(
        "SELECT provider_customer_id FROM billing.customers WHERE organization_id = $1 AND provider = $2",
        organization.uuid(),
        provider,
    )
    .fetch_optional(connection)
    .await
}

/// Remembers who the organization is to the provider, unless that is known already.
pub(crate) async fn bind(
    connection: &mut PgConnection,
    organization: OrgId,
    provider: &str,
    customer: &str,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "INSERT INTO billing.customers (organization_id, provider, provider_customer_id, created_at)
         VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
        organization.uuid(),
        provider,
        customer,
        now,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Forgets a customer whom the provider no longer knows; another one stays.
pub(crate) async fn forget(
    connection: &mut PgConnection,
    organization: OrgId,
    provider: &str,
    customer: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "DELETE FROM billing.customers
         WHERE organization_id = $1 AND provider = $2 AND provider_customer_id = $3",
        organization.uuid(),
        provider,
        customer,
    )
    .execute(connection)
    .await?;
    Ok(())
}
