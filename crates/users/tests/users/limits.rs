//! How often the world may try.

use std::net::IpAddr;

use platform::rate_limit::RateLimit;
use serde_json::{Value, json};
use test_support::{Answer, Statements};
use users::LimitsConfig;

use crate::house::{EMAIL, House, PASSWORD, Tokens};

const WRONG: &str = "not-the-password-at-all";

/// A house in which Ada and Bob have accounts, under the limits that `change` sets.
async fn limited(change: impl FnOnce(&mut LimitsConfig)) -> House {
    let house = House::open_with(|config| change(&mut config.limits)).await;
    house.users.seed_account(EMAIL, PASSWORD, "Ada").await.expect("an account");
    house.users.seed_account("bob@example.com", PASSWORD, "Bob").await.expect("an account");
    house
}

fn an_hour(count: u32) -> RateLimit {
    RateLimit { count, seconds: 3_600, burst: count }
}

async fn post_from(house: &House, peer: &str, path: &str, body: Value) -> Answer {
    let peer: IpAddr = peer.parse().expect("an address");
    house.api.post(path, &body).from_peer(peer).send().await
}

async fn log_in_from(house: &House, peer: &str, email: &str, password: &str) -> Answer {
    post_from(house, peer, "/v1/auth/login", json!({ "email": email, "password": password })).await
}

/// The minutes that a refusal tells to wait; a busy machine may take some seconds of them.
fn minutes_to_wait(refused: &Answer) -> u64 {
    refused.expect_problem(429, "rate_limited");
    let told = refused.header("ratelimit").rsplit_once(";r=0;t=").map(|(_, seconds)| seconds);
    assert_eq!(told, Some(refused.header("retry-after")));
    (refused.header("retry-after").parse::<u64>().expect("seconds") + 30) / 60
}

/// The name of the limit that refused, and how it is told to clients.
fn policy(refused: &Answer) -> &str {
    refused.header("ratelimit-policy")
}

/// Puts an hour on every wait for another attempt, so that a busy machine does not outlast one of a second.
async fn hold(house: &House) {
    house.sql("UPDATE users.failed_attempts SET last_at = last_at + interval '1 hour'").await;
}

/// Takes that hour away and lets the wait be over.
async fn release(house: &House) {
    house.sql("UPDATE users.failed_attempts SET last_at = last_at - interval '75 minutes'").await;
}

/// Another address for each number.
fn peer(number: u32) -> String {
    format!("198.51.100.{number}")
}

#[tokio::test]
async fn one_address_cannot_try_a_thousand_accounts() {
    let house = limited(|limits| limits.login_by_address = RateLimit { burst: 10, ..an_hour(5) }).await;
    for number in 0..10 {
        let guess = log_in_from(&house, &peer(1), &format!("victim-{number}@example.com"), WRONG).await;
        guess.expect_problem(401, "invalid_credentials");
    }
    for email in [EMAIL, "victim-11@example.com", "no address"] {
        let before = Statements::sent();
        let refused = log_in_from(&house, &peer(1), email, PASSWORD).await;
        assert_eq!(Statements::sent() - before, 1, "refused before anything is searched or hashed");
        assert_eq!((minutes_to_wait(&refused), policy(&refused)), (12, "\"login_by_address\";q=10;w=7200"));
    }
    let _ = log_in_from(&house, &peer(2), EMAIL, PASSWORD).await.expect(200);
    house.sql("UPDATE platform.rate_limits SET tat = tat - interval '12 minutes'").await;
    let _ = log_in_from(&house, &peer(1), EMAIL, PASSWORD).await.expect(200);
    log_in_from(&house, &peer(1), EMAIL, PASSWORD).await.expect_problem(429, "rate_limited");
}

#[tokio::test]
async fn a_thousand_addresses_cannot_try_one_account_and_its_owner_is_not_locked_out() {
    let house = limited(|limits| limits.login_failures.free = 3).await;
    let tokens = Tokens::from(log_in_from(&house, "192.0.2.1", EMAIL, PASSWORD).await.expect(200));
    for email in [EMAIL, "nobody@example.com", "no address"] {
        house.sql("DELETE FROM users.failed_attempts").await;
        for number in 0..3 {
            log_in_from(&house, &peer(number), email, WRONG).await.expect_problem(401, "invalid_credentials");
        }
        hold(&house).await;
        for (number, password) in (3..8).zip([WRONG, PASSWORD, WRONG, PASSWORD, WRONG]) {
            let refused = log_in_from(&house, &peer(number), email, password).await;
            assert_eq!((minutes_to_wait(&refused), policy(&refused)), (60, "\"login_failures\";q=3;w=900"));
        }
    }
    house.sql("DELETE FROM users.failed_attempts").await;
    for spelling in [EMAIL, " ADA@example.com", "Ada@EXAMPLE.com"] {
        log_in_from(&house, &peer(1), spelling, WRONG).await.expect_problem(401, "invalid_credentials");
    }
    hold(&house).await;
    log_in_from(&house, &peer(9), EMAIL, PASSWORD).await.expect_problem(429, "rate_limited");

    let _ = log_in_from(&house, &peer(3), "bob@example.com", PASSWORD).await.expect(200);
    let _ = house.me(&tokens.access).await.expect(200);
    let _ = house.refresh(&tokens.refresh).await.expect(200);
    let _ = post_from(&house, &peer(9), "/v1/auth/password/forgot", json!({ "email": EMAIL })).await.expect(202);
    house.work().await;
    let new = "another-walk-by-the-river";
    let reset = json!({ "token": house.mailed_token(EMAIL), "password": new });
    let _ = post_from(&house, &peer(9), "/v1/auth/password/reset", reset).await.expect(204);
    let _ = log_in_from(&house, &peer(9), EMAIL, new).await.expect(200);
}

#[tokio::test]
async fn of_many_guesses_at_once_no_more_are_looked_at_than_may_be() {
    let house = limited(|limits| limits.login_failures.free = 3).await;
    house.try_log_in(EMAIL, WRONG).await.expect_problem(401, "invalid_credentials");
    // The wait after ten, which is 128 seconds, is over; after the eleventh comes one of 256.
    house.sql("UPDATE users.failed_attempts SET attempts = 10, last_at = now() - interval '130 seconds'").await;
    let guesses = (0..20).map(|number| {
        let (house, peer) = (&house, peer(number));
        async move { log_in_from(house, &peer, EMAIL, WRONG).await.status.as_u16() }
    });
    let statuses = futures_util::future::join_all(guesses).await;
    let count = |status| statuses.iter().filter(|got| **got == status).count();
    assert_eq!((count(401), count(429)), (1, 19), "{statuses:?}");
}

#[tokio::test]
async fn each_further_failure_waits_twice_as_long_and_never_for_good() {
    let house = limited(|limits| limits.login_failures.free = 10).await;
    let waits: Vec<i64> = sqlx::query_scalar(
        "SELECT extract(epoch FROM users.wait_after(attempts, 10, 900))::bigint
         FROM unnest(ARRAY[1, 9, 10, 11, 12, 19, 20, 1000000]) AS attempts",
    )
    .fetch_all(&mut house.owner().await)
    .await
    .expect("waits");
    assert_eq!(waits, [0, 0, 1, 2, 4, 512, 900, 900]);

    let guess = || log_in_from(&house, "192.0.2.1", EMAIL, WRONG);
    guess().await.expect_problem(401, "invalid_credentials");
    house.sql("UPDATE users.failed_attempts SET attempts = 5000").await;
    for _ in 0..3 {
        assert_eq!(minutes_to_wait(&guess().await), 15, "who keeps trying keeps waiting");
        house.sql("UPDATE users.failed_attempts SET last_at = last_at - interval '15 minutes'").await;
        guess().await.expect_problem(401, "invalid_credentials");
    }
    house.sql("UPDATE users.failed_attempts SET last_at = last_at - interval '31 minutes'").await;
    guess().await.expect_problem(401, "invalid_credentials");
    assert_eq!(house.count("SELECT attempts::bigint FROM users.failed_attempts").await, 1, "forgotten after a rest");
}

#[tokio::test]
async fn a_right_password_forgets_the_failures_before_it() {
    let house = limited(|limits| limits.login_failures.free = 3).await;
    for _ in 0..4 {
        for _ in 0..2 {
            house.try_log_in(EMAIL, WRONG).await.expect_problem(401, "invalid_credentials");
        }
        house.log_in().await;
        assert_eq!(house.count("SELECT count(*) FROM users.failed_attempts").await, 0);
    }
}

#[tokio::test]
async fn an_account_that_has_to_wait_is_audited_once_for_each_row_of_failures() {
    let house = limited(|limits| limits.login_failures.free = 2).await;
    let throttled = "SELECT count(*) FROM users.audit_log WHERE action = 'authn_login_fail_max'";
    for episodes in 1..=2 {
        for _ in 0..2 {
            house.try_log_in(EMAIL, WRONG).await.expect_problem(401, "invalid_credentials");
        }
        hold(&house).await;
        for _ in 0..3 {
            house.try_log_in(EMAIL, WRONG).await.expect_problem(429, "rate_limited");
        }
        house.sql("UPDATE users.failed_attempts SET last_at = last_at - interval '1 hour 1 second'").await;
        house.try_log_in(EMAIL, WRONG).await.expect_problem(401, "invalid_credentials");
        assert_eq!(house.count(throttled).await, episodes);
        house.sql("DELETE FROM users.failed_attempts").await;
    }
}

#[tokio::test]
async fn forged_forwarded_addresses_and_the_rest_of_ones_own_64_evade_nothing() {
    let house = limited(|limits| limits.login_by_address = an_hour(2)).await;
    let mut statuses = Vec::new();
    for number in 1..=4 {
        let credentials = json!({ "email": format!("victim-{number}@example.com"), "password": WRONG });
        let ask = house.api.post("/v1/auth/login", &credentials).header("x-forwarded-for", &peer(number));
        let from: IpAddr = format!("2001:db8::{number}:{number}").parse().expect("an address");
        statuses.push(ask.from_peer(from).send().await.status.as_u16());
    }
    assert_eq!(statuses, [401, 401, 429, 429]);
    log_in_from(&house, "2001:db8:0:1::1", EMAIL, WRONG).await.expect_problem(401, "invalid_credentials");
}

#[tokio::test]
async fn an_address_signs_up_a_few_times_an_hour_and_typing_errors_are_free() {
    let house = limited(|limits| limits.register_by_address = an_hour(2)).await;
    let sign_up = |peer: &'static str, email: &'static str, password: &'static str| {
        let wish = json!({ "email": email, "password": password, "name": "Somebody" });
        post_from(&house, peer, "/v1/auth/register", wish)
    };
    for _ in 0..5 {
        sign_up("192.0.2.1", "new@example.com", "passwordpassword").await.expect_problem(422, "invalid_request");
    }
    let _ = sign_up("192.0.2.1", "new@example.com", PASSWORD).await.expect(202);
    let _ = sign_up("192.0.2.1", EMAIL, PASSWORD).await.expect(202);
    for email in [EMAIL, "other@example.com"] {
        let refused = sign_up("192.0.2.1", email, PASSWORD).await;
        assert_eq!((minutes_to_wait(&refused), policy(&refused)), (30, "\"register_by_address\";q=2;w=3600"));
    }
    let _ = sign_up("192.0.2.2", "new@example.com", PASSWORD).await.expect(202);
}

#[tokio::test]
async fn nobody_is_buried_in_mail_and_the_limit_tells_nothing() {
    let house = limited(|limits| {
        limits.mail_by_account = an_hour(3);
        limits.mail_by_address = an_hour(10);
    })
    .await;
    for (path, limit) in [("/v1/auth/password/forgot", "forgot"), ("/v1/auth/verify-email/resend", "resend")] {
        let ask = |number: u32, email: &str| {
            let (house, from, body) = (&house, peer(number), json!({ "email": email }));
            async move { post_from(house, &from, path, body).await }
        };
        for email in [EMAIL, "nobody@example.com"] {
            for number in 0..3 {
                let _ = ask(number, email).await.expect(202);
            }
            for (number, spelling) in [(3, email.to_owned()), (4, email.to_uppercase())] {
                let refused = ask(number, &spelling).await;
                assert_eq!(minutes_to_wait(&refused), 20);
                assert_eq!(policy(&refused), format!("\"{limit}_by_account\";q=3;w=3600"));
            }
        }
        for number in 0..10 {
            let _ = ask(20, &format!("somebody-{number}@example.com")).await.expect(202);
        }
        for _ in 0..3 {
            let refused = ask(20, "bob@example.com").await;
            assert_eq!(minutes_to_wait(&refused), 6);
            assert_eq!(policy(&refused), format!("\"{limit}_by_address\";q=10;w=3600"));
        }
        let _ = ask(21, "bob@example.com").await.expect(202);
    }
}

#[tokio::test]
async fn a_session_refreshes_so_often_a_minute_and_others_are_not_affected() {
    let house = limited(|limits| limits.refresh_by_session = an_hour(5)).await;
    let (mut tokens, other) = (house.log_in().await, house.log_in().await);
    for _ in 0..5 {
        tokens = Tokens::from(house.refresh(&tokens.refresh).await.expect(200));
    }
    let refused = house.refresh(&tokens.refresh).await;
    assert_eq!((minutes_to_wait(&refused), policy(&refused)), (12, "\"refresh_by_session\";q=5;w=3600"));
    let _ = house.refresh(&other.refresh).await.expect(200);
    house.sql("UPDATE platform.rate_limits SET tat = tat - interval '12 minutes'").await;
    let _ = house.refresh(&tokens.refresh).await.expect(200);
}

#[tokio::test]
async fn a_stolen_session_does_not_guess_the_password_and_guesses_at_the_login_do_not_count_there() {
    let house = limited(|limits| limits.login_failures.free = 2).await;
    let tokens = house.log_in().await;
    for _ in 0..2 {
        house.try_log_in(EMAIL, WRONG).await.expect_problem(401, "invalid_credentials");
    }
    hold(&house).await;
    house.try_log_in(EMAIL, WRONG).await.expect_problem(429, "rate_limited");
    let change = |current: &str| {
        let body = json!({ "current_password": current, "new_password": "another-walk-by-the-river" });
        house.api.post("/v1/me/password", &body).bearer(&tokens.access).send()
    };
    for _ in 0..2 {
        change(WRONG).await.expect_problem(422, "invalid_request");
    }
    hold(&house).await;
    change(PASSWORD).await.expect_problem(429, "rate_limited");
    release(&house).await;
    let _ = change(PASSWORD).await.expect(204);
}

#[tokio::test]
async fn the_audit_log_knows_where_deeds_came_from() {
    let house = limited(|_| {}).await;
    let _ = log_in_from(&house, "203.0.113.9", EMAIL, PASSWORD).await.expect(200);
    log_in_from(&house, "2001:db8::17", EMAIL, WRONG).await.expect_problem(401, "invalid_credentials");
    let rows: Vec<(String, Option<String>)> =
        sqlx::query_as("SELECT action, host(ip) FROM users.audit_log ORDER BY id, action")
            .fetch_all(&mut house.owner().await)
            .await
            .expect("the log");
    let expected = [("authn_login_fail", "2001:db8::17"), ("authn_login_success", "203.0.113.9")];
    let mut rows: Vec<_> = rows.into_iter().map(|(action, ip)| (action, ip.unwrap_or_default())).collect();
    rows.sort();
    assert_eq!(rows, expected.map(|(action, ip)| (action.to_owned(), ip.to_owned())));
}

#[tokio::test]
async fn failures_that_are_forgotten_are_removed() {
    let house = limited(|_| {}).await;
    house.try_log_in(EMAIL, WRONG).await.expect_problem(401, "invalid_credentials");
    house.try_log_in("bob@example.com", WRONG).await.expect_problem(401, "invalid_credentials");
    house.work().await;
    house
        .sql(
            "UPDATE users.failed_attempts SET last_at = last_at - interval '31 minutes'
             WHERE key = (SELECT key FROM users.failed_attempts ORDER BY key LIMIT 1)",
        )
        .await;
    house.sql("UPDATE platform.schedules SET next_at = now() WHERE name = 'users.prune_expired'").await;
    house.work().await;
    assert_eq!(house.count("SELECT count(*) FROM users.failed_attempts").await, 1);
}
