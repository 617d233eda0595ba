use std::collections::{BTreeMap, BTreeSet};

use crate::cargo::Cargo;
use crate::failure::Failure;
use crate::progress;
use crate::workspace::Workspace;

use super::page::Proof;

/// What the invariants of background work promise. The tests that carry their numbers stand in tests/faults.
const PROMISES: &[(u32, &str)] = &[
    (1, "1. A worker that is killed again and again loses no job. What shares the settling transaction happens once"),
    (2, "2. What was committed before a kill is heard by every subscriber, once in effect"),
    (3, "3. A crash of PostgreSQL loses nothing that was acknowledged; within 10 s everything works again by itself"),
    (4, "4. Beside endpoints that hang, drip or send a gigabyte, the p99 of the others is at most twice as long"),
    (5, "5. Two workers never send a delivery at the same time, and a late settle changes no row"),
    (6, "6. Events that come many times to two processes at once have one row and one effect"),
    (7, "7. A clock that jumps back an hour stops nothing and doubles nothing"),
    (8, "8. A subscriber that always fails is given up and seen, and disturbs nobody"),
    (9, "9. Old and new binaries read each other's rows"),
    (10, "10. During a rotation whoever holds either secret believes every retry"),
    (
        11,
        "11. A million waiting deliveries cost a claim at most 1.5 times what a thousand do, and a worker below 100 MiB",
    ),
];

/// What the tests told.
#[derive(Default)]
struct Heard {
    found: BTreeMap<u32, Vec<String>>,
    failed: BTreeSet<u32>,
}

/// Runs the tests of the invariants at full counts, in a release build, one after the other.
pub(super) fn invariants(workspace: &Workspace) -> Result<Vec<Proof>, Failure> {
    progress("building the tests with optimisation, and running those of the invariants at full counts: ten minutes");
    let line = "test --release --package tests --test house -- ::invariant_ --test-threads 1 --nocapture";
    let arguments: Vec<&str> = line.split(' ').collect();
    let mut heard = Heard::default();
    let tests = Cargo::new(workspace, &arguments).env("FULL_COUNTS", "yes");
    let success = tests.lines(|line| heard.hear(line))?;
    if !success && heard.failed.is_empty() {
        return Err(Failure::Command(format!("cargo {line}")));
    }
    Ok(heard.proofs())
}

impl Heard {
    fn hear(&mut self, line: &str) {
        if let Some((number, what)) = line.strip_prefix("found ").and_then(|rest| rest.split_once(": ")) {
            progress(line);
            if let Ok(number) = number.parse() {
                self.found.entry(number).or_default().push(what.to_owned());
            }
        } else if line.starts_with("test ") {
            progress(line);
        } else if line.trim_start().starts_with("faults::") {
            // In the list of failures at the end.
            let number = line.split_once("::invariant_").and_then(|(_, rest)| rest.split('_').next());
            self.failed.extend(number.and_then(|number| number.parse::<u32>().ok()));
        }
    }

    fn proofs(&self) -> Vec<Proof> {
        let proof = |(number, promise): &(u32, &str)| {
            let found = self.found.get(number);
            let holds = found.is_some() && !self.failed.contains(number);
            let measured = found.map_or_else(|| "nothing".to_owned(), |found| found.join("; "));
            Proof { promise: (*promise).to_owned(), measured, holds }
        };
        PROMISES.iter().map(proof).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "running 3 tests
test faults::killed::invariant_01_a_worker ... 
found 01: 50 kills
ok
test faults::two::invariant_05_two_workers ... 
found 05: none overlapped
ok
test faults::two::invariant_05_a_late_settle ... FAILED

failures:

failures:
    faults::two::invariant_05_a_late_settle

test result: FAILED. 2 passed; 1 failed";

    #[test]
    fn what_failed_or_told_nothing_does_not_hold() {
        let mut heard = Heard::default();
        OUTPUT.lines().for_each(|line| heard.hear(line));
        let proofs = heard.proofs();
        let holding: Vec<&str> = proofs.iter().filter(|proof| proof.holds).map(|proof| &*proof.measured).collect();
        assert_eq!(holding, ["50 kills"]);
        assert_eq!(proofs.len(), PROMISES.len());
        assert!(proofs.iter().any(|proof| !proof.holds && proof.measured == "none overlapped"));
    }
}
