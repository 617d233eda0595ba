use platform::caller::UserId;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Identity, IdentityId};

/// The account of an identity, unless it is disabled.
pub(super) async fn find_account(connection: &mut PgConnection, id: IdentityId) -> Result<Option<UserId>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT a.id AS "id: UserId"
           FROM users.external_identities e JOIN users.accounts a ON a.id = e.account_id
           WHERE e.id = $1 AND a.disabled_at IS NULL"#,
        id.uuid(),
    )
    .fetch_optional(connection)
    .await
}

/// The account with this address, unless it is disabled, locked until the transaction ends.
pub(super) async fn lock_account(
    connection: &mut PgConnection,
    canonical_email: &str,
) -> Result<Option<UserId>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT id AS "id: UserId" FROM users.accounts
           WHERE email = $1 AND disabled_at IS NULL FOR NO KEY UPDATE"#,
        canonical_email,
    )
    .fetch_optional(connection)
    .await
}

/// Who the account is at the issuer.
pub(super) async fn find_identity_of(
    connection: &mut PgConnection,
    account: UserId,
    issuer: &str,
) -> Result<Option<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        "SELECT id FROM users.external_identities WHERE account_id = $1 AND issuer = $2",
        account.uuid(),
        issuer,
    )
    .fetch_optional(connection)
    .await
}

/// Binds the identity to the account; `false` when it belongs to another one.
pub(super) async fn insert(
    connection: &mut PgConnection,
    identity: &Identity<'_>,
    account: UserId,
) -> Result<bool, sqlx::Error> {
    let inserted = sqlx::query!(
        "INSERT INTO users.external_identities (id, issuer, subject, account_id, created_at)
         VALUES ($1, $2, $3, $4, now()) ON CONFLICT (id) DO NOTHING",
        identity.id.uuid(),
        identity.issuer,
        identity.subject,
        account.uuid(),
    )
    .execute(connection)
    .await?;
    Ok(inserted.rows_affected() == 1)
}
