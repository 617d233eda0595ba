//! Invariant 7: a store function that touches tenant data takes the organization right after the connection.

use super::sql_homes::is_store;
use crate::tree::sql::Table;
use crate::tree::{Findings, Function, Kind, Rust, Tree, words};

/// What makes a table one of tenant data: the column that names the tenant, or being the table of tenants.
const TENANT_COLUMN: &str = "organization_id";
const TENANTS: &str = "organizations";

/// Functions over tenant tables that serve no single organization: file, function, reason.
const OF_NO_SINGLE_ORGANIZATION: &[(&str, &str, &str)] = &[
    (
        "crates/billing/src/subscriptions/store.rs",
        "find_owner",
        "it finds out whose an object of the payment provider is",
    ),
    ("crates/users/src/audit/store.rs", "insert", "what people do outside of organizations is logged too"),
    ("crates/users/src/erasures/store.rs", "lock_organizations", OF_A_PERSON),
    ("crates/users/src/erasures/store.rs", "list_places", OF_A_PERSON),
    ("crates/users/src/erasures/store.rs", "delete_traces_of_address", OF_A_PERSON),
    ("crates/users/src/exports/store/lists.rs", "memberships", OF_A_PERSON),
    ("crates/users/src/exports/store/lists.rs", "invitations", OF_A_PERSON),
    ("crates/users/src/exports/store/lists.rs", "audit_log", OF_A_PERSON),
    ("crates/users/src/exports/store/lists.rs", "list_owned_alone", OF_A_PERSON),
    ("crates/users/src/invitations/store.rs", "find_inviting", "the token of an invitation leads to its organization"),
    ("crates/users/src/invitations/store.rs", "delete_expired", "what is long over goes in every organization"),
    ("crates/users/src/organizations/store.rs", "insert", "it makes the organization"),
    (
        "crates/users/src/organizations/store.rs",
        "list_of",
        "people list the organizations they belong to, by their own id",
    ),
    ("crates/webhooks/src/messages/store.rs", "list_subscribers", TOGETHER),
    ("crates/webhooks/src/messages/store.rs", "insert", TOGETHER),
    ("crates/webhooks/src/deliveries/store.rs", "insert", TOGETHER),
    ("crates/webhooks/src/deliveries/store.rs", "draw_attention", TOGETHER),
    ("crates/webhooks/src/deliveries/store/claims.rs", "lock_ready", DELIVERY_LOOP),
    ("crates/webhooks/src/deliveries/store/claims.rs", "take", DELIVERY_LOOP),
    ("crates/webhooks/src/deliveries/store/claims.rs", "list_keys", DELIVERY_LOOP),
    ("crates/webhooks/src/deliveries/store/claims.rs", "list_quiet", DELIVERY_LOOP),
    ("crates/webhooks/src/deliveries/store/claims.rs", "list_letters", DELIVERY_LOOP),
    (
        "crates/webhooks/src/deliveries/store/expiry.rs",
        "list",
        "the daily maintenance serves every organization at once",
    ),
    (
        "crates/webhooks/src/deliveries/store/expiry.rs",
        "give_up",
        "the daily maintenance serves every organization at once",
    ),
    ("crates/webhooks/src/deliveries/store/gauges.rs", "sample", DELIVERY_LOOP),
    ("crates/webhooks/src/deliveries/store/settlements.rs", "lock", DELIVERY_LOOP),
    ("crates/webhooks/src/deliveries/store/settlements.rs", "settle", DELIVERY_LOOP),
    ("crates/webhooks/src/deliveries/store/settlements.rs", "save_health", DELIVERY_LOOP),
    ("crates/webhooks/src/deliveries/store/settlements.rs", "change_endpoints", DELIVERY_LOOP),
    ("crates/webhooks/src/deliveries/store/standings.rs", "list_endpoints", OPERATORS),
    ("crates/webhooks/src/deliveries/store/standings.rs", "list", OPERATORS),
    ("crates/webhooks/src/operations/store.rs", "list_ids_to", OPERATORS),
    ("crates/webhooks/src/operations/store.rs", "list_ids", OPERATORS),
    ("crates/webhooks/src/operations/store.rs", "count_to", OPERATORS),
    ("crates/webhooks/src/operations/store.rs", "count", OPERATORS),
    ("crates/webhooks/src/operations/store.rs", "find_deliveries", OPERATORS),
    ("crates/webhooks/src/operations/store.rs", "list_attempts", OPERATORS),
];

const OPERATORS: &str = "the people on call look after every organization; no request leads here";
const OF_A_PERSON: &str = "it is about what one person has everywhere, by their own id";
const TOGETHER: &str = "messages of several organizations are written together, each with its own";
const DELIVERY_LOOP: &str = "the delivery loop serves every organization at once";

/// Invariant 7.
pub(super) fn tenant_queries_take_the_organization(tree: &Tree) -> Findings {
    check(tree, OF_NO_SINGLE_ORGANIZATION)
}

fn check(tree: &Tree, exceptions: &[(&str, &str, &str)]) -> Findings {
    let mut findings = Findings::default();
    let mut unused: Vec<_> = exceptions.iter().collect();
    for module in tree.modules() {
        let tables: Vec<String> = tenant_tables(tree, &module);
        for (path, rust) in tree.rust_in(&format!("crates/{module}/src")).filter(|(path, _)| is_store(path)) {
            for function in &rust.functions {
                let Some(table) = tables.iter().find(|table| touches(rust, function, table)) else { continue };
                findings.saw_one();
                let excepted = |entry: &(&str, &str, &str)| entry.0 == path && entry.1 == function.name;
                if takes_organization(function) {
                    continue;
                }
                if !exceptions.iter().any(excepted) {
                    let (line, name) = (function.line, &function.name);
                    findings
                        .broken(format!("{path}:{line}: {name} touches {table} but its second parameter is no OrgId"));
                }
                unused.retain(|entry| !excepted(entry));
            }
        }
    }
    for (path, name, _) in unused.into_iter().filter(|(path, ..)| tree.has(path)) {
        findings.broken(format!("{path}: {name} needs no exception"));
    }
    findings
}

/// The tables of tenant data, and those whose rows belong to one of them: `cart_id` makes a row part of a cart.
fn tenant_tables(tree: &Tree, module: &str) -> Vec<String> {
    let tables = tree.tables(module);
    let mut found: Vec<&Table> = Vec::new();
    loop {
        let part_of = |table: &Table| found.iter().any(|whole| belongs(table, whole));
        let whole = |table: &Table| table.has_column(TENANT_COLUMN) || table.short_name() == TENANTS;
        let known = |table: &Table| found.iter().any(|other| other.name == table.name);
        let more: Vec<&Table> =
            tables.iter().filter(|table| (whole(table) || part_of(table)) && !known(table)).collect();
        if more.is_empty() {
            return found.into_iter().map(|table| table.name.clone()).collect();
        }
        found.extend(more);
    }
}

/// Whether a column refers to the other table, by a foreign key or by its name.
fn belongs(table: &Table, whole: &Table) -> bool {
    let plural = whole.short_name();
    let singular =
        plural.strip_suffix("ies").map_or_else(|| plural.trim_end_matches('s').to_owned(), |stem| format!("{stem}y"));
    let refers = |definition: &str| words::names(definition, &whole.name);
    table.columns.iter().any(|(name, definition)| *name == format!("{singular}_id") || refers(definition))
}

fn touches(rust: &Rust, function: &Function, table: &str) -> bool {
    let texts = rust.within(&function.at).iter().filter(|token| token.kind == Kind::Text);
    texts.into_iter().any(|token| words::names(&token.text, table))
}

fn takes_organization(function: &Function) -> bool {
    let kind =
        |at: usize| function.parameters.get(at).and_then(|parameter| parameter.split_once(": ")).map(|(_, kind)| kind);
    let connection = kind(0).is_some_and(|kind| ["PgConnection", "Tx"].iter().any(|name| words::names(kind, name)));
    let organization = kind(1).is_some_and(|kind| kind.trim_start_matches('&').rsplit("::").next() == Some("OrgId"));
    connection && organization
}

#[test]
fn every_query_over_tenant_data_takes_the_organization() {
    tenant_queries_take_the_organization(Tree::house()).hold();
}

mod controls {
    use super::*;

    const PATH: &str = "crates/orders/src/carts/store.rs";

    fn store(parameters: &str, table: &str) -> Tree {
        let text =
            format!("pub(super) async fn find({parameters}) {{ query!(\"SELECT id FROM {table} c WHERE id = $1\") }}");
        let tables = "CREATE TABLE orders.carts (id uuid, organization_id uuid NOT NULL);\n\
            CREATE TABLE orders.lines (id uuid, cart_id uuid); CREATE TABLE orders.colours (id uuid);";
        Tree::of(&[(PATH, &text), ("migrations/orders/0001_carts.sql", tables)])
    }

    #[test]
    fn a_query_without_the_organization_is_found() {
        tenant_queries_take_the_organization(&store("conn: &mut PgConnection, id: CartId", "orders.carts"))
            .only_name("find touches orders.carts");
    }

    #[test]
    fn a_query_over_parts_of_tenant_data_is_found_too() {
        tenant_queries_take_the_organization(&store("conn: &mut PgConnection, cart: CartId", "orders.lines"))
            .only_name("find touches orders.lines");
    }

    #[test]
    fn an_organization_further_back_or_inside_something_is_found() {
        let behind = store("conn: &mut PgConnection, id: CartId, org: OrgId", "orders.carts");
        tenant_queries_take_the_organization(&behind).only_name("find touches");
        let perhaps = store("conn: &mut PgConnection, org: Option<OrgId>", "orders.carts");
        tenant_queries_take_the_organization(&perhaps).only_name("find touches");
    }

    #[test]
    fn the_organization_after_the_connection_passes() {
        tenant_queries_take_the_organization(&store("conn: &mut PgConnection, org: OrgId, id: CartId", "orders.carts"))
            .hold();
    }

    #[test]
    fn a_house_without_tenant_data_guards_nothing() {
        assert!(tenant_queries_take_the_organization(&store("conn: &mut PgConnection", "orders.colours")).fails());
    }

    #[test]
    fn an_exception_that_is_no_longer_needed_is_found() {
        let exceptions = [(PATH, "find", "the worker serves all")];
        check(&store("conn: &mut PgConnection", "orders.carts"), &exceptions).hold();
        let tree = store("conn: &mut PgConnection, org: OrgId", "orders.carts");
        check(&tree, &exceptions).only_name("find needs no exception");
    }
}
