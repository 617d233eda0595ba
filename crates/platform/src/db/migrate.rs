use sqlx::migrate::Migrator;
use sqlx::{AssertSqlSafe, PgConnection};

use super::{PLATFORM, role_name};

/// One module's migrations; they touch the module's own schema and keep their history in it.
#[derive(Debug)]
pub struct Migrations {
    /// The module, which is also the schema.
    pub module: &'static str,
    /// The files of `migrations/<module>`, embedded.
    pub migrator: Migrator,
}

/// Why the database could not be brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// A migration failed or differs from the one that was applied.
    #[error("migrating the schema `{module}` failed")]
    Migration {
        /// Whose.
        module: &'static str,
        /// What PostgreSQL or the comparison said.
        source: sqlx::migrate::MigrateError,
    },
    /// The module's role could not be made.
    #[error("the role `{role}` could not be set up; set database.roles = false where creating roles is forbidden")]
    Role {
        /// The role.
        role: String,
        /// What PostgreSQL said.
        source: sqlx::Error,
    },
    /// The database is away.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Applies what is missing, the platform's schema first, then sets up each module's role when `role_prefix` is given.
/// Safe to run from several processes at once and as often as you like.
///
/// # Errors
/// The first migration or role that failed; each migration is a transaction, so nothing is half done.
pub async fn migrate(
    connection: &mut PgConnection,
    migrations: &[Migrations],
    role_prefix: Option<&str>,
) -> Result<(), MigrateError> {
    sqlx::query("SELECT pg_advisory_lock(hashtext('migrate'))").execute(&mut *connection).await?;
    let migrated = migrate_locked(connection, migrations, role_prefix).await;
    let unlocked = sqlx::query("SELECT pg_advisory_unlock(hashtext('migrate'))").execute(&mut *connection).await;
    migrated?;
    Ok(unlocked.map(|_| ())?)
}

async fn migrate_locked(
    connection: &mut PgConnection,
    migrations: &[Migrations],
    role_prefix: Option<&str>,
) -> Result<(), MigrateError> {
    for Migrations { module, migrator } in migrations {
        let mut own = Migrator::with_migrations(migrator.iter().cloned().collect());
        own.dangerous_set_table_name(format!("{module}._migrations"));
        own.create_schema(*module);
        // The lock above covers every schema; sqlx's own would be taken and given back for each of them.
        own.set_locking(false);
        let ran = own.run_direct(None, &mut *connection, false).await;
        ran.map_err(|source| MigrateError::Migration { module, source })?;
    }
    if let Some(prefix) = role_prefix {
        for Migrations { module, .. } in migrations.iter().filter(|known| known.module != PLATFORM) {
            let role = role_name(prefix, module);
            let made = set_up_role(connection, module, &role).await;
            made.map_err(|source| MigrateError::Role { role, source })?;
        }
    }
    Ok(())
}

/// Whether every embedded migration has been applied; what a serving process checks instead of migrating.
///
/// # Errors
/// When the database is away.
pub async fn is_current(connection: &mut PgConnection, migrations: &[Migrations]) -> Result<bool, sqlx::Error> {
    for Migrations { module, migrator } in migrations {
        let newest = migrator.iter().map(|migration| migration.version).max().unwrap_or_default();
        let known: Option<String> = sqlx::query_scalar("SELECT to_regclass($1)::text")
            .bind(format!("{module}._migrations"))
            .fetch_one(&mut *connection)
            .await?;
        let Some(history) = known else { return Ok(false) };
        let applied: Option<i64> =
            sqlx::query_scalar(AssertSqlSafe(format!("SELECT max(version) FROM {history} WHERE success")))
                .fetch_one(&mut *connection)
                .await?;
        if applied.unwrap_or_default() < newest {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Makes the module's role and lets it use its own schema and the platform's functions, nothing else.
async fn set_up_role(connection: &mut PgConnection, module: &str, role: &str) -> Result<(), sqlx::Error> {
    let quoted = quote(role);
    let schema = quote(module);
    let known: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)")
        .bind(role)
        .fetch_one(&mut *connection)
        .await?;
    if !known {
        let made = run(connection, format!("CREATE ROLE {quoted} NOLOGIN")).await;
        // Another process made it between the question and the attempt: 42710 duplicate_object, 23505 unique_violation.
        if let Err(error) = made
            && !matches!(
                error.as_database_error().and_then(sqlx::error::DatabaseError::code).as_deref(),
                Some("42710" | "23505")
            )
        {
            return Err(error);
        }
    }
    let facts: (bool, i32) = sqlx::query_as(
        "SELECT rolsuper, current_setting('server_version_num')::int FROM pg_roles WHERE rolname = current_user",
    )
    .fetch_one(&mut *connection)
    .await?;
    match facts {
        (true, _) => {}
        // From PostgreSQL 16 a role's creator is its administrator but may not become it unless it says so.
        (false, 160_000..) => run(connection, format!("GRANT {quoted} TO CURRENT_USER WITH SET TRUE")).await?,
        (false, _) => run(connection, format!("GRANT {quoted} TO CURRENT_USER")).await?,
    }
    for grant in [
        format!("GRANT USAGE ON SCHEMA {schema}, {PLATFORM} TO {quoted}"),
        format!("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {quoted}"),
        format!("GRANT USAGE ON ALL SEQUENCES IN SCHEMA {schema} TO {quoted}"),
        format!("GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA {schema}, {PLATFORM} TO {quoted}"),
        format!("REVOKE INSERT, UPDATE, DELETE ON {schema}._migrations FROM {quoted}"),
    ] {
        run(connection, grant).await?;
    }
    Ok(())
}

async fn run(connection: &mut PgConnection, statement: String) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(connection).await.map(|_| ())
}

/// An identifier as SQL takes it, whatever it contains.
fn quote(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::quote;

    #[test]
    fn identifiers_are_quoted_whatever_they_contain() {
        assert_eq!(quote("acme_things"), "\"acme_things\"");
        assert_eq!(quote("a\"; DROP ROLE x; --"), "\"a\"\"; DROP ROLE x; --\"");
    }
}
