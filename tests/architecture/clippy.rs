//! Invariant 10: time, ids, randomness, outgoing HTTP, spawned tasks and environment variables come through
//! platform. Clippy bans the detours; these guards see to it that the bans stand and that nobody turns lints off.

use crate::tree::{Findings, Tree};

/// The detours around platform.
const DETOURS: [&str; 16] = [
    "chrono::Local::now",
    "chrono::Utc::now",
    "rand::random",
    "rand::rng",
    "reqwest::Client::builder",
    "reqwest::Client::new",
    "reqwest::get",
    "std::env::var",
    "std::env::var_os",
    "std::env::vars",
    "std::env::vars_os",
    "std::time::SystemTime::now",
    "tokio::spawn",
    "tokio::task::spawn_blocking",
    "uuid::Uuid::new_v4",
    "uuid::Uuid::now_v7",
];

/// The sizes that clippy keeps too, while one types.
const LIMITS: [(&str, i64); 2] = [("too-many-arguments-threshold", 5), ("too-many-lines-threshold", 60)];

/// Invariant 10.
pub(super) fn detours_around_platform_are_banned(tree: &Tree) -> Findings {
    let mut findings = Findings::default();
    let settings: toml::Table = tree.text("clippy.toml").unwrap_or_default().parse().expect("clippy.toml is TOML");
    let bans = settings.get("disallowed-methods").and_then(toml::Value::as_array).map_or(&[][..], Vec::as_slice);
    for ban in bans {
        findings.saw_one();
        let said = |key: &str| ban.get(key).and_then(toml::Value::as_str).unwrap_or_default();
        if said("reason").is_empty() {
            findings.broken(format!("clippy.toml: the ban of {:?} gives no reason", said("path")));
        }
    }
    let banned = |path: &str| bans.iter().any(|ban| ban.get("path").and_then(toml::Value::as_str) == Some(path));
    for detour in DETOURS.into_iter().filter(|detour| !banned(detour)) {
        findings.broken(format!("clippy.toml does not ban {detour}"));
    }
    for (limit, number) in LIMITS {
        if settings.get(limit).and_then(toml::Value::as_integer) != Some(number) {
            findings.broken(format!("clippy.toml: {limit} should be {number}"));
        }
    }
    findings
}

/// `allow` hides a lint for good; `expect` says why and complains when it is no longer needed.
pub(super) fn no_lint_is_allowed_away(tree: &Tree) -> Findings {
    let mut findings = Findings::default();
    for (path, rust) in tree.rust() {
        findings.saw_one();
        for (at, some) in
            rust.tokens.windows(2).enumerate().filter(|(_, some)| some[0].attribute && some[1].text == "(")
        {
            let line = some[0].line;
            let inner = rust.tokens[at..].iter().take_while(|token| token.attribute && token.text != "]");
            let reasoned = || inner.clone().any(|token| token.text == "reason");
            match some[0].text.as_str() {
                "allow" => findings.broken(format!("{path}:{line}: write #[expect(…, reason)] instead of #[allow]")),
                "expect" if !reasoned() => findings.broken(format!("{path}:{line}: #[expect] without a reason")),
                _ => {}
            }
        }
    }
    findings
}

#[test]
fn time_chance_tasks_and_the_environment_come_through_platform() {
    detours_around_platform_are_banned(Tree::house()).hold();
}

#[test]
fn no_lint_is_turned_off_without_a_reason() {
    no_lint_is_allowed_away(Tree::house()).hold();
}

mod controls {
    use super::*;

    fn settings(change: impl Fn(&str) -> String) -> Tree {
        let settings = Tree::house().text("clippy.toml").expect("clippy.toml");
        Tree::of(&[("clippy.toml", &change(settings))])
    }

    #[test]
    fn a_ban_that_was_taken_away_is_found() {
        detours_around_platform_are_banned(&settings(|text| text.replace("uuid::Uuid::new_v4", "uuid::Uuid::new_v6")))
            .only_name("does not ban uuid::Uuid::new_v4");
    }

    #[test]
    fn a_ban_without_a_reason_is_found() {
        let more = |text: &str| text.replace("disallowed-methods = [", "disallowed-methods = [{ path = \"a::b\" },");
        detours_around_platform_are_banned(&settings(more)).only_name("the ban of \"a::b\" gives no reason");
    }

    #[test]
    fn a_raised_limit_is_found() {
        detours_around_platform_are_banned(&settings(|text| {
            text.replace("-lines-threshold = 60", "-lines-threshold = 90")
        }))
        .only_name("too-many-lines-threshold should be 60");
    }

    #[test]
    fn a_lint_turned_off_is_found() {
        let text = "#[derive(Debug)]\n#[allow(dead_code)]\nstruct A; // #[allow(unused)]";
        no_lint_is_allowed_away(&Tree::of(&[("crates/orders/src/lib.rs", text)])).only_name("lib.rs:2: write #[expect");
        let text = "#![cfg_attr(test, expect(dead_code))]";
        no_lint_is_allowed_away(&Tree::of(&[("crates/orders/src/lib.rs", text)])).only_name("without a reason");
    }
}
