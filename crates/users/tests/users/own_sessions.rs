use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde_json::Value;
use test_support::Answer;

use crate::house::{EMAIL, House, PASSWORD, Tokens};

async fn list(house: &House, token: &str, query: &str) -> Value {
    house.api.get(&format!("/v1/me/sessions{query}")).bearer(token).send().await.expect(200)
}

async fn end(house: &House, token: &str, which: &str) -> Answer {
    house.api.delete(&format!("/v1/me/sessions{which}")).bearer(token).send().await
}

fn ids(page: &Value) -> Vec<String> {
    let entries = page["data"].as_array().expect("data");
    entries.iter().map(|entry| entry["id"].as_str().expect("an id").to_owned()).collect()
}

#[tokio::test]
async fn people_see_their_live_sessions_newest_first_and_which_one_is_here() {
    let house = House::with_account().await;
    house.users.seed_account("eve@example.com", PASSWORD, "Eve").await.expect("an account");
    let _ = house.try_log_in("eve@example.com", PASSWORD).await.expect(200);
    let ended = house.log_in().await;
    let _ = end(&house, &ended.access, "?scope=all").await.expect(204);
    let (elsewhere, here) = (house.log_in().await, house.log_in().await);
    let page = list(&house, &here.access, "").await;
    let current: Vec<bool> =
        page["data"].as_array().expect("data").iter().map(|entry| entry["current"] == true).collect();
    assert_eq!(current, [true, false]);
    for field in ["created_at", "last_used_at", "expires_at"] {
        assert!(page["data"][0][field].is_string(), "{field}");
    }
    let first = list(&house, &here.access, "?limit=1").await;
    let next = first["next_cursor"].as_str().expect("a cursor");
    let second = list(&house, &here.access, &format!("?limit=1&cursor={next}")).await;
    assert_eq!([ids(&first), ids(&second)].concat(), ids(&page));
    assert_eq!(second["next_cursor"], Value::Null);
    house
        .sql(
            "UPDATE users.sessions SET idle_expires_at = now() - interval '1 second'
             WHERE id = (SELECT id FROM users.sessions WHERE revoked_at IS NULL ORDER BY id DESC OFFSET 1 LIMIT 1)",
        )
        .await;
    assert_eq!(ids(&list(&house, &here.access, "").await).len(), 1);
    house.me(&elsewhere.access).await.expect_problem(401, "invalid_token");
}

#[tokio::test]
async fn a_session_that_is_ended_is_dead_at_once() {
    let house = House::with_account().await;
    let (elsewhere, here) = (house.log_in().await, house.log_in().await);
    let page = list(&house, &here.access, "").await;
    let other = format!("/{}", ids(&page)[1]);
    let _ = end(&house, &here.access, &other).await.expect(204);
    house.me(&elsewhere.access).await.expect_problem(401, "invalid_token");
    house.refresh(&elsewhere.refresh).await.expect_problem(401, "invalid_refresh_token");
    end(&house, &here.access, &other).await.expect_problem(404, "not_found");
    let _ = end(&house, &here.access, &format!("/{}", ids(&page)[0])).await.expect(204);
    house.me(&here.access).await.expect_problem(401, "invalid_token");
    assert_eq!(house.count("SELECT count(*) FROM users.audit_log WHERE action = 'session_revoked'").await, 2);
}

#[tokio::test]
async fn somebody_elses_session_does_not_exist() {
    let house = House::with_account().await;
    let here = house.log_in().await;
    house.users.seed_account("eve@example.com", PASSWORD, "Eve").await.expect("an account");
    let eve = Tokens::from(house.try_log_in("eve@example.com", PASSWORD).await.expect(200));
    let mine = format!("/{}", ids(&list(&house, &here.access, "").await)[0]);
    end(&house, &eve.access, &mine).await.expect_problem(404, "not_found");
    end(&house, &eve.access, "/not-an-id").await.expect_problem(404, "not_found");
    let _ = end(&house, &eve.access, "?scope=all").await.expect(204);
    let _ = house.me(&here.access).await.expect(200);
}

#[tokio::test]
async fn all_sessions_end_or_all_but_this_one() {
    let house = House::with_account().await;
    let (one, two, here) = (house.log_in().await, house.log_in().await, house.log_in().await);
    let _ = end(&house, &here.access, "?scope=others").await.expect(204);
    for ended in [&one, &two] {
        house.me(&ended.access).await.expect_problem(401, "invalid_token");
        house.refresh(&ended.refresh).await.expect_problem(401, "invalid_refresh_token");
    }
    let _ = house.me(&here.access).await.expect(200);
    let _ = end(&house, &here.access, "?scope=all").await.expect(204);
    house.me(&here.access).await.expect_problem(401, "invalid_token");
    house.refresh(&here.refresh).await.expect_problem(401, "invalid_refresh_token");
}

#[tokio::test]
async fn ending_many_sessions_asks_which() {
    let house = House::with_account().await;
    let here = house.log_in().await;
    for query in ["", "?scope=mine", "?scope=all&scope=others", "?scope=all&user=x"] {
        end(&house, &here.access, query).await.expect_problem(422, "invalid_request");
    }
    let _ = house.me(&here.access).await.expect(200);
}

#[tokio::test]
async fn the_fifty_first_session_ends_the_oldest() {
    let house = House::with_account().await;
    let oldest = house.log_in().await;
    let next = house.log_in().await;
    house
        .sql(
            "INSERT INTO users.sessions (id, account_id, rotated_at, authenticated_at, idle_expires_at, expires_at, created_at)
             SELECT ('ffffffff-0000-7000-8000-' || lpad(number::text, 12, '0'))::uuid, id, now(), now(),
                    now() + interval '1 day', now() + interval '1 day', now()
             FROM users.accounts, generate_series(1, 48) AS number",
        )
        .await;
    let _ = house.me(&oldest.access).await.expect(200);
    house.log_in().await;
    house.me(&oldest.access).await.expect_problem(401, "invalid_token");
    house.refresh(&oldest.refresh).await.expect_problem(401, "invalid_refresh_token");
    let _ = house.me(&next.access).await.expect(200);
    assert_eq!(house.count("SELECT count(*) FROM users.sessions WHERE revoked_at IS NULL").await, 50);
}

#[tokio::test]
async fn the_tokens_of_an_erased_person_are_dead_at_once() {
    let house = House::with_account().await;
    let tokens = house.log_in().await;
    house.sql("DELETE FROM users.accounts").await;
    house.me(&tokens.access).await.expect_problem(401, "invalid_token");
    house.refresh(&tokens.refresh).await.expect_problem(401, "invalid_refresh_token");
}

const WAITING: &str =
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";

#[tokio::test]
async fn a_login_is_refused_when_the_password_it_checked_was_replaced_meanwhile() {
    let house = House::with_account().await;
    let mut changing = house.owner().await;
    sqlx::raw_sql(
        "BEGIN; UPDATE users.accounts SET password_hash = 'another', password_version = password_version + 1",
    )
    .execute(&mut changing)
    .await
    .expect("a change");
    let commit = async {
        // Once somebody waits, the old password was checked, and its session waits for the account.
        for _ in 0..2_000 {
            if house.count(WAITING).await > 0 {
                break;
            }
        }
        sqlx::raw_sql("COMMIT").execute(&mut changing).await.expect("a commit");
    };
    let (login, ()) = tokio::join!(house.try_log_in(EMAIL, PASSWORD), commit);
    login.expect_problem(401, "invalid_credentials");
    assert_eq!(house.count("SELECT count(*) FROM users.sessions").await, 0);
}

/// As if made with the weaker parameters of another time.
fn hash_of_the_past(password: &str) -> String {
    let pepper = test_support::secrets().key("users.password_pepper", 1).expect("a pepper");
    let params = Params::new(8, 1, 1, Some(32)).expect("parameters");
    let argon2 = Argon2::new_with_secret(&pepper, Algorithm::Argon2id, Version::V0x13, params).expect("a hasher");
    let (salt, mut hash) = ([7; 16], [0; 32]);
    argon2.hash_password_into(password.as_bytes(), &salt, &mut hash).expect("a hash");
    let encode = |bytes: &[u8]| STANDARD_NO_PAD.encode(bytes);
    format!("$argon2id$v=19$m=8,t=1,p=1,keyid=1${}${}", encode(&salt), encode(&hash))
}

#[tokio::test]
async fn logins_that_renew_the_hash_at_once_all_succeed() {
    let house = House::with_account().await;
    let update = sqlx::query("UPDATE users.accounts SET password_hash = $1").bind(hash_of_the_past(PASSWORD));
    update.execute(&mut house.owner().await).await.expect("a hash");
    let logins = futures_util::future::join_all((0..4).map(|_| house.try_log_in(EMAIL, PASSWORD))).await;
    for login in logins {
        let _ = login.expect(200);
    }
    let renewed = "SELECT count(*) FROM users.accounts WHERE password_hash LIKE '%m=19456,%' AND password_version = 1";
    assert_eq!(house.count(renewed).await, 1);
}
