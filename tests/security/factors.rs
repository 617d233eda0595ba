//! Cases 27 and 51: personal tokens that want more than their scope, codes that come twice or are guessed.

use std::time::Duration;

use chrono::TimeDelta;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use test_support::Statements;
use users::FailureLimit;

use super::app::App;
use super::asking::{
    EMAIL, Tokens, WRONG, delete, get, home_of_ada, home_of_ada_with, is_dead, is_problem, patch, post, problem, sql,
    statuses, text,
};
use crate::home::{Home, PASSWORD, send};

/// A personal token of the scope, good for a day: its id and the token itself.
async fn personal_token(home: &Home, access: &str, scope: &str) -> (String, String) {
    let expires_at = home.clock.now() + TimeDelta::days(1);
    let wish = json!({ "name": "CI", "scopes": [scope], "expires_at": expires_at });
    let created = send(post(home, "/v1/me/tokens", &wish).bearer_auth(access)).await.expect(201);
    (text(&created["id"]), text(&created["token"]))
}

fn with_code(home: &Home, password: &str, field: &str, code: &str) -> RequestBuilder {
    post(home, "/v1/auth/login", &json!({ "email": EMAIL, "password": password, field: code }))
}

#[tokio::test]
async fn case_27_a_token_that_may_read_changes_nothing() {
    let (home, Tokens { access, .. }) = home_of_ada().await;
    let (_, read) = personal_token(&home, &access, "read").await;
    let created = post(&home, "/v1/organizations", &json!({ "name": "Acme" })).bearer_auth(&access);
    let path = format!("/v1/organizations/{}", text(&send(created).await.expect(201)["id"]));
    send(get(&home, &read, &path)).await.expect(200);
    for ask in [
        post(&home, "/v1/organizations", &json!({ "name": "Acme" })).bearer_auth(&read),
        patch(&home, &read, &path, &json!({ "name": "Mine" })),
        delete(&home, &read, &path),
    ] {
        is_problem(&problem(ask).await, 403, "insufficient_scope");
    }
    assert_eq!(send(get(&home, &read, &path)).await.expect(200)["name"], "Acme");
}

#[tokio::test]
async fn case_27_b_no_token_makes_a_token_or_touches_the_credentials_of_its_owner() {
    let (home, Tokens { access, .. }) = home_of_ada().await;
    let (id, write) = personal_token(&home, &access, "write").await;
    let expires_at = home.clock.now() + TimeDelta::days(1);
    let token = json!({ "name": "x", "scopes": ["read"], "expires_at": expires_at });
    let password = json!({ "current_password": PASSWORD, "new_password": "another walk, by the river" });
    let none = Value::Null;
    for (method, path, body) in [
        (Method::POST, "/v1/me/tokens", &token),
        (Method::GET, "/v1/me/tokens", &none),
        (Method::DELETE, &*format!("/v1/me/tokens/{id}"), &none),
        (Method::POST, "/v1/me/password", &password),
        (Method::POST, "/v1/me/email", &json!({ "new_email": "new@example.com" })),
        (Method::POST, "/v1/me/mfa/totp", &none),
        (Method::DELETE, "/v1/me/mfa/totp", &none),
        (Method::DELETE, "/v1/me/sessions?scope=all", &none),
        (Method::POST, "/v1/auth/logout", &none),
        (Method::DELETE, "/v1/me", &none),
    ] {
        let mut ask = home.ask(method.clone(), path).bearer_auth(&write);
        if !body.is_null() {
            ask = ask.json(body);
        }
        assert_eq!(problem(ask).await, (403, "session_required".to_owned()), "{method} {path}");
    }
}

#[tokio::test]
async fn case_27_c_a_token_that_was_deleted_is_too_old_or_has_a_wrong_checksum_is_refused() {
    let (home, Tokens { access, .. }) = home_of_ada().await;
    let (id, deleted) = personal_token(&home, &access, "write").await;
    let (_, expired) = personal_token(&home, &access, "write").await;
    send(get(&home, &deleted, "/v1/me")).await.expect(200);
    send(delete(&home, &access, &format!("/v1/me/tokens/{id}"))).await.expect(204);
    is_dead(&home, &deleted).await;

    let last = if expired.ends_with('0') { '1' } else { '0' };
    let altered = format!("{}{last}", &expired[..expired.len() - 1]);
    let before = Statements::sent();
    for made_up in [&*altered, "pat_", &expired[..expired.len() - 1], &format!("{expired}0")] {
        is_dead(&home, made_up).await;
    }
    assert_eq!(Statements::sent(), before, "nothing is looked for");

    send(get(&home, &expired, "/v1/me")).await.expect(200);
    home.clock.advance(Duration::from_hours(24));
    is_dead(&home, &expired).await;
}

#[tokio::test]
async fn case_51_a_code_opens_once_however_many_show_it_at_the_same_time() {
    let (home, Tokens { access, .. }) = home_of_ada().await;
    let (app, recovery_codes) = App::enrol(&home, &access).await;
    is_problem(&problem(super::asking::try_log_in(&home, EMAIL, PASSWORD)).await, 401, "mfa_required");
    for (field, code) in [("totp_code", app.code(&home, 0)), ("recovery_code", recovery_codes[0].clone())] {
        let answers = super::asking::at_once((0..5).map(|_| with_code(&home, PASSWORD, field, &code))).await;
        assert_eq!(statuses(&answers), [200, 401, 401, 401, 401], "{field}");
        is_problem(&problem(with_code(&home, PASSWORD, field, &code)).await, 401, "invalid_credentials");
    }
    home.clock.advance(Duration::from_secs(30));
    send(with_code(&home, PASSWORD, "totp_code", &app.code(&home, 0))).await.expect(200);
}

#[tokio::test]
async fn case_51_b_guessing_codes_ends_after_five_and_tells_only_who_knows_the_password() {
    let (home, Tokens { access, .. }) = home_of_ada_with(|config| {
        let failures = FailureLimit { free: 5, longest_wait_seconds: 3_600, forgotten_after_seconds: 86_400 };
        config.users.limits.second_factor_failures = failures;
        // The limit of passwords stays out of the way.
        config.users.limits.login_failures.free = 0;
    })
    .await;
    let (app, recovery_codes) = App::enrol(&home, &access).await;
    for _ in 0..5 {
        let guess = with_code(&home, PASSWORD, "totp_code", &app.wrong_code(&home));
        is_problem(&problem(guess).await, 401, "invalid_credentials");
    }
    // A busy machine must not outlast the wait.
    sql(&home, "UPDATE users.failed_attempts SET last_at = last_at + interval '1 hour'").await;
    for (field, code) in [("totp_code", app.code(&home, 0)), ("recovery_code", recovery_codes[0].clone())] {
        is_problem(&problem(with_code(&home, PASSWORD, field, &code)).await, 429, "rate_limited");
    }
    let stranger = with_code(&home, WRONG, "totp_code", &app.code(&home, 0));
    is_problem(&problem(stranger).await, 401, "invalid_credentials");
    send(get(&home, &access, "/v1/me")).await.expect(200);
}
