//! Invariant 3: modules meet in the wiring of the server and nowhere else.

use crate::tree::{Findings, Kind, Rust, Tree};

/// The files that may name two modules, and the folder.
const MEETING_PLACES: [&str; 3] =
    ["crates/server/src/wiring.rs", "crates/server/src/wiring/", "crates/server/src/config.rs"];

/// Invariant 3.
pub(super) fn only_wiring_names_two_modules(tree: &Tree) -> Findings {
    let mut findings = Findings::default();
    let modules = tree.modules();
    let sources = |path: &str| path.starts_with("crates/") && path.contains("/src/");
    for (path, rust) in tree.rust().filter(|(path, _)| sources(path) && !modules.is_empty()) {
        findings.saw_one();
        let named: Vec<&str> = modules.iter().map(String::as_str).filter(|module| names_crate(rust, module)).collect();
        if named.len() > 1 && !MEETING_PLACES.iter().any(|place| path.starts_with(place)) {
            findings.broken(format!("{path} names {}: only the wiring may", named.join(" and ")));
        }
    }
    findings
}

/// Whether the file uses the crate: its name starts a path or stands in a `use`.
fn names_crate(rust: &Rust, name: &str) -> bool {
    let text = |at: usize| rust.tokens.get(at).map_or("", |token| token.text.as_str());
    let starts_path = |at: usize| {
        let inner = at > 1 && text(at - 1) == ":" && text(at - 2) == ":" && at > 2 && is_word(rust, at - 3);
        let imported = at > 0 && ["use", "crate"].contains(&text(at - 1));
        !inner && (imported || (text(at + 1) == ":" && text(at + 2) == ":"))
    };
    (0..rust.tokens.len()).any(|at| is_word(rust, at) && text(at) == name && starts_path(at))
}

fn is_word(rust: &Rust, at: usize) -> bool {
    rust.tokens.get(at).is_some_and(|token| token.kind == Kind::Word && token.text != "use")
}

#[test]
fn only_wiring_names_two_modules_in_one_file() {
    only_wiring_names_two_modules(Tree::house()).hold();
}

mod controls {
    use super::*;

    fn server_file(name: &str, text: &str) -> Findings {
        let path = format!("crates/server/src/{name}");
        let modules = [("crates/orders/src/lib.rs", ""), ("crates/stock/src/lib.rs", "")];
        only_wiring_names_two_modules(&Tree::of(&[modules[0], modules[1], (&path, text)]))
    }

    #[test]
    fn two_modules_imported_outside_the_wiring_are_found() {
        server_file("cli.rs", "use orders::Orders;\nuse stock::Stock;").only_name("names orders and stock");
    }

    #[test]
    fn two_modules_named_by_path_outside_the_wiring_are_found() {
        server_file("cli.rs", "fn f(a: ::orders::Orders) { stock::count(a) }").only_name("names orders and stock");
    }

    #[test]
    fn the_wiring_and_files_with_one_module_pass() {
        server_file("wiring/orders_asks_stock.rs", "use orders::Orders;\nuse stock::Stock;").hold();
        server_file("cli.rs", "use orders::Orders; // stock::Stock\nfn f() { crate::wiring::stock::g(); }").hold();
    }
}
