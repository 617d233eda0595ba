use chrono::{DateTime, Utc};
use platform::caller::UserId;
use sqlx::PgConnection;

use super::{Account, Login};
use crate::registrations::Registration;

pub(crate) async fn find(connection: &mut PgConnection, id: UserId) -> Result<Option<Account>, sqlx::Error> {
    sqlx::query_as!(
        Account,
        r#"SELECT id AS "id: UserId", mail_to AS email, name, created_at FROM users.accounts WHERE id = $1"#,
        id.uuid(),
    )
    .fetch_optional(connection)
    .await
}

pub(crate) async fn find_login(
    connection: &mut PgConnection,
    canonical_email: &str,
) -> Result<Option<Login>, sqlx::Error> {
    sqlx::query_as!(
        Login,
        r#"SELECT id AS "id: UserId", password_hash, disabled_at FROM users.accounts WHERE email = $1"#,
        canonical_email,
    )
    .fetch_optional(connection)
    .await
}

/// Where mail for the owner of an address goes, whatever spelling somebody just typed.
pub(crate) async fn find_mail_to(
    connection: &mut PgConnection,
    canonical_email: &str,
) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar!("SELECT mail_to FROM users.accounts WHERE email = $1", canonical_email)
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

pub(crate) async fn save_password_hash(
    connection: &mut PgConnection,
    id: UserId,
    password_hash: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query!("UPDATE users.accounts SET password_hash = $2 WHERE id = $1", id.uuid(), password_hash)
        .execute(connection)
        .await?;
    Ok(())
}
