//! Alerts look at what the service measures, and whoever is woken by one finds a page that says what to do.

use std::collections::BTreeSet;

use crate::tree::{Findings, Kind, Tree, is_a};

const RULES: &str = "ops/alerts.yml";
const PROMETHEUS: &str = "ops/prometheus.yml";
const RUNBOOKS: &str = "ops/runbooks/";

/// Words of Prometheus that are no metric.
const KEYWORDS: [&str; 6] = ["and", "or", "unless", "bool", "offset", "inf"];

/// Words after which the labels of series stand in parentheses.
const BEFORE_LABELS: [&str; 6] = ["by", "without", "on", "ignoring", "group_left", "group_right"];

/// What a histogram is exported as.
const OF_HISTOGRAMS: [&str; 3] = ["_bucket", "_count", "_sum"];

/// One rule.
#[derive(Default)]
struct Alert<'a> {
    line: usize,
    name: &'a str,
    expr: &'a str,
    runbook: &'a str,
}

/// Every alert names metrics that the code records and has its runbook; every runbook has its alert; Prometheus reads the
/// rules.
pub(super) fn alerts_are_measured_and_explained(tree: &Tree) -> Findings {
    let mut findings = Findings::default();
    let (measured, alerts) = (measured(tree), alerts(tree.text(RULES).unwrap_or_default()));
    for Alert { line, name, expr, runbook } in &alerts {
        findings.saw_one();
        let named = metrics(expr);
        if named.is_empty() {
            findings.broken(format!("{RULES}:{line}: {name} looks at nothing"));
        }
        for metric in named.iter().filter(|metric| !measured.contains(**metric)) {
            findings.broken(format!("{RULES}:{line}: {name} looks at {metric}, which nothing records"));
        }
        let page = format!("{RUNBOOKS}{name}.md");
        if *runbook != page || !tree.has(&page) {
            findings.broken(format!("{RULES}:{line}: {name} should have the runbook {page}"));
        }
    }
    for (path, _) in tree.files().filter(|(path, _)| path.starts_with(RUNBOOKS) && is_a("md", path)) {
        if !alerts.iter().any(|alert| alert.runbook == path) {
            findings.broken(format!("{path} belongs to no alert"));
        }
    }
    let read = tree.text(PROMETHEUS).and_then(|text| text.split_once("rule_files:"));
    if !read.is_some_and(|(_, files)| files.lines().any(|line| line.trim() == "- alerts.yml")) {
        findings.broken(format!("{PROMETHEUS} does not read {RULES}"));
    }
    findings
}

/// The rules: `- alert:` begins one, its other keys stand below, each in one line.
fn alerts(text: &str) -> Vec<Alert<'_>> {
    let mut alerts: Vec<Alert<'_>> = Vec::new();
    for (line, text) in (1..).zip(text.lines().map(str::trim)) {
        if let Some(name) = text.strip_prefix("- alert:") {
            alerts.push(Alert { line, name: name.trim(), ..Alert::default() });
        } else if let (Some((key, value)), Some(alert)) = (text.split_once(": "), alerts.last_mut()) {
            match key {
                "expr" => alert.expr = value,
                "runbook" => alert.runbook = value,
                _ => {}
            }
        }
    }
    alerts
}

/// The metrics that an expression of Prometheus names.
fn metrics(expr: &str) -> BTreeSet<&str> {
    let mut named = BTreeSet::new();
    let mut rest = expr;
    let mut before = "";
    while let Some(first) = rest.chars().next() {
        let is_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == ':';
        let length = match first {
            '{' => rest.find('}').map_or(rest.len(), |end| end + 1),
            '[' => rest.find(']').map_or(rest.len(), |end| end + 1),
            '(' if BEFORE_LABELS.contains(&before) => rest.find(')').map_or(rest.len(), |end| end + 1),
            letter if is_name(letter) => rest.find(|letter| !is_name(letter)).unwrap_or(rest.len()),
            letter => letter.len_utf8(),
        };
        let (word, after) = rest.split_at(length);
        if is_name(first) {
            before = word;
            let called = after.trim_start().starts_with('(');
            let special = KEYWORDS.contains(&word) || BEFORE_LABELS.contains(&word);
            let followed_by_labels = after.split_whitespace().next().is_some_and(|next| BEFORE_LABELS.contains(&next));
            if !first.is_ascii_digit() && !called && !special && !followed_by_labels {
                named.insert(word);
            }
        } else if !first.is_whitespace() {
            before = "";
        }
        rest = after;
    }
    named
}

/// The names that the code records under, as they are exported.
fn measured(tree: &Tree) -> BTreeSet<String> {
    let mut measured = BTreeSet::new();
    for (_, rust) in tree.rust_in("crates").filter(|(path, _)| path.contains("/src/")) {
        for some in rust.tokens.windows(4).filter(|some| some[1].text == "!" && some[3].kind == Kind::Text) {
            let name = &some[3].text;
            match some[0].text.as_str() {
                _ if rust.is_test(some[3].at.start) => {}
                "gauge" | "counter" => {
                    measured.insert(name.clone());
                }
                "histogram" => measured.extend(OF_HISTOGRAMS.map(|end| format!("{name}{end}"))),
                _ => {}
            }
        }
    }
    measured
}

#[test]
fn every_alert_looks_at_something_measured_and_has_a_runbook() {
    alerts_are_measured_and_explained(Tree::house()).hold();
}

mod controls {
    use super::*;

    const CODE: &str = "fn f() { metrics::gauge!(\"carts_waiting\", \"shop\" => shop).set(1.0);\n\
        metrics::histogram!(\"cart_seconds\").record(1.0); }\n\
        #[cfg(test)]\nmod tests { fn g() { metrics::counter!(\"tested_total\").increment(1); } }";

    const RULE: &str = "groups:\n  - name: shop\n    rules:\n      - alert: CartsWait\n        expr: EXPR\n        \
        annotations:\n          summary: \"a: b\"\n          runbook: ops/runbooks/CartsWait.md\n";

    fn shop(expr: &str) -> Tree {
        shop_with(&RULE.replace("EXPR", expr), "rule_files:\n  - alerts.yml\n", "ops/runbooks/CartsWait.md")
    }

    fn shop_with(rules: &str, prometheus: &str, runbook: &str) -> Tree {
        Tree::of(&[
            ("crates/orders/src/carts.rs", CODE),
            (RULES, rules),
            (PROMETHEUS, prometheus),
            (runbook, "# CartsWait\n"),
        ])
    }

    #[test]
    fn alerts_about_what_is_measured_pass() {
        for expr in [
            "max by (shop) (carts_waiting) > 5",
            "max(carts_waiting{state=~\"a|b\"}) > 5 and sum (carts_waiting) without (shop) / 2 > 0.2",
            "histogram_quantile(0.99, sum by (le, shop) (rate(cart_seconds_bucket[5m]))) > 1e3",
            "carts_waiting offset 5m > on (shop) group_left carts_waiting",
            "absent(carts_waiting)",
        ] {
            alerts_are_measured_and_explained(&shop(expr)).hold();
        }
    }

    #[test]
    fn alerts_about_what_nothing_records_are_found() {
        for (expr, metric) in [
            ("max(carts_lost) > 5", "carts_lost"),
            ("max by (shop) (carts_waiting) > carts_lost", "carts_lost"),
            ("rate(cart_seconds[5m]) > 1", "cart_seconds"),
            ("absent(carts_lost)", "carts_lost"),
            ("carts_waiting{state=\"a\"} or tested_total", "tested_total"),
        ] {
            alerts_are_measured_and_explained(&shop(expr)).only_name(&format!("looks at {metric}, which nothing"));
        }
        alerts_are_measured_and_explained(&shop("vector(1) > 0")).only_name("CartsWait looks at nothing");
    }

    #[test]
    fn alerts_without_a_runbook_and_runbooks_without_an_alert_are_found() {
        let fine = RULE.replace("EXPR", "carts_waiting > 5");
        let read = "rule_files:\n  - alerts.yml\n";
        let (missing, other) = ("ops/runbooks/notes.txt", "ops/runbooks/CartsLost.md");
        let should = "CartsWait should have the runbook ops/runbooks/CartsWait.md";
        alerts_are_measured_and_explained(&shop_with(&fine, read, missing)).only_name(should);
        let elsewhere = fine.replace("/CartsWait.md", "/Carts.md");
        alerts_are_measured_and_explained(&shop_with(&elsewhere, read, missing)).only_name(should);
        let more = format!("{fine}      - alert: CartsLost\n        expr: carts_waiting\n");
        let tree = shop_with(&more, read, "ops/runbooks/CartsWait.md");
        alerts_are_measured_and_explained(&tree).only_name("CartsLost should have the runbook");
        let mut files = vec![("crates/orders/src/carts.rs", CODE), (RULES, fine.as_str()), (PROMETHEUS, read)];
        files.extend([("ops/runbooks/CartsWait.md", ""), (other, "")]);
        alerts_are_measured_and_explained(&Tree::of(&files)).only_name("CartsLost.md belongs to no alert");
    }

    #[test]
    fn rules_that_prometheus_does_not_read_are_found() {
        let fine = RULE.replace("EXPR", "carts_waiting > 5");
        for prometheus in ["", "rule_files:\n  - other.yml\n"] {
            let tree = shop_with(&fine, prometheus, "ops/runbooks/CartsWait.md");
            alerts_are_measured_and_explained(&tree).only_name("does not read ops/alerts.yml");
        }
    }
}
