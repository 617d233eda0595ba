//! Codes of an app and recovery codes.

use aws_lc_rs::hmac::{HMAC_SHA1_FOR_LEGACY_USE_ONLY, Key, sign};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use test_support::{Answer, Ask, Statements};

use crate::house::{EMAIL, House, PASSWORD, Tokens};
use crate::people::race;

/// What makes codes on somebody's phone.
struct App(Vec<u8>);

impl App {
    fn of(enrolment: &Value) -> Self {
        let (mut bits, mut count, mut secret) = (0_u32, 0, Vec::new());
        for letter in enrolment["secret"].as_str().expect("a secret").bytes() {
            let value = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".iter().position(|known| *known == letter);
            bits = bits << 5 | u32::try_from(value.expect("base32")).expect("five bits");
            count += 5;
            if count >= 8 {
                count -= 8;
                let [.., byte] = (bits >> count).to_be_bytes();
                secret.push(byte);
            }
        }
        Self(secret)
    }

    /// The code of a step, counted from the current one.
    fn code(&self, house: &House, steps: i64) -> String {
        let step = house.clock.now().timestamp() / 30 + steps;
        let tag = sign(&Key::new(HMAC_SHA1_FOR_LEGACY_USE_ONLY, &self.0), &step.to_be_bytes());
        let tag = tag.as_ref();
        let offset = usize::from(tag[19] & 15);
        let four: [u8; 4] = tag[offset..offset + 4].try_into().expect("four bytes");
        format!("{:06}", (u32::from_be_bytes(four) & 0x7fff_ffff) % 1_000_000)
    }

    /// A code that is not good at the moment.
    fn wrong_code(&self, house: &House) -> String {
        let good: Vec<String> = (-1..=1).map(|steps| self.code(house, steps)).collect();
        (0..4).map(|number| format!("{number:06}")).find(|code| !good.contains(code)).expect("three are good")
    }
}

fn totp(house: &House, token: &str) -> Ask {
    house.api.ask(platform::http::Method::POST, "/v1/me/mfa/totp").bearer(token)
}

fn confirm(house: &House, token: &str, code: &str) -> Ask {
    house.api.post("/v1/me/mfa/totp/confirm", &json!({ "code": code })).bearer(token)
}

fn remove(house: &House, token: &str) -> Ask {
    house.api.delete("/v1/me/mfa/totp").bearer(token)
}

/// Switches codes on for Ada; the clock goes on to the next step.
async fn enrol(house: &House, token: &str) -> (App, Vec<String>) {
    let app = App::of(&totp(house, token).send().await.expect(200));
    let confirmed = confirm(house, token, &app.code(house, 0)).send().await.expect(200);
    let codes = confirmed["recovery_codes"].as_array().expect("codes").clone();
    house.tick(30);
    (app, codes.iter().map(|code| code.as_str().expect("a code").to_owned()).collect())
}

fn log_in_with(house: &House, password: &str, field: &str, code: &str) -> Ask {
    let credentials = json!({ "email": EMAIL, "password": password, field: code });
    house.api.post("/v1/auth/login", &credentials)
}

async fn log_in(house: &House, field: &str, code: &str) -> Answer {
    log_in_with(house, PASSWORD, field, code).send().await
}

fn claims(access_token: &str) -> Value {
    let payload = access_token.split('.').nth(1).expect("three parts");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).expect("base64url")).expect("claims")
}

/// The answer without what is another each time.
fn body(answer: &Answer) -> String {
    answer.expect_problem(401, "invalid_credentials");
    answer.text.replace(answer.header("x-request-id"), "")
}

#[tokio::test]
async fn an_app_counts_from_its_first_code_on() {
    let house = House::with_account().await;
    let tokens = house.log_in().await;
    let enrolment = totp(&house, &tokens.access).send().await.expect(200);
    let secret = enrolment["secret"].as_str().expect("a secret");
    let product = test_support::service_config().name;
    let url = format!(
        "otpauth://totp/{product}:ada%40example.com?secret={secret}&issuer={product}&algorithm=SHA1&digits=6&period=30"
    );
    assert_eq!((secret.len(), enrolment["otpauth_url"].as_str()), (32, Some(url.as_str())));
    house.log_in().await;

    let app = App::of(&enrolment);
    let wrong = confirm(&house, &tokens.access, &app.wrong_code(&house)).send().await;
    assert_eq!(wrong.expect_problem(422, "invalid_request"), [("code".to_owned(), "wrong_code".to_owned())]);
    house.log_in().await;

    let confirmed = confirm(&house, &tokens.access, &app.code(&house, 0)).send().await.expect(200);
    let mut codes: Vec<String> =
        confirmed["recovery_codes"].as_array().expect("codes").iter().map(Value::to_string).collect();
    codes.sort();
    codes.dedup();
    assert_eq!(codes.len(), 10);
    house.try_log_in(EMAIL, PASSWORD).await.expect_problem(401, "mfa_required");
    house.tick(30);
    let session = Tokens::from(log_in(&house, "totp_code", &app.code(&house, 0)).await.expect(200));
    assert_eq!(claims(&session.access)["amr"], json!(["pwd", "otp"]));
    let refreshed = Tokens::from(house.refresh(&session.refresh).await.expect(200));
    assert_eq!(claims(&refreshed.access)["amr"], json!(["pwd", "otp"]));
    assert_eq!(claims(&tokens.access)["amr"], json!(["pwd"]));

    house.work().await;
    assert!(house.mailbox.to(EMAIL)[0].mail.subject.contains("takes a code now"));
    assert_eq!(house.count("SELECT count(*) FROM users.audit_log WHERE action = 'authn_mfa_added'").await, 1);
}

#[tokio::test]
async fn that_a_code_is_missing_is_told_after_a_right_password_only() {
    let house = House::with_account().await;
    let tokens = house.log_in().await;
    let (app, recovery) = enrol(&house, &tokens.access).await;
    let unknown = house.try_log_in("nobody@example.com", PASSWORD).await;
    let wrong = "not-the-password-at-all";
    let before = Statements::sent();
    let no_code = house.try_log_in(EMAIL, wrong).await;
    let cost = Statements::sent() - before;
    let before = Statements::sent();
    let answers = [
        house.try_log_in("nobody@example.com", wrong).await,
        no_code,
        log_in_with(&house, wrong, "totp_code", &app.code(&house, 0)).send().await,
        log_in_with(&house, wrong, "recovery_code", &recovery[0]).send().await,
    ];
    assert_eq!(Statements::sent() - before, 3 * cost, "the same statements for all");
    for answer in &answers {
        assert_eq!(body(answer), body(&unknown));
    }
    assert_eq!(body(&log_in(&house, "totp_code", &app.wrong_code(&house)).await), body(&unknown));
    assert_eq!(body(&log_in(&house, "recovery_code", "abcd-efgh-ijkl-mnop").await), body(&unknown));
    house.try_log_in(EMAIL, PASSWORD).await.expect_problem(401, "mfa_required");
    log_in(&house, "totp_code", "12345").await.expect_problem(422, "invalid_request");
    let _ = log_in(&house, "totp_code", &app.code(&house, 0)).await.expect(200);
}

#[tokio::test]
async fn a_code_works_once_and_so_does_none_before_it() {
    let house = House::with_account().await;
    let tokens = house.log_in().await;
    let (app, _) = enrol(&house, &tokens.access).await;
    log_in(&house, "totp_code", &app.code(&house, -1)).await.expect_problem(401, "invalid_credentials");
    let _ = log_in(&house, "totp_code", &app.code(&house, 0)).await.expect(200);
    log_in(&house, "totp_code", &app.code(&house, 0)).await.expect_problem(401, "invalid_credentials");
    let _ = log_in(&house, "totp_code", &app.code(&house, 1)).await.expect(200);
    for steps in -1..=2 {
        log_in(&house, "totp_code", &app.code(&house, steps)).await.expect_problem(401, "invalid_credentials");
    }
    house.tick(60);
    let twins = race((0..4).map(|_| log_in_with(&house, PASSWORD, "totp_code", &app.code(&house, 0)))).await;
    assert_eq!(twins, [200, 401, 401, 401]);
}

#[tokio::test]
async fn after_five_wrong_codes_everybody_waits() {
    let house = House::open_with(|config| config.limits.second_factor_failures.free = 5).await;
    house.users.seed_account(EMAIL, PASSWORD, "Ada").await.expect("an account");
    let tokens = house.log_in().await;
    let (app, recovery) = enrol(&house, &tokens.access).await;
    let wrong = app.wrong_code(&house);
    for _ in 0..4 {
        log_in(&house, "totp_code", &wrong).await.expect_problem(401, "invalid_credentials");
        // Knowing the password does not make the failures forgotten.
        house.try_log_in(EMAIL, PASSWORD).await.expect_problem(401, "mfa_required");
    }
    log_in(&house, "recovery_code", "abcd-efgh-ijkl-mnop").await.expect_problem(401, "invalid_credentials");
    house.sql("UPDATE users.failed_attempts SET last_at = last_at + interval '1 hour' WHERE attempts = 5").await;
    for (field, code) in [("totp_code", &wrong), ("totp_code", &app.code(&house, 0)), ("recovery_code", &recovery[0])] {
        let refused = log_in(&house, field, code).await;
        refused.expect_problem(429, "rate_limited");
        assert!(refused.header("ratelimit-policy").starts_with("\"second_factor_failures\";q=5;"));
    }
    house.try_log_in(EMAIL, "not-the-password-at-all").await.expect_problem(401, "invalid_credentials");
    let _ = house.me(&tokens.access).await.expect(200);
    let throttled = "SELECT count(*) FROM users.audit_log WHERE action = 'authn_login_fail_max'";
    assert_eq!(house.count(throttled).await, 1);

    house.sql("UPDATE users.failed_attempts SET last_at = last_at - interval '61 minutes' WHERE attempts = 5").await;
    let _ = log_in(&house, "totp_code", &app.code(&house, 0)).await.expect(200);
    assert_eq!(house.count("SELECT count(*) FROM users.failed_attempts").await, 0, "a right code forgets them");
}

#[tokio::test]
async fn of_many_codes_tried_at_once_no_more_are_looked_at_than_may_be() {
    let house = House::open_with(|config| config.limits.second_factor_failures.free = 5).await;
    house.users.seed_account(EMAIL, PASSWORD, "Ada").await.expect("an account");
    let tokens = house.log_in().await;
    let (app, _) = enrol(&house, &tokens.access).await;
    log_in(&house, "totp_code", &app.wrong_code(&house)).await.expect_problem(401, "invalid_credentials");
    // The wait after fourteen is over, after one more comes one of 17 minutes.
    house
        .sql(
            "UPDATE users.failed_attempts SET attempts = 14, last_at = now() - interval '13 minutes'
              WHERE attempts = 1 AND key = (SELECT key FROM users.failed_attempts ORDER BY last_at DESC LIMIT 1)",
        )
        .await;
    let guesses = race((0..8).map(|_| log_in_with(&house, PASSWORD, "totp_code", &app.wrong_code(&house)))).await;
    assert_eq!(guesses, [401, 429, 429, 429, 429, 429, 429, 429]);
}

#[tokio::test]
async fn a_recovery_code_works_once_and_its_owner_is_told() {
    let house = House::with_account().await;
    let tokens = house.log_in().await;
    let (_, recovery) = enrol(&house, &tokens.access).await;
    let session = Tokens::from(log_in(&house, "recovery_code", &recovery[3].to_uppercase()).await.expect(200));
    assert_eq!(claims(&session.access)["amr"], json!(["pwd", "otp"]));
    log_in(&house, "recovery_code", &recovery[3]).await.expect_problem(401, "invalid_credentials");
    house.work().await;
    assert!(house.mailbox.to(EMAIL)[0].mail.text.contains("9 of them"), "{}", house.mailbox.to(EMAIL)[0].mail.text);
    let twins = race((0..2).map(|_| log_in_with(&house, PASSWORD, "recovery_code", &recovery[7]))).await;
    assert_eq!(twins, [200, 401]);
    assert_eq!(house.count("SELECT count(*) FROM users.recovery_codes").await, 8);
    let used = "SELECT count(*) FROM users.audit_log WHERE action = 'authn_recovery_code_used'";
    assert_eq!(house.count(used).await, 2);
    let readable = sqlx::query_scalar::<_, i64>(
        "SELECT count(*) FROM users.recovery_codes WHERE code_hash IN (convert_to($1, 'UTF8'), sha256(convert_to($1, 'UTF8')))",
    );
    let readable = readable.bind(&recovery[0]).fetch_one(&mut house.owner().await).await.expect("a count");
    assert_eq!(readable, 0, "stored without hyphens, hashed");
}

#[tokio::test]
async fn a_new_password_by_mail_leaves_the_codes_on() {
    let house = House::with_account().await;
    let tokens = house.log_in().await;
    let (app, _) = enrol(&house, &tokens.access).await;
    let _ = house.api.post("/v1/auth/password/forgot", &json!({ "email": EMAIL })).send().await.expect(202);
    house.work().await;
    let new = "another-walk-by-the-river";
    let reset = json!({ "token": house.mailed_token(EMAIL), "password": new });
    let _ = house.api.post("/v1/auth/password/reset", &reset).send().await.expect(204);
    house.try_log_in(EMAIL, new).await.expect_problem(401, "mfa_required");
    let _ = log_in_with(&house, new, "totp_code", &app.code(&house, 0)).send().await.expect(200);
}

#[tokio::test]
async fn codes_are_switched_off_with_everything_that_belongs_to_them() {
    let house = House::with_account().await;
    let tokens = house.log_in().await;
    let (_, recovery) = enrol(&house, &tokens.access).await;
    let _ = remove(&house, &tokens.access).send().await.expect(204);
    let _ = log_in(&house, "recovery_code", &recovery[0]).await.expect(200);
    assert_eq!(house.count("SELECT count(*) FROM users.recovery_codes").await, 0);
    assert_eq!(claims(&house.log_in().await.access)["amr"], json!(["pwd"]));
    remove(&house, &tokens.access).send().await.expect_problem(404, "not_found");
    house.work().await;
    assert!(house.mailbox.to(EMAIL)[0].mail.subject.contains("takes no code any more"));
    assert_eq!(house.count("SELECT count(*) FROM users.audit_log WHERE action = 'authn_mfa_removed'").await, 1);
}

#[tokio::test]
async fn one_app_at_a_time_and_the_newest_secret_until_one_is_confirmed() {
    let house = House::with_account().await;
    let token = house.log_in().await.access;
    confirm(&house, &token, "123456").send().await.expect_problem(404, "not_found");
    let first = App::of(&totp(&house, &token).send().await.expect(200));
    let second = App::of(&totp(&house, &token).send().await.expect(200));
    let old = confirm(&house, &token, &first.code(&house, 0)).send().await;
    old.expect_problem(422, "invalid_request");
    let _ = remove(&house, &token).send().await.expect(204);
    house.work().await;
    assert_eq!(house.mailbox.to(EMAIL).len(), 0, "nothing was switched off");
    confirm(&house, &token, &second.code(&house, 0)).send().await.expect_problem(404, "not_found");

    let (app, _) = enrol(&house, &token).await;
    totp(&house, &token).send().await.expect_problem(409, "mfa_already_enabled");
    confirm(&house, &token, &app.code(&house, 0)).send().await.expect_problem(409, "mfa_already_enabled");
    let _ = log_in(&house, "totp_code", &app.code(&house, 0)).await.expect(200);
}

#[tokio::test]
async fn an_old_login_neither_adds_nor_removes_codes() {
    let house = House::with_account().await;
    let tokens = house.log_in().await;
    let app = App::of(&totp(&house, &tokens.access).send().await.expect(200));
    house.tick(3_600);
    let old = Tokens::from(house.refresh(&tokens.refresh).await.expect(200)).access;
    let code = app.code(&house, 0);
    for ask in [totp(&house, &old), confirm(&house, &old, &code), remove(&house, &old)] {
        ask.send().await.expect_problem(401, "recent_login_required");
    }
    house.log_in().await;
}

#[tokio::test]
async fn the_secret_does_not_stand_readable_in_the_database() {
    let house = House::with_account().await;
    let token = house.log_in().await.access;
    let app = App::of(&totp(&house, &token).send().await.expect(200));
    let sealed: Vec<u8> = sqlx::query_scalar("SELECT sealed_secret FROM users.second_factors")
        .fetch_one(&mut house.owner().await)
        .await
        .expect("a row");
    assert!(!sealed.windows(app.0.len()).any(|some| some == app.0));
    assert_eq!(test_support::secrets().open("users.second_factor", &sealed), Ok(app.0));
}
