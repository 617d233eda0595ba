//! Size, names, leftovers, and pages that say what is so. Each check is a function over the files of the repository and has
//! a negative control.

mod alerts;
mod asvs;
mod docs;
mod examples;
mod leftovers;
mod names;
mod readmes;
mod requests;
mod sizes;

use crate::tree::{Findings, Tree};

type Check = fn(&Tree) -> Findings;

const CHECKS: [(&str, Check); 17] = [
    ("file sizes", sizes::files_are_short),
    ("function sizes", sizes::functions_are_short),
    ("parameters", sizes::functions_take_few_parameters),
    ("entry files", sizes::entry_files_are_tiny),
    ("forbidden words", names::names_say_something),
    ("module files", names::modules_are_named_files),
    ("test names", names::tests_are_sentences),
    ("ignored tests", leftovers::nothing_is_left_for_later),
    ("sleeping tests", leftovers::tests_do_not_sleep),
    ("paths of a machine", leftovers::no_path_of_a_machine),
    ("requests", requests::requests_refuse_unknown_fields),
    ("module pages", readmes::module_pages_agree_with_the_code),
    ("links", docs::links_lead_somewhere),
    ("invariants", docs::invariants_name_their_tests),
    ("mistakes", docs::mistakes_name_places_and_tests),
    ("alerts", alerts::alerts_are_measured_and_explained),
    ("requirements of the standard", asvs::requirements_name_their_tests),
];

#[test]
fn a_check_that_finds_nothing_to_look_at_fails() {
    for (name, check) in CHECKS {
        assert!(check(&Tree::default()).fails(), "{name} holds over nothing");
    }
}
