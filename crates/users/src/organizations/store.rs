use platform::caller::{OrgId, UserId};
use platform::http::PageRequest;
use sqlx::PgConnection;

use super::{Organization, OrganizationContact};

pub(super) async fn insert(connection: &mut PgConnection, organization: &Organization) -> Result<(), sqlx::Error> {
    let Organization { id, name, version, created_at } = organization;
    sqlx::query!(
        "INSERT INTO users.organizations (id, name, version, created_at) VALUES ($1, $2, $3, $4)",
        id.uuid(),
        name,
        version,
        created_at,
    )
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn list_of(
    connection: &mut PgConnection,
    account: UserId,
    page: &PageRequest,
) -> Result<Vec<Organization>, sqlx::Error> {
    sqlx::query_as!(
        Organization,
        r#"SELECT o.id AS "id: OrgId", o.name, o.version, o.created_at
           FROM users.memberships m JOIN users.organizations o ON o.id = m.organization_id
           WHERE m.account_id = $1 AND m.organization_id < $2
           ORDER BY m.organization_id DESC LIMIT $3"#,
        account.uuid(),
        page.before,
        page.fetch(),
    )
    .fetch_all(connection)
    .await
}

pub(super) async fn find(
    connection: &mut PgConnection,
    organization: OrgId,
) -> Result<Option<Organization>, sqlx::Error> {
    sqlx::query_as!(
        Organization,
        r#"SELECT id AS "id: OrgId", name, version, created_at FROM users.organizations WHERE id = $1"#,
        organization.uuid(),
    )
    .fetch_optional(connection)
    .await
}

/// Locks the organization until the transaction ends, so that two changes follow one another.
pub(crate) async fn lock(
    connection: &mut PgConnection,
    organization: OrgId,
) -> Result<Option<Organization>, sqlx::Error> {
    sqlx::query_as!(
        Organization,
        r#"SELECT id AS "id: OrgId", name, version, created_at FROM users.organizations WHERE id = $1 FOR UPDATE"#,
        organization.uuid(),
    )
    .fetch_optional(connection)
    .await
}

pub(super) async fn save(
    connection: &mut PgConnection,
    organization: OrgId,
    changed: &Organization,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE users.organizations SET name = $2, version = $3 WHERE id = $1",
        organization.uuid(),
        changed.name,
        changed.version,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Deletes the organization; its memberships and invitations go with it.
pub(super) async fn delete(connection: &mut PgConnection, organization: OrgId) -> Result<(), sqlx::Error> {
    sqlx::query!("DELETE FROM users.organizations WHERE id = $1", organization.uuid()).execute(connection).await?;
    Ok(())
}

pub(super) async fn find_contact(
    connection: &mut PgConnection,
    organization: OrgId,
) -> Result<Option<OrganizationContact>, sqlx::Error> {
    sqlx::query_as!(
        OrganizationContact,
        "SELECT o.name, a.mail_to AS email
           FROM users.organizations o
           JOIN users.memberships m ON m.organization_id = o.id AND m.role = 'owner'
           JOIN users.accounts a ON a.id = m.account_id
          WHERE o.id = $1
          ORDER BY m.created_at, m.account_id LIMIT 1",
        organization.uuid(),
    )
    .fetch_optional(connection)
    .await
}
