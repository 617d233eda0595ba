use chrono::{DateTime, Utc};
use platform::caller::UserId;
use platform::http::PageRequest;
use sqlx::PgConnection;

use super::{LiveSession, Session, SessionConfig, SessionId};

/// Opens the session, provided the account still has the password that was checked. Logins of one person wait for each other
/// here, and for whatever else locks the account.
pub(super) async fn insert(
    connection: &mut PgConnection,
    session: &Session,
    checked_version: i64,
    config: &SessionConfig,
) -> Result<bool, sqlx::Error> {
    let inserted = sqlx::query!(
        "INSERT INTO users.sessions
             (id, account_id, rotated_at, authenticated_at, with_second_factor, idle_expires_at, expires_at, created_at)
         SELECT $1, id, now(), $3, $7, now() + make_interval(secs => $4), now() + make_interval(secs => $5), now()
         FROM users.accounts WHERE id = $2 AND password_version = $6 AND disabled_at IS NULL
         FOR NO KEY UPDATE",
        session.id.uuid(),
        session.account.uuid(),
        session.authenticated_at,
        f64::from(config.idle_seconds),
        f64::from(config.absolute_seconds),
        checked_version,
        session.with_second_factor,
    )
    .execute(connection)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// Ends the oldest sessions of a person with more than `keep`.
pub(super) async fn revoke_beyond(
    connection: &mut PgConnection,
    account: UserId,
    keep: i64,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE users.sessions SET revoked_at = now()
         WHERE id IN (SELECT id FROM users.sessions WHERE account_id = $1 AND revoked_at IS NULL
                      ORDER BY id DESC OFFSET $2 LIMIT 1000)",
        account.uuid(),
        keep,
    )
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn insert_refresh_token(
    connection: &mut PgConnection,
    session: SessionId,
    generation: i32,
    token_hash: &[u8; 32],
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "INSERT INTO users.refresh_tokens (token_hash, session_id, generation, created_at) VALUES ($1, $2, $3, now())",
        token_hash,
        session.uuid(),
        generation,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// When the person of a live session last proved who they are; `None` once it has ended.
pub(super) async fn find_live(
    connection: &mut PgConnection,
    session: SessionId,
    account: UserId,
) -> Result<Option<DateTime<Utc>>, sqlx::Error> {
    sqlx::query_scalar!(
        "SELECT s.authenticated_at
         FROM users.sessions s JOIN users.accounts a ON a.id = s.account_id
         WHERE s.id = $1 AND s.account_id = $2 AND s.revoked_at IS NULL
           AND s.idle_expires_at > now() AND s.expires_at > now() AND a.disabled_at IS NULL",
        session.uuid(),
        account.uuid(),
    )
    .fetch_optional(connection)
    .await
}

/// The session a refresh token was made for, whether or not either is still good.
pub(super) async fn find_session_of(
    connection: &mut PgConnection,
    token_hash: &[u8; 32],
) -> Result<Option<SessionId>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT session_id AS "session: SessionId" FROM users.refresh_tokens WHERE token_hash = $1"#,
        token_hash,
    )
    .fetch_optional(connection)
    .await
}

/// A refresh token as it was presented, and where its session stands.
pub(super) struct Presented {
    pub(super) account: UserId,
    pub(super) mail_to: String,
    pub(super) authenticated_at: DateTime<Utc>,
    pub(super) with_second_factor: bool,
    /// The token's.
    pub(super) generation: i32,
    /// The session's.
    pub(super) newest: i32,
    /// Whether the newest token is so young that the one before may be used again.
    pub(super) within_grace: bool,
}

/// Locks the session, so that racing refreshes decide one after the other. PostgreSQL reads the locked row again once it has
/// the lock, so the newest generation is seen; the token's own generation never changes.
pub(super) async fn lock(
    connection: &mut PgConnection,
    session: SessionId,
    token_hash: &[u8; 32],
    grace_seconds: u32,
) -> Result<Option<Presented>, sqlx::Error> {
    sqlx::query_as!(
        Presented,
        r#"WITH locked AS (
             SELECT s.account_id, s.generation, s.rotated_at, s.authenticated_at, s.with_second_factor
             FROM users.sessions s
             WHERE s.id = $1 AND s.revoked_at IS NULL AND s.idle_expires_at > now() AND s.expires_at > now()
             FOR UPDATE
         )
         SELECT l.account_id AS "account: UserId", a.mail_to, l.authenticated_at, l.with_second_factor,
                t.generation, l.generation AS newest,
                l.rotated_at > clock_timestamp() - make_interval(secs => $3) AS "within_grace!"
         FROM locked l
         JOIN users.accounts a ON a.id = l.account_id AND a.disabled_at IS NULL
         JOIN users.refresh_tokens t ON t.token_hash = $2"#,
        session.uuid(),
        token_hash,
        f64::from(grace_seconds),
    )
    .fetch_optional(connection)
    .await
}

/// Makes the next generation the newest.
pub(super) async fn rotate(
    connection: &mut PgConnection,
    session: SessionId,
    idle_seconds: u32,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE users.sessions
         SET generation = generation + 1, rotated_at = clock_timestamp(),
             idle_expires_at = now() + make_interval(secs => $2)
         WHERE id = $1",
        session.uuid(),
        f64::from(idle_seconds),
    )
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn revoke(connection: &mut PgConnection, session: SessionId) -> Result<(), sqlx::Error> {
    sqlx::query!("UPDATE users.sessions SET revoked_at = now() WHERE id = $1 AND revoked_at IS NULL", session.uuid())
        .execute(connection)
        .await?;
    Ok(())
}

/// Ends a session of this person; `false` when there is none to end.
pub(super) async fn revoke_of(
    connection: &mut PgConnection,
    account: UserId,
    session: SessionId,
) -> Result<bool, sqlx::Error> {
    let revoked = sqlx::query!(
        "UPDATE users.sessions SET revoked_at = now()
         WHERE id = $1 AND account_id = $2 AND revoked_at IS NULL AND idle_expires_at > now() AND expires_at > now()",
        session.uuid(),
        account.uuid(),
    )
    .execute(connection)
    .await?;
    Ok(revoked.rows_affected() == 1)
}

/// Ends all sessions of a person, or all but one. Those that ended by age are left to pruning.
pub(crate) async fn revoke_all(
    connection: &mut PgConnection,
    account: UserId,
    kept: Option<SessionId>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE users.sessions SET revoked_at = now()
         WHERE account_id = $1 AND id IS DISTINCT FROM $2 AND revoked_at IS NULL AND expires_at > now()",
        account.uuid(),
        kept.map(SessionId::uuid),
    )
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn list_live(
    connection: &mut PgConnection,
    account: UserId,
    current: SessionId,
    page: &PageRequest,
) -> Result<Vec<LiveSession>, sqlx::Error> {
    sqlx::query_as!(
        LiveSession,
        r#"SELECT id AS "id: SessionId", created_at, rotated_at AS last_used_at,
                  least(idle_expires_at, expires_at) AS "expires_at!", id = $2 AS "current!"
           FROM users.sessions
           WHERE account_id = $1 AND id < $3 AND revoked_at IS NULL AND idle_expires_at > now() AND expires_at > now()
           ORDER BY id DESC LIMIT $4"#,
        account.uuid(),
        current.uuid(),
        page.before,
        page.fetch(),
    )
    .fetch_all(connection)
    .await
}

/// Removes a batch of what sessions that ended by age leave behind, tokens first: a session that was refreshed for a month has
/// thousands. Returns how many rows went.
pub(crate) async fn delete_expired(connection: &mut PgConnection, batch: i64) -> Result<u64, sqlx::Error> {
    let tokens = sqlx::query!(
        "DELETE FROM users.refresh_tokens WHERE token_hash IN
             (SELECT t.token_hash FROM users.sessions s JOIN users.refresh_tokens t ON t.session_id = s.id
              WHERE s.expires_at < now() LIMIT $1)",
        batch,
    )
    .execute(&mut *connection)
    .await?;
    if tokens.rows_affected() > 0 {
        return Ok(tokens.rows_affected());
    }
    let sessions = sqlx::query!(
        "DELETE FROM users.sessions WHERE id IN
             (SELECT id FROM users.sessions WHERE expires_at < now() ORDER BY expires_at LIMIT $1)",
        batch,
    )
    .execute(connection)
    .await?;
    Ok(sessions.rows_affected())
}
