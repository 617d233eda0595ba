//! The page of a module says what is so: its lists are compared with migrations, document, events, jobs and errors.

mod code;

use std::collections::BTreeSet;

use crate::tree::{Findings, Tree, markdown};

const SECTIONS: [&str; 11] = [
    "What",
    "Words",
    "Tables",
    "Routes",
    "Asks",
    "Tells",
    "Hears",
    "Jobs",
    "Who may",
    "What can go wrong",
    "Where to start reading",
];

/// Names the problems that `error.rs` answers with; it may name those that platform answers for the module as well.
const LAST_LIST: &str = "What can go wrong";

/// One screen of prose. The lists that are compared with the code grow with the module.
const LINES: usize = 60;

/// The README of every module has its sections, and its lists are those of the code. An entry is what a list item or
/// table row starts with, in backticks.
pub(super) fn module_pages_agree_with_the_code(tree: &Tree) -> Findings {
    let mut findings = Findings::default();
    for module in tree.modules() {
        findings.saw_one();
        let path = format!("crates/{module}/README.md");
        let Some(page) = tree.text(&path) else {
            findings.broken(format!("{path} does not exist"));
            continue;
        };
        if markdown::titles(page) != SECTIONS {
            findings.broken(format!("{path}: the sections should be {}", SECTIONS.join(" · ")));
        }
        let lists = [
            ("Tables", code::tables(tree, &module)),
            ("Routes", code::routes(tree, &module)),
            ("Asks", code::asks(tree, &module)),
            ("Tells", code::tells(tree, &module)),
            ("Hears", code::hears(tree, &module)),
            ("Jobs", code::jobs(tree, &module)),
            (LAST_LIST, code::answered_codes(tree, &module)),
        ];
        let mut prose = page.lines().count();
        for (title, real) in lists {
            prose -= markdown::section(page, title).map_or(0, |section| section.lines().count());
            let entries = markdown::entries(markdown::section(page, title).unwrap_or_default());
            let written: BTreeSet<String> = entries.into_iter().map(str::to_owned).collect();
            let possible = if title == LAST_LIST { code::possible_codes(tree, &module) } else { real.clone() };
            for missing in real.difference(&written) {
                findings.broken(format!("{path}, {title}: {missing} is missing"));
            }
            for invented in written.iter().filter(|entry| !possible.contains(*entry)) {
                findings.broken(format!("{path}, {title}: {invented} does not exist"));
            }
        }
        if prose > LINES {
            findings.broken(format!("{path} is longer than a screen ({prose} lines besides its lists, not {LINES})"));
        }
    }
    findings
}

#[test]
fn the_page_of_every_module_agrees_with_its_code() {
    module_pages_agree_with_the_code(Tree::house()).hold();
}

mod controls {
    use super::*;

    const PAGE: &str = "# Orders\n## What\n## Words\n## Tables\n- `orders.carts`: one each\n\
        ## Routes\n| `GET /v1/carts` | lists |\n\
        ## Asks\n- `Buyers`\n## Tells\n- `orders.cart_filled.v1`\n## Hears\n- `stock.shelf_emptied.v1`\n\
        ## Jobs\n- `orders.sweep`\n- `orders.ship`\n## Who may\n\
        ## What can go wrong\n- `cart_full`\n- `not_you`\n- `gone`\n- `away` from platform, not `this`\n\
        ## Where to start reading\n";

    const ERRORS: &str = "fn f() { Problem::new(StatusCode::CONFLICT, \"cart_full\", \"full\");\n\
        Self::unauthorized(\"not_you\", \"no\"); Self::gone(); }";

    const PROBLEMS: &str = "impl Problem { pub fn gone() -> Self { Self::new(StatusCode::GONE, \"gone\", \"Gone\") }\n\
        pub fn away() -> Self { Self::new(StatusCode::BAD_GATEWAY, \"away\", \"Away\") } }";

    fn orders(page: &str) -> Tree {
        let event =
            |name: &str, kind: &str| format!("impl Event for {kind} {{ const NAME: &'static str = \"{name}\"; }}");
        Tree::of(&[
            ("crates/orders/README.md", page),
            ("migrations/orders/0001_carts.sql", "CREATE TABLE orders.carts (id uuid);"),
            ("openapi/v1.json", r#"{"paths": {"/v1/carts": {"get": {"tags": ["orders"]}, "put": {"tags": ["x"]}}}}"#),
            ("crates/orders/src/ports.rs", "pub trait Buyers {}"),
            ("crates/orders/src/events.rs", &event("orders.cart_filled.v1", "CartFilled")),
            (
                "crates/server/src/wiring/hears.rs",
                "const O: &str = \"orders\"; fn f() { events.hear(jobs, O, move |event: stock::S, running| g(event)); }",
            ),
            ("crates/platform/src/a.rs", &event("stock.shelf_emptied.v1", "S")),
            ("crates/orders/src/jobs.rs", "impl Job for Sweep { const NAME: &'static str = \"orders.sweep\"; }"),
            ("crates/orders/src/carts.rs", "fn f() { jobs.pump(\"orders.ship\", \"c\", p); }"),
            ("crates/orders/src/error.rs", ERRORS),
            ("crates/platform/src/http/problem.rs", PROBLEMS),
        ])
    }

    #[test]
    fn a_page_that_agrees_passes() {
        module_pages_agree_with_the_code(&orders(PAGE)).hold();
    }

    #[test]
    fn every_list_that_misses_something_is_found() {
        let things = [
            "orders.carts",
            "GET /v1/carts",
            "Buyers",
            "orders.cart_filled.v1",
            "stock.shelf_emptied.v1",
            "orders.sweep",
            "orders.ship",
            "cart_full",
            "not_you",
            "gone",
        ];
        for thing in things {
            let page = PAGE.replace(&format!("`{thing}`"), "nothing");
            module_pages_agree_with_the_code(&orders(&page)).only_name(&format!("{thing} is missing"));
        }
    }

    #[test]
    fn an_invented_entry_is_found() {
        let page = PAGE.replace("## Routes\n", "- `orders.coins`: none\n## Routes\n");
        module_pages_agree_with_the_code(&orders(&page)).only_name("Tables: orders.coins does not exist");
    }

    #[test]
    fn a_page_that_goes_on_and_on_is_found() {
        let page = PAGE.replace("## Words\n", &format!("## Words\n{}", "more\n".repeat(LINES)));
        module_pages_agree_with_the_code(&orders(&page)).only_name("longer than a screen");
    }

    #[test]
    fn a_missing_section_or_page_is_found() {
        module_pages_agree_with_the_code(&orders(&PAGE.replace("## Words\n", ""))).only_name("the sections should be");
        let tree = Tree::of(&[("crates/orders/src/lib.rs", "")]);
        module_pages_agree_with_the_code(&tree).only_name("README.md does not exist");
    }
}
