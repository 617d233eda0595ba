use std::fmt::Write;
use std::fs;

use super::Effort;
use super::figures::hundredths;
use crate::database::ScratchDatabase;
use crate::failure::{Failure, io};
use crate::usage;
use crate::workspace::Workspace;

/// Where pages and plots lie.
const FOLDER: &str = "docs/benchmarks";

/// A page of figures as far as it is known: what was wanted stands before the tables.
pub(super) struct Page {
    /// The file, without its ending; plots are named after it.
    name: &'static str,
    head: String,
    goals: String,
    body: String,
    plots: Vec<(String, String)>,
}

impl Page {
    /// `method` says what is measured and how, in lines.
    pub(super) fn begin(
        name: &'static str,
        title: &str,
        method: &str,
        database: &ScratchDatabase,
        effort: Effort,
    ) -> Result<Self, Failure> {
        let (date, version) = (database.ask("SELECT current_date::text")?, database.ask("SHOW server_version")?);
        let (machine, Effort { rounds, seconds }) = (usage::machine(), effort);
        let head = format!(
            "# {title}\n\n\
             `cargo xtask bench {name} --rounds {rounds} --seconds {seconds}` wrote this page on {date}.\n\n\
             Machine: {machine}, shared by everything that takes part: the service, PostgreSQL {version}, which writes\n\
             durably, the program that asks, and the receivers. The sides take turns, {rounds} rounds of {seconds} s each; shown\n\
             are medians. CPU is user and system time. Rates depend on what else the machine does: compare ratios.\n\n\
             {method}"
        );
        let goals = "\n## Goals\n\n| what | goal | measured | holds |\n|---|--:|--:|---|\n".to_owned();
        Ok(Self { name, head, goals, body: String::new(), plots: Vec::new() })
    }

    pub(super) fn section(&mut self, title: &str, text: &str) {
        let _ = write!(self.body, "\n## {title}\n\n{text}\n");
    }

    /// Begins a table: the first column is text, the others are numbers.
    pub(super) fn table(&mut self, columns: &[&str]) {
        let _ = writeln!(self.body, "\n| {} |\n|---|{}", columns.join(" | "), "--:|".repeat(columns.len() - 1));
    }

    pub(super) fn row(&mut self, cells: &[String]) {
        let _ = writeln!(self.body, "| {} |", cells.join(" | "));
    }

    /// A ratio, in hundredths, that should be so large.
    pub(super) fn at_least(&mut self, what: &str, goal: u64, measured: u64) {
        self.goal(what, (&format!("≥ {}", hundredths(goal)), &hundredths(measured)), measured >= goal);
    }

    /// A ratio, in hundredths, that should not be larger.
    pub(super) fn at_most(&mut self, what: &str, goal: u64, measured: u64) {
        self.goal(what, (&format!("≤ {}", hundredths(goal)), &hundredths(measured)), measured <= goal);
    }

    /// A goal and what was measured, as they are written.
    pub(super) fn goal(&mut self, what: &str, (goal, measured): (&str, &str), holds: bool) {
        let holds = if holds { "yes" } else { "**no**" };
        let _ = writeln!(self.goals, "| {what} | {goal} | {measured} | {holds} |");
    }

    /// Puts a picture here.
    pub(super) fn plot(&mut self, name: &str, caption: &str, svg: String) {
        let file = format!("{}-{name}.svg", self.name);
        let _ = writeln!(self.body, "\n![{caption}]({file})");
        self.plots.push((file, svg));
    }

    /// Shows what was measured.
    pub(super) fn show(&self) {
        println!("{}{}", self.goals, self.body);
    }

    /// Shows the page and writes it down with its pictures.
    pub(super) fn finish(self, workspace: &Workspace) -> Result<(), Failure> {
        self.show();
        let folder = workspace.root.join(FOLDER);
        fs::create_dir_all(&folder).map_err(io("create", &folder))?;
        let page = (format!("{}.md", self.name), format!("{}{}{}", self.head, self.goals, self.body));
        for (file, text) in self.plots.into_iter().chain([page]) {
            let path = folder.join(file);
            fs::write(&path, text).map_err(io("write", &path))?;
        }
        Ok(())
    }
}
