//! Who may call what: one row for each operation of the API document, one column for each kind of caller, over real HTTP.
//! An operation without a row fails the run, and docs/permissions.md is the same table for people.

mod page;
mod stage;
mod table;

use serde_json::Value;

use crate::contract::{document, operations};
use crate::tree::{Findings, Tree};
use page::{PAGE, render};
use stage::Stage;
use table::{CALLERS, READ_TOKEN, Row, WRITE_TOKEN, at, table};

fn every_operation_has_a_row(document: &Value, rows: &[Row]) -> Findings {
    let mut findings = Findings::default();
    let known: Vec<&str> = rows.iter().map(|row| row.operation).collect();
    let mut documented = Vec::new();
    for (method, path, operation) in operations(document) {
        findings.saw_one();
        let id = operation["operationId"].as_str().unwrap_or_default();
        documented.push(id);
        if !known.contains(&id) {
            findings.broken(format!("{method} {path}: `{id}` has no row in the authorization table"));
        }
        let open = rows.iter().any(|row| row.operation == id && !matches!(row.status("anonymous"), 401 | 404 | 403));
        let declared = operation["security"].as_array().is_some_and(|schemes| !schemes.is_empty());
        let asks =
            rows.iter().any(|row| row.operation == id && row.status("anonymous") == 401 && row.status("owner") < 300);
        if (open && declared) || (asks && !declared) {
            findings
                .broken(format!("{method} {path}: `{id}` and its document disagree on whether it asks for a token"));
        }
    }
    for id in known.into_iter().filter(|id| !documented.contains(id)) {
        findings.broken(format!("the authorization table has a row for `{id}`, which does not exist"));
    }
    findings
}

/// Personal tokens are for programs: what lies below `/v1/me` is their owner's own matter, all but the profile to look at.
fn the_account_is_out_of_reach_of_tokens(document: &Value, rows: &[Row]) -> Findings {
    let mut findings = Findings::default();
    for (method, path, operation) in operations(document) {
        let own = path.starts_with("/v1/me") || path == "/v1/auth/logout";
        if !own || (method == "get" && path == "/v1/me") {
            continue;
        }
        findings.saw_one();
        for row in rows.iter().filter(|row| operation["operationId"] == row.operation) {
            for token in [READ_TOKEN, WRITE_TOKEN].into_iter().filter(|token| row.status(token) != 403) {
                findings.broken(format!("{method} {path}: a {token} reaches it; let its handler take a LoggedIn"));
            }
        }
    }
    findings
}

#[tokio::test]
async fn every_caller_gets_what_the_table_says() {
    let stage = Stage::set().await;
    let document = document();
    let operations = operations(&document);
    let mut wrong = Vec::new();
    for row in table() {
        let found = operations.iter().find(|(_, _, known)| known["operationId"] == row.operation);
        let (method, path, _) = found.unwrap_or_else(|| panic!("no operation {}", row.operation));
        let mut request = stage.request(&row, path, "owner").await;
        for (caller, expected) in CALLERS.into_iter().zip(row.statuses) {
            // Another's is not theirs, what was deleted is not there any more, and what runs is in the way.
            if row.is_personal() || row.is_taken() || (method == "delete" && expected == 204) {
                request = stage.request(&row, path, caller).await;
            }
            let got = stage.status(caller, method, &request).await;
            if got != expected {
                wrong.push(format!("{} as {caller}: expected {expected}, got {got}", row.name()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn every_documented_operation_has_a_row_in_the_authorization_table() {
    every_operation_has_a_row(&document(), &table()).hold();
}

#[tokio::test]
async fn an_operation_without_a_row_is_found() {
    let rows = table().into_iter().filter(|row| row.operation != "me_show").collect::<Vec<_>>();
    every_operation_has_a_row(&document(), &rows).only_name("me_show");
}

#[tokio::test]
async fn no_token_touches_the_account_it_acts_for() {
    the_account_is_out_of_reach_of_tokens(&document(), &table()).hold();
}

#[tokio::test]
async fn an_operation_on_the_account_that_takes_tokens_is_found() {
    let mut rows = table();
    rows.iter_mut().find(|row| row.operation == "session_list").expect("a row").statuses[at(READ_TOKEN)] = 200;
    the_account_is_out_of_reach_of_tokens(&document(), &rows).only_name("get /v1/me/sessions: a read token");
}

#[tokio::test]
async fn the_page_of_permissions_is_the_table() {
    let rendered = render(&document(), &table());
    if Tree::house().text(PAGE) != Some(rendered.as_str()) {
        let fresh = concat!(env!("CARGO_TARGET_TMPDIR"), "/permissions.md");
        std::fs::write(fresh, rendered).expect("a page");
        panic!("{PAGE} is not what tests/authorization/table.rs says. Look at the difference, then: cp {fresh} {PAGE}");
    }
}

#[tokio::test]
async fn a_changed_permission_changes_the_page() {
    let mut rows = table();
    let before = render(&document(), &rows);
    rows.iter_mut().find(|row| row.operation == "organization_update").expect("a row").statuses[3] = 200;
    assert_ne!(render(&document(), &rows), before);
}
