//! Migrations run while the old and the new release serve side by side: each only adds (expand), and what takes away
//! waits for a later release in a file named `…_contract.sql`.

use crate::tree::sql::{self, Statement, Table};
use crate::tree::{Findings, Tree, is_a};

/// Types that lose something: the time zone, cents, or the sequence's owner. Each with what to use instead.
const WORSE_TYPES: [(&str, &str); 10] = [
    ("TIMESTAMP", "timestamptz"),
    ("TIME", "timestamptz"),
    ("SERIAL", "a UUIDv7 or GENERATED ALWAYS AS IDENTITY"),
    ("BIGSERIAL", "a UUIDv7 or GENERATED ALWAYS AS IDENTITY"),
    ("SMALLSERIAL", "a UUIDv7 or GENERATED ALWAYS AS IDENTITY"),
    ("MONEY", "bigint in minor units"),
    ("REAL", "bigint or numeric"),
    ("FLOAT", "bigint or numeric"),
    ("DOUBLE", "bigint or numeric"),
    ("JSON", "jsonb"),
];

/// What an expanding migration must not do, because the release before it still runs.
const CONTRACTING: [&str; 8] = [
    "DROP TABLE ",
    "DROP COLUMN ",
    "DROP SCHEMA ",
    "DROP VIEW ",
    " RENAME ",
    "DROP FUNCTION ",
    " SET NOT NULL",
    " SET DATA TYPE ",
];

/// Every module and platform has a folder of migrations, numbered without gaps.
pub(super) fn migrations_are_numbered(tree: &Tree) -> Findings {
    let mut findings = Findings::default();
    for schema in schemas(tree) {
        let migrations = tree.migrations(&schema);
        if migrations.is_empty() {
            findings.broken(format!("migrations/{schema} has no migration"));
        }
        for (number, (path, _)) in (1..).zip(migrations) {
            findings.saw_one();
            let name = path.rsplit('/').next().unwrap_or_default();
            let rest = name.strip_prefix(&format!("{number:04}_")).and_then(|rest| rest.strip_suffix(".sql"));
            let plain = |rest: &str| {
                !rest.is_empty()
                    && rest
                        .chars()
                        .all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_')
            };
            if !rest.is_some_and(plain) {
                findings.broken(format!("{path} should be named {number:04}_what_changes.sql"));
            }
        }
    }
    for (path, _) in tree.files().filter(|(path, _)| path.starts_with("migrations/") && is_a("sql", path)) {
        if !schemas(tree).iter().any(|schema| path.starts_with(&format!("migrations/{schema}/"))) {
            findings.broken(format!("{path} belongs to no crate"));
        }
    }
    findings
}

/// No migration breaks the running release, blocks writers for long, or stores what cannot be read back.
pub(super) fn migrations_are_safe_to_roll_out(tree: &Tree) -> Findings {
    let mut findings = Findings::default();
    for schema in schemas(tree) {
        for (path, text) in tree.migrations(&schema) {
            findings.saw_one();
            let statements = sql::statements(text);
            let migration = Migration {
                schema: &schema,
                contracts: path.ends_with("_contract.sql"),
                outside_transaction: text.starts_with("-- no-transaction"),
                alone: statements.len() == 1,
                created: sql::tables([text].into_iter()),
            };
            for statement in &statements {
                for fault in migration.faults(statement) {
                    findings.broken(format!("{path}:{}: {fault}", statement.line));
                }
            }
        }
    }
    findings
}

fn schemas(tree: &Tree) -> Vec<String> {
    let platform = tree.has("crates/platform").then(|| "platform".to_owned());
    platform.into_iter().chain(tree.modules()).collect()
}

/// What a statement must be judged by: the file around it.
struct Migration<'a> {
    schema: &'a str,
    contracts: bool,
    outside_transaction: bool,
    alone: bool,
    created: Vec<Table>,
}

impl Migration<'_> {
    fn faults(&self, statement: &Statement) -> Vec<String> {
        let text = format!("{} ", statement.text.to_uppercase());
        let mut faults: Vec<String> = self.index_faults(&text).into_iter().collect();
        faults.extend(self.alter_faults(&text));
        faults.extend(self.type_faults(&statement.text));
        let contracting = CONTRACTING.iter().find(|words| text.contains(*words));
        if let (false, Some(words)) = (self.contracts, contracting) {
            faults.push(format!("{:?} belongs in a later _contract.sql", words.trim()));
        }
        if text.starts_with("TRUNCATE ") {
            faults.push("TRUNCATE empties a table".to_owned());
        }
        faults
    }

    fn index_faults(&self, text: &str) -> Option<String> {
        if !text.starts_with("CREATE INDEX ") && !text.starts_with("CREATE UNIQUE INDEX ") {
            return None;
        }
        let concurrent = text.contains(" CONCURRENTLY ");
        let table = text.split_once(" ON ").map_or("", |(_, rest)| rest.trim_start_matches("ONLY "));
        let fresh = self.is_created_here(table);
        match (concurrent, fresh) {
            (false, false) => Some("an index on a table with rows is made CONCURRENTLY".to_owned()),
            (true, _) if !self.outside_transaction || !self.alone => {
                Some("CONCURRENTLY stands alone in a file that starts with -- no-transaction".to_owned())
            }
            _ => None,
        }
    }

    fn alter_faults(&self, text: &str) -> Vec<String> {
        let Some(rest) = text.strip_prefix("ALTER TABLE ") else { return Vec::new() };
        let table = rest.trim_start_matches("IF EXISTS ").trim_start_matches("ONLY ");
        if self.is_created_here(table) {
            return Vec::new();
        }
        let mut faults = Vec::new();
        for (column, rest) in sql::added_columns(text) {
            let filled = rest.contains(" DEFAULT ") || rest.contains(" GENERATED ");
            if rest.contains("NOT NULL") && !filled {
                faults.push(format!("the column {column} is NOT NULL without a DEFAULT"));
            }
        }
        let checks = ["ADD CONSTRAINT ", "ADD CHECK ", "ADD FOREIGN KEY "].iter().any(|words| text.contains(words));
        if checks && !text.contains(" NOT VALID ") && !text.contains(" USING INDEX ") {
            faults.push("a constraint on a table with rows is added NOT VALID and validated later".to_owned());
        }
        if !self.contracts && text.contains(" ALTER COLUMN ") && text.contains(" TYPE ") {
            faults.push("another type for a column belongs in a later _contract.sql".to_owned());
        }
        faults
    }

    fn type_faults(&self, text: &str) -> Vec<String> {
        let mut faults = Vec::new();
        let tables = sql::tables([text].into_iter());
        for table in
            tables.iter().filter(|table| table.name.split_once('.').is_none_or(|(schema, _)| schema != self.schema))
        {
            faults.push(format!("the table {} is not written {}.{}", table.name, self.schema, table.short_name()));
        }
        let columns = tables.into_iter().flat_map(|table| table.columns).chain(sql::added_columns(text));
        for (column, rest) in columns {
            let rest = rest.to_uppercase();
            let kind = rest.split([' ', '(', '[']).next().unwrap_or_default();
            let zoned = rest.contains("WITH TIME ZONE");
            if let Some((_, better)) = WORSE_TYPES.iter().find(|(worse, _)| *worse == kind && !zoned) {
                faults.push(format!("the column {column} is {kind}; better {better}"));
            }
        }
        faults
    }

    /// Whether the text starts with the name of a table that this file creates.
    fn is_created_here(&self, text: &str) -> bool {
        let name: String = text.chars().take_while(|letter| !" (".contains(*letter)).collect();
        self.created.iter().any(|table| table.name.to_uppercase() == name)
    }
}

#[test]
fn migrations_are_numbered_without_gaps() {
    migrations_are_numbered(Tree::house()).hold();
}

#[test]
fn migrations_only_expand_until_they_say_contract() {
    migrations_are_safe_to_roll_out(Tree::house()).hold();
}

mod controls {
    use super::*;

    fn migration(name: &str, text: &str) -> Tree {
        let first = ("migrations/orders/0001_carts.sql", "CREATE TABLE orders.carts (id uuid PRIMARY KEY);");
        Tree::of(&[("crates/orders/src/lib.rs", ""), first, (&format!("migrations/orders/{name}"), text)])
    }

    #[test]
    fn a_gap_or_a_name_out_of_style_is_found() {
        migrations_are_numbered(&migration("0003_later.sql", "")).only_name("should be named 0002_");
        migrations_are_numbered(&migration("0002-later.sql", "")).only_name("should be named 0002_");
        migrations_are_numbered(&migration("0002_Later.sql", "")).only_name("should be named 0002_");
        migrations_are_numbered(&migration("0002_later.sql", "")).hold();
    }

    #[test]
    fn a_folder_that_belongs_to_no_crate_is_found() {
        let tree = Tree::of(&[
            ("crates/orders/src/lib.rs", ""),
            ("migrations/orders/0001_a.sql", ""),
            ("migrations/gone/0001_a.sql", ""),
        ]);
        migrations_are_numbered(&tree).only_name("migrations/gone/0001_a.sql belongs to no crate");
    }

    #[test]
    fn every_dangerous_statement_is_found() {
        let cases = [
            ("DROP TABLE orders.carts;", "\"DROP TABLE\" belongs in a later"),
            ("ALTER TABLE orders.carts DROP COLUMN id;", "\"DROP COLUMN\" belongs"),
            ("ALTER TABLE orders.carts RENAME COLUMN id TO key;", "\"RENAME\" belongs"),
            ("ALTER TABLE orders.carts ALTER COLUMN id SET NOT NULL;", "\"SET NOT NULL\" belongs"),
            ("ALTER TABLE orders.carts ALTER COLUMN id TYPE text;", "another type"),
            ("ALTER TABLE orders.carts ADD COLUMN a int NOT NULL;", "A is NOT NULL without a DEFAULT"),
            ("ALTER TABLE orders.carts ADD CONSTRAINT c CHECK (id IS NOT NULL);", "added NOT VALID"),
            ("ALTER TABLE orders.carts ADD COLUMN a timestamp;", "a is TIMESTAMP; better timestamptz"),
            ("CREATE INDEX a ON orders.carts (id);", "made CONCURRENTLY"),
            ("CREATE INDEX CONCURRENTLY a ON orders.carts (id);", "starts with -- no-transaction"),
            ("CREATE TABLE orders.a (b double precision);", "b is DOUBLE; better bigint"),
            ("CREATE TABLE orders.a (id bigserial PRIMARY KEY);", "id is BIGSERIAL"),
            ("CREATE TABLE a (id uuid);", "not written orders.a"),
            ("TRUNCATE orders.carts;", "empties a table"),
        ];
        for (text, fault) in cases {
            migrations_are_safe_to_roll_out(&migration("0002_more.sql", text)).only_name(fault);
        }
    }

    #[test]
    fn what_is_safe_or_says_contract_passes() {
        let safe = "CREATE TABLE orders.a (id uuid, at timestamptz NOT NULL); CREATE INDEX i ON orders.a (id);\n\
            ALTER TABLE orders.carts ADD COLUMN b int NOT NULL DEFAULT 0; -- DROP TABLE orders.carts";
        migrations_are_safe_to_roll_out(&migration("0002_more.sql", safe)).hold();
        let index = "-- no-transaction\nCREATE INDEX CONCURRENTLY a ON orders.carts (id);";
        migrations_are_safe_to_roll_out(&migration("0002_more.sql", index)).hold();
        migrations_are_safe_to_roll_out(&migration("0002_old_contract.sql", "DROP TABLE orders.carts;")).hold();
    }
}
