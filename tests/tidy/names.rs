//! Names that say what a thing is for.

use crate::tree::words::words;
use crate::tree::{Findings, Rust, Tree};

/// Words that fit everything and therefore say nothing.
const EMPTY_WORDS: [&str; 10] =
    ["util", "utils", "helper", "helpers", "common", "manager", "managers", "misc", "base", "bases"];

/// No source file, type, trait, function or module is named with an empty word.
pub(super) fn names_say_something(tree: &Tree) -> Findings {
    let mut findings = Findings::default();
    let empty = |name: &str| words(name).into_iter().find(|word| EMPTY_WORDS.contains(&word.as_str()));
    for (path, rust) in tree.rust() {
        findings.saw_one();
        if let Some(word) = empty(path) {
            findings.broken(format!("{path}: {word:?} in the name of a file says nothing"));
        }
        for (line, name) in named(rust) {
            if let Some(word) = empty(name) {
                findings.broken(format!("{path}:{line}: {word:?} in {name} says nothing"));
            }
        }
    }
    findings
}

/// `x.rs` beside `x/`, never `x/mod.rs`.
pub(super) fn modules_are_named_files(tree: &Tree) -> Findings {
    let mut findings = Findings::default();
    for (path, _) in tree.rust() {
        findings.saw_one();
        if path.ends_with("/mod.rs") {
            findings.broken(format!("{path}: name the file after its module"));
        }
    }
    findings
}

/// The name of a test is a sentence: three words at least.
pub(super) fn tests_are_sentences(tree: &Tree) -> Findings {
    let mut findings = Findings::default();
    for (path, rust) in tree.rust() {
        for name in rust.test_names() {
            findings.saw_one();
            if words(name).len() < 3 {
                findings.broken(format!("{path}: the test {name} does not say what holds"));
            }
        }
    }
    findings
}

fn named(rust: &Rust) -> impl Iterator<Item = (usize, &str)> {
    let functions = rust.functions.iter().map(|function| (function.line, function.name.as_str()));
    let types = rust.definitions.iter().filter(|it| !["const", "static"].contains(&it.keyword));
    functions.chain(types.map(|it| (it.line, it.name.as_str())))
}

#[test]
fn no_name_contains_an_empty_word() {
    names_say_something(Tree::house()).hold();
}

#[test]
fn no_module_is_a_mod_rs() {
    modules_are_named_files(Tree::house()).hold();
}

#[test]
fn every_test_is_named_by_a_sentence() {
    tests_are_sentences(Tree::house()).hold();
}

mod controls {
    use super::*;

    fn file(path: &str, text: &str) -> Tree {
        Tree::of(&[(path, text)])
    }

    #[test]
    fn an_empty_word_in_a_name_is_found() {
        names_say_something(&file("crates/orders/src/date_utils.rs", "")).only_name("\"utils\" in the name of a file");
        names_say_something(&file("crates/orders/src/a.rs", "struct CartManager;")).only_name("CartManager");
        names_say_something(&file("crates/orders/src/a.rs", "mod common {}")).only_name("common");
        names_say_something(&file("crates/orders/src/a.rs", "impl A { fn base_price() {} }")).only_name("base_price");
        names_say_something(&file("crates/orders/src/database.rs", "fn base64_of() {} // helper")).hold();
    }

    #[test]
    fn a_mod_rs_is_found() {
        modules_are_named_files(&file("crates/orders/src/carts/mod.rs", "")).only_name("carts/mod.rs");
    }

    #[test]
    fn a_test_that_is_no_sentence_is_found() {
        tests_are_sentences(&file("tests/a.rs", "#[tokio::test(flavor = \"x\")]\nasync fn totals() {}"))
            .only_name("totals");
        tests_are_sentences(&file("tests/a.rs", "#[test]\nfn totals_add_up() {}\n#[cfg(test)]\nfn total() {}")).hold();
    }
}
