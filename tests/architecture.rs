//! The invariants of ARCHITECTURE.md. Each guard is a function over the files of the repository and has a negative control:
//! the same function over a few lines that break the rule must find exactly that.

mod clippy;
mod lists;
mod migrations;
mod nouns;
mod packages;
mod schema;
mod side_effects;
mod sql_homes;
mod surface;
mod tenancy;
mod wiring;

use crate::tree::{Findings, Tree};

type Guard = fn(&Tree) -> Findings;

const GUARDS: [(&str, Guard); 19] = [
    ("platform stands alone", packages::platform_stands_alone),
    ("modules stand on platform", packages::modules_stand_on_platform),
    ("only the server knows modules", packages::only_the_server_knows_modules),
    ("the outside through platform", packages::modules_reach_the_outside_through_platform),
    ("house lints", packages::every_package_keeps_the_house_lints),
    ("business nouns", nouns::platform_knows_no_business_noun),
    ("wiring", wiring::only_wiring_names_two_modules),
    ("own schema", sql_homes::sql_names_its_own_schema_only),
    ("foreign keys at home", sql_homes::foreign_keys_stay_at_home),
    ("SQL in store files", sql_homes::only_store_files_hold_sql),
    ("axum in http files", sql_homes::only_http_files_speak_http),
    ("unbounded lists", lists::every_list_is_bounded),
    ("tenancy", tenancy::tenant_queries_take_the_organization),
    ("side effects", side_effects::side_effects_take_the_transaction),
    ("clippy bans", clippy::detours_around_platform_are_banned),
    ("allowed lints", clippy::no_lint_is_allowed_away),
    ("public surface", surface::modules_show_their_front_door_only),
    ("migration names", migrations::migrations_are_numbered),
    ("migration statements", migrations::migrations_are_safe_to_roll_out),
];

#[test]
fn a_guard_that_finds_nothing_to_look_at_fails() {
    for (name, guard) in GUARDS {
        assert!(guard(&Tree::default()).fails(), "{name} holds over nothing");
    }
}

#[test]
fn the_guards_see_the_modules() {
    assert!(!Tree::house().modules().is_empty());
}
