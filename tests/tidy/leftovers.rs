//! Things that were meant to go before the commit.

use crate::tree::{Findings, Kind, Rust, Tree};

/// Folders that exist on the machine of one person.
const HOMES: [&str; 5] = [
    concat!("/ro", "ot/"),
    concat!("/ho", "me/"),
    concat!("/Us", "ers/"),
    concat!("/wo", "rk/"),
    concat!("C:\\Us", "ers\\"),
];

/// Folders that may name such places: folder, reason.
const KNOWS_PLACES: [(&str, &str); 1] = [(
    "crates/dev-postgres/src/",
    "it looks where systems keep PostgreSQL, and root's files need a place others can read",
)];

/// Marks of unfinished work in comments.
const LATER: [&str; 3] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];

/// No test is ignored, nothing is unfinished.
pub(super) fn nothing_is_left_for_later(tree: &Tree) -> Findings {
    let mut findings = Findings::default();
    for (path, rust) in tree.rust() {
        findings.saw_one();
        for some in rust.tokens.windows(2) {
            let (this, next) = (&some[0], &some[1]);
            let ignored = this.attribute && this.text == "ignore" && this.kind == Kind::Word;
            let unfinished = ["todo", "unimplemented"].contains(&this.text.as_str()) && next.text == "!";
            if ignored || unfinished {
                findings.broken(format!("{path}:{}: {}", this.line, this.text));
            }
        }
        for (line, text) in comments(rust) {
            if let Some(mark) = LATER.iter().find(|mark| text.contains(*mark)) {
                findings.broken(format!("{path}:{line}: {mark} in a comment"));
            }
        }
    }
    findings
}

/// Tests wait for what they expect, or step time by hand.
pub(super) fn tests_do_not_sleep(tree: &Tree) -> Findings {
    let mut findings = Findings::default();
    for (path, rust) in tree.rust() {
        let all = path.starts_with("tests/") || path.contains("/tests/") || path.ends_with("/tests.rs");
        let test = |at: usize| all || rust.is_test(at);
        for some in rust.tokens.windows(2).filter(|some| test(some[0].at.start)) {
            findings.saw_one();
            let sleeps = ["sleep", "sleep_until", "sleep_ms"].contains(&some[0].text.as_str());
            if sleeps && some[0].kind == Kind::Word && some[1].text == "(" {
                findings.broken(format!("{path}:{}: a test sleeps", some[0].line));
            }
        }
    }
    findings
}

/// Nothing names a folder of somebody's machine.
pub(super) fn no_path_of_a_machine(tree: &Tree) -> Findings {
    let mut findings = Findings::default();
    let excepted = |path: &str| KNOWS_PLACES.iter().any(|(folder, _)| path.starts_with(folder));
    for (path, text) in tree.files().filter(|(path, _)| !excepted(path)) {
        findings.saw_one();
        for (number, line) in text.lines().enumerate() {
            let starts =
                |at: usize| !line[..at].ends_with(|letter: char| letter.is_alphanumeric() || "}-_./".contains(letter));
            if let Some(home) = HOMES.iter().find(|home| line.match_indices(*home).any(|(at, _)| starts(at))) {
                findings.broken(format!("{path}:{}: {home} exists on one machine only", number + 1));
            }
        }
    }
    findings
}

/// Comments and documentation, with their lines.
fn comments(rust: &Rust) -> impl Iterator<Item = (usize, &str)> {
    let docs =
        rust.tokens.iter().filter(|token| token.kind == Kind::Doc).map(|token| (token.line, token.text.as_str()));
    docs.chain(rust.comments.iter().map(|(line, text)| (*line, text.as_str())))
}

#[test]
fn no_test_is_ignored_and_nothing_is_unfinished() {
    nothing_is_left_for_later(Tree::house()).hold();
}

#[test]
fn no_test_sleeps_to_wait() {
    tests_do_not_sleep(Tree::house()).hold();
}

#[test]
fn no_file_names_a_folder_of_one_machine() {
    no_path_of_a_machine(Tree::house()).hold();
}

mod controls {
    use super::*;

    fn code(text: &str) -> Tree {
        Tree::of(&[("crates/orders/src/lib.rs", text)])
    }

    #[test]
    fn ignored_tests_and_unfinished_code_are_found() {
        nothing_is_left_for_later(&code("#[test]\n#[ignore = \"slow\"]\nfn f() {}")).only_name("lib.rs:2: ignore");
        nothing_is_left_for_later(&code("fn f() {\n    todo!()\n}")).only_name("lib.rs:2: todo");
        let mark = LATER[0];
        nothing_is_left_for_later(&code(&format!("fn f() {{}}\n\n// {mark}: more"))).only_name("lib.rs:3:");
        nothing_is_left_for_later(&code(&format!("/// {mark} more\nfn f() {{}}"))).only_name("lib.rs:1:");
        nothing_is_left_for_later(&code(&format!("fn todo() -> &'static str {{ \"{mark}\" }}"))).hold();
    }

    #[test]
    fn a_sleeping_test_is_found_and_a_sleeping_service_passes() {
        let sleep = "async fn f() { tokio::time::sleep(SECOND).await }";
        tests_do_not_sleep(&code(&format!("#[cfg(test)] mod tests {{ {sleep} }}"))).only_name("a test sleeps");
        tests_do_not_sleep(&Tree::of(&[("tests/journeys/a.rs", sleep)])).only_name("a test sleeps");
        tests_do_not_sleep(&code(&format!("{sleep} #[cfg(test)] mod tests {{ fn g() {{}} }}"))).hold();
    }

    #[test]
    fn a_path_of_a_machine_is_found() {
        let page = |home: &str| Tree::of(&[("docs/a.md", &format!("Run `{home}me/tool`."))]);
        for home in HOMES {
            no_path_of_a_machine(&page(home)).only_name("docs/a.md:1:");
        }
        no_path_of_a_machine(&page("/usr/")).hold();
    }
}
