//! Who depends on whom, read from the manifests.

use crate::tree::{Findings, Tree};

/// Crates that reach the outside or decide time and chance. Only platform and the ends of the wire use them directly.
const OUTSIDE: [&str; 7] =
    ["config", "hyper", "hyper-util", "lettre", "rand", "reqwest", "metrics-exporter-prometheus"];

/// The lints that the whole workspace keeps, and how strictly.
const LINTS: [(&str, &str, &str); 11] = [
    ("rust", "unsafe_code", "forbid"),
    ("rust", "missing_docs", "warn"),
    ("rust", "unreachable_pub", "warn"),
    ("clippy", "all", "warn"),
    ("clippy", "pedantic", "warn"),
    ("clippy", "allow_attributes", "warn"),
    ("clippy", "dbg_macro", "warn"),
    ("clippy", "float_arithmetic", "warn"),
    ("clippy", "print_stdout", "warn"),
    ("clippy", "todo", "warn"),
    ("clippy", "unwrap_used", "warn"),
];

/// Invariant 1.
pub(super) fn platform_stands_alone(tree: &Tree) -> Findings {
    may_depend_on(tree, |package| package == "platform", (&[], &["test-support"]))
}

/// Invariant 2.
pub(super) fn modules_stand_on_platform(tree: &Tree) -> Findings {
    let modules = tree.modules();
    // A stand-in plays somebody outside of the house, so meeting it in tests ties no two modules together.
    let in_tests = ["platform", "test-support", "dev-stripe"];
    may_depend_on(tree, |package| modules.contains(&package.to_owned()), (&["platform"], &in_tests))
}

/// Invariant 3, for packages.
pub(super) fn only_the_server_knows_modules(tree: &Tree) -> Findings {
    let modules = tree.modules();
    let knows_all = |package: &str| ["server", "tests"].contains(&package) || modules.contains(&package.to_owned());
    let ground = ["platform", "dev-postgres", "dev-stripe", "test-support"];
    may_depend_on(tree, |package| !knows_all(package), (&ground, &ground))
}

/// Invariant 10, for packages.
pub(super) fn modules_reach_the_outside_through_platform(tree: &Tree) -> Findings {
    let mut findings = Findings::default();
    for (folder, manifest) in tree.packages() {
        let name = name(&manifest);
        if !tree.modules().contains(&name) {
            continue;
        }
        findings.saw_one();
        for (_, dependency) in dependencies(&manifest, &root(tree)).into_iter().filter(|(dev, _)| !dev) {
            if OUTSIDE.contains(&dependency.as_str()) {
                findings
                    .broken(format!("{folder}/Cargo.toml: {name} uses {dependency}; platform offers what it is for"));
            }
        }
    }
    findings
}

/// Every package takes the lints of the workspace, and the workspace has them.
pub(super) fn every_package_keeps_the_house_lints(tree: &Tree) -> Findings {
    let mut findings = Findings::default();
    for (folder, manifest) in tree.packages() {
        findings.saw_one();
        let inherited = manifest.get("lints").and_then(|lints| lints.get("workspace")).and_then(toml::Value::as_bool);
        if inherited != Some(true) {
            findings.broken(format!("{folder}/Cargo.toml does not take the lints of the workspace"));
        }
    }
    let root = root(tree);
    for (tool, lint, level) in LINTS {
        let set = root.get("workspace").and_then(|workspace| workspace.get("lints")?.get(tool)?.get(lint));
        let set = set.and_then(|lint| lint.get("level").unwrap_or(lint).as_str());
        if set != Some(level) {
            findings.broken(format!("Cargo.toml: the lint {tool}::{lint} should be {level:?}"));
        }
    }
    findings
}

/// Checks the packages chosen by `of` against the workspace packages they may have as (normal, development) dependency.
fn may_depend_on(tree: &Tree, of: impl Fn(&str) -> bool, allowed: (&[&str], &[&str])) -> Findings {
    let mut findings = Findings::default();
    let packages = tree.packages();
    let root = root(tree);
    let ours: Vec<String> = packages.iter().map(|(_, manifest)| name(manifest)).collect();
    for (folder, manifest) in packages.iter().filter(|(_, manifest)| of(&name(manifest))) {
        findings.saw_one();
        for (dev, dependency) in dependencies(manifest, &root) {
            let allowed = if dev { allowed.1 } else { allowed.0 };
            if ours.contains(&dependency) && !allowed.contains(&dependency.as_str()) {
                let how = if dev { "depends in development on" } else { "depends on" };
                findings.broken(format!("{folder}/Cargo.toml: {} {how} {dependency}", name(manifest)));
            }
        }
    }
    findings
}

fn name(manifest: &toml::Table) -> String {
    let name = manifest.get("package").and_then(|package| package.get("name")).and_then(toml::Value::as_str);
    name.unwrap_or_default().to_owned()
}

fn root(tree: &Tree) -> toml::Table {
    tree.text("Cargo.toml").unwrap_or_default().parse().expect("the root manifest is TOML")
}

/// Every dependency by the name of its package, for every platform: whether it is one of development only, and the name.
fn dependencies(manifest: &toml::Table, root: &toml::Table) -> Vec<(bool, String)> {
    let shared = root.get("workspace").and_then(|workspace| workspace.get("dependencies"));
    let targets = manifest.get("target").and_then(toml::Value::as_table);
    let tables = targets.into_iter().flat_map(toml::Table::values).filter_map(toml::Value::as_table);
    let mut found = Vec::new();
    for table in tables.chain([manifest]) {
        for (key, dev) in [("dependencies", false), ("build-dependencies", false), ("dev-dependencies", true)] {
            for (alias, how) in table.get(key).and_then(toml::Value::as_table).into_iter().flatten() {
                let shared = shared.and_then(|shared| shared.get(alias)?.get("package"));
                let package = how.get("package").or(shared).and_then(toml::Value::as_str);
                found.push((dev, package.unwrap_or(alias).to_owned()));
            }
        }
    }
    found
}

#[test]
fn platform_depends_on_no_other_crate_of_the_house() {
    platform_stands_alone(Tree::house()).hold();
}

#[test]
fn modules_depend_on_platform_only() {
    modules_stand_on_platform(Tree::house()).hold();
}

#[test]
fn only_the_server_depends_on_modules() {
    only_the_server_knows_modules(Tree::house()).hold();
}

#[test]
fn modules_use_no_crate_that_reaches_the_outside() {
    modules_reach_the_outside_through_platform(Tree::house()).hold();
}

#[test]
fn every_package_takes_the_lints_of_the_house() {
    every_package_keeps_the_house_lints(Tree::house()).hold();
}

mod controls {
    use super::*;

    fn with(name: &str, dependencies: &str) -> Tree {
        let file = |name: &str, rest: &str| format!("[package]\nname = \"{name}\"\n{rest}");
        Tree::of(&[
            ("crates/platform/Cargo.toml", &file("platform", if name == "platform" { dependencies } else { "" })),
            ("crates/orders/Cargo.toml", &file("orders", if name == "orders" { dependencies } else { "" })),
            ("crates/stock/Cargo.toml", &file("stock", "")),
            ("xtask/Cargo.toml", &file("xtask", if name == "xtask" { dependencies } else { "" })),
        ])
    }

    #[test]
    fn a_platform_that_depends_on_a_module_is_found() {
        let tree = with("platform", "[dependencies]\norders.workspace = true\nserde = \"1\"");
        platform_stands_alone(&tree).only_name("platform depends on orders");
    }

    #[test]
    fn a_module_that_depends_on_another_is_found() {
        let tree = with("orders", "[dependencies]\nplatform.workspace = true\nstock.workspace = true");
        modules_stand_on_platform(&tree).only_name("orders depends on stock");
    }

    #[test]
    fn a_module_that_depends_on_another_only_in_its_tests_is_found() {
        let tree = with("orders", "[dev-dependencies]\nstock.workspace = true");
        modules_stand_on_platform(&tree).only_name("orders depends in development on stock");
    }

    #[test]
    fn a_dependency_under_another_name_is_found() {
        let tree =
            with("orders", "[target.'cfg(unix)'.dependencies]\nshelf = { package = \"stock\", path = \"../stock\" }");
        modules_stand_on_platform(&tree).only_name("orders depends on stock");
    }

    #[test]
    fn a_tool_that_depends_on_a_module_is_found() {
        let tree = with("xtask", "[dependencies]\norders.workspace = true");
        only_the_server_knows_modules(&tree).only_name("xtask depends on orders");
    }

    #[test]
    fn a_module_with_its_own_http_client_is_found() {
        let tree = with("orders", "[dependencies]\nreqwest.workspace = true\n[dev-dependencies]\nrand = \"0\"");
        modules_reach_the_outside_through_platform(&tree).only_name("orders uses reqwest");
    }

    #[test]
    fn a_package_without_the_lints_is_found() {
        let root = Tree::house().text("Cargo.toml").expect("the root manifest");
        let tree = Tree::of(&[("Cargo.toml", root), ("crates/orders/Cargo.toml", "[package]\nname = \"orders\"")]);
        every_package_keeps_the_house_lints(&tree).only_name("crates/orders/Cargo.toml does not take");
    }

    #[test]
    fn a_workspace_without_a_lint_is_found() {
        let root = Tree::house().text("Cargo.toml").expect("the root manifest").replace("unwrap_used", "unwrap_unused");
        let package = "[package]\nname = \"orders\"\n[lints]\nworkspace = true";
        let tree = Tree::of(&[("Cargo.toml", &root), ("crates/orders/Cargo.toml", package)]);
        every_package_keeps_the_house_lints(&tree).only_name("clippy::unwrap_used");
    }
}
