use std::time::Duration;

use sqlx::PgConnection;

use super::Registration;

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

/// Spends the token: of two who try at once only one finds the row.
pub(super) async fn take(
    connection: &mut PgConnection,
    token_hash: &[u8; 32],
) -> Result<Option<Registration>, sqlx::Error> {
    sqlx::query_as!(
        Registration,
        "DELETE FROM users.registrations WHERE token_hash = $1 AND expires_at > now()
         RETURNING email, mail_to, name, password_hash",
        token_hash,
    )
    .fetch_optional(connection)
    .await
}

pub(super) async fn delete_others(connection: &mut PgConnection, email: &str) -> Result<(), sqlx::Error> {
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
