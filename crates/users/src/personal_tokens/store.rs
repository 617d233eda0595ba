use chrono::{DateTime, Utc};
use platform::caller::{Scope, UserId};
use platform::http::PageRequest;
use sqlx::PgConnection;

use super::{PersonalToken, PersonalTokenId};

pub(super) async fn insert(
    connection: &mut PgConnection,
    account: UserId,
    token: &PersonalToken,
    token_hash: &[u8; 32],
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "INSERT INTO users.personal_tokens (id, account_id, token_hash, name, scope, ends_with, expires_at, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        token.id.uuid(),
        account.uuid(),
        token_hash,
        token.name,
        token.scope.as_str(),
        token.ends_with,
        token.expires_at,
        token.created_at,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// How many tokens a person has, expired ones among them.
pub(super) async fn count(connection: &mut PgConnection, account: UserId) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM users.personal_tokens WHERE account_id = $1"#,
        account.uuid(),
    )
    .fetch_one(connection)
    .await
}

/// Whose token it is and how far it reaches, if it is still good.
pub(super) struct Bearer {
    pub(super) account: UserId,
    pub(super) scope: Scope,
}

/// Finds whose token it is, and notes at most once a minute that it is used. A twin that does so at the same time is not waited
/// for.
pub(super) async fn find_bearer(
    connection: &mut PgConnection,
    token_hash: &[u8; 32],
    now: DateTime<Utc>,
) -> Result<Option<Bearer>, sqlx::Error> {
    sqlx::query_as!(
        Bearer,
        r#"WITH found AS (
             SELECT t.id, t.account_id, t.scope
             FROM users.personal_tokens t JOIN users.accounts a ON a.id = t.account_id
             WHERE t.token_hash = $1 AND t.expires_at > $2 AND a.disabled_at IS NULL
         ), used AS (
             UPDATE users.personal_tokens SET last_used_at = $2
             WHERE id = (SELECT t.id FROM users.personal_tokens t
                         WHERE t.id = (SELECT id FROM found)
                           AND (t.last_used_at IS NULL OR t.last_used_at <= $2 - interval '1 minute')
                         FOR UPDATE SKIP LOCKED)
         )
         SELECT account_id AS "account: UserId", scope AS "scope: Scope" FROM found"#,
        token_hash,
        now,
    )
    .fetch_optional(connection)
    .await
}

pub(super) async fn list(
    connection: &mut PgConnection,
    account: UserId,
    page: &PageRequest,
) -> Result<Vec<PersonalToken>, sqlx::Error> {
    sqlx::query_as!(
        PersonalToken,
        r#"SELECT id AS "id: PersonalTokenId", name, scope AS "scope: Scope", ends_with, created_at, expires_at, last_used_at
           FROM users.personal_tokens
           WHERE account_id = $1 AND id < $2
           ORDER BY id DESC LIMIT $3"#,
        account.uuid(),
        page.before,
        page.fetch(),
    )
    .fetch_all(connection)
    .await
}

/// Ends a token of this person; `false` when there is none.
pub(super) async fn delete(
    connection: &mut PgConnection,
    account: UserId,
    token: PersonalTokenId,
) -> Result<bool, sqlx::Error> {
    let deleted = sqlx::query!(
        "DELETE FROM users.personal_tokens WHERE id = $1 AND account_id = $2",
        token.uuid(),
        account.uuid(),
    )
    .execute(connection)
    .await?;
    Ok(deleted.rows_affected() == 1)
}

/// Ends all tokens of a person.
pub(crate) async fn delete_of(connection: &mut PgConnection, account: UserId) -> Result<(), sqlx::Error> {
    sqlx::query!("DELETE FROM users.personal_tokens WHERE account_id = $1", account.uuid()).execute(connection).await?;
    Ok(())
}

/// Removes a batch of tokens that expired before then; returns how many.
pub(crate) async fn delete_expired(
    connection: &mut PgConnection,
    before: DateTime<Utc>,
    batch: i64,
) -> Result<u64, sqlx::Error> {
    let deleted = sqlx::query!(
        "DELETE FROM users.personal_tokens WHERE id IN
             (SELECT id FROM users.personal_tokens WHERE expires_at < $1 ORDER BY expires_at LIMIT $2)",
        before,
        batch,
    )
    .execute(connection)
    .await?;
    Ok(deleted.rows_affected())
}
