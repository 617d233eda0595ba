//! How a demo is told: one numbered sentence for each step, what was sent and received below it.

use std::io::IsTerminal;
use std::time::Instant;

use serde_json::Value;

use super::shown::{shown, with_short_ids, wrapped};
use crate::cli::say;

const BOLD: &str = "1";
const DIM: &str = "2";
const RED: &str = "31";
const GREEN: &str = "32";

/// Tells the steps as they happen.
pub(super) struct Story {
    /// Escape codes are for people in front of a terminal only.
    colours: bool,
    steps: usize,
    began: Instant,
}

impl Story {
    /// Introduces the players.
    pub(super) fn begin(players: &[(&str, String)]) -> Self {
        let story = Self { colours: std::io::stdout().is_terminal(), steps: 0, began: Instant::now() };
        say("\nFrom signing up to a paid plan that the customer's own systems hear of, over real sockets.\n");
        for (what, fact) in players {
            say(&format!("  {what:<9} {fact}"));
        }
        story
    }

    /// The steps that were begun.
    pub(super) fn steps(&self) -> usize {
        self.steps
    }

    /// The next step, in one plain sentence.
    pub(super) fn step(&mut self, sentence: &str) {
        self.steps += 1;
        self.began = Instant::now();
        say(&format!("\n{:>2}  {}", self.steps, self.painted(BOLD, sentence)));
    }

    /// Something was sent, perhaps with a body.
    pub(super) fn sent(&self, what: &str, body: Option<&Value>) {
        let body = body.map(|body| format!(" {}", shown(body))).unwrap_or_default();
        self.detail('→', &format!("{what}{body}"));
    }

    /// Something came back: its status, and what is worth seeing of it.
    pub(super) fn came(&self, status: u16, body: &Value) {
        let body = if body.is_null() { String::new() } else { format!(" {}", shown(body)) };
        self.detail('←', &format!("{status}{body}"));
    }

    /// Something that can be seen in another way.
    pub(super) fn fact(&self, fact: &str) {
        self.detail('·', fact);
    }

    /// The step went well.
    pub(super) fn done(&self) {
        let took = self.began.elapsed().as_millis();
        say(&format!("    {} {took} ms", self.painted(GREEN, "✓")));
    }

    /// The step did not go well; the cause is told where errors are told.
    pub(super) fn failed(&self) {
        let took = self.began.elapsed().as_millis();
        say(&format!("    {} {took} ms\n", self.painted(RED, "✗")));
    }

    fn detail(&self, mark: char, text: &str) {
        for (at, line) in wrapped(&with_short_ids(text)).iter().enumerate() {
            let mark = if at == 0 { mark } else { ' ' };
            say(&format!("    {}", self.painted(DIM, &format!("{mark} {line}"))));
        }
    }

    fn painted(&self, code: &str, text: &str) -> String {
        if self.colours { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}
