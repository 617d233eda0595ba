//! How the tests of this folder talk to the house.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use server::Config;
use sqlx::AssertSqlSafe;

use crate::home::{Answer, Home, PASSWORD, Person, send};

/// The account most tests are about.
pub(super) const EMAIL: &str = "ada@example.com";
pub(super) const WRONG: &str = "not-the-password-at-all";

/// What a login gives.
pub(super) struct Tokens {
    pub(super) access: String,
    pub(super) refresh: String,
}

impl Tokens {
    #[track_caller]
    pub(super) fn of(answer: &Answer) -> Self {
        let body = answer.expect(200);
        Self { access: text(&body["access_token"]), refresh: text(&body["refresh_token"]) }
    }
}

/// A house in which Ada has an account, and a login of hers.
pub(super) async fn home_of_ada() -> (Home, Tokens) {
    home_of_ada_with(|_| {}).await
}

/// With a changed configuration.
pub(super) async fn home_of_ada_with(change: impl FnOnce(&mut Config)) -> (Home, Tokens) {
    let home = Home::open_with(change).await;
    home.house.users.seed_account(EMAIL, PASSWORD, "Ada").await.expect("an account");
    let tokens = log_in(&home, EMAIL).await;
    (home, tokens)
}

/// X-Forwarded-For counts from then on, as if the test were a load balancer.
pub(super) fn behind_a_proxy(config: &mut Config) {
    config.http.stack.trusted_proxies = vec!["127.0.0.1".to_owned()];
}

pub(super) fn post(home: &Home, path: &str, body: &Value) -> RequestBuilder {
    home.ask(Method::POST, path).json(body)
}

pub(super) fn get(home: &Home, token: &str, path: &str) -> RequestBuilder {
    home.ask(Method::GET, path).bearer_auth(token)
}

pub(super) fn delete(home: &Home, token: &str, path: &str) -> RequestBuilder {
    home.ask(Method::DELETE, path).bearer_auth(token)
}

pub(super) fn patch(home: &Home, token: &str, path: &str, body: &Value) -> RequestBuilder {
    home.ask(Method::PATCH, path).bearer_auth(token).json(body)
}

pub(super) fn try_log_in(home: &Home, email: &str, password: &str) -> RequestBuilder {
    post(home, "/v1/auth/login", &json!({ "email": email, "password": password }))
}

pub(super) async fn log_in(home: &Home, email: &str) -> Tokens {
    Tokens::of(&send(try_log_in(home, email, PASSWORD)).await)
}

pub(super) fn try_refresh(home: &Home, token: &str) -> RequestBuilder {
    post(home, "/v1/auth/refresh", &json!({ "refresh_token": token }))
}

pub(super) fn try_register(home: &Home, email: &str, password: &str) -> RequestBuilder {
    post(home, "/v1/auth/register", &json!({ "email": email, "password": password, "name": "Somebody" }))
}

/// Somebody invites an address into an organization.
pub(super) fn invite(home: &Home, inviter: &Person, path: &str, email: &str, role: &str) -> RequestBuilder {
    let wish = json!({ "email": email, "role": role });
    post(home, &format!("{path}/invitations"), &wish).bearer_auth(&inviter.token)
}

/// Status and code of a problem.
pub(super) async fn problem(ask: RequestBuilder) -> (u16, String) {
    let (status, code, _) = send(ask).await.problem();
    (status, code)
}

/// Fails unless the answer is this problem.
#[track_caller]
pub(super) fn is_problem(found: &(u16, String), status: u16, code: &str) {
    assert_eq!((found.0, found.1.as_str()), (status, code));
}

/// Fails unless the access token is refused.
pub(super) async fn is_dead(home: &Home, access_token: &str) {
    is_problem(&problem(get(home, access_token, "/v1/me")).await, 401, "invalid_token");
}

/// Sends all at the same time: their answers.
pub(super) async fn at_once(asks: impl IntoIterator<Item = RequestBuilder>) -> Vec<Answer> {
    join_all(asks.into_iter().map(send)).await
}

/// The statuses in ascending order.
pub(super) fn statuses(answers: &[Answer]) -> Vec<u16> {
    let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status.as_u16()).collect();
    statuses.sort_unstable();
    statuses
}

/// The body without the one thing that differs in every answer.
pub(super) fn without_request_id(answer: &Answer) -> String {
    let id = answer.headers["x-request-id"].to_str().expect("an id");
    answer.text.replace(id, "")
}

/// The token of the newest mail to an address.
pub(super) fn mailed_token(home: &Home, address: &str) -> String {
    let mail = home.house.mailbox.to(address).first().expect("a mail").mail.text.clone();
    let (_, rest) = mail.split_once("token=").expect("a link with a token");
    rest.split_whitespace().next().expect("a token").to_owned()
}

/// Asks for a link to choose a new password, and takes its token from the mail.
pub(super) async fn reset_token(home: &Home, email: &str) -> String {
    send(post(home, "/v1/auth/password/forgot", &json!({ "email": email }))).await.expect(202);
    home.work().await;
    mailed_token(home, email)
}

/// Runs a statement as the database's owner: what no request can do, such as letting time pass.
pub(super) async fn sql(home: &Home, statement: &'static str) {
    sqlx::raw_sql(statement).execute(&mut home.owner().await).await.expect(statement);
}

/// A number from the database.
pub(super) async fn count(home: &Home, query: &'static str) -> i64 {
    sqlx::query_scalar(query).fetch_one(&mut home.owner().await).await.expect(query)
}

/// A checksum of each table, but for the buckets of rate limits, which every request may fill.
pub(super) async fn contents(home: &Home) -> BTreeMap<String, String> {
    let mut owner = home.owner().await;
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables
         WHERE schemaname IN ('platform', 'users', 'billing', 'webhooks') AND tablename <> 'rate_limits'",
    )
    .fetch_all(&mut owner)
    .await
    .expect("tables");
    let mut contents = BTreeMap::new();
    for table in tables {
        let sum = format!("SELECT coalesce(md5(string_agg(t::text, '|' ORDER BY t::text)), '') FROM {table} t");
        let sum = sqlx::query_scalar(AssertSqlSafe(sum)).fetch_one(&mut owner).await.expect("a checksum");
        contents.insert(table, sum);
    }
    contents
}

#[track_caller]
pub(super) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}
