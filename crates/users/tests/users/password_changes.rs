use serde_json::{Value, json};
use test_support::Answer;

use crate::house::{EMAIL, House, PASSWORD};

const NEW: &str = "another walk, by the river";

async fn change(house: &House, token: &str, current: &str, new: &str) -> Answer {
    let body = json!({ "current_password": current, "new_password": new });
    house.api.post("/v1/me/password", &body).bearer(token).send().await
}

#[tokio::test]
async fn another_password_ends_every_session_but_this_one() {
    let house = House::with_account().await;
    let (here, elsewhere) = (house.log_in().await, house.log_in().await);
    let _ = change(&house, &here.access, PASSWORD, NEW).await.expect(204);
    house.me(&elsewhere.access).await.expect_problem(401, "invalid_token");
    house.refresh(&elsewhere.refresh).await.expect_problem(401, "invalid_refresh_token");
    let _ = house.me(&here.access).await.expect(200);
    let _ = house.refresh(&here.refresh).await.expect(200);
    house.try_log_in(EMAIL, PASSWORD).await.expect_problem(401, "invalid_credentials");
    let _ = house.try_log_in(EMAIL, NEW).await.expect(200);
    house.work().await;
    assert!(house.mailbox.to(EMAIL)[0].mail.subject.contains("was changed"));
    assert_eq!(house.count("SELECT count(*) FROM users.audit_log WHERE action = 'authn_password_change'").await, 1);
}

#[tokio::test]
async fn a_wrong_current_password_is_named_and_noted_like_a_failed_login() {
    let house = House::with_account().await;
    let (here, elsewhere) = (house.log_in().await, house.log_in().await);
    let refused = change(&house, &here.access, "not-my-password", NEW).await.expect_problem(422, "invalid_request");
    assert_eq!(refused, [("current_password".to_owned(), "wrong_password".to_owned())]);
    assert_eq!(house.count("SELECT count(*) FROM users.audit_log WHERE action = 'authn_login_fail'").await, 1);
    let _ = house.me(&elsewhere.access).await.expect(200);
    let _ = house.try_log_in(EMAIL, PASSWORD).await.expect(200);
    house.work().await;
    assert!(house.mailbox.list().is_empty());
}

#[tokio::test]
async fn a_bad_new_password_says_nothing_about_a_guess_at_the_current_one() {
    let house = House::with_account().await;
    let here = house.log_in().await;
    for current in [PASSWORD, "not-my-password"] {
        for (new, code) in [("short", "too_short"), ("passwordpassword", "common_password")] {
            let refused = change(&house, &here.access, current, new).await.expect_problem(422, "invalid_request");
            assert_eq!(refused, [("new_password".to_owned(), code.to_owned())]);
        }
    }
    assert_eq!(house.count("SELECT password_version FROM users.accounts").await, 1);
}

#[tokio::test]
async fn of_two_changes_at_once_the_second_no_longer_knows_the_password() {
    let house = House::with_account().await;
    let here = house.log_in().await;
    let (one, two) = tokio::join!(
        change(&house, &here.access, PASSWORD, NEW),
        change(&house, &here.access, PASSWORD, "a third, quiet walk")
    );
    let mut statuses = [one.status.as_u16(), two.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [204, 422]);
    assert_eq!(house.count("SELECT password_version FROM users.accounts").await, 2);
}

#[tokio::test]
async fn fields_that_would_give_power_are_refused_by_every_operation() {
    let house = House::with_account().await;
    let here = house.log_in().await;
    let operations = [
        ("PATCH", "/v1/me", json!({ "name": "Ada" })),
        ("POST", "/v1/me/password", json!({ "current_password": PASSWORD, "new_password": NEW })),
        ("POST", "/v1/me/email", json!({ "new_email": "moved@example.com" })),
        ("POST", "/v1/me/email/confirm", json!({ "token": "x" })),
        ("POST", "/v1/auth/password/forgot", json!({ "email": EMAIL })),
        ("POST", "/v1/auth/password/reset", json!({ "token": "x", "password": NEW })),
        ("POST", "/v1/auth/verify-email/resend", json!({ "email": EMAIL })),
    ];
    for (method, path, good) in operations {
        for field in ["role", "is_admin", "email_verified", "org_id", "id", "created_at"] {
            let mut body: Value = good.clone();
            body[field] = json!("x");
            let method = method.parse().expect("a method");
            let answer = house.api.ask(method, path).bearer(&here.access).json(&body).send().await;
            let refused = answer.expect_problem(422, "invalid_request");
            assert_eq!(refused, [(field.to_owned(), "unknown_field".to_owned())], "{path}");
        }
    }
    assert_eq!(house.count("SELECT version + password_version FROM users.accounts").await, 2);
    assert_eq!(house.count("SELECT count(*) FROM users.one_time_secrets").await, 0);
    assert_eq!(house.count("SELECT count(*) FROM platform.jobs").await, 0);
}
