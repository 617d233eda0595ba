//! What survives faults: the real binary as processes that are killed or stopped, on a durable PostgreSQL that crashes. A test
//! is named after the number of its invariant: `invariant_07_…`. The counts are small here; `cargo xtask proofs webhooks` runs
//! the same tests with the full ones.

mod clock;
mod crowd;
mod database;
mod dead;
mod killed;
mod neighbours;
mod payments;
mod rolling;
mod rotation;
mod scale;
mod scene;
mod starting;
mod two_workers;

use std::collections::BTreeSet;

use crate::tree::{Findings, Tree};

/// The numbers of the invariants of background work and webhooks.
const INVARIANTS: &[u32] = &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];

/// Every invariant has a test that carries its number, and every number is one of an invariant.
fn every_invariant_has_a_test(tree: &Tree) -> Findings {
    let mut findings = Findings::default();
    let ours = tree.rust_in("tests/faults").flat_map(|(_, rust)| rust.test_names());
    let numbers: BTreeSet<u32> =
        ours.filter_map(|name| name.strip_prefix("invariant_")?.split_once('_')?.0.parse().ok()).collect();
    for invariant in INVARIANTS {
        findings.saw_one();
        if !numbers.contains(invariant) {
            findings.broken(format!("invariant {invariant} has no test invariant_{invariant:02}_…"));
        }
    }
    for number in numbers.into_iter().filter(|number| !INVARIANTS.contains(number)) {
        findings.broken(format!("there is no invariant {number}"));
    }
    findings
}

#[test]
fn every_invariant_of_background_work_has_a_test_with_its_number() {
    every_invariant_has_a_test(Tree::house()).hold();
}

#[test]
fn an_invariant_without_a_test_is_found() {
    let with = |numbers: Vec<u32>| {
        let test = |number: u32| format!("#[test]\nfn invariant_{number:02}_holds_always() {{}}\n");
        let tests: String = numbers.into_iter().map(test).collect();
        Tree::of(&[("tests/faults/all.rs", &tests)])
    };
    every_invariant_has_a_test(&with(INVARIANTS.to_vec())).hold();
    let without = INVARIANTS.iter().copied().filter(|number| *number != 9).collect();
    every_invariant_has_a_test(&with(without)).only_name("invariant 9 has no test");
    let one_more = INVARIANTS.iter().copied().chain([12]).collect();
    every_invariant_has_a_test(&with(one_more)).only_name("there is no invariant 12");
}
