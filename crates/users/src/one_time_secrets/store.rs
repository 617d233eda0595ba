use platform::caller::UserId;
use sqlx::PgConnection;

use super::Purpose;
use crate::email::Email;
use crate::tokens::OneTimeToken;

pub(crate) async fn insert(
    connection: &mut PgConnection,
    account: UserId,
    purpose: Purpose<'_>,
    token: &OneTimeToken,
) -> Result<(), sqlx::Error> {
    let email = purpose.email();
    sqlx::query!(
        "INSERT INTO users.one_time_secrets (token_hash, purpose, account_id, email, mail_to, expires_at, created_at)
         VALUES ($1, $2, $3, $4, $5, now() + make_interval(secs => $6), now())",
        &token.hash(),
        purpose.as_str(),
        account.uuid(),
        email.map(|email| email.canonical.as_str()),
        email.map(|email| email.mail_to.as_str()),
        purpose.valid_for().as_secs_f64(),
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Whose password a secret may set, without spending it.
pub(crate) struct ResetOwner {
    pub(crate) account: UserId,
    /// Canonical.
    pub(crate) email: String,
}

pub(crate) async fn find_reset_owner(
    connection: &mut PgConnection,
    token_hash: &[u8; 32],
) -> Result<Option<ResetOwner>, sqlx::Error> {
    sqlx::query_as!(
        ResetOwner,
        r#"SELECT a.id AS "account: UserId", a.email
           FROM users.one_time_secrets s JOIN users.accounts a ON a.id = s.account_id
           WHERE s.token_hash = $1 AND s.purpose = 'password_reset' AND s.expires_at > now() AND a.disabled_at IS NULL"#,
        token_hash,
    )
    .fetch_optional(connection)
    .await
}

/// Spends the secret: of several who try at once only one finds the row.
pub(crate) async fn take_password_reset(
    connection: &mut PgConnection,
    account: UserId,
    token_hash: &[u8; 32],
) -> Result<bool, sqlx::Error> {
    let taken = sqlx::query!(
        "DELETE FROM users.one_time_secrets
         WHERE token_hash = $1 AND account_id = $2 AND purpose = 'password_reset' AND expires_at > now()",
        token_hash,
        account.uuid(),
    )
    .execute(connection)
    .await?;
    Ok(taken.rows_affected() == 1)
}

/// Spends the secret; only for the account that asked.
pub(crate) async fn take_email_change(
    connection: &mut PgConnection,
    account: UserId,
    token_hash: &[u8; 32],
) -> Result<Option<Email>, sqlx::Error> {
    sqlx::query_as!(
        Email,
        r#"DELETE FROM users.one_time_secrets
           WHERE token_hash = $1 AND account_id = $2 AND purpose = 'email_change' AND expires_at > now()
           RETURNING email AS "canonical!", mail_to AS "mail_to!""#,
        token_hash,
        account.uuid(),
    )
    .fetch_optional(connection)
    .await
}

/// Voids everything that was mailed for an account.
pub(crate) async fn delete_of(connection: &mut PgConnection, account: UserId) -> Result<(), sqlx::Error> {
    sqlx::query!("DELETE FROM users.one_time_secrets WHERE account_id = $1", account.uuid())
        .execute(connection)
        .await?;
    Ok(())
}

/// Removes a batch of secrets that nobody used in time; returns how many.
pub(crate) async fn delete_expired(connection: &mut PgConnection, batch: i64) -> Result<u64, sqlx::Error> {
    let deleted = sqlx::query!(
        "DELETE FROM users.one_time_secrets WHERE token_hash IN
             (SELECT token_hash FROM users.one_time_secrets WHERE expires_at < now() ORDER BY expires_at LIMIT $1)",
        batch,
    )
    .execute(connection)
    .await?;
    Ok(deleted.rows_affected())
}
