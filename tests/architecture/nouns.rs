//! Invariant 1: platform knows no business noun. The nouns are read from the modules: their names, their
//! features, their tables.

use std::collections::BTreeSet;

use crate::tree::words::{says, words};
use crate::tree::{Findings, Tree};

/// What every module needs of identity; the one file of platform that may name it.
const IDENTITY: &str = "crates/platform/src/caller.rs";

/// Words that are also plain English where platform uses them: file, noun, reason. This list may only shrink.
const ALSO_PLAIN_ENGLISH: [(&str, &str, &str); 0] = [];

/// Invariant 1, for words.
pub(super) fn platform_knows_no_business_noun(tree: &Tree) -> Findings {
    check(tree, &ALSO_PLAIN_ENGLISH)
}

fn check(tree: &Tree, exceptions: &[(&str, &str, &str)]) -> Findings {
    let mut findings = Findings::default();
    let mut unused: Vec<_> = exceptions.iter().collect();
    let nouns = nouns(tree);
    let ours = |path: &str| path.starts_with("crates/platform/src/") || path.starts_with("migrations/platform/");
    for (path, text) in tree.files().filter(|(path, _)| ours(path) && *path != IDENTITY && !nouns.is_empty()) {
        findings.saw_one();
        for (number, line) in text.lines().enumerate() {
            let words = words(line);
            for noun in nouns.iter().filter(|noun| says(&words, noun)).map(|noun| noun.join("_")) {
                let excepted = |entry: &&(&str, &str, &str)| entry.0 == path && entry.1 == noun;
                if !exceptions.iter().any(|entry| excepted(&entry)) {
                    findings.broken(format!("{path}:{}: {noun:?} is a business noun: {}", number + 1, line.trim()));
                }
                unused.retain(|entry| !excepted(entry));
            }
        }
    }
    for (path, noun, _) in unused.into_iter().filter(|(_, noun, _)| nouns.contains(&words(noun))) {
        findings.broken(format!("{path} no longer says {noun:?}: take it off the list of exceptions"));
    }
    findings
}

/// The nouns, cut into words. The names of modules count in the singular too, unless identity needs it (`UserId`).
fn nouns(tree: &Tree) -> BTreeSet<Vec<String>> {
    let mut nouns = BTreeSet::new();
    let identity = words(tree.text(IDENTITY).unwrap_or_default());
    for module in tree.modules() {
        let singular = module.strip_suffix('s').unwrap_or(&module);
        if !says(&identity, &[singular.to_owned(), "id".to_owned()]) {
            nouns.insert(words(singular));
        }
        let folder = format!("crates/{module}/src/");
        let feature = |(path, _)| feature(str::strip_prefix(path, &folder)?);
        nouns.extend(tree.rust().filter_map(feature).map(words));
        nouns.extend(tree.tables(&module).iter().map(|table| words(table.short_name())));
        nouns.insert(words(&module));
    }
    nouns
}

/// The feature that a file of a module belongs to: the folder that holds its `http.rs` or `store.rs`.
fn feature(path: &str) -> Option<&str> {
    let (folder, file) = path.rsplit_once('/')?;
    ["http.rs", "store.rs"].contains(&file).then(|| folder.rsplit('/').next().unwrap_or(folder))
}

#[test]
fn platform_contains_no_business_noun() {
    platform_knows_no_business_noun(Tree::house()).hold();
}

mod controls {
    use super::*;

    fn platform_says(text: &str) -> Tree {
        Tree::of(&[
            (IDENTITY, "pub struct ClientId;"),
            ("crates/platform/src/jobs.rs", text),
            ("crates/clients/src/lib.rs", ""),
            ("crates/shops/src/carts/store.rs", ""),
            ("migrations/shops/0001_shops.sql", "CREATE TABLE shops.gift_cards (id uuid);"),
        ])
    }

    #[test]
    fn a_module_named_in_a_comment_is_found() {
        let tree = platform_says("// like the clients module");
        platform_knows_no_business_noun(&tree).only_name("\"clients\"");
    }

    #[test]
    fn a_module_in_a_name_is_found_in_the_singular_too() {
        platform_knows_no_business_noun(&platform_says("struct ShopJob;")).only_name("\"shop\"");
    }

    #[test]
    fn a_feature_in_a_name_is_found() {
        platform_knows_no_business_noun(&platform_says("fn sweep_carts() {}")).only_name("\"carts\"");
    }

    #[test]
    fn a_table_in_a_string_is_found() {
        let tree = platform_says("const SQL: &str = \"SELECT id FROM gift_cards\";");
        platform_knows_no_business_noun(&tree).only_name("\"gift_cards\"");
    }

    #[test]
    fn the_nouns_of_identity_pass() {
        platform_knows_no_business_noun(&platform_says("fn of(client: ClientId) {}")).hold();
    }

    #[test]
    fn an_exception_that_is_no_longer_needed_is_found() {
        let exceptions = [("crates/platform/src/jobs.rs", "carts", "they carry jobs")];
        check(&platform_says("fn sweep() {}"), &exceptions).only_name("take it off the list");
        check(&platform_says("fn sweep_carts() {}"), &exceptions).hold();
    }
}
