use platform::caller::{OrgId, Role, UserId};
use sqlx::PgConnection;

use super::Place;

/// Locks the organizations somebody belongs to, in the order of their ids, so that nobody waits in a circle. Says how many.
pub(super) async fn lock_organizations(
    connection: &mut PgConnection,
    account: UserId,
    limit: usize,
) -> Result<usize, sqlx::Error> {
    let locked = sqlx::query_scalar!(
        "SELECT o.id FROM users.memberships m JOIN users.organizations o ON o.id = m.organization_id
         WHERE m.account_id = $1 ORDER BY o.id LIMIT $2 FOR UPDATE OF o",
        account.uuid(),
        i64::try_from(limit).unwrap_or(i64::MAX),
    )
    .fetch_all(connection)
    .await?;
    Ok(locked.len())
}

pub(super) async fn list_places(
    connection: &mut PgConnection,
    account: UserId,
    limit: usize,
) -> Result<Vec<Place>, sqlx::Error> {
    sqlx::query_as!(
        Place,
        r#"SELECT o.id AS "organization: OrgId", o.name, m.role AS "role: Role",
                  EXISTS (
                      SELECT FROM users.memberships other
                      WHERE other.organization_id = o.id AND other.account_id <> $1
                  ) AS "is_shared!",
                  EXISTS (
                      SELECT FROM users.memberships other JOIN users.accounts a ON a.id = other.account_id
                      WHERE other.organization_id = o.id AND other.account_id <> $1
                        AND other.role = 'owner' AND a.disabled_at IS NULL
                  ) AS "has_other_owner!"
           FROM users.memberships m JOIN users.organizations o ON o.id = m.organization_id
           WHERE m.account_id = $1 ORDER BY o.id LIMIT $2"#,
        account.uuid(),
        i64::try_from(limit).unwrap_or(i64::MAX),
    )
    .fetch_all(connection)
    .await
}

/// Removes what knows the person by their address: attempts to sign up with it, and invitations that went to it.
pub(super) async fn delete_traces_of_address(
    connection: &mut PgConnection,
    account: UserId,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "WITH address AS (SELECT email FROM users.accounts WHERE id = $1),
              attempts AS (DELETE FROM users.registrations WHERE email = (SELECT email FROM address))
         DELETE FROM users.invitations WHERE email = (SELECT email FROM address)",
        account.uuid(),
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Deletes the account. Memberships, sessions, tokens, second factor, mailed secrets and exports go with it.
pub(super) async fn delete(connection: &mut PgConnection, account: UserId) -> Result<(), sqlx::Error> {
    sqlx::query!("DELETE FROM users.accounts WHERE id = $1", account.uuid()).execute(connection).await?;
    Ok(())
}
