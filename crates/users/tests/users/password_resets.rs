use futures_util::future::join_all;
use serde_json::json;
use test_support::{Answer, Statements};

use crate::house::{EMAIL, House, PASSWORD};

const NEW: &str = "another walk, by the river";

async fn forget(house: &House, email: &str) -> Answer {
    house.api.post("/v1/auth/password/forgot", &json!({ "email": email })).send().await
}

async fn reset(house: &House, token: &str, password: &str) -> Answer {
    house.api.post("/v1/auth/password/reset", &json!({ "token": token, "password": password })).send().await
}

/// The token of a mail that was just asked for.
async fn forgotten(house: &House) -> String {
    let _ = forget(house, EMAIL).await.expect(202);
    house.work().await;
    house.mailed_token(EMAIL)
}

fn without_request_id(answer: &Answer) -> String {
    answer.text.replace(answer.header("x-request-id"), "")
}

#[tokio::test]
async fn a_new_password_ends_every_session_and_its_owner_is_told() {
    let house = House::with_account().await;
    let before = house.log_in().await;
    let _ = forget(&house, " ADA@Example.com ").await.expect(202);
    house.work().await;
    let token = house.mailed_token(EMAIL);
    let _ = reset(&house, &token, NEW).await.expect(204);
    house.me(&before.access).await.expect_problem(401, "invalid_token");
    house.refresh(&before.refresh).await.expect_problem(401, "invalid_refresh_token");
    house.try_log_in(EMAIL, PASSWORD).await.expect_problem(401, "invalid_credentials");
    let _ = house.try_log_in(EMAIL, NEW).await.expect(200);
    house.work().await;
    let mails = house.mailbox.to(EMAIL);
    assert!(mails.len() == 2 && mails[0].mail.subject.contains("was changed"), "{}", mails[0].mail.subject);
    assert_eq!(house.count("SELECT count(*) FROM users.audit_log WHERE action = 'authn_password_reset'").await, 1);
}

#[tokio::test]
async fn asking_costs_and_answers_the_same_whoever_has_the_address() {
    let house = House::with_account().await;
    house.users.seed_account("gone@example.com", PASSWORD, "Gone").await.expect("an account");
    house.sql("UPDATE users.accounts SET disabled_at = now() WHERE email = 'gone@example.com'").await;
    let (mut answers, mut costs) = (Vec::new(), Vec::new());
    for email in [EMAIL, "nobody@example.com", "gone@example.com"] {
        let before = Statements::sent();
        answers.push(forget(&house, email).await.expect(202));
        costs.push(Statements::sent() - before);
    }
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{answers:?}");
    assert_eq!(costs, [costs[0]; 3]);
    assert_eq!(forget(&house, "no address").await.expect(202), answers[0]);
    house.work().await;
    assert_eq!(house.mailbox.list().len(), 1);
    assert_eq!(house.mailbox.to(EMAIL).len(), 1);
}

#[tokio::test]
async fn a_reset_token_works_once_however_many_try_at_once() {
    let house = House::with_account().await;
    let token = forgotten(&house).await;
    let passwords: Vec<String> = (0..5).map(|number| format!("{NEW} {number}")).collect();
    let answers = join_all(passwords.iter().map(|password| reset(&house, &token, password))).await;
    let done: Vec<&String> = answers
        .iter()
        .zip(&passwords)
        .filter(|(answer, _)| answer.status == 204)
        .map(|(_, password)| password)
        .collect();
    for answer in answers.iter().filter(|answer| answer.status != 204) {
        answer.expect_problem(400, "invalid_token");
    }
    assert_eq!(done.len(), 1);
    let _ = house.try_log_in(EMAIL, done[0]).await.expect(200);
    reset(&house, &token, NEW).await.expect_problem(400, "invalid_token");
}

#[tokio::test]
async fn an_expired_foreign_or_invented_token_is_the_same_refusal() {
    let house = House::with_account().await;
    let access = house.log_in().await.access;
    let expired = forgotten(&house).await;
    house.sql("UPDATE users.one_time_secrets SET expires_at = now() - interval '1 second'").await;
    let registration = json!({ "email": "new@example.com", "password": PASSWORD, "name": "New" });
    let _ = house.api.post("/v1/auth/register", &registration).send().await.expect(202);
    let change = json!({ "new_email": "moved@example.com" });
    let _ = house.api.post("/v1/me/email", &change).bearer(&access).send().await.expect(202);
    house.work().await;
    let (verify, moving) = (house.mailed_token("new@example.com"), house.mailed_token("moved@example.com"));
    let mut bodies = Vec::new();
    for token in [&expired, &verify, &moving, "invented"] {
        let answer = reset(&house, token, NEW).await;
        answer.expect_problem(400, "invalid_token");
        bodies.push(without_request_id(&answer));
    }
    let token = forgotten(&house).await;
    for path in ["/v1/auth/verify-email", "/v1/me/email/confirm"] {
        let answer = house.api.post(path, &json!({ "token": token })).bearer(&access).send().await;
        answer.expect_problem(400, "invalid_token");
        bodies.push(without_request_id(&answer));
    }
    assert!(bodies.windows(2).all(|pair| pair[0] == pair[1]), "{bodies:?}");
    let _ = reset(&house, &token, NEW).await.expect(204);
}

#[tokio::test]
async fn a_password_that_breaks_a_rule_leaves_the_token_unspent() {
    let house = House::with_account().await;
    house.sql("UPDATE users.accounts SET email = 'lovelace@example.com', mail_to = 'ada@example.com'").await;
    let _ = forget(&house, "lovelace@example.com").await.expect(202);
    house.work().await;
    let token = house.mailed_token(EMAIL);
    for (password, code) in [
        ("short", "too_short"),
        ("passwordpassword", "common_password"),
        ("my lovelace password", "contains_email"),
        ("acme for ever and ever", "contains_product_name"),
    ] {
        let refused = reset(&house, &token, password).await.expect_problem(422, "invalid_request");
        assert_eq!(refused, [("password".to_owned(), code.to_owned())]);
    }
    let _ = reset(&house, &token, NEW).await.expect(204);
}

#[tokio::test]
async fn a_new_password_voids_every_other_mailed_token() {
    let house = House::with_account().await;
    let access = house.log_in().await.access;
    let change = json!({ "new_email": "moved@example.com" });
    let _ = house.api.post("/v1/me/email", &change).bearer(&access).send().await.expect(202);
    let (first, second) = (forgotten(&house).await, forgotten(&house).await);
    assert_ne!(first, second);
    let moving = house.mailed_token("moved@example.com");
    let _ = reset(&house, &first, NEW).await.expect(204);
    reset(&house, &second, NEW).await.expect_problem(400, "invalid_token");
    let access = house.try_log_in(EMAIL, NEW).await.expect(200)["access_token"].as_str().expect("a token").to_owned();
    let confirm = house.api.post("/v1/me/email/confirm", &json!({ "token": moving })).bearer(&access).send().await;
    confirm.expect_problem(400, "invalid_token");
}

#[tokio::test]
async fn links_lead_where_the_configuration_says_whatever_the_request_claims() {
    let house = House::with_account().await;
    let ask = house.api.post("/v1/auth/password/forgot", &json!({ "email": EMAIL }));
    let ask = ask.header("host", "evil.example").header("x-forwarded-host", "evil.example");
    let _ = ask.header("forwarded", "host=evil.example;proto=http").send().await.expect(202);
    house.work().await;
    let mail = &house.mailbox.to(EMAIL)[0].mail;
    let html = mail.html.as_deref().expect("HTML");
    assert!(mail.text.contains("https://app.example/reset-password?token="), "{}", mail.text);
    assert!(html.contains("href=\"https://app.example/reset-password?token="), "{html}");
    assert!(!mail.text.contains("evil.example") && !html.contains("evil.example"), "{html}");
}

#[tokio::test]
async fn passwords_are_bounded_and_taken_exactly_as_sent() {
    let house = House::with_account().await;
    let token = forgotten(&house).await;
    for (password, code) in
        [("x".to_owned(), "too_short"), ("née à l'île".to_owned(), "too_short"), ("é".repeat(129), "too_long")]
    {
        let refused = reset(&house, &token, &password).await.expect_problem(422, "invalid_request");
        assert_eq!(refused, [("password".to_owned(), code.to_owned())]);
    }
    reset(&house, &token, &"x".repeat(1024 * 1024)).await.expect_problem(413, "body_too_large");
    let longest: String = "née à l'île ".chars().cycle().take(127).chain(['!']).collect();
    let _ = reset(&house, &token, &longest).await.expect(204);
    for exact in ["  spaces before and after  ", "👩‍🚀👩‍🚀 to the moon 🌕🌕"] {
        let token = forgotten(&house).await;
        let _ = reset(&house, &token, exact).await.expect(204);
        house.try_log_in(EMAIL, exact.trim().trim_end_matches('🌕')).await.expect_problem(401, "invalid_credentials");
        let _ = house.try_log_in(EMAIL, exact).await.expect(200);
    }
}

#[tokio::test]
async fn an_address_that_only_looks_alike_gets_no_mail() {
    let house = House::open().await;
    house.users.seed_account("Kim.Ina@Example.com", PASSWORD, "Kim").await.expect("an account");
    let alike = [
        "k\u{456}m.ina@example.com",   // Cyrillic i
        "k\u{131}m.ina@example.com",   // dotless i
        "kim.in\u{430}@example.com",   // Cyrillic a
        "kim.ina@ex\u{430}mple.com",   // Cyrillic a in the domain
        "kim\u{200b}.ina@example.com", // zero-width space
        "kim.ina\u{3164}@example.com", // Hangul filler
        "\u{ff4b}im.ina@example.com",  // fullwidth k
    ];
    for address in alike {
        let _ = forget(&house, address).await.expect(202);
    }
    house.work().await;
    assert!(house.mailbox.list().is_empty());
    // Another spelling of the same address is the same person, and the mail goes where it always goes.
    let _ = forget(&house, "\u{212a}IM.INA@ＥＸＡＭＰＬＥ.com").await.expect(202);
    house.work().await;
    let mails = house.mailbox.list();
    assert_eq!((mails.len(), mails[0].mail.to.as_str()), (1, "Kim.Ina@example.com"));
}

#[tokio::test]
async fn neither_address_nor_token_stands_readable_in_the_database() {
    let house = House::with_account().await;
    let _ = forget(&house, EMAIL).await.expect(202);
    let job = "SELECT count(*) FROM platform.jobs WHERE name = 'users.send_password_reset'";
    assert_eq!(house.count(job).await, 1);
    assert_eq!(house.count("SELECT count(*) FROM platform.jobs WHERE args::text LIKE '%ada%'").await, 0);
    house.work().await;
    let token = house.mailed_token(EMAIL);
    let stored: Vec<String> = sqlx::query_scalar("SELECT s::text FROM users.one_time_secrets s")
        .fetch_all(&mut house.owner().await)
        .await
        .expect("secrets");
    assert!(stored.len() == 1 && !stored[0].contains(&token), "{stored:?}");
}

#[tokio::test]
async fn mailed_secrets_that_nobody_used_are_removed() {
    let house = House::with_account().await;
    forgotten(&house).await;
    house.sql("UPDATE users.one_time_secrets SET expires_at = now() - interval '1 second'").await;
    house.sql("UPDATE platform.schedules SET next_at = now() WHERE name = 'users.prune_expired'").await;
    house.work().await;
    assert_eq!(house.count("SELECT count(*) FROM users.one_time_secrets").await, 0);
}
