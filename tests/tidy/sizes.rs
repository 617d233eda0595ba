//! Files one reads in a sitting, functions one sees at once.

use crate::tree::{Findings, Tree};

const LINES_OF_A_FILE: usize = 400;
const LINES_OF_A_FUNCTION: usize = 60;
const PARAMETERS: usize = 5;
const LINES_OF_MAIN: usize = 40;
const LINES_OF_A_FRONT_DOOR: usize = 120;

/// A file has at most 400 lines, its inline tests left out.
pub(super) fn files_are_short(tree: &Tree) -> Findings {
    let mut findings = Findings::default();
    for (path, rust) in tree.rust() {
        findings.saw_one();
        at_most(&mut findings, LINES_OF_A_FILE, rust.lines_without_tests(), path);
    }
    findings
}

/// A function has at most 60 lines, from its name to its closing brace.
pub(super) fn functions_are_short(tree: &Tree) -> Findings {
    let mut findings = Findings::default();
    for (path, rust) in tree.rust() {
        for function in &rust.functions {
            findings.saw_one();
            let lines = rust.source(&function.at).lines().count();
            at_most(&mut findings, LINES_OF_A_FUNCTION, lines, &format!("{path}:{}: {}", function.line, function.name));
        }
    }
    findings
}

/// A function takes at most 5 parameters, `self` included.
pub(super) fn functions_take_few_parameters(tree: &Tree) -> Findings {
    let mut findings = Findings::default();
    for (path, rust) in tree.rust() {
        for function in rust.functions.iter().filter(|function| !function.parameters.is_empty()) {
            findings.saw_one();
            let (count, name) = (function.parameters.len(), &function.name);
            if count > PARAMETERS {
                findings.broken(format!("{path}:{}: {name} takes {count} parameters", function.line));
            }
        }
    }
    findings
}

/// `main.rs` only starts; the `lib.rs` of a module only shows the front door.
pub(super) fn entry_files_are_tiny(tree: &Tree) -> Findings {
    let mut findings = Findings::default();
    let doors: Vec<String> = tree.modules().iter().map(|module| format!("crates/{module}/src/lib.rs")).collect();
    for (path, rust) in tree.rust() {
        let limit = match path {
            _ if path.ends_with("server/src/main.rs") => LINES_OF_MAIN,
            _ if doors.contains(&path.to_owned()) => LINES_OF_A_FRONT_DOOR,
            _ => continue,
        };
        findings.saw_one();
        at_most(&mut findings, limit, rust.lines_without_tests(), path);
    }
    findings
}

fn at_most(findings: &mut Findings, limit: usize, lines: usize, what: &str) {
    if lines > limit {
        findings.broken(format!("{what} has {lines} lines, {limit} are allowed"));
    }
}

#[test]
fn no_file_is_longer_than_400_lines() {
    files_are_short(Tree::house()).hold();
}

#[test]
fn no_function_is_longer_than_60_lines() {
    functions_are_short(Tree::house()).hold();
}

#[test]
fn no_function_takes_more_than_5_parameters() {
    functions_take_few_parameters(Tree::house()).hold();
}

#[test]
fn main_and_front_doors_are_tiny() {
    entry_files_are_tiny(Tree::house()).hold();
}

mod controls {
    use super::*;

    fn file(text: &str) -> Tree {
        Tree::of(&[("crates/orders/src/lib.rs", text)])
    }

    #[test]
    fn a_long_file_is_found_and_inline_tests_do_not_count() {
        let blank = |lines: usize| "\n".repeat(lines);
        files_are_short(&file(&blank(401))).only_name("lib.rs has 401 lines");
        files_are_short(&file(&format!("{}#[cfg(test)]\nmod tests {{{}}}\n", blank(399), blank(90)))).hold();
    }

    #[test]
    fn a_long_function_is_found() {
        let function = |lines: usize| format!("/// Doc.\nfn long() {{{}}}", "\n".repeat(lines - 1));
        functions_are_short(&file(&function(61))).only_name("lib.rs:2: long has 61 lines");
        functions_are_short(&file(&function(60))).hold();
    }

    #[test]
    fn a_function_with_many_parameters_is_found() {
        let text = "impl A { fn f(&self, a: Map<u8, u8>, b: fn(u8, u8) -> u8, c: (u8, u8), d: u8 PLUS) {} }";
        functions_take_few_parameters(&file(&text.replace(" PLUS", ", e: u8"))).only_name("f takes 6 parameters");
        functions_take_few_parameters(&file(&text.replace(" PLUS", ""))).hold();
    }

    #[test]
    fn a_fat_main_or_front_door_is_found() {
        let main = Tree::of(&[("crates/server/src/main.rs", &"\n".repeat(41))]);
        entry_files_are_tiny(&main).only_name("main.rs has 41 lines, 40");
        entry_files_are_tiny(&file(&"\n".repeat(121))).only_name("lib.rs has 121 lines, 120");
    }
}
