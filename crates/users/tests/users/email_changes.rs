use serde_json::{Value, json};
use test_support::{Answer, Statements};

use crate::house::{EMAIL, House, PASSWORD, Tokens};

const MOVED: &str = "moved@example.com";

async fn request(house: &House, token: &str, new_email: &str) -> Answer {
    house.api.post("/v1/me/email", &json!({ "new_email": new_email })).bearer(token).send().await
}

async fn confirm(house: &House, access: &str, token: &str) -> Answer {
    house.api.post("/v1/me/email/confirm", &json!({ "token": token })).bearer(access).send().await
}

/// The token of a change that was just asked for.
async fn requested(house: &House, access: &str) -> String {
    let _ = request(house, access, MOVED).await.expect(202);
    house.work().await;
    house.mailed_token(MOVED)
}

async fn somebody_else(house: &House) -> String {
    house.users.seed_account("Eve@example.com", PASSWORD, "Eve").await.expect("an account");
    Tokens::from(house.try_log_in("eve@example.com", PASSWORD).await.expect(200)).access
}

#[tokio::test]
async fn an_account_moves_once_the_new_address_is_proven_and_the_old_one_is_told() {
    let house = House::with_account().await;
    let access = house.log_in().await.access;
    let _ = request(&house, &access, "Moved@Example.com").await.expect(202);
    assert_eq!(house.me(&access).await.expect(200)["email"], EMAIL);
    house.work().await;
    assert!(house.mailbox.to(EMAIL).is_empty());
    let _ = confirm(&house, &access, &house.mailed_token("Moved@example.com")).await.expect(204);
    let me = house.me(&access).await;
    assert_eq!((me.expect(200)["email"].as_str(), me.header("etag")), (Some("Moved@example.com"), "\"2\""));
    house.try_log_in(EMAIL, PASSWORD).await.expect_problem(401, "invalid_credentials");
    let _ = house.try_log_in(MOVED, PASSWORD).await.expect(200);
    house.work().await;
    assert!(house.mailbox.to(EMAIL)[0].mail.subject.contains("address at Acme was changed"));
    assert_eq!(house.count("SELECT count(*) FROM users.audit_log WHERE action LIKE 'user_email_change%'").await, 2);
    assert_eq!(house.count("SELECT count(*) FROM users.audit_log WHERE details::text LIKE '%@%'").await, 0);
}

#[tokio::test]
async fn an_old_login_does_not_suffice_to_move_an_account() {
    let house = House::with_account().await;
    let first = house.log_in().await;
    house.tick(590);
    let later = Tokens::from(house.refresh(&first.refresh).await.expect(200));
    house.tick(10);
    let _ = request(&house, &later.access, MOVED).await.expect(202);
    house.tick(1);
    request(&house, &later.access, MOVED).await.expect_problem(401, "recent_login_required");
    let _ = request(&house, &house.log_in().await.access, MOVED).await.expect(202);
}

#[tokio::test]
async fn a_taken_address_costs_and_answers_the_same_and_its_owner_is_told() {
    let house = House::with_account().await;
    let access = house.log_in().await.access;
    somebody_else(&house).await;
    let (mut answers, mut costs) = (Vec::new(), Vec::new());
    for email in ["EVE@example.com", MOVED] {
        let before = Statements::sent();
        answers.push(request(&house, &access, email).await.expect(202));
        costs.push(Statements::sent() - before);
    }
    assert_eq!((&answers[0], costs[0]), (&answers[1], costs[1]));
    house.work().await;
    assert_eq!(house.mailbox.list().len(), 2);
    let mails = house.mailbox.to("Eve@example.com");
    assert!(mails[0].mail.subject.contains("already in use") && !mails[0].mail.text.contains("token="));
    let _ = confirm(&house, &access, &house.mailed_token(MOVED)).await.expect(204);
}

#[tokio::test]
async fn a_bad_address_is_named_by_its_field() {
    let house = House::with_account().await;
    let access = house.log_in().await.access;
    for bad in ["no address", "ada\u{200b}@example.com", "ada@example"] {
        let refused = request(&house, &access, bad).await.expect_problem(422, "invalid_request");
        assert_eq!(refused, [("new_email".to_owned(), "invalid_email".to_owned())]);
    }
}

#[tokio::test]
async fn a_token_moves_only_the_account_that_asked_and_only_once() {
    let house = House::with_account().await;
    let (access, eve) = (house.log_in().await.access, somebody_else(&house).await);
    let token = requested(&house, &access).await;
    confirm(&house, &eve, &token).await.expect_problem(400, "invalid_token");
    house
        .api
        .post("/v1/me/email/confirm", &json!({ "token": token }))
        .send()
        .await
        .expect_problem(401, "invalid_token");
    let (one, two) = tokio::join!(confirm(&house, &access, &token), confirm(&house, &access, &token));
    let mut statuses = [one.status.as_u16(), two.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [204, 400]);
    assert_eq!(house.me(&eve).await.expect(200)["email"], "Eve@example.com");
}

#[tokio::test]
async fn a_token_works_for_an_hour() {
    let house = House::with_account().await;
    let access = house.log_in().await.access;
    let token = requested(&house, &access).await;
    let left = "SELECT extract(epoch FROM expires_at - created_at)::bigint FROM users.one_time_secrets";
    assert_eq!(house.count(left).await, 3_600);
    house.sql("UPDATE users.one_time_secrets SET expires_at = now() - interval '1 second'").await;
    confirm(&house, &access, &token).await.expect_problem(400, "invalid_token");
}

#[tokio::test]
async fn whoever_proves_an_address_first_has_it() {
    let house = House::with_account().await;
    let access = house.log_in().await.access;
    let moving = requested(&house, &access).await;
    let wish = json!({ "email": MOVED, "password": PASSWORD, "name": "Mo" });
    let _ = house.api.post("/v1/auth/register", &wish).send().await.expect(202);
    house.work().await;
    let registering = house.mailed_token(MOVED);
    assert_ne!(moving, registering);
    let verify = house.api.post("/v1/auth/verify-email", &json!({ "token": registering })).send();
    let (moved, registered) = tokio::join!(confirm(&house, &access, &moving), verify);
    for answer in [&moved, &registered] {
        assert!(answer.status == 204 || answer.expect_problem(400, "invalid_token").is_empty());
    }
    assert_ne!(moved.status, registered.status);
    assert_eq!(house.count("SELECT count(*) FROM users.accounts WHERE email = 'moved@example.com'").await, 1);
}

#[tokio::test]
async fn an_address_that_was_taken_meanwhile_is_refused() {
    let house = House::with_account().await;
    let access = house.log_in().await.access;
    let token = requested(&house, &access).await;
    house.users.seed_account(MOVED, PASSWORD, "Mo").await.expect("an account");
    confirm(&house, &access, &token).await.expect_problem(400, "invalid_token");
    assert_eq!(house.me(&access).await.expect(200)["email"], EMAIL);
}

#[tokio::test]
async fn people_may_spell_their_own_address_anew() {
    let house = House::with_account().await;
    let access = house.log_in().await.access;
    let _ = request(&house, &access, "Ada@Example.com").await.expect(202);
    house.work().await;
    let _ = confirm(&house, &access, &house.mailed_token("Ada@example.com")).await.expect(204);
    assert_eq!(house.me(&access).await.expect(200)["email"], "Ada@example.com");
}

#[tokio::test]
async fn what_was_mailed_to_the_old_address_is_void_after_the_move() {
    let house = House::with_account().await;
    let access = house.log_in().await.access;
    let _ = house.api.post("/v1/auth/password/forgot", &json!({ "email": EMAIL })).send().await.expect(202);
    let moving = requested(&house, &access).await;
    let reset = house.mailed_token(EMAIL);
    let _ = confirm(&house, &access, &moving).await.expect(204);
    let body: Value = json!({ "token": reset, "password": "another walk, by the river" });
    house.api.post("/v1/auth/password/reset", &body).send().await.expect_problem(400, "invalid_token");
}
