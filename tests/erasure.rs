//! A person takes their data with them and is forgotten: over real HTTP, in every module, and in every column of the database.

use std::collections::{BTreeMap, BTreeSet};

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use test_support::database::TestDatabase;

use crate::home::{Home, PASSWORD, Person, send};
use crate::receiver::Receiver;
use crate::tree::{Tree, markdown};

const EMAIL: &str = "wilhelmina.quux@personal.example";
const NAME: &str = "Wilhelmina Quux";

/// What the database must not know any more, whatever the case: address and name.
const TRACES: [&str; 2] = ["wilhelmina", "quux"];

/// The columns that may know longer, and why.
const KNOWS_LONGER: [(&str, &str); 1] =
    [("platform.idempotency_keys.answer", "who invited somebody gets the same answer for 24 hours")];

/// What is kept where.
const PAGE: &str = "docs/personal-data.md";

pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

pub(crate) fn ask(home: &Home, method: Method, path: &str, token: &str) -> RequestBuilder {
    home.ask(method, path).bearer_auth(token)
}

/// The token in the newest mail to her.
fn mailed_token(home: &Home) -> String {
    let mail = home.house.mailbox.to(EMAIL).first().expect("a mail").mail.text.clone();
    mail.split_once("token=").expect("a link").1.split_whitespace().next().expect("a token").to_owned()
}

/// Signs up as people do, so that whatever that leaves behind is there.
pub(crate) async fn sign_up(home: &Home) -> String {
    let wish = json!({ "email": EMAIL, "password": PASSWORD, "name": NAME });
    send(home.ask(Method::POST, "/v1/auth/register").json(&wish)).await.expect(202);
    home.work().await;
    let token = json!({ "token": mailed_token(home) });
    send(home.ask(Method::POST, "/v1/auth/verify-email").json(&token)).await.expect(204);
    // Once more: an attempt that waits and will never be proven.
    send(home.ask(Method::POST, "/v1/auth/register").json(&wish)).await.expect(202);
    let credentials = json!({ "email": EMAIL, "password": PASSWORD });
    text(&send(home.ask(Method::POST, "/v1/auth/login").json(&credentials)).await.expect(200)["access_token"])
}

/// Joins the organization of somebody else, and is invited to another one that she never answers.
async fn join_others(home: &Home, token: &str) -> (Person, String) {
    let friend = home.person("friend@example.com").await;
    let shared = home.organization(&friend).await;
    for (organization, key) in [(home.organization(&friend).await, "a"), (shared, "b")] {
        let path = format!("/v1/organizations/{organization}/invitations");
        let invite = ask(home, Method::POST, &path, &friend.token).header("idempotency-key", key);
        send(invite.json(&json!({ "email": EMAIL, "role": "admin" }))).await.expect(201);
        home.work().await;
    }
    let accept = ask(home, Method::POST, "/v1/invitations/accept", token);
    send(accept.json(&json!({ "token": mailed_token(home) }))).await.expect(200);
    (friend, format!("/v1/organizations/{shared}"))
}

/// Leaves traces in what else belongs to a person.
async fn settle_in(home: &Home, token: &str) {
    let expires_at = home.clock.now() + std::time::Duration::from_hours(1);
    let program = json!({ "name": "Quux at home", "scopes": ["read"], "expires_at": expires_at });
    send(ask(home, Method::POST, "/v1/me/tokens", token).json(&program)).await.expect(201);
    send(ask(home, Method::POST, "/v1/me/mfa/totp", token)).await.expect(200);
    let move_away = json!({ "new_email": "quux@elsewhere.example" });
    send(ask(home, Method::POST, "/v1/me/email", token).json(&move_away)).await.expect(202);
    send(home.ask(Method::POST, "/v1/auth/password/forgot").json(&json!({ "email": EMAIL }))).await.expect(202);
    let wrong = json!({ "email": EMAIL, "password": "not-the-password-at-all" });
    send(home.ask(Method::POST, "/v1/auth/login").json(&wrong)).await.expect(401);
    send(ask(home, Method::PATCH, "/v1/me", token).json(&json!({ "name": NAME }))).await.expect(200);
}

pub(crate) async fn export(home: &Home, token: &str) -> Value {
    let begun = send(ask(home, Method::POST, "/v1/me/export", token)).await.expect(202);
    home.work().await;
    let shown =
        send(ask(home, Method::GET, &format!("/v1/me/exports/{}", text(&begun["id"])), token)).await.expect(200);
    assert_eq!(shown["state"], "ready", "{shown}");
    shown["data"].clone()
}

/// The columns in which one of the traces can be read, of all columns of all tables of the house.
pub(crate) async fn columns_that_know(home: &Home) -> BTreeSet<String> {
    let mut owner = home.owner().await;
    let columns: Vec<(String, String, String, String)> = sqlx::query_as(
        "SELECT table_schema::text, table_name::text, column_name::text, data_type::text
         FROM information_schema.columns WHERE table_schema IN ('platform', 'users', 'billing', 'webhooks')",
    )
    .fetch_all(&mut owner)
    .await
    .expect("columns");
    assert!(columns.len() > 100, "the house has columns");
    let mut found = BTreeSet::new();
    for (schema, table, column, data_type) in columns {
        let readable = if data_type == "bytea" {
            format!("encode(\"{column}\", 'escape')")
        } else {
            format!("\"{column}\"::text")
        };
        let traces = TRACES.map(|trace| format!("{readable} ILIKE '%{trace}%'")).join(" OR ");
        let query = format!("SELECT EXISTS (SELECT FROM {schema}.\"{table}\" WHERE {traces})");
        let knows: bool = sqlx::query_scalar(AssertSqlSafe(query)).fetch_one(&mut owner).await.expect("an answer");
        if knows {
            found.insert(format!("{schema}.{table}.{column}"));
        }
    }
    found
}

#[tokio::test]
async fn a_person_takes_their_data_along_and_is_forgotten_everywhere() {
    let home = Home::open().await;
    let (receiver, hook) = Receiver::open().await;
    let token = sign_up(&home).await;
    let (friend, shared) = join_others(&home, &token).await;
    settle_in(&home, &token).await;
    let create = ask(&home, Method::POST, "/v1/organizations", &token).json(&json!({ "name": "Acme" }));
    let own = text(&send(create).await.expect(201)["id"]);
    let path = format!("/v1/organizations/{own}");
    let endpoint = json!({ "url": hook, "event_types": ["organization.updated"] });
    send(ask(&home, Method::POST, &format!("{path}/webhook-endpoints"), &token).json(&endpoint)).await.expect(201);
    send(ask(&home, Method::PATCH, &path, &token).json(&json!({ "name": "Acme 2" }))).await.expect(200);
    home.work().await;
    assert_eq!(receiver.received().len(), 1, "the endpoint was called");

    let data = export(&home, &token).await;
    assert_eq!((&data["users"]["account"]["email"], &data["users"]["account"]["name"]), (&json!(EMAIL), &json!(NAME)));
    assert_eq!(data["users"]["memberships"]["entries"].as_array().map(Vec::len), Some(2));
    assert_eq!(data["users"]["invitations_received"]["entries"].as_array().map(Vec::len), Some(2));
    assert_eq!(data["webhooks"]["organizations"][0]["endpoints"][0]["url"], hook);
    assert!(!data.to_string().contains("friend@example.com"));
    let knows: Vec<String> = columns_that_know(&home).await.into_iter().collect();
    for column in
        ["users.accounts.email", "users.accounts.name", "users.invitations.email", "users.registrations.mail_to"]
    {
        assert!(knows.iter().any(|known| known == column), "the search finds {column}: {knows:?}");
    }

    send(ask(&home, Method::DELETE, "/v1/me", &token)).await.expect(204);
    let (status, code, _) = send(ask(&home, Method::GET, "/v1/me", &token)).await.problem();
    assert_eq!((status, code.as_str()), (401, "invalid_token"));
    home.work().await;
    assert!(home.house.mailbox.to(EMAIL)[0].mail.subject.contains("is erased"));
    assert_others_forgot(&mut home.owner().await, &own).await;
    let members = send(ask(&home, Method::GET, &format!("{shared}/members"), &friend.token)).await.expect(200);
    assert_eq!(members["data"].as_array().map(Vec::len), Some(1), "the others' organization goes on: {members}");
    let expected: BTreeSet<String> = KNOWS_LONGER.iter().map(|(column, _)| (*column).to_owned()).collect();
    assert_eq!(columns_that_know(&home).await, expected);
}

/// What the other modules keep of an organization that is gone.
async fn assert_others_forgot(owner: &mut PgConnection, organization: &str) {
    for (query, left) in [
        ("SELECT count(*) FROM webhooks.endpoints WHERE organization_id = $1::uuid", 0),
        ("SELECT count(*) FROM webhooks.endpoint_secrets WHERE $1 <> ''", 0),
        ("SELECT count(*) FROM webhooks.due_deliveries WHERE $1 <> ''", 0),
        ("SELECT count(*) FROM platform.jobs WHERE $1 <> ''", 0),
        ("SELECT count(*) FROM platform.dead_jobs WHERE $1 <> ''", 0),
    ] {
        let count: i64 = sqlx::query_scalar(query).bind(organization).fetch_one(&mut *owner).await.expect(query);
        assert_eq!(count, left, "{query}");
    }
}

#[tokio::test]
async fn the_page_about_personal_data_names_every_table_and_no_other() {
    let database = TestDatabase::create(&server::migrations()).await;
    let mut owner = PgConnection::connect(&database.url()).await.expect("connects");
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT format('%s.%s', n.nspname, t.relname)
         FROM pg_catalog.pg_class t JOIN pg_catalog.pg_namespace n ON n.oid = t.relnamespace
         WHERE t.relkind IN ('r', 'p') AND NOT t.relispartition AND t.relname !~ '^_'
           AND n.nspname IN ('platform', 'users', 'billing', 'webhooks')",
    )
    .fetch_all(&mut owner)
    .await
    .expect("tables");
    let page = Tree::house().text(PAGE).expect(PAGE);
    let mut named = BTreeMap::new();
    for (line, cells) in markdown::rows(page) {
        for table in markdown::code_spans(cells[0]) {
            assert_eq!(named.insert(table.to_owned(), line), None, "{PAGE}:{line}: {table} is named twice");
        }
    }
    let (named, tables): (BTreeSet<String>, BTreeSet<String>) =
        (named.into_keys().collect(), tables.into_iter().collect());
    let missing: Vec<_> = tables.difference(&named).collect();
    let invented: Vec<_> = named.difference(&tables).collect();
    assert!(missing.is_empty() && invented.is_empty(), "missing: {missing:?}, invented: {invented:?}");
}
