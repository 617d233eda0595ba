mod draining;
mod enqueueing;
mod starting;

use crate::cargo::Cargo;
use crate::database::ScratchDatabase;
use crate::failure::Failure;
use crate::people;
use crate::progress;
use crate::release;
use crate::service::{Log, Program};
use crate::usage;
use crate::workspace::Workspace;

use super::Effort;
use super::generator::Generator;
use super::page::Page;
use super::webhooks::LIKE_PRODUCTION;

/// Connections that enqueue at the same time.
const CONNECTIONS: u32 = 16;

/// The tables of the other side.
const TABLES: &str = "CREATE SCHEMA bare;
    CREATE TABLE bare.rows (
        id uuid PRIMARY KEY, queue text NOT NULL, name text NOT NULL, args jsonb NOT NULL, created_at timestamptz NOT NULL
    );
    CREATE TABLE bare.jobs (
        id uuid PRIMARY KEY, queue text NOT NULL, name text NOT NULL, args jsonb NOT NULL, priority smallint NOT NULL,
        run_at timestamptz NOT NULL
    );
    CREATE INDEX ON bare.jobs (queue, priority, run_at, id);
    ALTER TABLE bare.jobs SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0)";

/// Everything that takes part.
struct Stage<'a> {
    database: &'a ScratchDatabase,
    generator: Generator,
    /// The database server's first process.
    postgres: u32,
    program: Program,
    /// The program whose jobs do nothing.
    idle: std::path::PathBuf,
    effort: Effort,
}

/// Measures the job queue beside the least that does the same in SQL, and writes down how they compare.
pub(crate) fn jobs(workspace: &Workspace, effort: Effort) -> Result<(), Failure> {
    if !release::IS_RELEASE {
        return release::run_again(workspace);
    }
    let _turn = workspace.take_turn()?;
    let database = ScratchDatabase::create_durable(workspace, "bench_jobs")?;
    let mut program = Program::build(workspace, &database)?;
    progress("building the worker whose jobs do nothing");
    Cargo::new(workspace, &["build", "--release", "--package", "platform", "--example", "idle_jobs"]).run()?;
    let idle = workspace.target.join("release/examples").join(format!("idle_jobs{}", std::env::consts::EXE_SUFFIX));
    program.settings = people::WITHOUT_LIMITS.into_iter().chain(LIKE_PRODUCTION.iter().copied()).collect();
    program.migrate()?;
    database.run(TABLES)?;
    program.log = Log::Nowhere;
    let (generator, postgres) = (Generator::start(&database.url(), CONNECTIONS)?, database.server_process()?);
    let stage = Stage { database: &database, generator, postgres, program, idle, effort };
    let mut page = Page::begin("jobs", "The job queue beside bare SQL", &method(), &database, effort)?;
    enqueueing::measure(&stage, &mut page)?;
    draining::measure(&stage, &mut page)?;
    starting::measure(&stage, &mut page, workspace)?;
    page.finish(workspace)
}

fn method() -> String {
    format!(
        "Jobs are enqueued over {CONNECTIONS} connections by the statement of the service. The queue alone is measured with\n\
         a worker whose jobs do nothing (`crates/platform/examples/idle_jobs.rs`), the whole with the release build of the\n\
         service; both write their log as JSON to the null device, a line for each job.\n"
    )
}

impl Stage<'_> {
    /// The processor time that PostgreSQL has used so far.
    fn used_by_postgres(&self) -> Result<std::time::Duration, Failure> {
        let unknown = || Failure::Finding("processor times are only known on Linux".to_owned());
        usage::cpu_time_of_family(self.postgres).ok_or_else(unknown)
    }
}
