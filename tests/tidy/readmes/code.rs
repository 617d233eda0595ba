//! What the code says about a module.

use std::collections::BTreeSet;

use crate::tree::{Definition, Kind, Rust, Token, Tree};

/// Where platform decides the code of each kind of problem.
const PROBLEMS: &str = "crates/platform/src/http/problem.rs";

/// The tables, as `schema.table`.
pub(super) fn tables(tree: &Tree, module: &str) -> BTreeSet<String> {
    tree.tables(module).into_iter().map(|table| table.name).collect()
}

/// The operations of the document that carry the module's tag.
pub(super) fn routes(tree: &Tree, module: &str) -> BTreeSet<String> {
    let document: serde_json::Value =
        serde_json::from_str(tree.text("openapi/v1.json").unwrap_or("{}")).unwrap_or_default();
    let mut routes = BTreeSet::new();
    for (path, operations) in document["paths"].as_object().into_iter().flatten() {
        for (method, operation) in operations.as_object().into_iter().flatten() {
            let tags = operation["tags"].as_array().map_or(&[][..], Vec::as_slice);
            if tags.iter().any(|tag| tag == module) {
                routes.insert(format!("{} {path}", method.to_uppercase()));
            }
        }
    }
    routes
}

/// The traits of `ports.rs`.
pub(super) fn asks(tree: &Tree, module: &str) -> BTreeSet<String> {
    definitions(tree, module, "ports").filter(|it| it.keyword == "trait").map(|it| it.name.clone()).collect()
}

/// The names of the events.
pub(super) fn tells(tree: &Tree, module: &str) -> BTreeSet<String> {
    named(definitions(tree, module, "events"), "Event").collect()
}

/// The names of the events that the wiring lets the module hear: `events.hear(jobs, "module", |event: TheEvent, …| …)`.
pub(super) fn hears(tree: &Tree, module: &str) -> BTreeSet<String> {
    let mut heard = BTreeSet::new();
    for (_, rust) in tree.rust_in("crates/server/src") {
        for at in
            (1..rust.tokens.len()).filter(|at| rust.tokens[*at].text == "hear" && rust.tokens[*at - 1].text == ".")
        {
            let mut parts = rust.tokens[at..].split(|token| token.text == "|" && token.kind == Kind::Mark);
            let (call, closure) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
            let event = closure
                .split(|token| token.text == ",")
                .next()
                .unwrap_or_default()
                .iter()
                .rfind(|token| is_word(token));
            let known = |name: &str| event_name(tree, name).unwrap_or_else(|| name.to_owned());
            if hearer(rust, call).as_deref() == Some(module) {
                heard.extend(event.map(|event| known(&event.text)));
            }
        }
    }
    heard
}

/// Who hears: a string among the arguments, or a constant of the file.
fn hearer(rust: &Rust, call: &[Token]) -> Option<String> {
    let constant =
        |name: &str| rust.definitions.iter().find(|it| it.keyword == "const" && it.name == name)?.says.clone();
    let written = call.iter().find(|token| token.kind == Kind::Text).map(|token| token.text.clone());
    written.or_else(|| call.iter().filter(|token| is_word(token)).find_map(|token| constant(&token.text)))
}

fn event_name(tree: &Tree, event: &str) -> Option<String> {
    let all = tree.rust().flat_map(|(_, rust)| rust.definitions.iter());
    named(all.filter(|it| it.owner.as_deref() == Some(event)), "Event").next()
}

/// The names of the jobs, and of the loops that the worker runs for the module.
pub(super) fn jobs(tree: &Tree, module: &str) -> BTreeSet<String> {
    let mut jobs: BTreeSet<String> = named(definitions(tree, module, ""), "Job").collect();
    for (_, rust) in sources(tree, module, "") {
        for some in rust.tokens.windows(4) {
            let called = some[0].text == "." && some[1].text == "pump" && some[2].text == "(";
            jobs.extend((called && some[3].kind == Kind::Text).then(|| some[3].text.clone()));
        }
    }
    jobs
}

/// The codes of the problems in `error.rs`: written there, or those of the kinds of problem that platform names.
pub(super) fn answered_codes(tree: &Tree, module: &str) -> BTreeSet<String> {
    let mut codes = BTreeSet::new();
    for (_, rust) in sources(tree, module, "error") {
        codes.extend(codes_after_status(rust));
        for some in rust.tokens.windows(6).filter(|some| ["Problem", "Self"].contains(&some[0].text.as_str())) {
            let kind = some[3].text.as_str();
            let written = (kind == "unauthorized" && some[5].kind == Kind::Text).then(|| some[5].text.clone());
            codes.extend(written.or_else(|| code_of_kind(tree, kind)));
        }
    }
    codes
}

/// Every code the module may answer with: its own, those of its fields' rules, and platform's.
pub(super) fn possible_codes(tree: &Tree, module: &str) -> BTreeSet<String> {
    let mut codes: BTreeSet<String> =
        tree.rust_in("crates/platform/src").flat_map(|(_, rust)| codes_after_status(rust)).collect();
    for (_, rust) in sources(tree, module, "") {
        codes.extend(rust.strings().filter(|token| !rust.is_test(token.at.start)).map(|token| token.text.clone()));
    }
    codes
}

/// The code that `Problem::kind(…)` has.
fn code_of_kind(tree: &Tree, kind: &str) -> Option<String> {
    let rust = tree.rust_file(PROBLEMS)?;
    let function = rust.functions.iter().find(|it| it.owner.as_deref() == Some("Problem") && it.name == kind)?;
    let tokens = rust.within(&function.at);
    tokens.windows(6).find(|some| is_code(some)).map(|some| some[5].text.clone())
}

fn codes_after_status(rust: &Rust) -> impl Iterator<Item = String> {
    let codes = rust.tokens.windows(6).filter(|some| is_code(some) && !rust.is_test(some[5].at.start));
    codes.map(|some| some[5].text.clone())
}

/// `StatusCode::CONFLICT, "code"`
fn is_code(some: &[Token]) -> bool {
    some[0].text == "StatusCode" && some[4].text == "," && some[5].kind == Kind::Text
}

fn is_word(token: &Token) -> bool {
    token.kind == Kind::Word
}

/// What the constants `NAME` of the implementations of a trait say.
fn named<'a>(all: impl Iterator<Item = &'a Definition>, of_trait: &str) -> impl Iterator<Item = String> {
    all.filter(move |it| it.name == "NAME" && it.of_trait.as_deref() == Some(of_trait)).filter_map(|it| it.says.clone())
}

fn definitions<'a>(tree: &'a Tree, module: &str, part: &str) -> impl Iterator<Item = &'a Definition> {
    sources(tree, module, part).into_iter().flat_map(|(_, rust)| rust.definitions.iter())
}

/// The files of a part of a module: `part.rs` and what lies in `part/`; without a part all of them.
fn sources<'a>(tree: &'a Tree, module: &str, part: &str) -> Vec<(&'a str, &'a Rust)> {
    let folder = format!("crates/{module}/src/");
    let belongs = |path: &str| path.strip_prefix(&folder).is_some_and(|inner| belongs_to(inner, part));
    tree.rust().filter(|(path, _)| belongs(path)).collect()
}

fn belongs_to(inner: &str, part: &str) -> bool {
    part.is_empty() || inner.strip_prefix(part).is_some_and(|rest| rest.starts_with(['.', '/']))
}
