use chrono::{DateTime, Utc};
use platform::caller::{OrgId, UserId};
use sqlx::PgConnection;

use super::Deed;

pub(super) async fn insert(
    connection: &mut PgConnection,
    deed: &Deed,
    request_id: Option<&str>,
    at: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "INSERT INTO users.audit_log (id, organization_id, account_id, action, request_id, details, at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        platform::ids::new_uuid(),
        deed.organization.map(OrgId::uuid),
        deed.account.map(UserId::uuid),
        deed.action.as_str(),
        request_id,
        deed.details,
        at,
    )
    .execute(connection)
    .await?;
    Ok(())
}
