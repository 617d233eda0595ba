//! Invariants 4 and 5: whose tables a module names, and in which files SQL and HTTP stand.

use crate::tree::{Findings, Kind, Tree, sql, words};

/// Invariant 4, in the SQL of stores and migrations.
pub(super) fn sql_names_its_own_schema_only(tree: &Tree) -> Findings {
    let mut findings = Findings::default();
    let modules = tree.modules();
    for module in &modules {
        for (path, rust) in tree.rust_in(&format!("crates/{module}/src")).filter(|(path, _)| is_store(path)) {
            findings.saw_one();
            for token in rust.strings() {
                foreign_names(&mut findings, &modules, module, (path, token.line, &token.text));
            }
        }
        for (path, text) in tree.migrations(module) {
            findings.saw_one();
            foreign_names(&mut findings, &modules, module, (path, 1, &sql::without_comments(text)));
        }
    }
    findings
}

/// Invariant 4: a foreign key refers to a table of the same schema, written out.
pub(super) fn foreign_keys_stay_at_home(tree: &Tree) -> Findings {
    let mut findings = Findings::default();
    for module in tree.modules() {
        for (path, text) in tree.migrations(&module) {
            findings.saw_one();
            let text = sql::without_comments(text).to_lowercase();
            for (at, found) in text.match_indices("references ") {
                let target: String = text[at + found.len()..]
                    .trim_start()
                    .chars()
                    .take_while(|letter| !" (,;\n".contains(*letter))
                    .collect();
                if target.split_once('.').is_none_or(|(schema, _)| schema != module) {
                    findings.broken(format!("{path}: a foreign key refers to {target}, not to a table of {module}"));
                }
            }
        }
    }
    findings
}

/// Invariant 5, SQL.
pub(super) fn only_store_files_hold_sql(tree: &Tree) -> Findings {
    const OTHER_WAYS: [&str; 3] = ["raw_sql", "QueryBuilder", "Executor"];
    const VERBS: [&str; 5] = ["SELECT ", "INSERT INTO ", "UPDATE ", "DELETE FROM ", "WITH "];
    let mut findings = Findings::default();
    for module in tree.modules() {
        for (path, rust) in tree.rust_in(&format!("crates/{module}/src")) {
            findings.saw_one();
            if is_store(path) {
                continue;
            }
            for token in
                rust.strings().filter(|token| VERBS.iter().any(|verb| token.text.trim_start().starts_with(verb)))
            {
                findings.broken(format!("{path}:{}: SQL outside of a store.rs", token.line));
            }
            for some in rust.tokens.windows(4) {
                let (called, macroed) = (&some[3], some[1].text == "!" && some[0].text.starts_with("query"));
                let query = called.text.starts_with("query") || OTHER_WAYS.contains(&called.text.as_str());
                if macroed || (query && some[0].text == "sqlx" && some[1].text == ":") {
                    findings.broken(format!("{path}:{}: a query outside of a store.rs", called.line));
                }
            }
        }
    }
    findings
}

/// Invariant 5, HTTP.
pub(super) fn only_http_files_speak_http(tree: &Tree) -> Findings {
    const WEB: [&str; 3] = ["axum", "utoipa", "utoipa_axum"];
    let mut findings = Findings::default();
    for module in tree.modules() {
        for (path, rust) in tree.rust_in(&format!("crates/{module}/src")) {
            findings.saw_one();
            let web = path.ends_with("/http.rs") || path.contains("/http/");
            let words =
                rust.tokens.iter().filter(|token| token.kind == Kind::Word && WEB.contains(&token.text.as_str()));
            for token in words.filter(|_| !web) {
                findings.broken(format!("{path}:{}: {} outside of an http.rs", token.line, token.text));
            }
        }
    }
    findings
}

pub(super) fn is_store(path: &str) -> bool {
    path.ends_with("/store.rs") || path.contains("/store/")
}

/// Names of other modules' schemas, and of platform's tables: only platform's functions may be called.
fn foreign_names(findings: &mut Findings, modules: &[String], own: &str, (path, line, text): (&str, usize, &str)) {
    let others = modules.iter().map(String::as_str).filter(|module| *module != own).chain(["platform"]);
    for schema in others {
        for at in words::places(text, schema) {
            let rest = &text[at + schema.len()..];
            let Some(name) = rest.strip_prefix('.') else { continue };
            let end = name.find(|letter: char| !letter.is_alphanumeric() && letter != '_').unwrap_or(name.len());
            let called = schema == "platform" && name[end..].trim_start().starts_with('(');
            if end > 0 && !called {
                let line = line + text[..at].matches('\n').count();
                findings.broken(format!("{path}:{line}: {own} names {schema}.{}", &name[..end]));
            }
        }
    }
}

#[test]
fn a_modules_sql_names_its_own_schema_only() {
    sql_names_its_own_schema_only(Tree::house()).hold();
}

#[test]
fn no_foreign_key_leaves_its_schema() {
    foreign_keys_stay_at_home(Tree::house()).hold();
}

#[test]
fn only_store_files_contain_sql() {
    only_store_files_hold_sql(Tree::house()).hold();
}

#[test]
fn only_http_files_import_axum_or_utoipa() {
    only_http_files_speak_http(Tree::house()).hold();
}

mod controls {
    use super::*;

    fn orders(path: &str, text: &str) -> Tree {
        Tree::of(&[(path, text), ("crates/orders/src/lib.rs", ""), ("crates/stock/src/lib.rs", "")])
    }

    #[test]
    fn a_query_into_another_schema_is_found() {
        let tree = orders("crates/orders/src/carts/store.rs", "fn f() { query!(\"SELECT 1\n FROM stock.shelves\") }");
        sql_names_its_own_schema_only(&tree).only_name("store.rs:2: orders names stock.shelves");
    }

    #[test]
    fn a_migration_over_another_schema_is_found() {
        let tree = orders("migrations/orders/0001_carts.sql", "CREATE VIEW orders.v AS SELECT 1 FROM stock.shelves;");
        sql_names_its_own_schema_only(&tree).only_name("orders names stock.shelves");
    }

    #[test]
    fn a_table_of_platform_is_found_and_a_function_passes() {
        let tree = orders(
            "crates/orders/src/carts/store.rs",
            "const A: &str = \"SELECT platform.enqueue($1), platform.jobs.id\";",
        );
        sql_names_its_own_schema_only(&tree).only_name("orders names platform.jobs");
    }

    #[test]
    fn a_foreign_key_to_another_schema_or_to_no_written_schema_is_found() {
        let key = |target: &str| format!("CREATE TABLE orders.carts (shelf uuid REFERENCES {target} (id));");
        let tree = |target: &str| orders("migrations/orders/0001_carts.sql", &key(target));
        foreign_keys_stay_at_home(&tree("stock.shelves")).only_name("stock.shelves");
        foreign_keys_stay_at_home(&tree("shelves")).only_name("refers to shelves");
        foreign_keys_stay_at_home(&tree("orders.shelves")).hold();
    }

    #[test]
    fn a_query_outside_of_a_store_is_found() {
        let tree = orders("crates/orders/src/carts.rs", "fn f() { sqlx::query(concat!()); }");
        only_store_files_hold_sql(&tree).only_name("a query outside");
        let tree = orders("crates/orders/src/carts.rs", "use sqlx::*;\nfn f() { query_as!(concat!()); }");
        only_store_files_hold_sql(&tree).only_name("carts.rs:2: a query outside");
        let tree = orders("crates/orders/src/carts.rs", "const Q: &str = \"\n SELECT id FROM orders.carts\";");
        only_store_files_hold_sql(&tree).only_name("carts.rs:1: SQL outside");
    }

    #[test]
    fn axum_outside_of_an_http_file_is_found() {
        let handler = "use axum::extract::State;";
        only_http_files_speak_http(&orders("crates/orders/src/carts.rs", handler)).only_name("axum outside");
        only_http_files_speak_http(&orders("crates/orders/src/carts/http.rs", handler)).hold();
    }
}
