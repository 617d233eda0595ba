//! The database itself, asked after every migration has run: what text cannot show, the catalogue knows.

use sqlx::{Connection, PgConnection};
use test_support::database::TestDatabase;

/// Our tables, without the histories of the migrations.
const TABLES: &str = r"CREATE TEMPORARY VIEW house_tables AS
    SELECT t.oid, n.nspname::text AS schema, format('%s.%s', n.nspname, t.relname) AS name
    FROM pg_catalog.pg_class t JOIN pg_catalog.pg_namespace n ON n.oid = t.relnamespace
    WHERE t.relkind IN ('r', 'p') AND n.nspname !~ '^(pg_|information_schema$)' AND t.relname !~ '^_'";

/// A foreign key is searched when the row it refers to goes; without an index that reads the whole table.
const FOREIGN_KEYS_WITHOUT_INDEX: &str = r"
    SELECT format('%s %s', t.name, c.conname)
    FROM pg_catalog.pg_constraint c JOIN house_tables t ON t.oid = c.conrelid
    WHERE c.contype = 'f' AND NOT EXISTS (
        SELECT FROM pg_catalog.pg_index i
        WHERE i.indrelid = c.conrelid AND i.indisvalid
            AND (i.indkey::int2[])[0:cardinality(c.conkey) - 1] @> c.conkey
            AND (i.indpred IS NULL OR pg_get_expr(i.indpred, i.indrelid) ~ '^\(\w+ IS NOT NULL\)$'))
    ORDER BY 1";

/// No foreign key leaves its schema.
const FOREIGN_KEYS_ACROSS_SCHEMAS: &str = r"
    SELECT format('%s %s', t.name, c.conname)
    FROM pg_catalog.pg_constraint c JOIN house_tables t ON t.oid = c.conrelid
        JOIN pg_catalog.pg_class other ON other.oid = c.confrelid
        JOIN pg_catalog.pg_class own ON own.oid = c.conrelid
    WHERE c.contype = 'f' AND other.relnamespace <> own.relnamespace
    ORDER BY 1";

/// Rows that nothing names cannot be changed or replicated one by one.
const TABLES_WITHOUT_PRIMARY_KEY: &str = r"
    SELECT t.name FROM house_tables t
    WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_constraint c WHERE c.conrelid = t.oid AND c.contype = 'p')
    ORDER BY 1";

/// Types that lose the time zone, or cents.
const COLUMNS_OF_LOSSY_TYPES: &str = r"
    SELECT format('%s.%s %s', t.name, a.attname, format_type(a.atttypid, NULL))
    FROM house_tables t JOIN pg_catalog.pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE a.atttypid IN ('timestamp'::regtype, 'time'::regtype, 'timetz'::regtype, 'real'::regtype,
        'double precision'::regtype, 'money'::regtype, 'json'::regtype)
    ORDER BY 1";

/// Text and bytes of a module have a bound in the database: a CHECK over the column, or a foreign key to one that has it.
const TEXTS_WITHOUT_BOUND: &str = r"
    SELECT format('%s.%s', t.name, a.attname)
    FROM house_tables t JOIN pg_catalog.pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE t.schema <> 'platform' AND a.atttypid IN ('text'::regtype, 'bytea'::regtype, 'varchar'::regtype)
        AND NOT EXISTS (
            SELECT FROM pg_catalog.pg_constraint c
            WHERE c.conrelid = t.oid AND c.contype IN ('c', 'f') AND a.attnum = ANY (c.conkey))
    ORDER BY 1";

/// A function that runs with its owner's rights fixes where names are looked up, or the caller chooses what it calls.
const TRUSTING_FUNCTIONS: &str = r"
    SELECT format('%s.%s', n.nspname, p.proname)
    FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
    WHERE p.prosecdef AND n.nspname !~ '^(pg_|information_schema$)'
        AND NOT EXISTS (SELECT FROM unnest(p.proconfig) setting WHERE setting LIKE 'search_path=%')
    ORDER BY 1";

/// What the catalogue must not contain, with what the negative control makes it find.
const CHECKS: [(&str, &str, &str); 6] = [
    ("foreign key without index", FOREIGN_KEYS_WITHOUT_INDEX, "control.bad bad_other_fkey"),
    ("foreign key across schemas", FOREIGN_KEYS_ACROSS_SCHEMAS, "control.bad bad_other_fkey"),
    ("table without primary key", TABLES_WITHOUT_PRIMARY_KEY, "control.bad"),
    ("column of a lossy type", COLUMNS_OF_LOSSY_TYPES, "control.bad.at timestamp without time zone"),
    ("text without a bound", TEXTS_WITHOUT_BOUND, "control.bad.note"),
    ("function that trusts its caller's search path", TRUSTING_FUNCTIONS, "control.trusting"),
];

/// Breaks every rule once, beside a table that keeps them all.
const CONTROL: [&str; 7] = [
    "CREATE SCHEMA control",
    "CREATE SCHEMA elsewhere",
    "CREATE TABLE elsewhere.others (id bigint PRIMARY KEY)",
    "CREATE TABLE control.good (id bigint PRIMARY KEY, parent bigint REFERENCES control.good (id), \
     at timestamptz NOT NULL, note text CHECK (char_length(note) < 9))",
    "CREATE INDEX good_parent ON control.good (parent, id) WHERE parent IS NOT NULL",
    "CREATE TABLE control.bad (other bigint REFERENCES elsewhere.others (id), at timestamp, note text)",
    "CREATE FUNCTION control.trusting() RETURNS integer LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'",
];

async fn connect(database: &TestDatabase) -> PgConnection {
    let mut connection = PgConnection::connect(&database.url()).await.expect("connects");
    sqlx::query(TABLES).execute(&mut connection).await.expect("makes the view");
    connection
}

async fn found(connection: &mut PgConnection, check: &'static str) -> Vec<String> {
    sqlx::query_scalar(check).fetch_all(connection).await.expect("asks the catalogue")
}

#[tokio::test]
async fn every_foreign_key_has_an_index_and_every_column_a_sound_type() {
    let database = TestDatabase::create(&server::migrations()).await;
    let mut connection = connect(&database).await;
    let tables = found(&mut connection, "SELECT name FROM house_tables").await;
    assert!(!tables.is_empty(), "the migrations made no table: there is nothing to guard");
    let mut broken = Vec::new();
    for (rule, check, _) in CHECKS {
        broken.extend(found(&mut connection, check).await.into_iter().map(|what| format!("{rule}: {what}")));
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[tokio::test]
async fn a_table_that_breaks_every_rule_is_found_by_every_check() {
    let database = TestDatabase::create(&[]).await;
    let mut connection = connect(&database).await;
    for statement in CONTROL {
        sqlx::query(statement).execute(&mut connection).await.expect("makes the control");
    }
    for (rule, check, finding) in CHECKS {
        assert_eq!(found(&mut connection, check).await, [finding], "{rule}");
    }
}
