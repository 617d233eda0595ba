//! Invariant 6: nothing returns an unbounded list from the database.

use super::sql_homes::is_store;
use crate::tree::{Findings, Function, Kind, Rust, Tree};

/// Queries that cannot grow with the data although they carry no limit: file, function, reason.
const BOUNDED_OTHERWISE: [(&str, &str, &str); 0] = [];

/// Invariant 6. Every query that may return many rows has a `LIMIT`, or its input bounds it (`= ANY(…)`, `unnest(…)`).
pub(super) fn every_list_is_bounded(tree: &Tree) -> Findings {
    check(tree, &BOUNDED_OTHERWISE)
}

fn check(tree: &Tree, exceptions: &[(&str, &str, &str)]) -> Findings {
    let mut findings = Findings::default();
    let mut unused: Vec<_> = exceptions.iter().collect();
    let in_a_crate = |path: &str| path.starts_with("crates/") && path.contains("/src/");
    for (path, rust) in tree.rust().filter(|(path, _)| in_a_crate(path) && is_store(path)) {
        findings.saw_one();
        for function in rust.functions.iter().filter(|function| lists(rust, function) > bounds(rust, function)) {
            let excepted = |entry: &(&str, &str, &str)| entry.0 == path && entry.1 == function.name;
            if !exceptions.iter().any(excepted) {
                findings.broken(format!("{path}:{}: {} fetches a list without LIMIT", function.line, function.name));
            }
            unused.retain(|entry| !excepted(entry));
        }
    }
    for (path, name, _) in unused.into_iter().filter(|(path, ..)| tree.has(path)) {
        findings.broken(format!("{path}: {name} needs no exception"));
    }
    findings
}

/// How often a function asks for many rows. `page.fetch()` takes nothing and is no query.
fn lists(rust: &Rust, function: &Function) -> usize {
    let many = |name: &str| ["fetch_all", "fetch", "fetch_many"].contains(&name);
    let calls = rust.within(&function.at).windows(3).filter(|some| some[0].kind == Kind::Word && many(&some[0].text));
    calls.filter(|some| some[1].text == "(" && some[2].text != ")").count()
}

/// How many of its queries are bounded.
fn bounds(rust: &Rust, function: &Function) -> usize {
    const BOUNDS: [&str; 3] = [" limit ", "= any(", "unnest("];
    let bounded = |text: &str| {
        let text = text.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ").replace("any (", "any(");
        BOUNDS.iter().any(|bound| text.contains(bound))
    };
    rust.within(&function.at).iter().filter(|token| token.kind == Kind::Text && bounded(&token.text)).count()
}

#[test]
fn no_list_from_the_database_is_unbounded() {
    every_list_is_bounded(Tree::house()).hold();
}

mod controls {
    use super::*;

    fn store(sql: &str) -> Tree {
        let text = format!("pub(super) async fn list() {{ query!(\"{sql}\").fetch_all(conn) }}");
        Tree::of(&[("crates/orders/src/carts/store.rs", &text)])
    }

    #[test]
    fn a_query_without_a_limit_is_found() {
        every_list_is_bounded(&store("SELECT id FROM orders.carts ORDER BY id"))
            .only_name("list fetches a list without");
    }

    #[test]
    fn a_limit_or_a_bounded_input_passes() {
        every_list_is_bounded(&store("SELECT id FROM orders.carts\n LIMIT $1")).hold();
        every_list_is_bounded(&store("SELECT id FROM orders.carts WHERE id = ANY ($1)")).hold();
    }

    #[test]
    fn one_limit_does_not_bound_two_queries() {
        let text = "fn f() { query!(\"SELECT 1 LIMIT 1\").fetch_all(c); query!(\"SELECT 2\").fetch_all(c); }";
        every_list_is_bounded(&Tree::of(&[("crates/orders/src/carts/store.rs", text)])).only_name("f fetches");
    }

    #[test]
    fn an_exception_that_is_no_longer_needed_is_found() {
        let exceptions = [("crates/orders/src/carts/store.rs", "list", "there are three carts")];
        check(&store("SELECT id FROM orders.carts"), &exceptions).hold();
        check(&store("SELECT id FROM orders.carts LIMIT 3"), &exceptions).only_name("list needs no exception");
    }
}
