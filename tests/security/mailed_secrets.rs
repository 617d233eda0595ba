//! Case 16: the secrets of mails work once, in time, for one purpose.

use serde_json::{Value, json};

use super::asking::{
    EMAIL, at_once, count, home_of_ada, mailed_token, post, reset_token, sql, statuses, try_log_in, try_register,
    without_request_id,
};
use crate::home::{Answer, Home, PASSWORD, send};

const ANOTHER: &str = "another walk, by the river";
const NEW: &str = "new@example.com";
const VERIFY: &str = "/v1/auth/verify-email";
const RESET: &str = "/v1/auth/password/reset";

fn reset(token: &str) -> Value {
    json!({ "token": token, "password": ANOTHER })
}

fn verification(token: &str) -> Value {
    json!({ "token": token })
}

async fn verify_token(home: &Home) -> String {
    send(try_register(home, NEW, PASSWORD)).await.expect(202);
    home.work().await;
    mailed_token(home, NEW)
}

/// What every bad token gets.
async fn refusal(home: &Home) -> Answer {
    let unknown = send(post(home, VERIFY, &verification("unknown"))).await;
    let (status, code, _) = unknown.problem();
    assert_eq!((status, code.as_str()), (400, "invalid_token"));
    unknown
}

#[track_caller]
fn all_get(refusal: &Answer, answers: &[Answer]) {
    for answer in answers {
        assert_eq!((answer.status.as_u16(), without_request_id(answer)), (400, without_request_id(refusal)));
    }
}

#[tokio::test]
async fn case_16_of_many_who_spend_a_token_at_once_one_does_and_the_others_get_the_same_answer() {
    let (home, _) = home_of_ada().await;
    let refusal = refusal(&home).await;
    for (path, body) in
        [(RESET, reset(&reset_token(&home, EMAIL).await)), (VERIFY, verification(&verify_token(&home).await))]
    {
        let answers = at_once((0..5).map(|_| post(&home, path, &body))).await;
        assert_eq!(statuses(&answers), [204, 400, 400, 400, 400], "{path}");
        let losers: Vec<Answer> = answers.into_iter().filter(|answer| answer.status.as_u16() == 400).collect();
        all_get(&refusal, &losers);
        all_get(&refusal, &[send(post(&home, path, &body)).await]);
    }
    assert_eq!(count(&home, "SELECT count(*) FROM users.accounts").await, 2);
    send(try_log_in(&home, EMAIL, ANOTHER)).await.expect(200);
}

#[tokio::test]
async fn case_16_b_an_expired_token_is_worth_nothing() {
    let (home, _) = home_of_ada().await;
    let refusal = refusal(&home).await;
    let (reset_token, verify_token) = (reset_token(&home, EMAIL).await, verify_token(&home).await);
    sql(&home, "UPDATE users.one_time_secrets SET expires_at = now() - interval '1 second'").await;
    sql(&home, "UPDATE users.registrations SET expires_at = now() - interval '1 second'").await;
    let answers =
        at_once([post(&home, RESET, &reset(&reset_token)), post(&home, VERIFY, &verification(&verify_token))]);
    all_get(&refusal, &answers.await);
    send(try_log_in(&home, EMAIL, PASSWORD)).await.expect(200);
}

#[tokio::test]
async fn case_16_c_a_token_made_for_one_purpose_serves_no_other() {
    let (home, tokens) = home_of_ada().await;
    let refusal = refusal(&home).await;
    let (reset_token, verify_token) = (reset_token(&home, EMAIL).await, verify_token(&home).await);
    let change = json!({ "new_email": "moved@example.com" });
    send(post(&home, "/v1/me/email", &change).bearer_auth(&tokens.access)).await.expect(202);
    home.work().await;
    let change_token = mailed_token(&home, "moved@example.com");
    let confirm = |token: &str| post(&home, "/v1/me/email/confirm", &verification(token)).bearer_auth(&tokens.access);
    let answers = at_once([
        post(&home, VERIFY, &verification(&reset_token)),
        post(&home, VERIFY, &verification(&change_token)),
        post(&home, RESET, &reset(&verify_token)),
        post(&home, RESET, &reset(&change_token)),
        confirm(&reset_token),
        confirm(&verify_token),
    ]);
    all_get(&refusal, &answers.await);
    send(confirm(&change_token)).await.expect(204);
    send(post(&home, VERIFY, &verification(&verify_token))).await.expect(204);
}
