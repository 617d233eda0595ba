use serde_json::{Value, json};
use test_support::Answer;

use crate::house::{House, PASSWORD};

async fn create(house: &House, token: &str, name: &str, key: Option<&str>) -> Answer {
    let ask = house.api.post("/v1/organizations", &json!({ "name": name })).bearer(token);
    match key {
        Some(key) => ask.header("idempotency-key", key).send().await,
        None => ask.send().await,
    }
}

async fn stranger(house: &House) -> String {
    house.users.seed_account("eve@example.com", PASSWORD, "Eve").await.expect("an account");
    house.try_log_in("eve@example.com", PASSWORD).await.expect(200)["access_token"]
        .as_str()
        .expect("a token")
        .to_owned()
}

fn path(organization: &Value) -> String {
    format!("/v1/organizations/{}", organization["id"].as_str().expect("an id"))
}

#[tokio::test]
async fn the_creator_owns_the_organization_and_strangers_do_not_see_it() {
    let house = House::with_account().await;
    let token = house.log_in().await.access;
    let organization = create(&house, &token, "Acme", None).await.expect(201);
    let shown = house.api.get(&path(&organization)).bearer(&token).send().await;
    assert_eq!((shown.expect(200), shown.header("etag")), (organization.clone(), "\"1\""));
    let eve = stranger(&house).await;
    house.api.get(&path(&organization)).bearer(&eve).send().await.expect_problem(404, "not_found");
    let rename = house.api.patch(&path(&organization), &json!({ "name": "Mine" })).bearer(&eve).send().await;
    rename.expect_problem(404, "not_found");
    house.api.get("/v1/organizations/not-an-id").bearer(&token).send().await.expect_problem(404, "not_found");
}

#[tokio::test]
async fn a_repeated_creation_is_answered_again_and_not_done_again() {
    let house = House::with_account().await;
    let token = house.log_in().await.access;
    let first = create(&house, &token, "Acme", Some("k1")).await;
    let again = create(&house, &token, "Acme", Some("k1")).await;
    assert_eq!(first.expect(201), again.expect(201));
    assert_eq!((first.header("idempotency-replayed"), again.header("idempotency-replayed")), ("", "true"));
    assert_eq!(again.header("etag"), "\"1\"");
    create(&house, &token, "Other", Some("k1")).await.expect_problem(422, "idempotency_key_reused");
    create(&house, &token, "Acme", Some("")).await.expect_problem(400, "invalid_idempotency_key");
    let eve = stranger(&house).await;
    let hers = create(&house, &eve, "Acme", Some("k1")).await.expect(201);
    assert_ne!(hers["id"], first.json()["id"], "keys belong to their caller");
    assert_eq!(house.count("SELECT count(*) FROM users.organizations").await, 2);
}

#[tokio::test]
async fn of_many_twins_one_runs() {
    let house = House::with_account().await;
    let token = house.log_in().await.access;
    let twins = futures_util::future::join_all((0..20).map(|_| create(&house, &token, "Acme", Some("k1")))).await;
    for twin in &twins {
        match twin.status.as_u16() {
            201 => {}
            409 => drop(twin.expect_problem(409, "idempotency_in_progress")),
            other => panic!("{other}: {}", twin.text),
        }
    }
    assert_eq!(house.count("SELECT count(*) FROM users.organizations").await, 1);
}

#[tokio::test]
async fn a_lost_update_is_refused() {
    let house = House::with_account().await;
    let token = house.log_in().await.access;
    let organization = create(&house, &token, "Acme", None).await.expect(201);
    let rename = |name: &'static str, tag: &'static str| {
        house.api.patch(&path(&organization), &json!({ "name": name })).bearer(&token).header("if-match", tag).send()
    };
    let renamed = rename("Acme 2", "\"1\"").await;
    assert_eq!((renamed.expect(200)["name"].as_str(), renamed.header("etag")), (Some("Acme 2"), "\"2\""));
    rename("Acme 3", "\"1\"").await.expect_problem(412, "version_mismatch");
    let _ = rename("Acme 3", "*").await.expect(200);
}

#[tokio::test]
async fn roles_below_admin_may_look_but_not_rename() {
    let house = House::with_account().await;
    let token = house.log_in().await.access;
    let organization = create(&house, &token, "Acme", None).await.expect(201);
    for (role, status) in [("admin", 200), ("member", 403), ("billing", 403), ("viewer", 403)] {
        sqlx::query("UPDATE users.memberships SET role = $1")
            .bind(role)
            .execute(&mut house.owner().await)
            .await
            .expect("a role");
        let _ = house.api.get(&path(&organization)).bearer(&token).send().await.expect(200);
        let rename = house.api.patch(&path(&organization), &json!({ "name": role })).bearer(&token).send().await;
        assert_eq!(rename.status.as_u16(), status, "{role}");
    }
}

#[tokio::test]
async fn organizations_are_listed_in_pages_newest_first() {
    let house = House::with_account().await;
    let token = house.log_in().await.access;
    for number in 1..=5 {
        let _ = create(&house, &token, &format!("No. {number}"), None).await.expect(201);
    }
    let mut names = Vec::new();
    let mut next = "/v1/organizations?limit=2".to_owned();
    loop {
        let page = house.api.get(&next).bearer(&token).send().await.expect(200);
        names.extend(
            page["data"].as_array().expect("data").iter().map(|o| o["name"].as_str().expect("a name").to_owned()),
        );
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        next = format!("/v1/organizations?limit=2&cursor={cursor}");
    }
    assert_eq!(names, ["No. 5", "No. 4", "No. 3", "No. 2", "No. 1"]);
    let bad = house.api.get("/v1/organizations?cursor=AAAA").bearer(&token).send().await;
    bad.expect_problem(400, "invalid_cursor");
    let bad = house.api.get("/v1/organizations?limit=101").bearer(&token).send().await;
    assert_eq!(bad.expect_problem(422, "invalid_request"), [("limit".to_owned(), "out_of_range".to_owned())]);
}
