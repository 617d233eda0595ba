//! Invariant 11: what a module shows to others: its front door, what that needs and answers, its ports and its events.

use std::collections::BTreeSet;

use crate::tree::{Findings, Kind, Rust, Shows, Tree};

/// What every module may show besides its front door, by name.
const SHOWN: [&str; 6] = ["Needs", "Config", "MIGRATIONS", "Error", "ports", "events"];

/// Invariant 11.
pub(super) fn modules_show_their_front_door_only(tree: &Tree) -> Findings {
    let mut findings = Findings::default();
    for module in tree.modules() {
        let path = format!("crates/{module}/src/lib.rs");
        let Some(lib) = tree.rust_file(&path) else {
            findings.broken(format!("{path} does not exist"));
            continue;
        };
        findings.saw_one();
        let door = front_door(&module);
        let shown = shown(lib);
        if !shown.contains(door.as_str()) {
            findings.broken(format!("{path} has no front door: pub struct {door}"));
        }
        let spoken = spoken(tree, &module, &door, &shown);
        for name in shown.iter().filter(|name| **name != door && !SHOWN.contains(name)) {
            if !spoken.contains(*name) {
                findings
                    .broken(format!("{path} shows {name}, which neither the front door nor ports nor events speak of"));
            }
        }
    }
    findings
}

/// `orders` has the front door `Orders`.
fn front_door(module: &str) -> String {
    let capital = |word: &str| word[..1].to_uppercase() + &word[1..];
    module.split(['_', '-']).filter(|word| !word.is_empty()).map(capital).collect()
}

/// Everything `lib.rs` makes public.
fn shown(lib: &Rust) -> BTreeSet<&str> {
    let public = lib.definitions.iter().filter(|it| it.shows == Shows::Everybody && it.of_trait.is_none());
    let exported = |it: &&crate::tree::Definition| it.top || it.keyword == "macro_rules";
    let free = lib.functions.iter().filter(|it| it.shows == Shows::Everybody && it.owner.is_none() && !it.of_trait);
    let mut shown: BTreeSet<&str> = public.filter(exported).map(|it| it.name.as_str()).collect();
    shown.extend(free.map(|it| it.name.as_str()));
    shown.extend(lib.shown.iter().map(String::as_str));
    shown
}

/// The words that the public signatures of a module use: those of the front door's methods, of ports and events, and of the
/// definitions of the shown types among them.
fn spoken(tree: &Tree, module: &str, door: &str, shown: &BTreeSet<&str>) -> BTreeSet<String> {
    let folder = format!("crates/{module}/src");
    let mut spoken = BTreeSet::new();
    for (path, rust) in tree.rust_in(&folder) {
        let methods =
            rust.functions.iter().filter(|it| it.shows == Shows::Everybody && it.owner.as_deref() == Some(door));
        methods.for_each(|method| spoken.extend(vocabulary(rust, &method.signature)));
        if ["/ports", "/events"].iter().any(|part| path[folder.len()..].starts_with(part)) {
            spoken.extend(vocabulary(rust, &(0..usize::MAX)));
        }
    }
    let mut explained: BTreeSet<&str> = BTreeSet::new();
    loop {
        let before = explained.len();
        for (_, rust) in tree.rust_in(&folder) {
            for it in rust.definitions.iter().filter(|it| shown.contains(it.name.as_str()) && it.keyword != "mod") {
                let counts = SHOWN.contains(&it.name.as_str()) || spoken.contains(&it.name);
                if counts && explained.insert(&it.name) {
                    spoken.extend(vocabulary(rust, &it.at));
                }
            }
        }
        if explained.len() == before {
            return spoken;
        }
    }
}

fn vocabulary(rust: &Rust, at: &std::ops::Range<usize>) -> Vec<String> {
    rust.within(at).iter().filter(|token| token.kind == Kind::Word).map(|token| token.text.clone()).collect()
}

#[test]
fn a_module_shows_its_front_door_and_nothing_behind_it() {
    modules_show_their_front_door_only(Tree::house()).hold();
}

mod controls {
    use super::*;

    const DOOR: &str = "pub mod ports;\npub struct Orders;\npub struct Needs { pub shelf: Shelf }\n";

    fn orders(lib: &str) -> Tree {
        Tree::of(&[
            ("crates/orders/src/lib.rs", &format!("{DOOR}{lib}")),
            ("crates/orders/src/ports.rs", "pub trait Buyers { fn of(&self, id: CartId); }"),
            (
                "crates/orders/src/carts.rs",
                "impl Orders { pub fn cart(&self) -> Cart {} }\npub struct Cart { pub sum: Sum }",
            ),
        ])
    }

    #[test]
    fn types_that_the_front_door_speaks_of_pass() {
        modules_show_their_front_door_only(&orders("mod carts;\npub use carts::{Cart, CartId, Shelf, Sum};")).hold();
    }

    #[test]
    fn a_type_that_nobody_speaks_of_is_found() {
        modules_show_their_front_door_only(&orders("pub use carts::{Cart, Row};")).only_name("shows Row");
    }

    #[test]
    fn a_public_module_function_macro_or_glob_is_found() {
        modules_show_their_front_door_only(&orders("pub mod carts;")).only_name("shows carts");
        modules_show_their_front_door_only(&orders("pub fn sweep() {}")).only_name("shows sweep");
        modules_show_their_front_door_only(&orders("pub use carts::*;")).only_name("shows *");
        modules_show_their_front_door_only(&orders("#[macro_export]\nmacro_rules! shelve { () => {} }"))
            .only_name("shows shelve");
    }

    #[test]
    fn a_module_without_a_front_door_is_found() {
        let tree = Tree::of(&[("crates/orders/src/lib.rs", "struct Orders;")]);
        modules_show_their_front_door_only(&tree).only_name("has no front door");
    }
}
