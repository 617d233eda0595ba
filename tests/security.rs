//! Attacks, each against the whole house over real HTTP. A test is named after the number of its case: `case_07_…`. What a
//! module shows of a case by itself, with its clock and its rows, stands in the tests of the module.

mod addresses;
mod app;
mod asking;
mod factors;
mod fields;
mod forge;
mod limits;
mod logs;
mod mailed_secrets;
mod members;
mod passwords;
mod samples;
mod sessions;
mod tenants;
mod tokens;
mod webhooks;

use std::collections::BTreeSet;

use crate::tree::{Findings, Tree};

/// The cases about people, tokens, sessions and organizations, and about webhooks. The others are tested where bodies, heads
/// and payments are.
fn cases() -> impl Iterator<Item = u32> {
    (1..=28).chain([35, 37, 39, 40, 47, 48, 51, 52, 54, 55])
}

/// Every case has a test that carries its number, and every number is one of a case.
fn every_case_has_a_test(tree: &Tree) -> Findings {
    let mut findings = Findings::default();
    let ours = tree.rust_in("tests/security").flat_map(|(_, rust)| rust.test_names());
    let numbers: BTreeSet<u32> =
        ours.filter_map(|name| name.strip_prefix("case_")?.split_once('_')?.0.parse().ok()).collect();
    for case in cases() {
        findings.saw_one();
        if !numbers.contains(&case) {
            findings.broken(format!("case {case} has no test case_{case:02}_…"));
        }
    }
    for number in numbers.into_iter().filter(|number| !cases().any(|case| case == *number)) {
        findings.broken(format!("there is no case {number}"));
    }
    findings
}

#[test]
fn every_security_case_has_a_test_with_its_number() {
    every_case_has_a_test(Tree::house()).hold();
}

#[test]
fn a_security_case_without_a_test_is_found() {
    let with = |numbers: Vec<u32>| {
        let test = |number: u32| format!("#[test]\nfn case_{number:02}_ends_well() {{}}\n");
        let tests: String = numbers.into_iter().map(test).collect();
        Tree::of(&[("tests/security/all.rs", &tests)])
    };
    every_case_has_a_test(&with(cases().collect())).hold();
    every_case_has_a_test(&with(cases().filter(|case| *case != 20).collect())).only_name("case 20 has no test");
    every_case_has_a_test(&with(cases().chain([99]).collect())).only_name("there is no case 99");
}
