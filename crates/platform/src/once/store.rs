use serde_json::Value;
use sqlx::PgConnection;

use super::OnceKey;

/// The most keys removed in one statement, so that no lock is held for long.
const PRUNE_BATCH: i64 = 1_000;

/// What is known about a key.
pub(super) enum State {
    Fresh,
    Replay(Value),
    Reused,
    InProgress,
}

/// Takes the key until the end of the transaction.
pub(super) async fn begin(connection: &mut PgConnection, key: &OnceKey) -> Result<State, sqlx::Error> {
    let row = sqlx::query!(
        r#"SELECT state AS "state!", stored_answer FROM platform.once_begin($1, $2)"#,
        key.scope.as_slice(),
        key.request_hash.as_slice(),
    )
    .fetch_one(connection)
    .await?;
    match (row.state.as_str(), row.stored_answer) {
        ("fresh", _) => Ok(State::Fresh),
        ("replay", Some(answer)) => Ok(State::Replay(answer)),
        ("reused", _) => Ok(State::Reused),
        ("in_progress", _) => Ok(State::InProgress),
        (state, _) => Err(sqlx::Error::Protocol(format!("platform.once_begin answered {state:?}"))),
    }
}

pub(super) async fn settle(connection: &mut PgConnection, key: &OnceKey, answer: Value) -> Result<(), sqlx::Error> {
    sqlx::query!("SELECT platform.once_settle($1, $2, $3)", key.scope.as_slice(), key.request_hash.as_slice(), answer,)
        .execute(connection)
        .await?;
    Ok(())
}

/// Removes a batch of old keys; says whether there may be more.
pub(super) async fn prune(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let pruned = sqlx::query!(
        "DELETE FROM platform.idempotency_keys WHERE scope IN (
             SELECT scope FROM platform.idempotency_keys WHERE created_at < now() - interval '24 hours'
             ORDER BY created_at LIMIT $1
         )",
        PRUNE_BATCH,
    )
    .execute(connection)
    .await?;
    Ok(i64::try_from(pruned.rows_affected()).is_ok_and(|count| count == PRUNE_BATCH))
}
