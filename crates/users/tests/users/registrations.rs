use serde_json::{Value, json};
use test_support::Answer;

use crate::house::{EMAIL, House, PASSWORD};

async fn register(house: &House, email: &str, password: &str) -> Answer {
    house.api.post("/v1/auth/register", &json!({ "email": email, "password": password, "name": "Ada" })).send().await
}

async fn verify(house: &House, token: &str) -> Answer {
    house.api.post("/v1/auth/verify-email", &json!({ "token": token })).send().await
}

#[tokio::test]
async fn an_account_exists_only_after_its_address_was_proven() {
    let house = House::open().await;
    let _ = register(&house, EMAIL, PASSWORD).await.expect(202);
    house.try_log_in(EMAIL, PASSWORD).await.expect_problem(401, "invalid_credentials");
    house.work().await;
    assert_eq!(verify(&house, &house.mailed_token(EMAIL)).await.expect(204), Value::Null);
    let _ = house.try_log_in(" ADA@Example.com ", PASSWORD).await.expect(200);
}

#[tokio::test]
async fn a_taken_address_gets_the_same_answer_and_a_mail_that_says_so() {
    let house = House::with_account().await;
    let taken = register(&house, EMAIL, "another-long-password").await;
    let free = register(&house, "grace@example.com", "another-long-password").await;
    assert_eq!(taken.expect(202), free.expect(202));
    house.work().await;
    assert!(house.mailbox.to(EMAIL)[0].mail.subject.contains("already have an account"));
    assert!(house.mailbox.to("grace@example.com")[0].mail.subject.contains("Verify"));
    let _ = house.try_log_in(EMAIL, PASSWORD).await.expect(200);
}

#[tokio::test]
async fn whoever_registers_a_strangers_address_first_plants_no_password() {
    let house = House::open().await;
    let _ = register(&house, EMAIL, "the-attackers-password").await.expect(202);
    house.work().await;
    let _ = register(&house, EMAIL, PASSWORD).await.expect(202);
    house.work().await;
    let _ = verify(&house, &house.mailed_token(EMAIL)).await.expect(204);
    house.try_log_in(EMAIL, "the-attackers-password").await.expect_problem(401, "invalid_credentials");
    let _ = house.try_log_in(EMAIL, PASSWORD).await.expect(200);
    assert_eq!(house.count("SELECT count(*) FROM users.registrations").await, 0);
}

#[tokio::test]
async fn a_verification_token_works_once_and_for_a_day() {
    let house = House::open().await;
    let _ = register(&house, EMAIL, PASSWORD).await.expect(202);
    house.work().await;
    let token = house.mailed_token(EMAIL);
    let (first, second) = tokio::join!(verify(&house, &token), verify(&house, &token));
    let mut statuses = [first.status.as_u16(), second.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [204, 400]);
    verify(&house, &token).await.expect_problem(400, "invalid_token");
    verify(&house, "nonsense").await.expect_problem(400, "invalid_token");

    let _ = register(&house, "late@example.com", PASSWORD).await.expect(202);
    house.work().await;
    house.sql("UPDATE users.registrations SET expires_at = now() - interval '1 second'").await;
    verify(&house, &house.mailed_token("late@example.com")).await.expect_problem(400, "invalid_token");
}

#[tokio::test]
async fn no_readable_token_stands_in_the_database() {
    let house = House::open().await;
    let _ = register(&house, EMAIL, PASSWORD).await.expect(202);
    let args: Vec<Value> =
        sqlx::query_scalar("SELECT args FROM platform.jobs").fetch_all(&mut house.owner().await).await.expect("jobs");
    house.work().await;
    let token = house.mailed_token(EMAIL);
    assert!(
        !args.is_empty()
            && args.iter().all(|args| !args.to_string().contains(&token) && !args.to_string().contains("token="))
    );
}

#[tokio::test]
async fn bad_passwords_and_addresses_are_named_by_field_and_code() {
    let house = House::open().await;
    for (email, password, field, code) in [
        (EMAIL, "short", "password", "too_short"),
        (EMAIL, "passwordpassword", "password", "common_password"),
        ("walking@example.com", "i-like-walking-a-lot", "password", "contains_email"),
        ("not an address", PASSWORD, "email", "invalid_email"),
    ] {
        let problem = register(&house, email, password).await;
        assert_eq!(problem.expect_problem(422, "invalid_request"), [(field.to_owned(), code.to_owned())]);
    }
    let longest: String = "née à l'île ".chars().cycle().take(127).chain(['!']).collect();
    let _ = register(&house, EMAIL, &longest).await.expect(202);
    register(&house, EMAIL, &format!("{longest}!")).await.expect_problem(422, "invalid_request");
}

#[tokio::test]
async fn fields_that_would_give_power_are_refused_and_nothing_is_stored() {
    let house = House::open().await;
    for field in ["role", "is_admin", "email_verified", "org_id", "id", "created_at"] {
        let mut body = json!({ "email": EMAIL, "password": PASSWORD, "name": "Ada" });
        body[field] = json!("x");
        let answer = house.api.post("/v1/auth/register", &body).send().await;
        assert_eq!(answer.expect_problem(422, "invalid_request"), [(field.to_owned(), "unknown_field".to_owned())]);
    }
    assert_eq!(house.count("SELECT count(*) FROM users.registrations").await, 0);
}

#[tokio::test]
async fn attempts_that_were_never_proven_are_removed() {
    let house = House::open().await;
    let _ = register(&house, EMAIL, PASSWORD).await.expect(202);
    house.work().await;
    house.sql("UPDATE users.registrations SET expires_at = now() - interval '1 second'").await;
    house.sql("UPDATE platform.schedules SET next_at = now() WHERE name = 'users.prune_expired'").await;
    house.work().await;
    assert_eq!(house.count("SELECT count(*) FROM users.registrations").await, 0);
}
