use serde_json::{Value, json};
use test_support::{Answer, Statements};

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

async fn resend(house: &House, email: &str) -> Answer {
    house.api.post("/v1/auth/verify-email/resend", &json!({ "email": email })).send().await
}

#[tokio::test]
async fn another_link_replaces_the_one_that_got_lost() {
    let house = House::open().await;
    let _ = register(&house, EMAIL, PASSWORD).await.expect(202);
    house.work().await;
    let lost = house.mailed_token(EMAIL);
    let _ = resend(&house, " ADA@example.com").await.expect(202);
    house.work().await;
    let token = house.mailed_token(EMAIL);
    verify(&house, &lost).await.expect_problem(400, "invalid_token");
    let _ = verify(&house, &token).await.expect(204);
    let _ = house.try_log_in(EMAIL, PASSWORD).await.expect(200);
}

#[tokio::test]
async fn asking_for_another_link_tells_nobody_who_signed_up() {
    let house = House::with_account().await;
    let _ = register(&house, "grace@example.com", PASSWORD).await.expect(202);
    let _ = register(&house, "late@example.com", PASSWORD).await.expect(202);
    // An attempt on an address with an account waits for nothing.
    let _ = register(&house, EMAIL, PASSWORD).await.expect(202);
    house.work().await;
    house.sql("UPDATE users.registrations SET expires_at = now() - interval '1 s' WHERE email LIKE 'late%'").await;
    let mails = house.mailbox.list().len();
    let (mut answers, mut costs) = (Vec::new(), Vec::new());
    for email in ["grace@example.com", EMAIL, "nobody@example.com", "late@example.com"] {
        let before = Statements::sent();
        answers.push(resend(&house, email).await.expect(202));
        costs.push(Statements::sent() - before);
    }
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{answers:?}");
    assert_eq!(costs, [costs[0]; 4]);
    house.work().await;
    assert_eq!((house.mailbox.list().len(), house.mailbox.to("grace@example.com").len()), (mails + 1, 2));
}

#[tokio::test]
async fn where_strangers_may_have_signed_up_too_another_link_lends_no_trust_to_their_password() {
    let house = House::open().await;
    let _ = register(&house, EMAIL, PASSWORD).await.expect(202);
    let _ = register(&house, EMAIL, "the-attackers-password").await.expect(202);
    house.work().await;
    let _ = resend(&house, EMAIL).await.expect(202);
    house.work().await;
    let mail = &house.mailbox.to(EMAIL)[0].mail;
    assert!(mail.subject.contains("again") && !mail.text.contains("token="), "{}", mail.text);
}

#[tokio::test]
async fn signing_up_costs_the_same_whoever_has_the_address() {
    let house = House::with_account().await;
    let mut costs = Vec::new();
    for email in [EMAIL, "grace@example.com"] {
        let before = Statements::sent();
        let _ = register(&house, email, PASSWORD).await.expect(202);
        costs.push(Statements::sent() - before);
    }
    assert_eq!(costs[0], costs[1]);
}

#[tokio::test]
async fn of_attempts_that_are_proven_at_once_one_becomes_the_account() {
    let house = House::open().await;
    let mut tokens = Vec::new();
    for password in ["a-long-walk-by-the-lake", "a-long-walk-by-the-road", "a-long-walk-by-the-pond"] {
        let _ = register(&house, EMAIL, password).await.expect(202);
        house.work().await;
        tokens.push(house.mailed_token(EMAIL));
    }
    let answers = futures_util::future::join_all(tokens.iter().map(|token| verify(&house, token))).await;
    let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status.as_u16()).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [204, 400, 400]);
}

#[tokio::test]
async fn an_attackers_attempt_is_void_once_the_owner_proved_the_address() {
    let house = House::open().await;
    let _ = register(&house, EMAIL, "the-attackers-password").await.expect(202);
    house.work().await;
    let attackers = house.mailed_token(EMAIL);
    let _ = register(&house, EMAIL, PASSWORD).await.expect(202);
    house.work().await;
    let _ = verify(&house, &house.mailed_token(EMAIL)).await.expect(204);
    verify(&house, &attackers).await.expect_problem(400, "invalid_token");
    let _ = resend(&house, EMAIL).await.expect(202);
    let mails = house.mailbox.list().len();
    house.work().await;
    assert_eq!(house.mailbox.list().len(), mails);
    house.try_log_in(EMAIL, "the-attackers-password").await.expect_problem(401, "invalid_credentials");
}

#[tokio::test]
async fn spellings_of_a_taken_address_make_no_second_account_and_mail_goes_to_the_stored_one() {
    let house = House::open().await;
    house.users.seed_account("Kim.\u{c9}va@B\u{fc}cher.example", PASSWORD, "Kim").await.expect("an account");
    let stored = "Kim.\u{c9}va@xn--bcher-kva.example";
    let spellings = [
        "kim.\u{e9}va@b\u{fc}cher.example",
        "KIM.E\u{301}VA@BU\u{308}CHER.EXAMPLE",
        "\u{212a}im.e\u{301}va@xn--bcher-kva.example",
        " kim.\u{e9}va@B\u{dc}CHER.example ",
    ];
    for spelling in spellings {
        let _ = register(&house, spelling, PASSWORD).await.expect(202);
    }
    house.work().await;
    let mails = house.mailbox.list();
    assert_eq!(mails.len(), spellings.len());
    assert!(mails.iter().all(|received| received.mail.to == stored && !received.mail.text.contains("token=")));
    for invisible in ["\u{200b}", "\u{200d}", "\u{feff}", "\u{ad}", "\u{2060}", "\u{3164}", "\u{180e}", "\u{fe0f}"] {
        let problem = register(&house, &format!("kim{invisible}.\u{e9}va@b\u{fc}cher.example"), PASSWORD).await;
        assert_eq!(problem.expect_problem(422, "invalid_request"), [("email".to_owned(), "invalid_email".to_owned())]);
    }
    assert_eq!(house.count("SELECT count(*) FROM users.accounts").await, 1);
}

#[tokio::test]
async fn an_address_that_only_looks_alike_is_another_person() {
    let house = House::open().await;
    house.users.seed_account("admin@example.com", PASSWORD, "Admin").await.expect("an account");
    for alike in ["adm\u{131}n@example.com", "\u{430}dmin@example.com"] {
        let _ = register(&house, alike, "the-attackers-password").await.expect(202);
        house.work().await;
        assert!(house.mailbox.to("admin@example.com").is_empty());
        let _ = verify(&house, &house.mailed_token(alike)).await.expect(204);
    }
    let _ = house.try_log_in("admin@example.com", PASSWORD).await.expect(200);
    house.try_log_in("admin@example.com", "the-attackers-password").await.expect_problem(401, "invalid_credentials");
}
