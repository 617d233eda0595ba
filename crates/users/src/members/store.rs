use platform::caller::{OrgId, Role, UserId};
use platform::http::PageRequest;
use sqlx::PgConnection;

use super::Membership;

pub(super) async fn list(
    connection: &mut PgConnection,
    organization: OrgId,
    page: &PageRequest,
) -> Result<Vec<Membership>, sqlx::Error> {
    sqlx::query_as!(
        Membership,
        r#"SELECT m.account_id AS "user: UserId", a.name, a.mail_to AS "email?", m.role AS "role: Role", m.version,
                  m.created_at
           FROM users.memberships m JOIN users.accounts a ON a.id = m.account_id
           WHERE m.organization_id = $1 AND m.account_id < $2
           ORDER BY m.account_id DESC LIMIT $3"#,
        organization.uuid(),
        page.before,
        page.fetch(),
    )
    .fetch_all(connection)
    .await
}

pub(super) async fn find(
    connection: &mut PgConnection,
    organization: OrgId,
    user: UserId,
) -> Result<Option<Membership>, sqlx::Error> {
    Ok(list_some(connection, organization, &[user]).await?.pop())
}

/// Those of the people who are members.
pub(super) async fn list_some(
    connection: &mut PgConnection,
    organization: OrgId,
    users: &[UserId],
) -> Result<Vec<Membership>, sqlx::Error> {
    let users: Vec<_> = users.iter().map(|user| user.uuid()).collect();
    sqlx::query_as!(
        Membership,
        r#"SELECT m.account_id AS "user: UserId", a.name, a.mail_to AS "email?", m.role AS "role: Role", m.version,
                  m.created_at
           FROM users.memberships m JOIN users.accounts a ON a.id = m.account_id
           WHERE m.organization_id = $1 AND m.account_id = ANY($2)"#,
        organization.uuid(),
        &users,
    )
    .fetch_all(connection)
    .await
}

/// The person's role as it is now, `None` for strangers.
pub(crate) async fn find_role(
    connection: &mut PgConnection,
    organization: OrgId,
    user: UserId,
) -> Result<Option<Role>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT role AS "role: Role" FROM users.memberships WHERE organization_id = $1 AND account_id = $2"#,
        organization.uuid(),
        user.uuid(),
    )
    .fetch_optional(connection)
    .await
}

/// Whether somebody else who can log in owns the organization.
pub(super) async fn has_other_owner(
    connection: &mut PgConnection,
    organization: OrgId,
    user: UserId,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (
               SELECT FROM users.memberships m JOIN users.accounts a ON a.id = m.account_id
               WHERE m.organization_id = $1 AND m.account_id <> $2 AND m.role = 'owner' AND a.disabled_at IS NULL
           ) AS "exists!""#,
        organization.uuid(),
        user.uuid(),
    )
    .fetch_one(connection)
    .await
}

pub(crate) async fn count(connection: &mut PgConnection, organization: OrgId) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM users.memberships WHERE organization_id = $1"#,
        organization.uuid(),
    )
    .fetch_one(connection)
    .await
}

/// Makes the person a member; `false` when they are one already or have no account any more. Locks the account, so that
/// somebody who erases theirs sees every membership.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    organization: OrgId,
    user: UserId,
    role: Role,
) -> Result<bool, sqlx::Error> {
    let inserted = sqlx::query!(
        "INSERT INTO users.memberships (organization_id, account_id, role, created_at)
         SELECT $1, id, $3, now() FROM users.accounts WHERE id = $2 FOR NO KEY UPDATE
         ON CONFLICT (organization_id, account_id) DO NOTHING",
        organization.uuid(),
        user.uuid(),
        role.as_str(),
    )
    .execute(connection)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

pub(super) async fn save(
    connection: &mut PgConnection,
    organization: OrgId,
    changed: &Membership,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE users.memberships SET role = $3, version = $4 WHERE organization_id = $1 AND account_id = $2",
        organization.uuid(),
        changed.user.uuid(),
        changed.role.as_str(),
        changed.version,
    )
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn delete(
    connection: &mut PgConnection,
    organization: OrgId,
    user: UserId,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "DELETE FROM users.memberships WHERE organization_id = $1 AND account_id = $2",
        organization.uuid(),
        user.uuid(),
    )
    .execute(connection)
    .await?;
    Ok(())
}
