//! Tokens that people make for their programs.

use chrono::{DateTime, TimeDelta, Utc};
use platform::http::Method;
use serde_json::{Value, json};
use test_support::{Answer, Statements};

use crate::house::{EMAIL, House, PASSWORD, Tokens};
use crate::people::{Person, Team, person};

fn in_days(house: &House, days: i64) -> DateTime<Utc> {
    house.clock.now() + TimeDelta::days(days)
}

async fn create(house: &House, owner: &str, wish: &Value) -> Answer {
    house.api.post("/v1/me/tokens", wish).bearer(owner).send().await
}

/// A new token with the scopes, for a month: its id and the secret.
async fn token(house: &House, owner: &str, scopes: &[&str]) -> (String, String) {
    let wish = json!({ "name": "CI", "scopes": scopes, "expires_at": in_days(house, 30) });
    let created = create(house, owner, &wish).await.expect(201);
    let text = |key: &str| created[key].as_str().expect(key).to_owned();
    (text("id"), text("token"))
}

async fn list(house: &House, owner: &str) -> Vec<Value> {
    let page = house.api.get("/v1/me/tokens").bearer(owner).send().await.expect(200);
    page["data"].as_array().expect("data").clone()
}

#[tokio::test]
async fn a_token_acts_for_its_owner_until_it_is_deleted() {
    let house = House::with_account().await;
    let owner = house.log_in().await.access;
    let wish = json!({ "name": "Backups", "scopes": ["write"], "expires_at": in_days(&house, 365) });
    let created = create(&house, &owner, &wish).await.expect(201);
    let secret = created["token"].as_str().expect("a token");
    assert!(secret.starts_with("pat_") && secret.len() == 53, "{}", secret.len());
    assert_eq!(created["scopes"], json!(["read", "write"]));
    assert_eq!(created["last_used_at"], Value::Null);
    assert_eq!(house.me(secret).await.expect(200)["email"], EMAIL);

    let shown = list(&house, &owner).await;
    assert_eq!(shown.len(), 1);
    assert_eq!((&shown[0]["name"], &shown[0]["id"]), (&json!("Backups"), &created["id"]));
    assert!(shown[0].get("token").is_none() && secret.ends_with(shown[0]["ends_with"].as_str().expect("letters")));
    let stored = sqlx::query_scalar::<_, i64>(
        "SELECT count(*) FROM users.personal_tokens t
         WHERE token_hash = sha256(convert_to($1, 'UTF8')) AND position($1 in t::text) = 0",
    );
    assert_eq!(stored.bind(secret).fetch_one(&mut house.owner().await).await.expect("a count"), 1, "hashed");
    house.work().await;
    let mail = &house.mailbox.to(EMAIL)[0].mail;
    assert!(mail.subject.contains("A token for your account") && !mail.text.contains("pat_"), "{}", mail.text);

    let path = format!("/v1/me/tokens/{}", created["id"].as_str().expect("an id"));
    let _ = house.api.delete(&path).bearer(&owner).send().await.expect(204);
    house.me(secret).await.expect_problem(401, "invalid_token");
    house.api.delete(&path).bearer(&owner).send().await.expect_problem(404, "not_found");
    let audited = "SELECT count(*) FROM users.audit_log WHERE action IN ('authn_token_created', 'authn_token_revoked')";
    assert_eq!(house.count(audited).await, 2);
}

#[tokio::test]
async fn a_token_reaches_as_far_as_its_scope() {
    let team = Team::open().await;
    let owner = team.owner.token.as_str();
    let (_, read) = token(&team.house, owner, &["read"]).await;
    let (_, write) = token(&team.house, owner, &["write"]).await;
    let rename = |token: &str| team.house.api.patch(&team.path, &json!({ "name": "Acme 2" })).bearer(token);
    for token in [&read, &write] {
        let _ = team.house.api.get(&team.path).bearer(token).send().await.expect(200);
        let _ = team.house.api.get("/v1/organizations").bearer(token).send().await.expect(200);
    }
    let refused = rename(&read).send().await;
    refused.expect_problem(403, "insufficient_scope");
    assert_eq!(refused.header("www-authenticate"), "Bearer error=\"insufficient_scope\", scope=\"write\"");
    for method in [Method::POST, Method::PATCH, Method::DELETE] {
        let refused = team.house.api.ask(method.clone(), &team.path).bearer(&read).send().await.status.as_u16();
        assert!([403, 405].contains(&refused), "{method}: {refused}");
    }
    let _ = rename(&write).send().await.expect(200);
    let _ =
        team.house.api.post("/v1/organizations", &json!({ "name": "Mine" })).bearer(&write).send().await.expect(201);
    assert_eq!(team.house.count("SELECT count(*) FROM users.organizations").await, 2);
}

#[tokio::test]
async fn a_token_never_touches_the_account_itself() {
    let house = House::with_account().await;
    let owner = house.log_in().await.access;
    let (id, secret) = token(&house, &owner, &["read", "write"]).await;
    let wish = json!({ "name": "More", "scopes": ["read"], "expires_at": in_days(&house, 1) });
    let passwords = json!({ "current_password": PASSWORD, "new_password": "another-walk-by-the-river" });
    let token_path = format!("/v1/me/tokens/{id}");
    for (method, path, body) in [
        (Method::POST, "/v1/me/tokens", wish),
        (Method::GET, "/v1/me/tokens", Value::Null),
        (Method::DELETE, token_path.as_str(), Value::Null),
        (Method::PATCH, "/v1/me", json!({ "name": "Eve" })),
        (Method::POST, "/v1/me/password", passwords),
        (Method::POST, "/v1/me/email", json!({ "new_email": "eve@example.com" })),
        (Method::POST, "/v1/me/email/confirm", json!({ "token": "unknown" })),
        (Method::GET, "/v1/me/sessions", Value::Null),
        (Method::DELETE, "/v1/me/sessions?scope=all", Value::Null),
        (Method::POST, "/v1/me/mfa/totp", Value::Null),
        (Method::POST, "/v1/me/mfa/totp/confirm", json!({ "code": "123456" })),
        (Method::DELETE, "/v1/me/mfa/totp", Value::Null),
        (Method::POST, "/v1/auth/logout", Value::Null),
    ] {
        let ask = house.api.ask(method, path).bearer(&secret);
        let ask = if body.is_null() { ask } else { ask.json(&body) };
        ask.send().await.expect_problem(403, "session_required");
    }
    assert_eq!(list(&house, &owner).await.len(), 1);
    house.log_in().await;
}

#[tokio::test]
async fn what_wants_a_recent_login_refuses_tokens() {
    let team = Team::open().await;
    let admin = team.join("adam", "admin").await;
    let (_, secret) = token(&team.house, &team.owner.token, &["write"]).await;
    let program = Person { id: String::new(), email: String::new(), token: secret, refresh: String::new() };
    team.make(&program, &admin, "owner").send().await.expect_problem(403, "session_required");
    team.invite(&program, "new@example.com", "owner").send().await.expect_problem(403, "session_required");
    let delete = team.house.api.delete(&team.path).bearer(&program.token);
    delete.send().await.expect_problem(403, "session_required");
    let _ = team.make(&program, &admin, "viewer").send().await.expect(200);
}

#[tokio::test]
async fn a_token_goes_with_its_time_and_with_its_owner() {
    let house = House::with_account().await;
    let owner = house.log_in().await.access;
    let (_, secret) = token(&house, &owner, &["read"]).await;
    house.tick(30 * 86_400 - 1);
    let _ = house.me(&secret).await.expect(200);
    house.sql("UPDATE users.accounts SET disabled_at = now()").await;
    house.me(&secret).await.expect_problem(401, "invalid_token");
    house.sql("UPDATE users.accounts SET disabled_at = NULL").await;
    let _ = house.me(&secret).await.expect(200);
    house.tick(1);
    house.me(&secret).await.expect_problem(401, "invalid_token");

    let owner = house.log_in().await.access;
    assert_eq!(list(&house, &owner).await.len(), 1, "shown until it is removed");
    let (_, erased) = token(&house, &owner, &["read"]).await;
    house.sql("DELETE FROM users.accounts").await;
    house.me(&erased).await.expect_problem(401, "invalid_token");
    assert_eq!(house.count("SELECT count(*) FROM users.personal_tokens").await, 0);
}

#[tokio::test]
async fn expired_tokens_are_removed_a_month_later() {
    let house = House::with_account().await;
    let owner = house.log_in().await.access;
    token(&house, &owner, &["read"]).await;
    house.work().await;
    for (seconds, left) in [(60 * 86_400, 1), (1, 0)] {
        house.tick(seconds);
        house.sql("UPDATE platform.schedules SET next_at = now() WHERE name = 'users.prune_expired'").await;
        house.work().await;
        assert_eq!(house.count("SELECT count(*) FROM users.personal_tokens").await, left);
    }
}

#[tokio::test]
async fn what_cannot_be_a_token_costs_no_statement() {
    let house = House::with_account().await;
    let owner = house.log_in().await.access;
    let (id, secret) = token(&house, &owner, &["read"]).await;
    let mistyped: String = {
        let (start, last) = secret.split_at(secret.len() - 1);
        format!("{start}{}", if last == "0" { "1" } else { "0" })
    };
    let before = Statements::sent();
    for wrong in [mistyped.as_str(), "pat_", "pat_0", &secret[..52], &format!("{secret}0"), &format!("{secret}.x.y")] {
        house.me(wrong).await.expect_problem(401, "invalid_token");
    }
    assert_eq!(Statements::sent() - before, 0);
    let _ = house.api.delete(&format!("/v1/me/tokens/{id}")).bearer(&owner).send().await.expect(204);
    let before = Statements::sent();
    house.me(&secret).await.expect_problem(401, "invalid_token");
    assert_eq!(Statements::sent() - before, 1);
}

#[tokio::test]
async fn tokens_of_one_kind_are_nothing_in_the_place_of_another() {
    let house = House::with_account().await;
    let Tokens { access, refresh } = house.log_in().await;
    let (_, secret) = token(&house, &access, &["write"]).await;
    house.me(&refresh).await.expect_problem(401, "invalid_token");
    house.me(&format!("pat_{refresh}")).await.expect_problem(401, "invalid_token");
    house.refresh(&secret).await.expect_problem(401, "invalid_refresh_token");
    house.refresh(&access[..128.min(access.len())]).await.expect_problem(401, "invalid_refresh_token");
    let reset = json!({ "token": secret, "password": "another-walk-by-the-river" });
    house.api.post("/v1/auth/password/reset", &reset).send().await.expect_problem(400, "invalid_token");
    for query in ["access_token", "token"] {
        let ask = house.api.get(&format!("/v1/me?{query}={secret}"));
        ask.send().await.expect_problem(401, "invalid_token");
    }
    let twice = house.api.get("/v1/me").bearer(&secret).bearer(&secret).send().await;
    twice.expect_problem(400, "repeated_authorization");
}

#[tokio::test]
async fn its_last_use_is_noted_once_a_minute_and_in_the_same_statement() {
    let house = House::with_account().await;
    let owner = house.log_in().await.access;
    let (_, secret) = token(&house, &owner, &["read"]).await;
    let first = house.clock.now();
    for (seconds, noted) in [(0, 0), (59, 0), (1, 60), (1, 60)] {
        house.tick(seconds);
        let before = Statements::sent();
        let _ = house.me(&secret).await.expect(200);
        assert_eq!(Statements::sent() - before, 2, "token, account");
        let used: Option<DateTime<Utc>> = sqlx::query_scalar("SELECT last_used_at FROM users.personal_tokens")
            .fetch_one(&mut house.owner().await)
            .await
            .expect("a token");
        assert_eq!(used, Some(first + TimeDelta::seconds(noted)));
    }
    let shown = list(&house, &owner).await;
    assert!(shown[0]["last_used_at"].is_string());
}

#[tokio::test]
async fn a_token_is_used_while_its_row_is_locked() {
    let house = House::with_account().await;
    let owner = house.log_in().await.access;
    let (_, secret) = token(&house, &owner, &["read"]).await;
    let mut other = house.owner().await;
    let lock = sqlx::raw_sql("BEGIN; SELECT FROM users.personal_tokens FOR UPDATE");
    lock.execute(&mut other).await.expect("a lock");
    let _ = house.me(&secret).await.expect(200);
    assert_eq!(house.count("SELECT count(last_used_at) FROM users.personal_tokens").await, 0);
}

#[tokio::test]
async fn a_wish_that_makes_no_sense_is_refused_by_field() {
    let house = House::with_account().await;
    let owner = house.log_in().await.access;
    let good = json!({ "name": "CI", "scopes": ["read"], "expires_at": in_days(&house, 1) });
    for (field, value, code) in [
        ("name", json!(" "), "blank"),
        ("name", json!("x".repeat(101)), "too_long"),
        ("scopes", json!([]), "too_few"),
        ("scopes", json!(["read", "read"]), "repeated"),
        ("scopes", json!(["read", "write", "write"]), "repeated"),
        ("scopes[0]", json!(["admin"]), "unknown_value"),
        ("expires_at", json!("tomorrow"), "wrong_type"),
        ("expires_at", json!(house.clock.now()), "in_the_past"),
        ("expires_at", json!(in_days(&house, 366)), "too_late"),
        ("token", json!("pat_mine"), "unknown_field"),
    ] {
        let mut wish = good.clone();
        wish[field.trim_end_matches("[0]")] = value;
        let errors = create(&house, &owner, &wish).await.expect_problem(422, "invalid_request");
        assert_eq!(errors, [(field.to_owned(), code.to_owned())]);
    }
    house
        .sql(
            "INSERT INTO users.personal_tokens (id, account_id, token_hash, name, scope, ends_with, expires_at, created_at)
             SELECT gen_random_uuid(), id, sha256(number::text::bytea), 'x', 'read', '0000', now(), now()
             FROM users.accounts, generate_series(1, 99) AS number",
        )
        .await;
    let _ = create(&house, &owner, &good).await.expect(201);
    create(&house, &owner, &good).await.expect_problem(409, "too_many_tokens");
}

#[tokio::test]
async fn making_a_token_wants_a_recent_login_and_deleting_one_does_not() {
    let house = House::with_account().await;
    let tokens = house.log_in().await;
    let (id, _) = token(&house, &tokens.access, &["read"]).await;
    house.tick(3_600);
    let old = Tokens::from(house.refresh(&tokens.refresh).await.expect(200)).access;
    let wish = json!({ "name": "CI", "scopes": ["read"], "expires_at": in_days(&house, 1) });
    create(&house, &old, &wish).await.expect_problem(401, "recent_login_required");
    let _ = house.api.delete(&format!("/v1/me/tokens/{id}")).bearer(&old).send().await.expect(204);
}

#[tokio::test]
async fn somebody_elses_tokens_do_not_exist() {
    let house = House::with_account().await;
    let owner = house.log_in().await.access;
    let (id, secret) = token(&house, &owner, &["read"]).await;
    let eve = person(&house, "eve").await;
    assert_eq!(list(&house, &eve.token).await, Vec::<Value>::new());
    for id in [id.as_str(), "not-an-id"] {
        let ask = house.api.delete(&format!("/v1/me/tokens/{id}")).bearer(&eve.token);
        ask.send().await.expect_problem(404, "not_found");
    }
    let _ = house.me(&secret).await.expect(200);
}

#[tokio::test]
async fn a_new_password_by_mail_ends_every_token_and_a_changed_one_none() {
    let house = House::with_account().await;
    let owner = house.log_in().await.access;
    let (_, secret) = token(&house, &owner, &["read"]).await;
    let new = "another-walk-by-the-river";
    let change = json!({ "current_password": PASSWORD, "new_password": new });
    let _ = house.api.post("/v1/me/password", &change).bearer(&owner).send().await.expect(204);
    let _ = house.me(&secret).await.expect(200);
    let _ = house.api.post("/v1/auth/password/forgot", &json!({ "email": EMAIL })).send().await.expect(202);
    house.work().await;
    let reset = json!({ "token": house.mailed_token(EMAIL), "password": PASSWORD });
    let _ = house.api.post("/v1/auth/password/reset", &reset).send().await.expect(204);
    house.me(&secret).await.expect_problem(401, "invalid_token");
}
