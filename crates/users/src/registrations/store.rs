use std::time::Duration;

use sqlx::PgConnection;

use super::{Registration, Waiting};

pub(super) async fn insert(
    connection: &mut PgConnection,
    registration: &Registration,
    token_hash: &[u8; 32],
    valid_for: Duration,
) -> Result<(), sqlx::Error> {
    let Registration { email, mail_to, name, password_hash } = registration;
    sqlx::query!(
        "INSERT INTO users.registrations (id, email, mail_to, name, password_hash, token_hash, expires_at, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, now() + make_interval(secs => $7), now())",
        platform::ids::new_uuid(),
        email,
        mail_to,
        name,
        password_hash,
        token_hash,
        valid_for.as_secs_f64(),
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The attempt that a token proves; proving it makes the account, and an address has one account at most.
pub(super) async fn find(
    connection: &mut PgConnection,
    token_hash: &[u8; 32],
) -> Result<Option<Registration>, sqlx::Error> {
    sqlx::query_as!(
        Registration,
        "SELECT email, mail_to, name, password_hash FROM users.registrations
         WHERE token_hash = $1 AND expires_at > now()",
        token_hash,
    )
    .fetch_optional(connection)
    .await
}

/// The newest attempt on an address without an account.
pub(super) async fn find_waiting(
    connection: &mut PgConnection,
    canonical_email: &str,
) -> Result<Option<Waiting>, sqlx::Error> {
    sqlx::query_as!(
        Waiting,
        r#"SELECT r.id, r.mail_to, count(*) OVER () AS "attempts!"
           FROM users.registrations r
           WHERE r.email = $1 AND r.expires_at > now()
             AND NOT EXISTS (SELECT FROM users.accounts a WHERE a.email = r.email)
           ORDER BY r.id DESC LIMIT 1"#,
        canonical_email,
    )
    .fetch_optional(connection)
    .await
}

/// Gives an attempt another token and its full time again.
pub(super) async fn renew(
    connection: &mut PgConnection,
    id: uuid::Uuid,
    token_hash: &[u8; 32],
    valid_for: Duration,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE users.registrations SET token_hash = $2, expires_at = now() + make_interval(secs => $3) WHERE id = $1",
        id,
        token_hash,
        valid_for.as_secs_f64(),
    )
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn delete_all(connection: &mut PgConnection, email: &str) -> Result<(), sqlx::Error> {
    sqlx::query!("DELETE FROM users.registrations WHERE email = $1", email).execute(connection).await?;
    Ok(())
}

/// Removes a batch of attempts that were never proven; returns how many.
pub(crate) async fn delete_expired(connection: &mut PgConnection, batch: i64) -> Result<u64, sqlx::Error> {
    let deleted = sqlx::query!(
        "DELETE FROM users.registrations WHERE id IN
             (SELECT id FROM users.registrations WHERE expires_at < now() ORDER BY expires_at LIMIT $1)",
        batch,
    )
    .execute(connection)
    .await?;
    Ok(deleted.rows_affected())
}
