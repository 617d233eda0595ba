use serde_json::json;
use test_support::Statements;

use crate::house::{EMAIL, House, PASSWORD, Tokens};

#[tokio::test]
async fn every_failed_login_is_the_same_answer() {
    let house = House::with_account().await;
    house.users.seed_account("disabled@example.com", PASSWORD, "Bob").await.expect("an account");
    house.sql("UPDATE users.accounts SET disabled_at = now() WHERE name = 'Bob'").await;
    let unverified = json!({ "email": "unverified@example.com", "password": PASSWORD, "name": "Eve" });
    let _ = house.api.post("/v1/auth/register", &unverified).send().await.expect(202);
    let mut failures = Vec::new();
    for (email, password) in [
        (EMAIL, "wrong-password-entirely"),
        ("nobody@example.com", PASSWORD),
        ("unverified@example.com", PASSWORD),
        ("disabled@example.com", PASSWORD),
        ("no address", PASSWORD),
    ] {
        let before = Statements::sent();
        let answer = house.try_log_in(email, password).await;
        answer.expect_problem(401, "invalid_credentials");
        // What is no address is searched for nowhere, which tells nobody anything.
        let cost = Statements::sent() - before + usize::from(email == "no address");
        failures.push((answer.text.replace(answer.header("x-request-id"), ""), cost));
    }
    assert!(failures.windows(2).all(|pair| pair[0] == pair[1]), "{failures:?}");
    assert_eq!(house.count("SELECT count(*) FROM users.audit_log WHERE action = 'authn_login_fail'").await, 5);
}

#[tokio::test]
async fn of_a_storm_of_logins_each_is_answered_and_who_had_no_turn_may_come_back() {
    let house = House::open_with(|config| config.hashing.queue = 2).await;
    house.users.seed_account(EMAIL, PASSWORD, "Ada").await.expect("an account");
    let storm =
        (0..24).map(|number| house.try_log_in(if number % 2 == 0 { EMAIL } else { "nobody@example.com" }, PASSWORD));
    let answers = futures_util::future::join_all(storm).await;
    let refused: Vec<_> = answers.iter().filter(|answer| ![200, 401].contains(&answer.status.as_u16())).collect();
    assert!(!refused.is_empty() && refused.len() < answers.len(), "{} refused", refused.len());
    for answer in refused {
        answer.expect_problem(503, "unavailable");
        assert!(!answer.header("retry-after").is_empty());
    }
}

#[tokio::test]
async fn an_access_token_opens_the_callers_profile_for_ten_minutes() {
    let house = House::with_account().await;
    let tokens = house.log_in().await;
    let me = house.me(&tokens.access).await.expect(200);
    assert_eq!((me["email"].as_str(), me["name"].as_str()), (Some(EMAIL), Some("Ada")));
    house.tick(599);
    let _ = house.me(&tokens.access).await.expect(200);
    house.tick(1);
    let expired = house.me(&tokens.access).await;
    expired.expect_problem(401, "invalid_token");
    assert_eq!(expired.header("www-authenticate"), "Bearer error=\"invalid_token\"");
}

#[tokio::test]
async fn tokens_are_read_from_one_authorization_header_only() {
    let house = House::with_account().await;
    let Tokens { access, refresh } = house.log_in().await;
    house.api.get("/v1/me").send().await.expect_problem(401, "invalid_token");
    house.api.get(&format!("/v1/me?access_token={access}")).send().await.expect_problem(401, "invalid_token");
    let twice = house.api.get("/v1/me").bearer(&access).bearer(&access).send().await;
    twice.expect_problem(400, "repeated_authorization");
    house.me(&refresh).await.expect_problem(401, "invalid_token");
    house.refresh(&access[..100]).await.expect_problem(401, "invalid_refresh_token");
}

#[tokio::test]
async fn logging_out_counts_at_once() {
    let house = House::with_account().await;
    let (here, elsewhere) = (house.log_in().await, house.log_in().await);
    let _ =
        house.api.ask(platform::http::Method::POST, "/v1/auth/logout").bearer(&here.access).send().await.expect(204);
    house.me(&here.access).await.expect_problem(401, "invalid_token");
    house.refresh(&here.refresh).await.expect_problem(401, "invalid_refresh_token");
    let _ = house.me(&elsewhere.access).await.expect(200);
}

#[tokio::test]
async fn a_disabled_person_is_out_at_once() {
    let house = House::with_account().await;
    let tokens = house.log_in().await;
    house.sql("UPDATE users.accounts SET disabled_at = now()").await;
    house.me(&tokens.access).await.expect_problem(401, "invalid_token");
    house.refresh(&tokens.refresh).await.expect_problem(401, "invalid_refresh_token");
}

#[tokio::test]
async fn refresh_tokens_rotate_and_a_lost_answer_is_forgiven() {
    let house = House::with_account().await;
    let first = house.log_in().await;
    let second = Tokens::from(house.refresh(&first.refresh).await.expect(200));
    assert_ne!(first.refresh, second.refresh);
    let again = Tokens::from(house.refresh(&first.refresh).await.expect(200));
    let third = Tokens::from(house.refresh(&again.refresh).await.expect(200));
    let _ = house.me(&third.access).await.expect(200);
}

#[tokio::test]
async fn a_token_reused_after_the_grace_ends_the_session_and_tells_its_owner() {
    let house = House::with_account().await;
    let first = house.log_in().await;
    let second = Tokens::from(house.refresh(&first.refresh).await.expect(200));
    house.sql("UPDATE users.sessions SET rotated_at = now() - interval '11 seconds'").await;
    house.refresh(&first.refresh).await.expect_problem(401, "invalid_refresh_token");
    house.refresh(&second.refresh).await.expect_problem(401, "invalid_refresh_token");
    house.me(&second.access).await.expect_problem(401, "invalid_token");
    house.work().await;
    assert!(house.mailbox.to(EMAIL)[0].mail.subject.contains("ended one of your sessions"));
    assert_eq!(house.count("SELECT count(*) FROM users.audit_log WHERE action = 'authn_token_reuse'").await, 1);
}

#[tokio::test]
async fn a_token_two_generations_old_ends_the_session_even_within_the_grace() {
    let house = House::with_account().await;
    let first = house.log_in().await;
    let second = Tokens::from(house.refresh(&first.refresh).await.expect(200));
    let third = Tokens::from(house.refresh(&second.refresh).await.expect(200));
    house.refresh(&first.refresh).await.expect_problem(401, "invalid_refresh_token");
    house.refresh(&third.refresh).await.expect_problem(401, "invalid_refresh_token");
}

#[tokio::test]
async fn fifty_racing_refreshes_leave_one_lineage_and_no_failure() {
    let house = House::with_account().await;
    let tokens = house.log_in().await;
    let racing = (0..50).map(|_| house.refresh(&tokens.refresh));
    let answers = futures_util::future::join_all(racing).await;
    let pairs: Vec<Tokens> = answers.iter().map(|answer| Tokens::from(answer.expect(200))).collect();
    assert_eq!(house.count("SELECT generation::bigint FROM users.sessions").await, 1);
    let next = Tokens::from(house.refresh(&pairs[49].refresh).await.expect(200));
    let _ = house.me(&next.access).await.expect(200);
}

#[tokio::test]
async fn sessions_end_when_unused_or_old_and_are_removed_later() {
    let house = House::with_account().await;
    let (idle, old) = (house.log_in().await, house.log_in().await);
    house.sql("UPDATE users.sessions SET idle_expires_at = now() - interval '1 second' WHERE id = (SELECT min(id::text)::uuid FROM users.sessions)").await;
    house.sql("UPDATE users.sessions SET expires_at = now() - interval '1 second' WHERE id = (SELECT max(id::text)::uuid FROM users.sessions)").await;
    for tokens in [&idle, &old] {
        house.me(&tokens.access).await.expect_problem(401, "invalid_token");
        house.refresh(&tokens.refresh).await.expect_problem(401, "invalid_refresh_token");
    }
    house.work().await;
    house.sql("UPDATE platform.schedules SET next_at = now() WHERE name = 'users.prune_expired'").await;
    house.work().await;
    assert_eq!(house.count("SELECT count(*) FROM users.sessions").await, 1);
}

#[tokio::test]
async fn the_public_keys_verify_our_tokens_and_may_be_cached() {
    let house = House::with_account().await;
    let answer = house.api.get("/.well-known/jwks.json").send().await;
    assert_eq!(answer.header("cache-control"), "public, max-age=600");
    let keys = answer.expect(200)["keys"].as_array().expect("keys").clone();
    assert_eq!(keys.len(), 2, "the one that signs and the next one");
    for key in keys {
        assert_eq!((key["kty"].as_str(), key["crv"].as_str()), (Some("OKP"), Some("Ed25519")));
        assert!(key.get("d").is_none(), "no private half");
    }
}

#[tokio::test]
async fn the_audit_log_cannot_be_changed() {
    let house = House::with_account().await;
    house.log_in().await;
    let mut owner = house.owner().await;
    for statement in
        ["UPDATE users.audit_log SET action = 'x'", "DELETE FROM users.audit_log", "TRUNCATE users.audit_log"]
    {
        let refused = sqlx::raw_sql(statement).execute(&mut owner).await.expect_err(statement);
        assert!(refused.to_string().contains("append-only"), "{refused}");
    }
}
