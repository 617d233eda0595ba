use std::fmt::Write;
use std::fs;

use crate::failure::{Failure, io};
use crate::usage;
use crate::workspace::Workspace;

/// Where the last figures stand, a section for each task.
const PAGE: &str = "docs/proofs.md";

/// Before the first section.
const HEAD: &str = "# Proofs\n\n\
    The tests show every rule at small counts. What takes full counts, a release build and a clock is proved apart:\n\
    `cargo xtask proofs <section>` measures, fails when something does not hold, and writes its section here.\n";

/// Something that was promised, and what was measured.
pub(super) struct Proof {
    pub(super) promise: String,
    pub(super) measured: String,
    pub(super) holds: bool,
}

impl Proof {
    pub(super) fn all_hold(proofs: &[Self]) -> Result<(), Failure> {
        let broken: Vec<&str> = proofs.iter().filter(|proof| !proof.holds).map(|proof| &*proof.promise).collect();
        if broken.is_empty() {
            return Ok(());
        }
        Err(Failure::Finding(format!("this does not hold: {}", broken.join("; "))))
    }
}

/// Shows the proofs and writes them down in place of those of last time.
pub(super) fn write(workspace: &Workspace, section: &str, date: &str, proofs: &[Proof]) -> Result<(), Failure> {
    let command = section.to_lowercase();
    let machine = usage::machine();
    let mut text = format!("`cargo xtask proofs {command}` on {date}. Machine: {machine}.\n\n");
    text.push_str("| promise | measured | holds |\n|---|---|---|\n");
    for Proof { promise, measured, holds } in proofs {
        let holds = if *holds { "yes" } else { "**no**" };
        let _ = writeln!(text, "| {promise} | {measured} | {holds} |");
    }
    println!("{text}");
    let path = workspace.root.join(PAGE);
    let page = fs::read_to_string(&path).unwrap_or_else(|_| HEAD.to_owned());
    fs::write(&path, with_section(&page, section, &text)).map_err(io("write", &path))
}

/// The page with another text in one section, which is put at the end where it is missing.
fn with_section(page: &str, section: &str, text: &str) -> String {
    let title = format!("## {section}\n");
    let Some((before, rest)) = page.split_once(&title) else {
        return format!("{}\n\n{title}\n{text}", page.trim_end());
    };
    let after = rest.find("\n## ").map_or("", |at| &rest[at..]);
    format!("{before}{title}\n{text}{after}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_is_added_once_and_then_replaced() {
        let first = with_section("# Proofs\n", "Security", "old\n");
        assert_eq!(first, "# Proofs\n\n## Security\n\nold\n");
        let second = with_section(&first, "Faults", "killed\n");
        assert_eq!(second, "# Proofs\n\n## Security\n\nold\n\n## Faults\n\nkilled\n");
        let third = with_section(&second, "Security", "new\n");
        assert_eq!(third, "# Proofs\n\n## Security\n\nnew\n\n## Faults\n\nkilled\n");
    }

    #[test]
    fn what_does_not_hold_fails_by_name() {
        let proof = |promise: &str, holds| Proof { promise: promise.to_owned(), measured: String::new(), holds };
        assert!(Proof::all_hold(&[proof("quick", true)]).is_ok());
        let failure = Proof::all_hold(&[proof("quick", true), proof("small", false)]).expect_err("fails");
        assert_eq!(failure.to_string(), "this does not hold: small");
    }
}
