use std::fmt::Write;

use serde_json::Value;

use super::table::{CALLERS, Row};
use crate::contract::operations;

/// The table for people.
pub(super) const PAGE: &str = "docs/permissions.md";

const INTRODUCTION: &str = "# Permissions

Who may call what. This page is made from `tests/authorization/table.rs`; the test
`every_caller_gets_what_the_table_says` sends a request for each cell to the running service, so the page cannot promise
what the service does not do. [adding-a-permission.md](adding-a-permission.md) says how to change it.

A **stranger** is logged in and owns another organization; a **removed** caller was an admin here and still has a live
token. A **read token** and a **write token** are personal access tokens of the owner. The other columns are the roles
of members.

- **yes**: may call. What the request holds, such as a password or the token of a mail, may still be refused.
- **no**: 403, a colleague without the permission, or a token that does not reach that far.
- **hidden**: 404, as if it did not exist.
- **log in**: 401, an access token is needed.
";

/// Everything the table says, a section for each module.
pub(super) fn render(document: &Value, rows: &[Row]) -> String {
    let operations = operations(document);
    let of = |row: &Row| operations.iter().find(|(_, _, known)| known["operationId"] == row.operation);
    let module = |row: &Row| of(row).and_then(|(_, _, operation)| operation["tags"][0].as_str()).unwrap_or_default();
    let mut modules: Vec<&str> = Vec::new();
    for row in rows {
        if !modules.contains(&module(row)) {
            modules.push(module(row));
        }
    }
    let mut page = INTRODUCTION.to_owned();
    for name in modules {
        let _ = write!(page, "\n## {name}\n\n| operation | request | {} |\n", CALLERS.join(" | "));
        let _ = writeln!(page, "|---|---|{}", "---|".repeat(CALLERS.len()));
        for row in rows.iter().filter(|row| module(row) == name) {
            let Some((method, path, operation)) = of(row) else { continue };
            let asks = operation["security"].as_array().is_some_and(|schemes| !schemes.is_empty());
            let cells: Vec<&str> = row.statuses.iter().map(|status| word(*status, asks)).collect();
            let (name, method) = (row.name(), method.to_uppercase());
            let _ = writeln!(page, "| {name} | `{method} {path}` | {} |", cells.join(" | "));
        }
    }
    page
}

/// What a status means to the caller. An unknown token in a body is a 400, wrong credentials are a 401, a wrong code is a 422:
/// asking was allowed.
fn word(status: u16, asks_for_token: bool) -> &'static str {
    match status {
        401 if asks_for_token => "log in",
        403 => "no",
        404 => "hidden",
        200..=299 | 400 | 401 | 422 => "yes",
        other => panic!("the table says {other}, which tells nothing about permissions"),
    }
}
