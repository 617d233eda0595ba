//! Cases 18, 19 and 54: guessing in breadth, in depth, from many places, and all at once.

use platform::rate_limit::RateLimit;
use reqwest::RequestBuilder;
use serde_json::json;
use users::FailureLimit;

use super::asking::{
    EMAIL, WRONG, at_once, behind_a_proxy, get, home_of_ada_with, is_problem, log_in, post, problem, reset_token, sql,
    try_log_in, try_refresh,
};
use crate::home::{PASSWORD, send};

fn an_hour(burst: u32) -> RateLimit {
    RateLimit { count: burst, seconds: 3_600, burst }
}

/// As a proxy hands it on.
fn from(address: impl std::fmt::Display, ask: RequestBuilder) -> RequestBuilder {
    ask.header("x-forwarded-for", address.to_string())
}

#[tokio::test]
async fn case_18_one_address_that_tries_many_accounts_is_stopped_and_nobody_else_is() {
    let (home, tokens) = home_of_ada_with(|config| {
        behind_a_proxy(config);
        config.users.limits.login_by_address = an_hour(10);
    })
    .await;
    let guess = |number: usize| from("198.51.100.1", try_log_in(&home, &format!("victim-{number}@example.com"), WRONG));
    for number in 0..10 {
        is_problem(&problem(guess(number)).await, 401, "invalid_credentials");
    }
    for email in ["victim-11@example.com", EMAIL] {
        let refused = send(from("198.51.100.1", try_log_in(&home, email, PASSWORD))).await;
        assert_eq!((refused.status.as_u16(), refused.problem().1.as_str()), (429, "rate_limited"));
        assert!(refused.headers.contains_key("retry-after"), "{refused:?}");
        assert!(refused.headers.contains_key("ratelimit"), "{refused:?}");
    }
    send(from("198.51.100.2", try_log_in(&home, EMAIL, PASSWORD))).await.expect(200);
    send(from("198.51.100.1", get(&home, &tokens.access, "/v1/me"))).await.expect(200);
}

#[tokio::test]
async fn case_18_b_many_addresses_that_try_one_account_are_stopped_and_its_owner_is_not() {
    let (home, tokens) = home_of_ada_with(|config| {
        behind_a_proxy(config);
        let failures = FailureLimit { free: 3, longest_wait_seconds: 900, forgotten_after_seconds: 900 };
        config.users.limits.login_failures = failures;
    })
    .await;
    send(try_log_in(&home, EMAIL, PASSWORD)).await.expect(200);
    // Whether it has an account or not, and however it is spelled.
    for spellings in [[EMAIL, "ADA@example.com"], ["nobody@example.com", " Nobody@EXAMPLE.com"]] {
        for number in 0..3 {
            let guess = from(format!("198.51.100.{number}"), try_log_in(&home, spellings[number % 2], WRONG));
            is_problem(&problem(guess).await, 401, "invalid_credentials");
        }
        // A busy machine must not outlast the wait.
        sql(&home, "UPDATE users.failed_attempts SET last_at = last_at + interval '1 hour'").await;
        for (number, email) in (3..).zip(spellings) {
            let refused = from(format!("198.51.100.{number}"), try_log_in(&home, email, PASSWORD));
            is_problem(&problem(refused).await, 429, "rate_limited");
        }
    }
    home.house.users.seed_account("bob@example.com", PASSWORD, "Bob").await.expect("an account");
    log_in(&home, "bob@example.com").await;
    // The owner's session goes on, and a reset by mail lets them in.
    send(get(&home, &tokens.access, "/v1/me")).await.expect(200);
    send(try_refresh(&home, &tokens.refresh)).await.expect(200);
    let reset = json!({ "token": reset_token(&home, EMAIL).await, "password": PASSWORD });
    send(post(&home, "/v1/auth/password/reset", &reset)).await.expect(204);
    log_in(&home, EMAIL).await;
}

#[tokio::test]
async fn case_19_a_made_up_forwarded_address_changes_nothing_without_a_trusted_proxy() {
    let (home, _) = home_of_ada_with(|config| config.users.limits.login_by_address = an_hour(4)).await;
    for number in 0..3 {
        let guess = from(format!("198.51.100.{number}"), try_log_in(&home, EMAIL, WRONG));
        is_problem(&problem(guess).await, 401, "invalid_credentials");
    }
    for address in ["198.51.100.9", "127.0.0.1", "2001:db8::9"] {
        is_problem(&problem(from(address, try_log_in(&home, EMAIL, PASSWORD))).await, 429, "rate_limited");
    }
}

#[tokio::test]
async fn case_19_b_behind_a_proxy_only_the_hop_it_saw_counts_and_a_subscriber_has_one_limit() {
    let (home, _) = home_of_ada_with(|config| {
        behind_a_proxy(config);
        config.users.limits.login_by_address = an_hour(3);
    })
    .await;
    // What the client wrote itself stands further to the left.
    for spoofed in ["203.0.113.1", "203.0.113.2", "127.0.0.1"] {
        let guess = from(format!("{spoofed}, 198.51.100.7"), try_log_in(&home, EMAIL, WRONG));
        is_problem(&problem(guess).await, 401, "invalid_credentials");
    }
    let refused = from("203.0.113.3, 198.51.100.7", try_log_in(&home, EMAIL, PASSWORD));
    is_problem(&problem(refused).await, 429, "rate_limited");
    for interface in 1..=3 {
        let guess = from(format!("2001:db8:1:2::{interface}"), try_log_in(&home, EMAIL, WRONG));
        is_problem(&problem(guess).await, 401, "invalid_credentials");
    }
    let same_64 = from("2001:db8:1:2:ffff::9", try_log_in(&home, EMAIL, PASSWORD));
    is_problem(&problem(same_64).await, 429, "rate_limited");
    send(from("2001:db8:1:3::1", try_log_in(&home, EMAIL, PASSWORD))).await.expect(200);
}

/// The figures of two hundred are measured by `cargo xtask proofs security`.
#[tokio::test]
async fn case_54_of_many_logins_at_once_each_is_answered_and_the_rest_of_the_house_lives_on() {
    let (home, tokens) = home_of_ada_with(|config| {
        let hashing = &mut config.users.hashing;
        (hashing.threads, hashing.queue) = (1, 3);
        config.users.limits.login_by_address = an_hour(31);
    })
    .await;
    let password = |number: usize| if number.is_multiple_of(2) { PASSWORD } else { WRONG };
    let answers = at_once((0..40).map(|number| try_log_in(&home, EMAIL, password(number)))).await;
    let with = |status: u16| answers.iter().filter(|answer| answer.status.as_u16() == status).count();
    assert_eq!(with(200) + with(401) + with(429) + with(503), 40, "nothing else may happen");
    assert!(with(503) > 0 && with(429) >= 10 && with(200) + with(401) > 0, "{:?}", super::asking::statuses(&answers));
    for answer in answers.iter().filter(|answer| matches!(answer.status.as_u16(), 429 | 503)) {
        assert!(answer.headers.contains_key("retry-after"), "{answer:?}");
    }
    send(get(&home, &tokens.access, "/v1/me")).await.expect(200);
    send(home.client.get(format!("{}/readyz", home.operations))).await.expect(200);
}
