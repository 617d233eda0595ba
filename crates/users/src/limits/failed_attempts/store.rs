use sqlx::PgConnection;

use super::FailureLimit;

/// How an attempt began.
pub(super) struct Begun {
    /// Failures with this one; `None` when it has to wait.
    pub(super) attempts: Option<i32>,
    /// Microseconds to wait.
    pub(super) wait_us: Option<i64>,
}

/// Counts one more failure, provided the wait after the last one is over. Twins queue up at the row, and the clock is read
/// when they have it.
pub(super) async fn begin(
    connection: &mut PgConnection,
    key: &[u8; 32],
    limit: &FailureLimit,
) -> Result<Begun, sqlx::Error> {
    sqlx::query_as!(
        Begun,
        r#"WITH begun AS (
             INSERT INTO users.failed_attempts AS known (key, attempts, last_at) VALUES ($1, 1, clock_timestamp())
             ON CONFLICT (key) DO UPDATE
                 SET attempts = CASE
                         WHEN known.last_at + users.wait_after(known.attempts, $2, $3) + make_interval(secs => $4)
                              < clock_timestamp() THEN 1
                         ELSE least(known.attempts + 1, 100000)
                     END,
                     last_at = clock_timestamp()
                 WHERE known.last_at + users.wait_after(known.attempts, $2, $3) <= clock_timestamp()
             RETURNING known.attempts
         )
         SELECT (SELECT attempts FROM begun),
                (SELECT (extract(epoch FROM last_at + users.wait_after(attempts, $2, $3) - clock_timestamp())
                         * 1000000)::bigint
                 FROM users.failed_attempts WHERE key = $1) AS wait_us"#,
        key,
        i32::try_from(limit.free).unwrap_or(i32::MAX),
        i32::try_from(limit.longest_wait_seconds).unwrap_or(i32::MAX),
        f64::from(limit.forgotten_after_seconds),
    )
    .fetch_one(connection)
    .await
}

pub(in crate::limits) async fn delete(connection: &mut PgConnection, key: &[u8; 32]) -> Result<(), sqlx::Error> {
    sqlx::query!("DELETE FROM users.failed_attempts WHERE key = $1", key).execute(connection).await?;
    Ok(())
}

/// Removes a batch of failures that are long forgotten, whatever the limits; returns how many.
pub(crate) async fn delete_forgotten(
    connection: &mut PgConnection,
    forgotten_after_seconds: u32,
    batch: i64,
) -> Result<u64, sqlx::Error> {
    let deleted = sqlx::query!(
        "DELETE FROM users.failed_attempts WHERE key IN
             (SELECT key FROM users.failed_attempts WHERE last_at < now() - $1 * interval '1 second'
              ORDER BY last_at LIMIT $2 FOR UPDATE SKIP LOCKED)",
        f64::from(forgotten_after_seconds),
        batch,
    )
    .execute(connection)
    .await?;
    Ok(deleted.rows_affected())
}
