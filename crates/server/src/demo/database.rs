//! A database that exists for one demo.

use dev_postgres::{Cluster, Kind, process_exists};
use platform::db::PLATFORM;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection};

use crate::check::StartError;
use crate::{Config, dev, migrations};

/// How the names begin; the process and something random follow.
const PREFIX: &str = "demo_of_process_";

/// The names of such databases, for PostgreSQL.
const PATTERN: &str = "^demo_of_process_[0-9]+_[0-9a-f]{8}$";

/// The database and, where it lives on the built-in server, that server.
pub(super) struct Database {
    name: String,
    server: PgConnectOptions,
    /// Whether its modules have roles of their own.
    roles: bool,
    cluster: Option<Cluster>,
}

impl Database {
    /// Makes it on the configured server, else on the built-in one. The configuration then names it.
    pub(super) async fn create(config: &mut Config) -> Result<Self, StartError> {
        let built_in = config.database.url.is_empty();
        let cluster = built_in.then(|| Cluster::start(Kind::Development, &dev::data_directory())).transpose()?;
        let configured = config.database.url.expose().to_owned();
        let url = cluster.as_ref().map_or(configured, |cluster| cluster.url("postgres"));
        let server: PgConnectOptions = url.parse()?;
        let random = platform::ids::random_bytes::<4>().map(|byte| format!("{byte:02x}")).concat();
        let name = format!("{PREFIX}{}_{random}", std::process::id());
        config.database.url = server.clone().database(&name).to_url_lossy().to_string().into();
        let database = Self { name, server, roles: config.database.roles, cluster };
        let mut connection = database.server.connect().await?;
        if database.cluster.is_some() {
            database.sweep(&mut connection).await?;
        }
        run(&mut connection, format!("CREATE DATABASE {}", database.name)).await?;
        connection.close().await?;
        Ok(database)
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Drops it with its roles, whoever is still connected.
    pub(super) async fn destroy(self) -> Result<(), StartError> {
        let mut connection = self.server.connect().await?;
        self.drop_with_roles(&mut connection, &self.name).await?;
        connection.close().await?;
        Ok(self.cluster.map_or(Ok(()), Cluster::stop)?)
    }

    /// Drops what demos left that were killed.
    async fn sweep(&self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        let names: Vec<String> = sqlx::query_scalar("SELECT datname FROM pg_database WHERE datname ~ $1")
            .bind(PATTERN)
            .fetch_all(&mut *connection)
            .await?;
        let maker = |name: &str| name.strip_prefix(PREFIX)?.split('_').next()?.parse().ok();
        for name in names.iter().filter(|name| maker(name).is_some_and(|process| !process_exists(process))) {
            self.drop_with_roles(connection, name).await?;
        }
        Ok(())
    }

    async fn drop_with_roles(&self, connection: &mut PgConnection, name: &str) -> Result<(), sqlx::Error> {
        run(connection, format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await?;
        let modules = migrations().into_iter().map(|known| known.module).filter(|module| *module != PLATFORM);
        for module in modules.filter(|_| self.roles) {
            run(connection, format!("DROP ROLE IF EXISTS {name}_{module}")).await?;
        }
        Ok(())
    }
}

/// Runs a statement about databases or roles, which take no parameters. The names are made in this file and by modules, of
/// letters, digits and underscores.
async fn run(connection: &mut PgConnection, statement: String) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(connection).await.map(drop)
}
