//! The database as modules see it: one small pool for each module whose connections run as that module's role, and
//! transactions that wake workers after their commit.

mod changes;
mod config;
mod migrate;
mod transaction;
mod wakeups;

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions, Postgres};

pub(crate) use changes::{Changes, Forget};
pub use config::DatabaseConfig;
pub use migrate::{MigrateError, Migrations, is_current, migrate};
pub use transaction::Tx;
pub use wakeups::Wakeups;

/// The name of the ground floor's own schema, role-free pool and migration folder.
pub const PLATFORM: &str = "platform";

/// The most connections one process opens over all pools, the listening one included.
pub const MAX_CONNECTIONS: u32 = 20;

/// The ground floor's own migrations: jobs, schedules and idempotency keys.
pub const MIGRATIONS: Migrations =
    Migrations { module: PLATFORM, migrator: sqlx::migrate!("../../migrations/platform") };

/// One module's pool. Its connections run as the module's role, so SQL that names a foreign schema fails in the database.
#[derive(Clone, Debug)]
pub struct Db {
    pool: PgPool,
    wakeups: Wakeups,
}

impl Db {
    /// Opens a transaction.
    ///
    /// # Errors
    /// When no connection becomes free in time or the database is away.
    pub async fn begin(&self) -> Result<Tx, sqlx::Error> {
        Ok(Tx::new(self.pool.begin().await?, self.wakeups.clone()))
    }

    /// A connection for reading without a transaction.
    ///
    /// # Errors
    /// When no connection becomes free in time or the database is away.
    pub async fn read(&self) -> Result<PoolConnection<Postgres>, sqlx::Error> {
        self.pool.acquire().await
    }

    pub(crate) fn changes(&self) -> &Changes {
        self.wakeups.changes()
    }

    /// Asks for a sign of life.
    ///
    /// # Errors
    /// When the database is away or no connection becomes free in time.
    pub async fn ping(&self) -> Result<(), sqlx::Error> {
        sqlx::query("SELECT 1").execute(&self.pool).await.map(|_| ())
    }
}

/// All pools of this process.
#[derive(Clone, Debug)]
pub struct Databases {
    options: PgConnectOptions,
    role_prefix: String,
    platform: Db,
    modules: BTreeMap<String, Db>,
}

impl Databases {
    /// Prepares one pool for each entry of `database.connections`; the first connection is made when it is needed.
    ///
    /// # Errors
    /// When the URL cannot be read.
    pub fn open(config: &DatabaseConfig) -> Result<Self, sqlx::Error> {
        let options = PgConnectOptions::from_str(config.url.expose())?
            .log_slow_statements(log::LevelFilter::Warn, Duration::from_millis(config.slow_statement_ms))
            .options([
                ("statement_timeout", config.statement_timeout_ms.to_string()),
                ("lock_timeout", config.lock_timeout_ms.to_string()),
                ("idle_in_transaction_session_timeout", config.statement_timeout_ms.saturating_mul(2).to_string()),
            ]);
        let role_prefix = config.role_prefix.clone();
        let role_prefix = role_prefix.unwrap_or_else(|| options.get_database().unwrap_or("postgres").to_owned());
        let own = pool(config, PLATFORM, options.clone());
        // Its signs of life are nobody's statements.
        let quiet = options.clone().application_name("listening").log_statements(log::LevelFilter::Off);
        let listening = PgPoolOptions::new().max_connections(1).connect_lazy_with(quiet);
        let platform = Db { wakeups: Wakeups::new(own.clone(), listening), pool: own };
        let open_module = |module: &String| {
            let role = [("role", role_name(&role_prefix, module))];
            let options = if config.roles { options.clone().options(role) } else { options.clone() };
            (module.clone(), Db { pool: pool(config, module, options), wakeups: platform.wakeups.clone() })
        };
        let modules = config.connections.keys().filter(|name| *name != PLATFORM).map(open_module).collect();
        Ok(Self { options, role_prefix, platform, modules })
    }

    /// The ground floor's own pool; it runs as the role that owns the schemas.
    #[must_use]
    pub fn platform(&self) -> &Db {
        &self.platform
    }

    /// A module's pool, running as the module's role unless roles are switched off.
    ///
    /// # Panics
    /// When `database.connections` has no entry for the module; the configuration check names it before.
    #[must_use]
    pub fn module(&self, module: &str) -> Db {
        self.modules.get(module).cloned().unwrap_or_else(|| panic!("database.connections.{module} is missing"))
    }

    /// Every pool, the platform's first.
    pub fn pools(&self) -> impl Iterator<Item = &Db> {
        std::iter::once(&self.platform).chain(self.modules.values())
    }

    /// Whether this process hears what others change; while it does not, it keeps no answers.
    #[must_use]
    pub fn hears_changes(&self) -> bool {
        self.platform.changes().hears()
    }

    /// Sets the gauges of every pool and of listening; called when metrics are read.
    pub fn measure(&self) {
        metrics::gauge!("db_listening").set(f64::from(u8::from(self.hears_changes())));
        let platform = std::iter::once((PLATFORM, &self.platform));
        for (name, db) in platform.chain(self.modules.iter().map(|(name, db)| (name.as_str(), db))) {
            let (open, idle) = (db.pool.size(), u32::try_from(db.pool.num_idle()).unwrap_or(u32::MAX));
            for (state, count) in [("idle", idle.min(open)), ("busy", open.saturating_sub(idle))] {
                metrics::gauge!("db_connections", "pool" => name.to_owned(), "state" => state).set(f64::from(count));
            }
        }
    }

    /// Wake-ups shared by every pool of this process.
    #[must_use]
    pub fn wakeups(&self) -> &Wakeups {
        &self.platform.wakeups
    }

    /// A connection outside the pools, for listening, migrating and examining.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn connect(&self) -> Result<sqlx::PgConnection, sqlx::Error> {
        self.options.clone().options([("statement_timeout", "0"), ("lock_timeout", "0")]).connect().await
    }

    /// What module roles are called: `{prefix}_{module}`. Roles live in the whole cluster, hence the database's name.
    #[must_use]
    pub fn role_prefix(&self) -> &str {
        &self.role_prefix
    }
}

fn role_name(prefix: &str, module: &str) -> String {
    format!("{prefix}_{module}")
}

/// What every session of the service's statements keeps to. How one is executed is decided once for each connection: if that was
/// while a table was empty, as a queue mostly is, the table would be read whole when it has grown, until its statistics catch
/// up. So whatever has an index goes through it. Compiling is for statements that run for seconds.
const SESSION: [(&str, &str); 2] = [("enable_seqscan", "off"), ("jit", "off")];

fn pool(config: &DatabaseConfig, module: &str, options: PgConnectOptions) -> PgPool {
    PgPoolOptions::new()
        .max_connections(config.connections.get(module).copied().unwrap_or(2))
        .min_connections(0)
        .acquire_timeout(Duration::from_millis(config.acquire_timeout_ms))
        // A connection that died is noticed by the statement that meets it; a ping before each use would double the trips.
        .test_before_acquire(false)
        .connect_lazy_with(options.options(SESSION).application_name(module))
}
