use chrono::{DateTime, Utc};
use platform::caller::OrgId;
use sqlx::PgConnection;

use crate::endpoints::EndpointId;

/// Closes the breaker, forgets every failure and has the delivery loop look at the endpoint.
pub(super) async fn enable(
    connection: &mut PgConnection,
    organization: OrgId,
    id: EndpointId,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE webhooks.endpoints
         SET disabled_at = NULL, disabled_reason = NULL, failing_since = NULL, consecutive_failures = 0,
             paused_until = NULL, pauses = 0, next_ready_at = now(), version = version + 1, updated_at = $3
         WHERE organization_id = $1 AND id = $2",
        organization.uuid(),
        id.uuid(),
        now,
    )
    .execute(connection)
    .await?;
    Ok(())
}
