//! The repository's own tasks, run as `cargo xtask <task>`: what takes more than one command of cargo.

#![expect(clippy::print_stdout, reason = "a program for people, who read its results on standard output")]

mod bench;
mod cargo;
mod client;
mod database;
mod failure;
mod load;
mod openapi;
mod people;
mod prepare;
mod proofs;
mod rebuild_time;
mod release;
mod service;
mod sizes;
mod statistics;
mod template_check;
mod usage;
mod workspace;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use failure::Failure;
use workspace::Workspace;

/// The repository's own tasks: what takes more than one command of cargo.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Renew the offline SQL data in .sqlx, which lets the workspace compile without a database.
    ///
    /// Run it after every change of a query or a migration and commit what it writes. It applies the migrations to a
    /// database of its own, lets every `sqlx::query!` ask that database, and keeps the answers. The database stands on
    /// the server that `DATABASE_URL` names, else on a PostgreSQL of this machine that is started for it.
    Prepare {
        /// Change nothing; fail when the committed data is not what the queries and migrations make.
        #[arg(long)]
        check: bool,
    },
    /// Write openapi/v1.json, the contract, as the handlers describe it.
    Openapi {
        /// Change nothing; fail when the committed contract is not what the handlers describe.
        #[arg(long)]
        check: bool,
    },
    /// Show how large everything is: lines and files of each package, long files and functions, packages in Cargo.lock.
    Sizes,
    /// Measure the service.
    #[command(subcommand)]
    Bench(Bench),
    /// Prove at full counts what the tests show at small ones, and write down the figures in docs/proofs.md.
    #[command(subcommand)]
    Proofs(Proofs),
    /// What `bench users` compares with.
    #[command(hide = true)]
    BareService,
    /// What `bench webhooks` compares with.
    #[command(hide = true)]
    Floor,
    /// Measure how long a debug build takes after one handler was edited.
    ///
    /// It builds once, then adds a line of comment to the file and builds again, several times; each line moves all
    /// code below, as a real edit does. In the end the file is as it was.
    RebuildTime {
        /// The file to edit.
        #[arg(long, default_value = "crates/users/src/accounts/http.rs")]
        file: PathBuf,
        /// How many edits.
        #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
        runs: u32,
    },
    /// Make a project of another name from this template, test it, and remove a module from it by the recipe.
    ///
    /// It wants cargo-generate. What it generates lies below the target directory, is made from the files that git
    /// knows, must nowhere name this product, and must pass its tests; then the commands of docs/removing-a-module.md
    /// are run in it, and it must pass them again. A project that was generated is no template: there it says so.
    TemplateCheck,
}

#[derive(Subcommand)]
enum Proofs {
    /// Logins: an unknown address takes as long as a known one, and a storm of them costs bounded memory.
    Security,
    /// Jobs, events and webhooks: nothing is lost and nothing doubled when processes, clocks and PostgreSQL fail.
    Webhooks,
}

#[derive(Subcommand)]
enum Bench {
    /// Measure the release build's start: time to ready on a migrated database, idle memory, size of the binary.
    Startup {
        /// How many starts.
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
        runs: u32,
    },
    /// Measure reads, writes and lists of the module users beside a bare axum and sqlx service that does the same, on a
    /// PostgreSQL that writes durably, and write docs/benchmarks/users.md.
    Users(Rounds),
    /// Measure outgoing and incoming webhooks beside the least that sends any, on a PostgreSQL that writes durably, and write
    /// docs/benchmarks/webhooks.md.
    Webhooks {
        #[command(flatten)]
        rounds: Rounds,
        /// Measure a part alone, and only show it.
        #[arg(long)]
        only: Option<bench::Part>,
    },
    /// Measure the job queue beside bare SQL, on a PostgreSQL that writes durably, and write docs/benchmarks/jobs.md.
    Jobs(Rounds),
}

/// How much is measured.
#[derive(clap::Args)]
struct Rounds {
    /// How many rounds of each side.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// How long a round takes.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
}

impl From<Rounds> for bench::Effort {
    fn from(Rounds { rounds, seconds }: Rounds) -> Self {
        Self { rounds, seconds }
    }
}

fn main() -> ExitCode {
    match run(Arguments::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {}", failure.with_causes());
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<(), Failure> {
    let workspace = Workspace::find()?;
    match task {
        Task::Prepare { check } => prepare::run(&workspace, check),
        Task::Openapi { check } => openapi::run(&workspace, check),
        Task::Sizes => sizes::run(&workspace),
        Task::Bench(Bench::Startup { runs }) => bench::startup(&workspace, runs),
        Task::Bench(Bench::Users(rounds)) => bench::users(&workspace, rounds.into()),
        Task::Bench(Bench::Webhooks { rounds, only }) => bench::webhooks(&workspace, rounds.into(), only),
        Task::Bench(Bench::Jobs(rounds)) => bench::jobs(&workspace, rounds.into()),
        Task::Proofs(Proofs::Security) => proofs::security(&workspace),
        Task::Proofs(Proofs::Webhooks) => proofs::webhooks(&workspace),
        Task::BareService => bench::bare::serve(),
        Task::Floor => bench::floor::send(),
        Task::RebuildTime { file, runs } => rebuild_time::run(&workspace, &file, runs),
        Task::TemplateCheck => template_check::run(&workspace),
    }
}

/// Says what is being done; results go to standard output instead.
fn progress(doing: impl AsRef<str>) {
    eprintln!("==> {}", doing.as_ref());
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}
