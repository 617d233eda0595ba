use std::time::Duration;

use sqlx::PgConnection;

use super::StoredKey;
use super::rotation::{KeyState, SigningKeyEntry};

/// The whole set; retired keys are few, as they go once no token of theirs can be alive.
pub(super) async fn list(connection: &mut PgConnection) -> Result<Vec<StoredKey>, sqlx::Error> {
    sqlx::query_as!(
        StoredKey,
        r#"SELECT id, state AS "state: KeyState", public_key, sealed_key
           FROM users.signing_keys ORDER BY created_at DESC LIMIT 100"#,
    )
    .fetch_all(connection)
    .await
}

/// The set as operators see it, the newest key first.
pub(super) async fn list_entries(connection: &mut PgConnection) -> Result<Vec<SigningKeyEntry>, sqlx::Error> {
    sqlx::query_as!(
        SigningKeyEntry,
        r#"SELECT id, state AS "state: KeyState", created_at, retired_at, get_byte(sealed_key, 0) AS "root_generation!"
           FROM users.signing_keys ORDER BY created_at DESC LIMIT 100"#,
    )
    .fetch_all(connection)
    .await
}

/// Adds a key unless there already is one in its state.
pub(super) async fn insert(connection: &mut PgConnection, key: &StoredKey) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "INSERT INTO users.signing_keys (id, state, public_key, sealed_key, created_at)
         VALUES ($1, $2, $3, $4, clock_timestamp())
         ON CONFLICT (state) WHERE state IN ('next', 'current') DO NOTHING",
        key.id,
        key.state.as_str(),
        key.public_key,
        key.sealed_key,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Lets one rotation in at a time, until the transaction ends; `false` while another is under way.
pub(super) async fn try_lock_rotation(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(r#"SELECT pg_try_advisory_xact_lock(hashtext('users.signing_keys')) AS "locked!""#)
        .fetch_one(connection)
        .await
}

/// Whether the next key was announced at least so long ago; `None` when there is none.
pub(super) async fn is_next_announced(
    connection: &mut PgConnection,
    for_at_least: Duration,
) -> Result<Option<bool>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT created_at <= now() - make_interval(secs => $1) AS "announced!"
           FROM users.signing_keys WHERE state = 'next'"#,
        for_at_least.as_secs_f64(),
    )
    .fetch_optional(connection)
    .await
}

/// Retires the current key and makes the next one current.
pub(super) async fn advance(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query!("UPDATE users.signing_keys SET state = 'retired', retired_at = now() WHERE state = 'current'")
        .execute(&mut *connection)
        .await?;
    sqlx::query!("UPDATE users.signing_keys SET state = 'current' WHERE state = 'next'").execute(connection).await?;
    Ok(())
}

/// Removes keys that were retired so long ago.
pub(crate) async fn delete_retired(connection: &mut PgConnection, after: Duration) -> Result<u64, sqlx::Error> {
    let deleted = sqlx::query!(
        "DELETE FROM users.signing_keys WHERE state = 'retired' AND retired_at < now() - make_interval(secs => $1)",
        after.as_secs_f64(),
    )
    .execute(connection)
    .await?;
    Ok(deleted.rows_affected())
}
