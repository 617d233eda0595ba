mod crate_roots;
mod offline_data;

use std::path::Path;

use crate::cargo::Cargo;
use crate::database::ScratchDatabase;
use crate::failure::Failure;
use crate::progress;
use crate::workspace::{Workspace, empty_directory};

use crate_roots::CrateRoots;
use offline_data::Difference;

/// Renews the offline SQL data, or only compares it with what was committed.
pub(crate) fn run(workspace: &Workspace, only_check: bool) -> Result<(), Failure> {
    let _turn = workspace.take_turn()?;
    let database = ScratchDatabase::create(workspace, "prepare")?;
    database.migrate(&workspace.root.join("migrations"))?;
    let fresh = empty_directory(&workspace.scratch()?.join("sqlx"))?;
    let roots = CrateRoots::touch(workspace)?;
    ask_every_query(workspace, &database, &fresh)?;
    let committed = workspace.root.join(".sqlx");
    let difference = Difference::between(&committed, &fresh)?;
    if difference.is_empty() {
        // Nothing that the compiler has already seen has changed.
        roots.restore()?;
        println!(".sqlx is up to date: {} queries", difference.queries());
        return Ok(());
    }
    if only_check {
        return Err(Failure::Finding(format!(
            "the data in .sqlx is not what the queries and migrations make; \
             run `cargo xtask prepare` and commit .sqlx\n{difference}"
        )));
    }
    difference.apply(&committed, &fresh)?;
    println!("{difference}\n.sqlx renewed: {} queries", difference.queries());
    Ok(())
}

/// Compiles everything, whereby each checked query asks the database and writes the answer to the directory.
fn ask_every_query(workspace: &Workspace, database: &ScratchDatabase, answers: &Path) -> Result<(), Failure> {
    progress("compiling every query against the database");
    Cargo::new(workspace, &["check", "--workspace", "--all-targets"])
        .env("DATABASE_URL", database.url())
        .env("SQLX_OFFLINE", "false")
        .env("SQLX_OFFLINE_DIR", answers)
        .run()
}
