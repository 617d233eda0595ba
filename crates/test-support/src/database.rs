//! A migrated database for each test, on a throw-away PostgreSQL that all tests of the workspace share.
//!
//! A set of migrations is applied once, to a template; each test gets a copy, which takes a fraction of the time.

use std::error::Error;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use chrono::{DateTime, Datelike, Utc};
use dev_postgres::{Cluster, Kind, process_exists};
use platform::clock::Clock;
use platform::db::{Migrations, migrate};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

/// Keys of the advisory locks on the maintenance database: one process builds or sweeps at a time.
const BUILDING: i64 = 0x7465_6d70;
const SWEEPING: i64 = 0x7377_6565;

/// How many databases of dead processes one process clears away, so that no test waits long for it.
const SWEPT_AT_ONCE: usize = 20;

/// Part of what a template is made by besides the migrations: the roles and what they may do.
const MAKING_OF_ROLES: &str = include_str!("../../platform/src/db/migrate.rs");

type Failure = Box<dyn Error + Send + Sync>;

/// One test's own database; dropping it removes it, also when the test panics.
#[derive(Debug)]
pub struct TestDatabase {
    name: String,
    template: String,
}

impl TestDatabase {
    /// A new database with these migrations applied and nothing else in it.
    ///
    /// # Panics
    /// When no PostgreSQL is installed or a migration fails; the message says what to do.
    pub async fn create(migrations: &[Migrations]) -> Self {
        crate::Statements::start_counting();
        match Self::try_create(migrations).await {
            Ok(database) => database,
            Err(error) => panic!("no test database: {}", with_causes(&*error)),
        }
    }

    /// The address of the database for the owner of everything in it.
    #[must_use]
    pub fn url(&self) -> String {
        cluster().url(&self.name)
    }

    /// What the modules' roles are called, `{role_prefix}_{module}`: copies share the roles of their template.
    #[must_use]
    pub fn role_prefix(&self) -> &str {
        &self.template
    }

    /// The database's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    async fn try_create(migrations: &[Migrations]) -> Result<Self, Failure> {
        static SWEPT: AtomicBool = AtomicBool::new(false);
        let mut connection = maintenance().await?;
        if !SWEPT.swap(true, Ordering::Relaxed) {
            sweep(&mut connection).await?;
        }
        let template = Template::of(migrations, Clock::system().now());
        let name = name_of(std::process::id());
        template.ensure(&mut connection, migrations).await?;
        match copy(&mut connection, &template.name, &name).await {
            // Another build of the project, running at the same time, cleared our template away.
            Err(error) if is_missing_database(&error) => {
                template.ensure(&mut connection, migrations).await?;
                copy(&mut connection, &template.name, &name).await?;
            }
            outcome => outcome?,
        }
        connection.close().await?;
        let template = template.name;
        Ok(Self { name, template })
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let statement = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        // The test's own runtime may be shutting down, and it cannot be waited for in here.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.map(|runtime| {
                runtime.block_on(async {
                    let mut connection = maintenance().await?;
                    run(&mut connection, statement).await?;
                    connection.close().await
                })
            })
        });
        // What cannot be dropped now is swept away by a later run.
        let _ = dropping.join();
    }
}

/// A database that holds a set of migrations, to be copied.
///
/// It is complete when PostgreSQL knows it as a template, which is the last step of its making.
struct Template {
    /// The beginning of the names of every template for the same modules.
    family: String,
    name: String,
}

impl Template {
    /// The one that is copied at this time. Migrations make partitions for the weeks around the one in which they run, so each
    /// week has a template of its own; weeks begin on Monday at 00:00 UTC, there as here.
    fn of(migrations: &[Migrations], now: DateTime<Utc>) -> Self {
        let modules: Vec<_> = migrations.iter().map(|known| known.module).collect();
        let family = format!("template_{:08x}_", hash(&modules) >> 32);
        let content: Vec<_> = migrations
            .iter()
            .flat_map(|known| known.migrator.iter())
            .map(|migration| (migration.version, &migration.checksum))
            .collect();
        let name = format!("{family}{:016x}", hash(&(content, MAKING_OF_ROLES, now.iso_week())));
        Self { family, name }
    }

    async fn ensure(&self, connection: &mut PgConnection, migrations: &[Migrations]) -> Result<(), Failure> {
        if self.is_complete(connection).await? {
            return Ok(());
        }
        sqlx::query("SELECT pg_advisory_lock($1)").bind(BUILDING).execute(&mut *connection).await?;
        if !self.is_complete(connection).await? {
            self.build(connection, migrations).await?;
        }
        sqlx::query("SELECT pg_advisory_unlock($1)").bind(BUILDING).execute(connection).await?;
        Ok(())
    }

    async fn is_complete(&self, connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
        sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1 AND datistemplate)")
            .bind(&self.name)
            .fetch_one(connection)
            .await
    }

    async fn build(&self, connection: &mut PgConnection, migrations: &[Migrations]) -> Result<(), Failure> {
        let name = &self.name;
        self.drop_superseded(connection).await?;
        // A process that was killed may have left it half made.
        run(connection, format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await?;
        run(connection, format!("CREATE DATABASE {name}")).await?;
        let mut template = PgConnection::connect(&cluster().url(name)).await?;
        migrate(&mut template, migrations, Some(name)).await?;
        template.close().await?;
        run(connection, format!("ALTER DATABASE {name} WITH IS_TEMPLATE true ALLOW_CONNECTIONS false")).await?;
        Ok(())
    }

    /// Drops what earlier builds of the project and earlier weeks left for the same modules, and roles that no template
    /// needs any more.
    async fn drop_superseded(&self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        let superseded: Vec<String> =
            sqlx::query_scalar("SELECT datname FROM pg_database WHERE starts_with(datname, $1) AND datname <> $2")
                .bind(&self.family)
                .bind(&self.name)
                .fetch_all(&mut *connection)
                .await?;
        // What is still in use, like a role of a copy that is, stays until next time.
        for name in superseded {
            let _ = run(connection, format!("ALTER DATABASE {name} WITH IS_TEMPLATE false")).await;
            let _ = run(connection, format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await;
        }
        let unneeded: Vec<String> = sqlx::query_scalar(
            "SELECT rolname FROM pg_roles WHERE starts_with(rolname, 'template_') AND NOT EXISTS \
             (SELECT FROM pg_database WHERE starts_with(rolname, datname || '_'))",
        )
        .fetch_all(&mut *connection)
        .await?;
        for role in unneeded {
            let _ = run(connection, format!("DROP ROLE IF EXISTS {role}")).await;
        }
        Ok(())
    }
}

/// The cluster that all tests of the workspace share; this process leaves it when it ends. The first test of a process
/// waits here for the server, which no other test could do without.
fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(|| match Cluster::start(Kind::Test, &target().join("postgres-test")) {
        Ok(cluster) => cluster,
        Err(error) => panic!("{}", with_causes(&error)),
    })
}

/// Where this build of the workspace leaves its results.
fn target() -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    workspace.join(option_env!("CARGO_TARGET_DIR").unwrap_or("target"))
}

async fn maintenance() -> Result<PgConnection, sqlx::Error> {
    PgConnection::connect(&cluster().url("postgres")).await
}

/// The name tells the owner, so that others can see whether it is still alive.
fn name_of(process: u32) -> String {
    format!("test_{process}_{}", platform::ids::new_uuid().simple())
}

fn owner_of(name: &str) -> Option<u32> {
    name.strip_prefix("test_")?.split('_').next()?.parse().ok()
}

/// Copies files rather than logging every page: without `fsync` its checkpoints cost little, and it takes half the time.
async fn copy(connection: &mut PgConnection, template: &str, name: &str) -> Result<(), sqlx::Error> {
    run(connection, format!("CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")).await
}

/// Drops databases whose process is gone: killed, or so unlucky that its own dropping failed.
async fn sweep(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    let is_alone: bool =
        sqlx::query_scalar("SELECT pg_try_advisory_lock($1)").bind(SWEEPING).fetch_one(&mut *connection).await?;
    if !is_alone {
        return Ok(());
    }
    let databases: Vec<String> =
        sqlx::query_scalar("SELECT datname FROM pg_database WHERE starts_with(datname, 'test_')")
            .fetch_all(&mut *connection)
            .await?;
    let is_left_over = |name: &String| owner_of(name).is_some_and(|owner| !process_exists(owner));
    for name in databases.into_iter().filter(is_left_over).take(SWEPT_AT_ONCE) {
        let _ = run(connection, format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await;
    }
    sqlx::query("SELECT pg_advisory_unlock($1)").bind(SWEEPING).execute(connection).await?;
    Ok(())
}

/// Runs a statement about databases or roles, which take no parameters. The names are made in this file, from letters,
/// digits and underscores.
async fn run(connection: &mut PgConnection, statement: String) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(connection).await.map(drop)
}

/// 3D000 is PostgreSQL's `invalid_catalog_name`.
fn is_missing_database(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.as_deref() == Some("3D000")
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// The message of an error and of everything that caused it.
fn with_causes(error: &dyn Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| (*cause).source());
    causes.fold(error.to_string(), |message, cause| format!("{message}: {cause}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn names() -> Vec<String> {
        let mut connection = maintenance().await.expect("connects");
        sqlx::query_scalar("SELECT datname FROM pg_database").fetch_all(&mut connection).await.expect("lists")
    }

    #[tokio::test]
    async fn every_test_has_a_migrated_database_of_its_own() {
        let one = TestDatabase::create(&[platform::db::MIGRATIONS]).await;
        let other = TestDatabase::create(&[platform::db::MIGRATIONS]).await;
        assert_ne!(one.name(), other.name());
        assert_eq!(one.role_prefix(), other.role_prefix());
        let mut connection = PgConnection::connect(&one.url()).await.expect("connects");
        run(&mut connection, "CREATE TABLE platform.marks ()".to_owned()).await.expect("is migrated");
        let mut connection = PgConnection::connect(&other.url()).await.expect("connects");
        let marks: Option<String> = sqlx::query_scalar("SELECT to_regclass('platform.marks')::text")
            .fetch_one(&mut connection)
            .await
            .expect("looks");
        assert_eq!(marks, None);
    }

    #[tokio::test]
    async fn a_database_goes_even_when_its_test_panics() {
        let database = TestDatabase::create(&[platform::db::MIGRATIONS]).await;
        let name = database.name().to_owned();
        assert!(names().await.contains(&name));
        let _open = PgConnection::connect(&database.url()).await.expect("connects");
        let panicking = std::thread::spawn(move || {
            let _database = database;
            panic!("as a test does");
        });
        assert!(panicking.join().is_err());
        assert!(!names().await.contains(&name));
    }

    #[tokio::test]
    async fn databases_of_dead_processes_are_swept_and_those_of_living_ones_kept() {
        let living = TestDatabase::create(&[platform::db::MIGRATIONS]).await;
        let mut connection = maintenance().await.expect("connects");
        let leftover = name_of(u32::MAX);
        run(&mut connection, format!("CREATE DATABASE {leftover}")).await.expect("creates");
        // Another process may be sweeping, and then it does this one's work.
        while names().await.contains(&leftover) {
            sweep(&mut connection).await.expect("sweeps");
        }
        assert!(names().await.contains(&living.name));
    }

    #[test]
    fn templates_differ_by_modules_by_migrations_and_by_weeks() {
        let at = |time: &str| -> DateTime<Utc> { time.parse().expect("a time") };
        let monday = at("2026-11-16T00:00:00Z");
        let platform = Template::of(&[platform::db::MIGRATIONS], monday);
        let empty = platform::db::Migrations { migrator: sqlx::migrate::Migrator::DEFAULT, ..platform::db::MIGRATIONS };
        let changed = Template::of(&[empty], monday);
        assert_eq!(platform.family, changed.family);
        assert_ne!(platform.name, changed.name);
        let other = Migrations { module: "other", ..platform::db::MIGRATIONS };
        let more = Template::of(&[platform::db::MIGRATIONS, other], monday);
        assert_ne!(platform.family, more.family);
        let then = |time: &str| Template::of(&[platform::db::MIGRATIONS], at(time));
        assert_eq!(then("2026-11-22T23:59:59.999Z").name, platform.name);
        let next = then("2026-11-23T00:00:00Z");
        assert_ne!(next.name, platform.name);
        assert_eq!(next.family, platform.family, "so it takes the place of the one before");
    }
}
