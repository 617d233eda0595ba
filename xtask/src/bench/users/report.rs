use std::fmt::Write;
use std::fs;
use std::time::Duration;

use super::sides::Sides;
use super::{CONNECTIONS, Effort, Round};
use crate::bench::figures::{hundredths, microseconds, middle, milliseconds, nanoseconds, ratio};
use crate::database::ScratchDatabase;
use crate::failure::{Failure, io};
use crate::usage;
use crate::workspace::Workspace;

/// Where the last figures stand.
const PAGE: &str = "docs/benchmarks/users.md";

/// The page as far as it is known.
pub(super) struct Report {
    head: String,
    figures: String,
    goals: String,
}

impl Report {
    pub(super) fn begin(database: &ScratchDatabase, effort: Effort) -> Result<Self, Failure> {
        let (date, version) = (database.ask("SELECT current_date::text")?, database.ask("SHOW server_version")?);
        let (machine, Effort { rounds, seconds }) = (usage::machine(), effort);
        let head = format!(
            "# The service beside a bare one\n\n\
             `cargo xtask bench users --rounds {rounds} --seconds {seconds}` wrote this page on {date}.\n\n\
             Machine: {machine}. The service, PostgreSQL {version} and the program that asks share it, over {CONNECTIONS}\n\
             connections, each for a person of its own. The service is the release build with everything on: access log\n\
             as JSON (written to the null device), metrics, session check, headers; only the limits are raised. \"Bare\" is\n\
             axum and sqlx alone (`xtask/src/bench/bare.rs`): the token's signature and times, the same query, as many\n\
             connections to the database. PostgreSQL writes durably.\n\n\
             The sides take turns, {rounds} rounds of {seconds} s each; shown are medians. Processor time is user and system\n\
             time divided by requests. Requests a second depend on what else the machine does: compare ratios.\n"
        );
        let figures = "\n| what | requests/s | p50 ms | p99 ms | service CPU µs | PostgreSQL CPU µs |\n\
                       |---|--:|--:|--:|--:|--:|\n";
        let goals = "\nRatios of ours to the bare one's in the same round, their median:\n\n\
                     | what | goal | measured | holds |\n|---|--:|--:|---|\n";
        Ok(Self { head, figures: figures.to_owned(), goals: goals.to_owned() })
    }

    pub(super) fn read(&mut self, ours: &[Round], bare: &[Round]) {
        self.figures("`GET /v1/me`", ours);
        self.figures("bare: one row by its key", bare);
        self.at_least("read: requests/s", 85, ratio(ours, bare, |round| round.per_second));
        self.at_most("read: service CPU", 125, ratio(ours, bare, |round| nanoseconds(round.service)));
    }

    pub(super) fn read_at_rate(&mut self, ours: &[Round], bare: &[Round], rate: u64) {
        self.figures(&format!("`GET /v1/me` at {rate}/s"), ours);
        self.figures(&format!("bare: one row at {rate}/s"), bare);
        self.at_most("read at half the bare rate: p99", 130, ratio(ours, bare, |round| nanoseconds(round.p99)));
    }

    pub(super) fn writes(&mut self, change: &[Round], creation: &[Round], bare: &[Round]) {
        self.figures("`PATCH /v1/me`: lock, save, audit row", change);
        self.figures("`POST /v1/organizations`: two rows, key, event, audit row", creation);
        self.figures("bare: one row inserted", bare);
        let rate = |round: &Round| round.per_second;
        self.at_least("validated, authorized write: requests/s", 60, ratio(change, bare, rate));
        self.at_least("write with key, event and audit row: requests/s", 35, ratio(creation, bare, rate));
    }

    pub(super) fn list(&mut self, ours: &[Round], bare: &[Round]) {
        self.figures("`GET /v1/organizations?limit=50`", ours);
        self.figures("bare: the same 50 rows", bare);
        self.at_least("a page of 50: requests/s", 85, ratio(ours, bare, |round| round.per_second));
    }

    pub(super) fn memory(&mut self, sides: &Sides) {
        let [ours, bare] = sides.memory().map(|kibibytes| kibibytes.unwrap_or_default() / 1024);
        let _ = writeln!(self.goals, "\nMemory after all this (resident): {ours} MiB; the bare one {bare} MiB.");
    }

    /// Shows the page and writes it down.
    pub(super) fn finish(self, workspace: &Workspace) -> Result<(), Failure> {
        let Self { head, figures, goals } = self;
        println!("{figures}{goals}");
        let path = workspace.root.join(PAGE);
        let directory = path.parent().unwrap_or(&workspace.root);
        fs::create_dir_all(directory).map_err(io("create", directory))?;
        fs::write(&path, format!("{head}{figures}{goals}")).map_err(io("write", &path))
    }

    fn figures(&mut self, what: &str, rounds: &[Round]) {
        let time = |of: fn(&Round) -> Duration| middle(rounds, |round| nanoseconds(of(round)));
        let (p50, p99) = (milliseconds(time(|round| round.p50)), milliseconds(time(|round| round.p99)));
        let service = microseconds(time(|round| round.service));
        let postgres = microseconds(time(|round| round.postgres));
        let rate = middle(rounds, |round| round.per_second);
        let _ = writeln!(self.figures, "| {what} | {rate} | {p50} | {p99} | {service} | {postgres} |");
    }

    fn at_least(&mut self, what: &str, goal: u64, measured: u64) {
        self.goal(what, &format!("≥ {}", hundredths(goal)), measured, measured >= goal);
    }

    fn at_most(&mut self, what: &str, goal: u64, measured: u64) {
        self.goal(what, &format!("≤ {}", hundredths(goal)), measured, measured <= goal);
    }

    fn goal(&mut self, what: &str, goal: &str, measured: u64, holds: bool) {
        let (measured, holds) = (hundredths(measured), if holds { "yes" } else { "no" });
        let _ = writeln!(self.goals, "| {what} | {goal} | {measured} | {holds} |");
    }
}
