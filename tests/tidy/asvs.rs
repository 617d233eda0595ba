//! The page that says how the service stands to OWASP ASVS 5.0.

use std::collections::BTreeMap;

use crate::tree::{Findings, Tree, markdown};

const PAGE: &str = "docs/asvs.md";

/// Every requirement of V6 to V9 of ASVS 5.0 at level 1 or 2: section, then its numbers with their levels. Those of level 3
/// are left out.
const REQUIREMENTS: [(&str, &[(u8, u8)]); 19] = [
    ("6.1", &[(1, 1), (2, 2), (3, 2)]),
    ("6.2", &[(1, 1), (2, 1), (3, 1), (4, 1), (5, 1), (6, 1), (7, 1), (8, 1), (9, 2), (10, 2), (11, 2), (12, 2)]),
    ("6.3", &[(1, 1), (2, 1), (3, 2), (4, 2)]),
    ("6.4", &[(1, 1), (2, 1), (3, 2), (4, 2)]),
    ("6.5", &[(1, 2), (2, 2), (3, 2), (4, 2), (5, 2)]),
    ("6.6", &[(1, 2), (2, 2), (3, 2)]),
    ("6.8", &[(1, 2), (2, 2), (3, 2), (4, 2)]),
    ("7.1", &[(1, 2), (2, 2), (3, 2)]),
    ("7.2", &[(1, 1), (2, 1), (3, 1), (4, 1)]),
    ("7.3", &[(1, 2), (2, 2)]),
    ("7.4", &[(1, 1), (2, 1), (3, 2), (4, 2), (5, 2)]),
    ("7.5", &[(1, 2), (2, 2)]),
    ("7.6", &[(1, 2), (2, 2)]),
    ("8.1", &[(1, 1), (2, 2)]),
    ("8.2", &[(1, 1), (2, 1), (3, 2)]),
    ("8.3", &[(1, 1)]),
    ("8.4", &[(1, 2)]),
    ("9.1", &[(1, 1), (2, 1), (3, 1)]),
    ("9.2", &[(1, 1), (2, 2), (3, 2), (4, 2)]),
];

/// How a row begins that names no test.
const WITHOUT_TEST: [&str; 2] = ["Not applicable: ", "Not done: "];

fn wanted() -> BTreeMap<String, u8> {
    let numbers = REQUIREMENTS.iter().flat_map(|(section, numbers)| {
        numbers.iter().map(move |(number, level)| (format!("{section}.{number}"), *level))
    });
    numbers.collect()
}

/// Every requirement stands on the page once with its level, and says which tests show it or why none does. Every test exists.
pub(super) fn requirements_name_their_tests(tree: &Tree) -> Findings {
    let mut findings = Findings::default();
    let (tests, mut wanted) = (tree.tests(), wanted());
    for (line, cells) in markdown::rows(tree.text(PAGE).unwrap_or_default()) {
        let [number, level, asks, shown] = cells.as_slice() else { continue };
        findings.saw_one();
        match wanted.remove(*number) {
            None => findings.broken(format!("{PAGE}:{line}: {number} is no requirement, or stands there twice")),
            Some(known) if known.to_string() != **level => {
                findings.broken(format!("{PAGE}:{line}: {number} is of level {known}"));
            }
            Some(_) => {}
        }
        if asks.is_empty() {
            findings.broken(format!("{PAGE}:{line}: {number} does not say what it asks"));
        }
        let spans = markdown::code_spans(shown);
        let reason = WITHOUT_TEST.iter().find_map(|mark| shown.strip_prefix(mark));
        if reason.is_none_or(str::is_empty) && !spans.iter().any(|span| tests.contains(span)) {
            findings.broken(format!("{PAGE}:{line}: {number} names neither a test nor a reason"));
        }
        for span in spans.iter().filter(|span| is_sentence(span) && !tests.contains(*span)) {
            findings.broken(format!("{PAGE}:{line}: {number} names {span}, which is no test"));
        }
    }
    if tree.has(PAGE) {
        let missing = wanted.into_keys();
        missing.for_each(|number| findings.broken(format!("{PAGE}: {number} is missing")));
    }
    findings
}

/// Whether a code span can only be meant as the name of a test.
fn is_sentence(span: &str) -> bool {
    span.matches('_').count() >= 3 && span.chars().all(|letter| matches!(letter, 'a'..='z' | '0'..='9' | '_'))
}

#[test]
fn every_requirement_of_the_standard_names_its_tests_or_a_reason() {
    requirements_name_their_tests(Tree::house()).hold();
}

mod controls {
    use super::*;

    /// A page of good rows, of which one is replaced.
    fn page(number: &str, row: &str) -> Tree {
        let good = |known: &str, level: u8| format!("| {known} | {level} | something | `sums_add_up_always` |\n");
        let row_of = |known: &str, level: u8| if known == number { row.to_owned() } else { good(known, level) };
        let rows: String = wanted().iter().map(|(known, level)| row_of(known, *level)).collect();
        let text = format!("# A\n\n| number | level | asks | shown by |\n|---|---|---|---|\n{rows}");
        Tree::of(&[(PAGE, &text), ("tests/a.rs", "#[test]\nfn sums_add_up_always() {}")])
    }

    #[test]
    fn a_requirement_that_is_missing_wrong_or_shown_by_nothing_is_found() {
        let check = |row: &str| requirements_name_their_tests(&page("7.2.3", row));
        check("| 7.2.3 | 1 | something | It is so. `sums_add_up_always` |\n").hold();
        check("| 7.2.3 | 1 | something | Not applicable: no pages. |\n").hold();
        check("").only_name("7.2.3 is missing");
        check("| 7.2.3 | 2 | something | `sums_add_up_always` |\n").only_name("7.2.3 is of level 1");
        check("| 7.2.3 | 1 | | `sums_add_up_always` |\n").only_name("does not say what it asks");
        check("| 7.2.3 | 1 | something | Surely. |\n").only_name("neither a test nor a reason");
        check("| 7.2.3 | 1 | something | Not applicable: |\n").only_name("neither a test nor a reason");
        check("| 7.2.3 | 1 | something | `sums_add_up_always`, `sums_add_up_twice` |\n").only_name("sums_add_up_twice");
        let twice = "| 7.2.3 | 1 | a | `sums_add_up_always` |\n".repeat(2);
        check(&twice).only_name("stands there twice");
        let foreign = "| 7.2.3 | 1 | a | `sums_add_up_always` |\n| 6.3.5 | 3 | a | `sums_add_up_always` |\n";
        check(foreign).only_name("6.3.5 is no requirement");
    }
}
