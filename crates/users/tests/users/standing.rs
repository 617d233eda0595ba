use sqlx::postgres::PgListener;
use test_support::{Statements, eventually};

use crate::house::{EMAIL, House, PASSWORD};
use crate::people::{Person, Team};

/// Statements of one request.
async fn cost(request: impl Future<Output = u16>, status: u16) -> usize {
    let before = Statements::sent();
    assert_eq!(request.await, status);
    Statements::sent() - before
}

async fn me(house: &House, token: &str) -> u16 {
    house.me(token).await.status.as_u16()
}

async fn organization(house: &House, path: &str, person: &Person) -> u16 {
    house.api.get(path).bearer(&person.token).send().await.status.as_u16()
}

#[tokio::test]
async fn who_somebody_is_and_what_they_are_is_asked_once_while_changes_are_heard() {
    let team = Team::open().await;
    let (house, owner) = (&team.house, &team.owner);
    for _ in 0..2 {
        assert_eq!(cost(me(house, &owner.token), 200).await, 2, "deaf: session, account");
        assert_eq!(cost(organization(house, &team.path, owner), 200).await, 3, "deaf: session, role, row");
    }
    house.listen().await;
    assert_eq!(cost(me(house, &owner.token), 200).await, 2, "cold");
    assert_eq!(cost(me(house, &owner.token), 200).await, 1, "warm");
    assert_eq!(cost(organization(house, &team.path, owner), 200).await, 2, "the role is cold");
    assert_eq!(cost(organization(house, &team.path, owner), 200).await, 1, "warm");
}

#[tokio::test]
async fn a_session_that_ends_is_refused_at_once_here_and_elsewhere_when_it_is_heard() {
    let house = House::with_account().await;
    let other = house.another().await;
    house.listen().await;
    other.listen().await;
    let ends = ["/v1/auth/logout", "/v1/me/sessions?scope=all", "/v1/me/password"];
    for (end, body) in ends.into_iter().zip([None, None, Some(PASSWORD)]) {
        let (caller, witness) = (house.log_in().await, house.log_in().await);
        for process in [&house, &other] {
            assert_eq!(me(process, &caller.access).await, 200);
            assert_eq!(me(process, &witness.access).await, 200);
        }
        let ask = match body {
            None if end.contains('?') => house.api.delete(end),
            None => house.api.post(end, &serde_json::json!({})).body(""),
            Some(current) => house.api.post(
                end,
                &serde_json::json!({ "current_password": current, "new_password": "another walk, by the river" }),
            ),
        };
        assert_eq!(ask.bearer(&caller.access).send().await.status, 204, "{end}");
        let ended = if body.is_some() { &witness.access } else { &caller.access };
        assert_eq!(me(&house, ended).await, 401, "{end}");
        eventually(end, async || me(&other, ended).await == 401).await;
    }
}

#[tokio::test]
async fn a_stolen_refresh_token_ends_the_session_at_once() {
    let house = House::with_account().await;
    house.listen().await;
    let first = house.log_in().await;
    let _ = house.refresh(&first.refresh).await.expect(200);
    house.sql("UPDATE users.sessions SET rotated_at = now() - interval '11 seconds'").await;
    assert_eq!(me(&house, &first.access).await, 200);
    house.refresh(&first.refresh).await.expect_problem(401, "invalid_refresh_token");
    assert_eq!(me(&house, &first.access).await, 401);
}

#[tokio::test]
async fn a_removed_member_and_a_changed_role_count_at_once_here_and_elsewhere_when_it_is_heard() {
    let team = Team::open().await;
    let house = &team.house;
    let other = house.another().await;
    house.listen().await;
    other.listen().await;
    let admin = team.join("admin", "admin").await;
    let log = format!("{}/audit-log", team.path);
    let member = format!("{}/members/{}", team.path, admin.id);
    for process in [house, &other] {
        assert_eq!(organization(process, &log, &admin).await, 200);
    }
    let demote = house.api.patch(&member, &serde_json::json!({ "role": "viewer" })).bearer(&team.owner.token);
    let _ = demote.send().await.expect(200);
    assert_eq!(organization(house, &log, &admin).await, 403);
    eventually("the role", async || organization(&other, &log, &admin).await == 403).await;
    assert_eq!(organization(house, &team.path, &admin).await, 200);
    assert_eq!(house.api.delete(&member).bearer(&team.owner.token).send().await.status, 204);
    assert_eq!(organization(house, &team.path, &admin).await, 404);
    eventually("the removal", async || organization(&other, &team.path, &admin).await == 404).await;
}

#[tokio::test]
async fn nobody_is_a_member_of_a_deleted_organization() {
    let team = Team::open().await;
    let house = &team.house;
    house.listen().await;
    let viewer = team.join("vera", "viewer").await;
    let members = format!("{}/members", team.path);
    assert_eq!(organization(house, &members, &viewer).await, 200);
    assert_eq!(house.api.delete(&team.path).bearer(&team.owner.token).send().await.status, 204);
    assert_eq!(organization(house, &members, &viewer).await, 404);
}

#[tokio::test]
async fn plain_sql_is_heard_as_well() {
    for statement in [
        "UPDATE users.sessions SET revoked_at = now()",
        "UPDATE users.sessions SET expires_at = now()",
        "UPDATE users.sessions SET idle_expires_at = now()",
        "DELETE FROM users.sessions",
        "UPDATE users.accounts SET disabled_at = now()",
        "DELETE FROM users.accounts",
    ] {
        let house = House::with_account().await;
        house.listen().await;
        let tokens = house.log_in().await;
        assert_eq!(me(&house, &tokens.access).await, 200);
        house.sql(statement).await;
        eventually(statement, async || me(&house, &tokens.access).await == 401).await;
    }
}

#[tokio::test]
async fn what_takes_nothing_away_is_not_told() {
    let house = House::with_account().await;
    let tokens = house.log_in().await;
    let mut listener = PgListener::connect(&house.database_url()).await.expect("a connection");
    listener.listen("changes").await.expect("listening");
    let tokens = crate::house::Tokens::from(house.refresh(&tokens.refresh).await.expect(200));
    let rename = house.api.patch("/v1/me", &serde_json::json!({ "name": "Ada L." })).bearer(&tokens.access);
    let _ = rename.send().await.expect(200);
    house.log_in().await;
    house
        .sql("UPDATE users.sessions SET expires_at = now() - interval '1 day', revoked_at = revoked_at WHERE false")
        .await;
    house.sql("SELECT pg_notify('changes', 'nothing else')").await;
    assert_eq!(listener.recv().await.expect("a word").payload(), "nothing else", "{EMAIL} lost nothing");
}
