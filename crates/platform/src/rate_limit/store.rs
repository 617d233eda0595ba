use sqlx::PgConnection;

/// The most moments removed in one statement, so that no lock is held for long.
const PRUNE_BATCH: i64 = 1_000;

/// The limit that refused, if one did.
pub(super) struct Verdict {
    /// Its place among those asked, from 1.
    pub(super) refused: Option<i32>,
    /// Microseconds until the next turn.
    pub(super) wait_us: Option<i64>,
}

/// Takes a turn of every limit, in order, until one refuses.
pub(super) async fn take(
    connection: &mut PgConnection,
    keys: &[Vec<u8>],
    intervals_us: &[i64],
    bursts: &[i32],
) -> Result<Verdict, sqlx::Error> {
    sqlx::query_as!(
        Verdict,
        "SELECT refused, wait_us FROM platform.take_turns($1, $2, $3)",
        keys,
        intervals_us,
        bursts,
    )
    .fetch_one(connection)
    .await
}

/// Removes a batch of those whose bucket is full, which is what unknown ones have; says whether there may be more.
pub(super) async fn prune(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let pruned = sqlx::query!(
        "DELETE FROM platform.rate_limits WHERE key IN (
             SELECT key FROM platform.rate_limits WHERE tat < now() ORDER BY tat LIMIT $1 FOR UPDATE SKIP LOCKED
         )",
        PRUNE_BATCH,
    )
    .execute(connection)
    .await?;
    Ok(i64::try_from(pruned.rows_affected()).is_ok_and(|count| count == PRUNE_BATCH))
}
