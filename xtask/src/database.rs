use std::future::Future;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::str::FromStr;

use dev_postgres::{Cluster, Kind};
use sqlx::migrate::Migrator;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, PgConnection};
use tokio::runtime::Runtime;

use crate::failure::{Failure, io};
use crate::progress;
use crate::usage;
use crate::workspace::Workspace;

/// The schema whose migrations come first; the modules may build on it, but not on each other.
const GROUND_FLOOR: &str = "platform";

/// The database that every server has.
const SERVERS_OWN: &str = "postgres";

/// A database that exists while this value does.
#[derive(Debug)]
pub(crate) struct ScratchDatabase {
    server: PgConnectOptions,
    name: String,
    runtime: Runtime,
    // Keeps the server running.
    _cluster: Option<Cluster>,
}

impl ScratchDatabase {
    /// Makes an empty database, on the server that the environment names, else on the one that the tests share.
    pub(crate) fn create(workspace: &Workspace, purpose: &str) -> Result<Self, Failure> {
        Self::create_on(find_server(workspace, Kind::Test, "postgres-test")?, workspace, purpose)
    }

    /// The same for measuring, on a server that is as careful with its data as in production.
    pub(crate) fn create_durable(workspace: &Workspace, purpose: &str) -> Result<Self, Failure> {
        let database = Self::create_on(find_server(workspace, Kind::Durable, "postgres-bench")?, workspace, purpose)?;
        for setting in ["fsync", "synchronous_commit", "full_page_writes"] {
            if database.ask(&format!("SHOW {setting}"))? != "on" {
                let text = format!("the server runs with {setting} off, so what is measured there means little");
                return Err(Failure::Finding(text));
            }
        }
        Ok(database)
    }

    fn create_on(found: Found, workspace: &Workspace, purpose: &str) -> Result<Self, Failure> {
        let (server, cluster) = found;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|source| Failure::Io { doing: "start a runtime".to_owned(), source })?;
        let name = name(&workspace.root, purpose);
        let database = Self { server, name, runtime, _cluster: cluster };
        // A task that was killed left its own behind.
        database.remove()?;
        database.run_on_server(format!("CREATE DATABASE {}", database.name))?;
        Ok(database)
    }

    /// Its address, with the password where there is one.
    pub(crate) fn url(&self) -> String {
        self.server.clone().database(&self.name).to_url_lossy().into()
    }

    /// Applies every module's migrations, as the service itself does.
    pub(crate) fn migrate(&self, migrations: &Path) -> Result<(), Failure> {
        let modules = modules_in(migrations)?;
        progress(format!("applying the migrations of {}", modules.join(", ")));
        self.runtime.block_on(async {
            let mut connection = self.server.clone().database(&self.name).connect().await?;
            for module in modules {
                let migrated = migrate_module(&mut connection, &module, &migrations.join(&module)).await;
                migrated.map_err(|source| Failure::Migration { module, source })?;
            }
            Ok(())
        })
    }

    /// Runs statements in it.
    pub(crate) fn run(&self, statements: &str) -> Result<(), Failure> {
        let statements = AssertSqlSafe(statements.to_owned());
        self.block_on(&self.name, async |connection| sqlx::raw_sql(statements).execute(connection).await.map(drop))
    }

    /// The one text that a query brings.
    pub(crate) fn ask(&self, query: &str) -> Result<String, Failure> {
        let query = AssertSqlSafe(query.to_owned());
        self.block_on(&self.name, async |connection| sqlx::query_scalar(query).fetch_one(connection).await)
    }

    /// The first process of the server, whose children serve the connections.
    pub(crate) fn server_process(&self) -> Result<u32, Failure> {
        let parent = self.block_on(&self.name, async |connection| {
            let own: i32 = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(connection).await?;
            // While the connection lasts, so does its process.
            Ok(u32::try_from(own).ok().and_then(usage::parent_of))
        });
        parent?.ok_or_else(|| Failure::Finding("the server's processes are not seen from here".to_owned()))
    }

    fn remove(&self) -> Result<(), Failure> {
        self.run_on_server(format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name))?;
        // The service makes a role for each module, named after the database.
        let roles: Vec<String> = self.block_on_server(async |connection| {
            let roles = sqlx::query_scalar("SELECT quote_ident(rolname) FROM pg_roles WHERE starts_with(rolname, $1)");
            roles.bind(format!("{}_", self.name)).fetch_all(connection).await
        })?;
        roles.into_iter().try_for_each(|role| self.run_on_server(format!("DROP ROLE {role}")))
    }

    fn run_on_server(&self, statement: String) -> Result<(), Failure> {
        self.block_on_server(async |connection| {
            sqlx::raw_sql(AssertSqlSafe(statement)).execute(connection).await.map(drop)
        })
    }

    fn block_on_server<T>(
        &self,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T, Failure> {
        self.block_on(self.server.get_database().unwrap_or(SERVERS_OWN), work)
    }

    fn block_on<T>(
        &self,
        database: &str,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T, Failure> {
        let connected: std::pin::Pin<Box<dyn Future<Output = Result<T, sqlx::Error>> + '_>> = Box::pin(async {
            let mut connection = self.server.clone().database(database).connect().await?;
            work(&mut connection).await
        });
        Ok(self.runtime.block_on(connected)?)
    }
}

impl Drop for ScratchDatabase {
    fn drop(&mut self) {
        if let Err(failure) = self.remove() {
            eprintln!("warning: the database {} was left behind: {}", self.name, failure.with_causes());
        }
    }
}

/// A server, and what keeps it running where that is needed.
type Found = (PgConnectOptions, Option<Cluster>);

fn find_server(workspace: &Workspace, kind: Kind, directory: &str) -> Result<Found, Failure> {
    if let Some(url) = named_server() {
        progress("using the PostgreSQL that the environment names");
        return Ok((PgConnectOptions::from_str(&url)?, None));
    }
    progress("starting PostgreSQL, unless it runs already");
    let cluster = Cluster::start(kind, &workspace.target.join(directory))?;
    let server = PgConnectOptions::from_str(&cluster.url("postgres"))?;
    Ok((server, Some(cluster)))
}

#[expect(
    clippy::disallowed_methods,
    reason = "platform, which reads the environment for the service, needs our work to compile"
)]
fn named_server() -> Option<String> {
    let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    variable("DATABASE_URL").or_else(|| variable("APP__DATABASE__URL"))
}

/// The same for every run in one clone of the repository, and another one for every clone.
fn name(root: &Path, purpose: &str) -> String {
    let mut hasher = DefaultHasher::new();
    root.hash(&mut hasher);
    format!("xtask_{purpose}_{:016x}", hasher.finish())
}

/// The folders with migrations, in the order in which they are applied.
fn modules_in(migrations: &Path) -> Result<Vec<String>, Failure> {
    let mut modules = Vec::new();
    for entry in std::fs::read_dir(migrations).map_err(io("list", migrations))? {
        let entry = entry.map_err(io("list", migrations))?;
        if entry.path().is_dir() {
            modules.extend(entry.file_name().into_string());
        }
    }
    modules.sort_by_key(|module| (module != GROUND_FLOOR, module.clone()));
    Ok(modules)
}

async fn migrate_module(
    connection: &mut PgConnection,
    module: &str,
    files: &Path,
) -> Result<(), sqlx::migrate::MigrateError> {
    let mut migrator = Migrator::new(files).await?;
    migrator.dangerous_set_table_name(format!("{module}._migrations"));
    migrator.create_schema(module.to_owned());
    migrator.run_direct(None, connection, false).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platform_comes_first_and_the_rest_in_order() {
        let root = tempfile::tempdir().expect("makes a directory");
        for module in ["users", "platform", "orders"] {
            std::fs::create_dir(root.path().join(module)).expect("makes a directory");
        }
        std::fs::write(root.path().join("README.md"), "").expect("writes");
        assert_eq!(modules_in(root.path()).expect("lists"), ["platform", "orders", "users"]);
    }

    #[test]
    fn two_clones_on_one_server_have_databases_of_their_own() {
        let one = name(Path::new("/one"), "prepare");
        assert_eq!(one, name(Path::new("/one"), "prepare"));
        assert_ne!(one, name(Path::new("/two"), "prepare"));
        // Room for the names of roles, which PostgreSQL cuts at 63 bytes.
        assert!(one.len() < 40);
    }
}
