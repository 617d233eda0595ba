//! Invariant 9: mail, events and jobs are recorded in the transaction that causes them. The functions that record
//! one cannot be called without it.

use crate::tree::{Findings, Function, Rust, Shows, Tree};

/// The functions of platform that record a side effect: file or folder, start of the name.
const RECORDERS: [(&str, &str); 3] = [
    ("crates/platform/src/jobs", "enqueue"),
    ("crates/platform/src/events", "announce"),
    ("crates/platform/src/mail", "send"),
];

/// Invariant 9.
pub(super) fn side_effects_take_the_transaction(tree: &Tree) -> Findings {
    let mut findings = Findings::default();
    for (place, name) in RECORDERS {
        let files = tree.rust().filter(|(path, _)| path.starts_with(place));
        let recorders = files.flat_map(|(path, rust)| functions(rust, name).map(move |function| (path, function)));
        let mut none = true;
        for (path, function) in recorders {
            none = false;
            findings.saw_one();
            if !function.parameters.iter().any(|parameter| parameter.ends_with(": &mut Tx")) {
                findings.broken(format!("{path}:{}: {} takes no &mut Tx", function.line, function.name));
            }
        }
        if none {
            findings.broken(format!("{place}: no public function {name}… is left to look at"));
        }
    }
    findings
}

fn functions<'a>(rust: &'a Rust, name: &'a str) -> impl Iterator<Item = &'a Function> {
    let recorders = rust.functions.iter().filter(move |function| function.name.starts_with(name));
    recorders.filter(|function| function.shows == Shows::Everybody && !function.of_trait)
}

#[test]
fn jobs_events_and_mail_are_recorded_in_a_transaction() {
    side_effects_take_the_transaction(Tree::house()).hold();
}

mod controls {
    use super::*;

    #[test]
    fn a_mail_sent_without_a_transaction_is_found() {
        let tree = Tree::of(&[
            ("crates/platform/src/jobs.rs", "pub async fn enqueue<J: Job>(tx: &mut Tx, job: &J) {}"),
            (
                "crates/platform/src/events.rs",
                "impl Events { pub async fn announce<E>(&self, tx: &mut Tx, event: &E) {} }",
            ),
            ("crates/platform/src/mail.rs", "impl Mailer { pub async fn send(&self, mail: Mail) {} }"),
        ]);
        side_effects_take_the_transaction(&tree).only_name("mail.rs:1: send takes no &mut Tx");
    }
}
