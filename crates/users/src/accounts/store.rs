use chrono::{DateTime, Utc};
use platform::caller::UserId;
use sqlx::PgConnection;

use super::{Account, Login, Owner};
use crate::email::Email;
use crate::mails::Addressee;
use crate::registrations::Registration;

const EMAIL_TAKEN: &str = "accounts_email_unique";

pub(crate) async fn find(connection: &mut PgConnection, id: UserId) -> Result<Option<Account>, sqlx::Error> {
    sqlx::query_as!(
        Account,
        r#"SELECT id AS "id: UserId", mail_to AS email, name, version, created_at FROM users.accounts WHERE id = $1"#,
        id.uuid(),
    )
    .fetch_optional(connection)
    .await
}

/// Locks the account until the transaction ends. What changes an account, its sessions or its secrets takes this lock first,
/// so that such changes follow one another and cannot wait for each other in a circle.
pub(crate) async fn lock(connection: &mut PgConnection, id: UserId) -> Result<Option<Account>, sqlx::Error> {
    sqlx::query_as!(
        Account,
        r#"SELECT id AS "id: UserId", mail_to AS email, name, version, created_at
           FROM users.accounts WHERE id = $1 FOR NO KEY UPDATE"#,
        id.uuid(),
    )
    .fetch_optional(connection)
    .await
}

pub(super) async fn save(connection: &mut PgConnection, changed: &Account) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE users.accounts SET name = $2, version = $3 WHERE id = $1",
        changed.id.uuid(),
        changed.name,
        changed.version,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Moves the account to another address; `false` when that belongs to somebody else, which voids the transaction.
pub(crate) async fn save_email(
    connection: &mut PgConnection,
    id: UserId,
    email: &Email,
    version: i64,
) -> Result<bool, sqlx::Error> {
    let moved = sqlx::query!(
        "UPDATE users.accounts SET email = $2, mail_to = $3, version = $4 WHERE id = $1",
        id.uuid(),
        email.canonical,
        email.mail_to,
        version,
    )
    .execute(connection)
    .await;
    match moved {
        Ok(_) => Ok(true),
        Err(sqlx::Error::Database(error)) if error.constraint() == Some(EMAIL_TAKEN) => Ok(false),
        Err(error) => Err(error),
    }
}

pub(crate) async fn find_login(
    connection: &mut PgConnection,
    canonical_email: &str,
) -> Result<Option<Login>, sqlx::Error> {
    sqlx::query_as!(
        Login,
        r#"SELECT id AS "id: UserId", email, password_hash, password_version, disabled_at
           FROM users.accounts WHERE email = $1"#,
        canonical_email,
    )
    .fetch_optional(connection)
    .await
}

pub(crate) async fn find_login_of(connection: &mut PgConnection, id: UserId) -> Result<Option<Login>, sqlx::Error> {
    sqlx::query_as!(
        Login,
        r#"SELECT id AS "id: UserId", email, password_hash, password_version, disabled_at
           FROM users.accounts WHERE id = $1"#,
        id.uuid(),
    )
    .fetch_optional(connection)
    .await
}

pub(crate) async fn find_owner(
    connection: &mut PgConnection,
    canonical_email: &str,
) -> Result<Option<Owner>, sqlx::Error> {
    sqlx::query_as!(
        Owner,
        r#"SELECT id AS "id: UserId", mail_to, name, disabled_at IS NOT NULL AS "disabled!"
           FROM users.accounts WHERE email = $1"#,
        canonical_email,
    )
    .fetch_optional(connection)
    .await
}

/// Opens the account; `false` when the address has one already.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    id: UserId,
    registration: &Registration,
    at: DateTime<Utc>,
) -> Result<bool, sqlx::Error> {
    let Registration { email, mail_to, name, password_hash } = registration;
    let inserted = sqlx::query!(
        "INSERT INTO users.accounts (id, email, mail_to, name, password_hash, created_at)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT ON CONSTRAINT accounts_email_unique DO NOTHING",
        id.uuid(),
        email,
        mail_to,
        name,
        password_hash,
        at,
    )
    .execute(connection)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// Gives the account another password; `None` when it is gone, disabled, or has another one than was checked.
pub(crate) async fn save_password(
    connection: &mut PgConnection,
    id: UserId,
    password_hash: &str,
    checked_version: Option<i64>,
) -> Result<Option<Addressee>, sqlx::Error> {
    sqlx::query_as!(
        Addressee,
        "UPDATE users.accounts SET password_hash = $2, password_version = password_version + 1
         WHERE id = $1 AND disabled_at IS NULL AND password_version = coalesce($3, password_version)
         RETURNING mail_to, name",
        id.uuid(),
        password_hash,
        checked_version,
    )
    .fetch_optional(connection)
    .await
}

/// Renews the hash of the same password.
pub(crate) async fn save_renewed_hash(
    connection: &mut PgConnection,
    id: UserId,
    password_hash: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query!("UPDATE users.accounts SET password_hash = $2 WHERE id = $1", id.uuid(), password_hash)
        .execute(connection)
        .await?;
    Ok(())
}
