//! Cases 12 to 15 and 28: sessions that end, refresh tokens that come back, logins that are old.

use reqwest::Method;
use serde_json::json;
use test_support::eventually;

use super::asking::{
    EMAIL, Tokens, at_once, count, delete, get, home_of_ada, is_dead, is_problem, log_in, post, problem, reset_token,
    sql, statuses, try_refresh,
};
use crate::home::{Home, PASSWORD, send};

const ANOTHER: &str = "another walk, by the river";

async fn is_spent(home: &Home, refresh_token: &str) {
    is_problem(&problem(try_refresh(home, refresh_token)).await, 401, "invalid_refresh_token");
}

#[tokio::test]
async fn case_12_a_session_that_was_logged_out_is_dead_at_once() {
    let (home, tokens) = home_of_ada().await;
    let other = log_in(&home, EMAIL).await;
    send(get(&home, &tokens.access, "/v1/me")).await.expect(200);
    send(home.ask(Method::POST, "/v1/auth/logout").bearer_auth(&tokens.access)).await.expect(204);
    is_dead(&home, &tokens.access).await;
    is_spent(&home, &tokens.refresh).await;
    send(get(&home, &other.access, "/v1/me")).await.expect(200);
}

#[tokio::test]
async fn case_12_b_a_new_password_ends_the_other_sessions_at_once_and_a_reset_all() {
    let (home, tokens) = home_of_ada().await;
    let other = log_in(&home, EMAIL).await;
    send(get(&home, &other.access, "/v1/me")).await.expect(200);
    let change = json!({ "current_password": PASSWORD, "new_password": ANOTHER });
    send(post(&home, "/v1/me/password", &change).bearer_auth(&tokens.access)).await.expect(204);
    is_dead(&home, &other.access).await;
    is_spent(&home, &other.refresh).await;
    send(get(&home, &tokens.access, "/v1/me")).await.expect(200);

    let reset = json!({ "token": reset_token(&home, EMAIL).await, "password": PASSWORD });
    send(post(&home, "/v1/auth/password/reset", &reset)).await.expect(204);
    is_dead(&home, &tokens.access).await;
    is_spent(&home, &tokens.refresh).await;
}

#[tokio::test]
async fn case_12_c_an_erased_account_has_no_live_token() {
    let (home, tokens) = home_of_ada().await;
    let other = log_in(&home, EMAIL).await;
    send(get(&home, &other.access, "/v1/me")).await.expect(200);
    send(delete(&home, &tokens.access, "/v1/me")).await.expect(204);
    for Tokens { access, refresh } in [&tokens, &other] {
        is_dead(&home, access).await;
        is_spent(&home, refresh).await;
    }
}

/// No request disables an account; whoever does it in the database is heard.
#[tokio::test]
async fn case_12_d_a_disabled_account_has_no_live_token() {
    let (home, tokens) = home_of_ada().await;
    send(get(&home, &tokens.access, "/v1/me")).await.expect(200);
    sql(&home, "UPDATE users.accounts SET disabled_at = now()").await;
    eventually("the token is dead", async || send(get(&home, &tokens.access, "/v1/me")).await.status.as_u16() == 401)
        .await;
    is_spent(&home, &tokens.refresh).await;
}

#[tokio::test]
async fn case_13_a_refresh_token_used_again_later_ends_the_session_and_tells_its_owner() {
    let (home, stolen) = home_of_ada().await;
    let newest = Tokens::of(&send(try_refresh(&home, &stolen.refresh)).await);
    sql(&home, "UPDATE users.sessions SET rotated_at = now() - interval '11 seconds'").await;
    is_spent(&home, &stolen.refresh).await;
    is_dead(&home, &stolen.access).await;
    is_dead(&home, &newest.access).await;
    is_spent(&home, &newest.refresh).await;
    assert_eq!(count(&home, "SELECT count(*) FROM users.audit_log WHERE action = 'authn_token_reuse'").await, 1);
    home.work().await;
    assert_eq!(home.house.mailbox.to(EMAIL).len(), 1);
}

#[tokio::test]
async fn case_14_of_fifty_racing_refreshes_one_lineage_survives() {
    let (home, tokens) = home_of_ada().await;
    let answers = at_once((0..50).map(|_| try_refresh(&home, &tokens.refresh))).await;
    assert_eq!(statuses(&answers), [200; 50]);
    assert_eq!(count(&home, "SELECT generation::bigint FROM users.sessions").await, 1);
    let (first, last) = (Tokens::of(&answers[0]), Tokens::of(&answers[49]));
    let next = Tokens::of(&send(try_refresh(&home, &last.refresh)).await);
    send(get(&home, &next.access, "/v1/me")).await.expect(200);
    // Its twin was handed out as well, and counts as the token before the newest.
    let twin = Tokens::of(&send(try_refresh(&home, &first.refresh)).await);
    assert_eq!(count(&home, "SELECT count(*) FROM users.sessions WHERE revoked_at IS NULL").await, 1);
    send(try_refresh(&home, &twin.refresh)).await.expect(200);
    is_spent(&home, &tokens.refresh).await;
    is_dead(&home, &next.access).await;
}

#[tokio::test]
async fn case_15_a_refresh_token_two_generations_old_ends_the_session_even_within_the_grace() {
    let (home, old) = home_of_ada().await;
    let second = Tokens::of(&send(try_refresh(&home, &old.refresh)).await);
    let third = Tokens::of(&send(try_refresh(&home, &second.refresh)).await);
    is_spent(&home, &old.refresh).await;
    is_dead(&home, &third.access).await;
    is_spent(&home, &third.refresh).await;
}

#[tokio::test]
async fn case_28_what_is_hard_to_undo_wants_a_recent_login() {
    let (home, tokens) = home_of_ada().await;
    let created = post(&home, "/v1/organizations", &json!({ "name": "Acme" })).bearer_auth(&tokens.access);
    let org = send(created).await.expect(201)["id"].as_str().expect("an id").to_owned();
    home.clock.advance(std::time::Duration::from_secs(601));
    let old = Tokens::of(&send(try_refresh(&home, &tokens.refresh)).await).access;
    let organization = format!("/v1/organizations/{org}");
    let token = json!({ "name": "x", "scopes": ["read"], "expires_at": home.clock.now() + chrono::TimeDelta::days(1) });
    let owner = json!({ "email": "eve@example.com", "role": "owner" });
    for (method, path, body) in [
        (Method::DELETE, "/v1/me".to_owned(), None),
        (Method::POST, "/v1/me/email".to_owned(), Some(json!({ "new_email": "new@example.com" }))),
        (Method::POST, "/v1/me/mfa/totp".to_owned(), None),
        (Method::POST, "/v1/me/mfa/totp/confirm".to_owned(), Some(json!({ "code": "123456" }))),
        (Method::DELETE, "/v1/me/mfa/totp".to_owned(), None),
        (Method::POST, "/v1/me/tokens".to_owned(), Some(token)),
        (Method::POST, "/v1/me/export".to_owned(), None),
        (Method::POST, format!("{organization}/invitations"), Some(owner)),
        (Method::DELETE, organization, None),
    ] {
        let mut ask = home.ask(method, &path).bearer_auth(&old);
        if let Some(body) = body {
            ask = ask.json(&body);
        }
        assert_eq!(problem(ask).await, (401, "recent_login_required".to_owned()), "{path}");
    }
    let fresh = log_in(&home, EMAIL).await;
    send(delete(&home, &fresh.access, "/v1/me")).await.expect(204);
}
