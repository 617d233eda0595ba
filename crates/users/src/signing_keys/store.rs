use sqlx::PgConnection;

use super::StoredKey;

/// The whole set; retired keys are few, as they go once no token of theirs can be alive.
pub(super) async fn list(connection: &mut PgConnection) -> Result<Vec<StoredKey>, sqlx::Error> {
    sqlx::query_as!(
        StoredKey,
        "SELECT id, state, public_key, sealed_key FROM users.signing_keys ORDER BY created_at DESC LIMIT 100",
    )
    .fetch_all(connection)
    .await
}

/// Adds a key unless there already is one in its state.
pub(super) async fn insert(connection: &mut PgConnection, key: &StoredKey) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "INSERT INTO users.signing_keys (id, state, public_key, sealed_key, created_at)
         VALUES ($1, $2, $3, $4, now())
         ON CONFLICT (state) WHERE state IN ('next', 'current') DO NOTHING",
        key.id,
        key.state,
        key.public_key,
        key.sealed_key,
    )
    .execute(connection)
    .await?;
    Ok(())
}
