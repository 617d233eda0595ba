//! Pages that promise something: links, invariants with their tests, mistakes with their proofs.

use std::collections::BTreeSet;

use crate::tree::{Findings, Tree, is_a, markdown};

/// The pages that number the invariants and list the prevented mistakes.
const ARCHITECTURE: &str = "ARCHITECTURE.md";
const MISTAKES: &str = "docs/mistakes.md";

/// Every relative link of every page leads to a file or folder.
pub(super) fn links_lead_somewhere(tree: &Tree) -> Findings {
    let mut findings = Findings::default();
    for (path, text) in tree.files().filter(|(path, _)| is_a("md", path)) {
        findings.saw_one();
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        for (line, target) in markdown::links(text) {
            let target = target.split('#').next().unwrap_or_default();
            if target.is_empty() || target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            if !tree.has(&resolve(folder, target)) {
                findings.broken(format!("{path}:{line}: {target} does not exist"));
            }
        }
    }
    findings
}

/// The invariants of ARCHITECTURE.md are numbered without gaps and each names a test that exists.
pub(super) fn invariants_name_their_tests(tree: &Tree) -> Findings {
    let mut findings = Findings::default();
    let tests = tree.tests();
    let page = tree.text(ARCHITECTURE).unwrap_or_default();
    let title = markdown::titles(page).into_iter().find(|title| title.to_lowercase().contains("invariant"));
    let section = title.and_then(|title| markdown::section(page, title)).unwrap_or_default();
    for (expected, (number, text)) in (1..).zip(numbered(section)) {
        findings.saw_one();
        if number != expected {
            findings.broken(format!("{ARCHITECTURE}: invariant {number} should be number {expected}"));
        }
        let spans = markdown::code_spans(&text);
        if !spans.iter().any(|span| tests.contains(span)) {
            findings.broken(format!("{ARCHITECTURE}: invariant {number} names no test that exists"));
        }
        for span in spans.iter().filter(|span| is_sentence(span) && !tests.contains(*span)) {
            findings.broken(format!("{ARCHITECTURE}: invariant {number} names {span}, which is no test"));
        }
    }
    findings
}

/// Every row of docs/mistakes.md names files and tests that exist: mistake, mechanism, where, test.
pub(super) fn mistakes_name_places_and_tests(tree: &Tree) -> Findings {
    let mut findings = Findings::default();
    let tests = tree.tests();
    for (line, cells) in markdown::rows(tree.text(MISTAKES).unwrap_or_default()) {
        findings.saw_one();
        let [mistake, mechanism, places, proofs] = cells.as_slice() else {
            findings.broken(format!("{MISTAKES}:{line}: a row has four cells: mistake, mechanism, where, test"));
            continue;
        };
        if mistake.is_empty() || mechanism.is_empty() {
            findings.broken(format!("{MISTAKES}:{line}: a mistake without a mechanism"));
        }
        let check = |what: &str, cell: &str, exists: &dyn Fn(&str) -> bool| -> Vec<String> {
            let spans = markdown::code_spans(cell);
            let none = spans.is_empty().then(|| format!("{MISTAKES}:{line}: no {what} in backticks"));
            let wrong = spans.into_iter().filter(|span| !exists(span));
            none.into_iter()
                .chain(wrong.map(|span| format!("{MISTAKES}:{line}: the {what} {span} does not exist")))
                .collect()
        };
        let faults = check("place", places, &|place| tree.has(place.trim_end_matches('/')));
        let faults = faults.into_iter().chain(check("test", proofs, &|test| tests.contains(test)));
        faults.for_each(|fault| findings.broken(fault));
    }
    findings
}

/// The items of a numbered list with their continuation lines, or the rows of a table that start with a number.
fn numbered(section: &str) -> Vec<(usize, String)> {
    let mut items: Vec<(usize, String)> = Vec::new();
    for line in section.lines() {
        let digits: String = line.trim_start_matches(['|', ' ']).chars().take_while(char::is_ascii_digit).collect();
        let rest = line.trim_start_matches(['|', ' ']).trim_start_matches(digits.as_str());
        let starts = rest.starts_with(". ") || (line.starts_with('|') && rest.trim_start().starts_with('|'));
        match (digits.parse(), items.last_mut()) {
            (Ok(number), _) if starts => items.push((number, line.to_owned())),
            (_, Some((_, text))) if !line.starts_with('#') => {
                text.push('\n');
                text.push_str(line);
            }
            _ => {}
        }
    }
    items
}

/// Whether a code span can only be meant as the name of a test.
fn is_sentence(span: &str) -> bool {
    span.matches('_').count() >= 3
        && span.chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_')
}

/// A path relative to a folder, from the root.
fn resolve(folder: &str, target: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[test]
fn every_relative_link_leads_to_a_file() {
    links_lead_somewhere(Tree::house()).hold();
}

#[test]
fn every_invariant_names_a_test_that_exists() {
    invariants_name_their_tests(Tree::house()).hold();
}

#[test]
fn every_prevented_mistake_names_its_place_and_its_test() {
    mistakes_name_places_and_tests(Tree::house()).hold();
}

#[test]
fn the_pages_about_invariants_and_mistakes_exist() {
    let missing: BTreeSet<&str> =
        [ARCHITECTURE, MISTAKES].into_iter().filter(|page| !Tree::house().has(page)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

mod controls {
    use super::*;

    const TEST: (&str, &str) = ("tests/a.rs", "#[test]\nfn sums_add_up_always() {}");

    #[test]
    fn a_dead_link_is_found() {
        let page = |target: &str| Tree::of(&[("docs/a.md", &format!("[x]({target})")), ("LICENSE", "")]);
        links_lead_somewhere(&page("../LICENCE")).only_name("docs/a.md:1: ../LICENCE does not exist");
        links_lead_somewhere(&page("../LICENSE#top")).hold();
        links_lead_somewhere(&page("https://example.org/x")).hold();
    }

    #[test]
    fn an_invariant_without_a_test_is_found() {
        let page = |text: &str| {
            Tree::of(&[(ARCHITECTURE, &format!("# A\n## The invariants\n{text}\n## More\n9. no\n")), TEST])
        };
        let none = page("1. Sums\n   add up: `sums_add_up_always`.\n2. More: `Sum`.");
        invariants_name_their_tests(&none).only_name("invariant 2 names no test");
        let gone = page("1. Sums: `sums_add_up_always`, `sums_add_up_twice`.");
        invariants_name_their_tests(&gone).only_name("names sums_add_up_twice");
        let gap = page("| 2 | Sums | `sums_add_up_always` |");
        invariants_name_their_tests(&gap).only_name("invariant 2 should be number 1");
        invariants_name_their_tests(&page("1. Sums: `sums_add_up_always`")).hold();
    }

    #[test]
    fn a_mistake_without_a_place_or_proof_is_found() {
        let page = |row: &str| {
            Tree::of(&[
                (MISTAKES, &format!("| mistake | mechanism | where | test |\n|---|---|---|---|\n{row}\n")),
                TEST,
            ])
        };
        mistakes_name_places_and_tests(&page("| a | b | `src/gone.rs` | `sums_add_up_always` |"))
            .only_name("place src/gone.rs");
        mistakes_name_places_and_tests(&page("| a | b | `tests/a.rs` | `sums_differ` |")).only_name("test sums_differ");
        mistakes_name_places_and_tests(&page("| a | b | `tests/a.rs` | later |")).only_name("no test in backticks");
        mistakes_name_places_and_tests(&page("| a | b | `tests/` | `sums_add_up_always` |")).hold();
    }
}
