use chrono::{DateTime, Utc};
use platform::caller::UserId;
use sqlx::PgConnection;

/// A second factor as it is stored.
pub(super) struct Factor {
    pub(super) sealed_secret: Vec<u8>,
    pub(super) is_confirmed: bool,
    pub(super) last_step: Option<i64>,
}

pub(super) async fn find(connection: &mut PgConnection, account: UserId) -> Result<Option<Factor>, sqlx::Error> {
    sqlx::query_as!(
        Factor,
        r#"SELECT sealed_secret, confirmed_at IS NOT NULL AS "is_confirmed!", last_step
           FROM users.second_factors WHERE account_id = $1"#,
        account.uuid(),
    )
    .fetch_optional(connection)
    .await
}

/// Keeps a secret that waits for its first code, in the place of one that waited before; `false` when one is confirmed.
pub(super) async fn insert_pending(
    connection: &mut PgConnection,
    account: UserId,
    sealed_secret: &[u8],
    at: DateTime<Utc>,
) -> Result<bool, sqlx::Error> {
    let inserted = sqlx::query!(
        "INSERT INTO users.second_factors AS known (account_id, sealed_secret, created_at) VALUES ($1, $2, $3)
         ON CONFLICT (account_id) DO UPDATE SET sealed_secret = excluded.sealed_secret, created_at = excluded.created_at
             WHERE known.confirmed_at IS NULL",
        account.uuid(),
        sealed_secret,
        at,
    )
    .execute(connection)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

pub(super) async fn confirm(
    connection: &mut PgConnection,
    account: UserId,
    step: i64,
    at: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE users.second_factors SET confirmed_at = $3, last_step = $2 WHERE account_id = $1",
        account.uuid(),
        step,
        at,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Remembers the step whose code was accepted.
pub(super) async fn save_step(connection: &mut PgConnection, account: UserId, step: i64) -> Result<(), sqlx::Error> {
    sqlx::query!("UPDATE users.second_factors SET last_step = $2 WHERE account_id = $1", account.uuid(), step)
        .execute(connection)
        .await?;
    Ok(())
}

pub(super) async fn insert_recovery_codes(
    connection: &mut PgConnection,
    account: UserId,
    hashes: &[Vec<u8>],
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "INSERT INTO users.recovery_codes (account_id, code_hash) SELECT $1, unnest($2::bytea[])",
        account.uuid(),
        hashes,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Uses a recovery code up: of several who try at once only one finds the row. Says how many are left.
pub(super) async fn take_recovery_code(
    connection: &mut PgConnection,
    account: UserId,
    code_hash: &[u8; 32],
) -> Result<Option<i64>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"WITH taken AS (
             DELETE FROM users.recovery_codes WHERE account_id = $1 AND code_hash = $2 RETURNING code_hash
         )
         SELECT (SELECT count(*) FROM users.recovery_codes WHERE account_id = $1 AND code_hash <> $2) AS "left!"
         FROM taken"#,
        account.uuid(),
        code_hash,
    )
    .fetch_optional(connection)
    .await
}

/// Takes the second factor away with its recovery codes; says whether it was confirmed, `None` when there is none.
pub(super) async fn delete(connection: &mut PgConnection, account: UserId) -> Result<Option<bool>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"DELETE FROM users.second_factors WHERE account_id = $1 RETURNING confirmed_at IS NOT NULL AS "confirmed!""#,
        account.uuid(),
    )
    .fetch_optional(connection)
    .await
}
