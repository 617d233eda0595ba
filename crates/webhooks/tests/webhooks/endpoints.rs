use platform::caller::{OrgId, Role};
use platform::outbound::AddressRules;
use serde_json::{Value, json};
use webhooks::Config;

use crate::house::House;

fn wish() -> Value {
    json!({ "url": "https://example.com/hook", "event_types": ["organization.created"] })
}

fn of(endpoint: &Value) -> String {
    format!("webhook-endpoints/{}", endpoint["id"].as_str().expect("an id"))
}

#[tokio::test]
async fn the_secret_is_shown_once_and_stored_sealed() {
    let house = House::open().await;
    let answer =
        house.api.post(&house.path("webhook-endpoints"), &wish()).bearer(&house.member(Role::Admin)).send().await;
    let created = answer.expect(201);
    assert_eq!(answer.header("etag"), "\"1\"");
    let secret = created["secret"].as_str().expect("a secret");
    assert!(secret.starts_with("whsec_") && secret.len() == 6 + 32, "{secret}");
    assert_eq!(created["url"], "https://example.com/hook");
    assert_eq!(created["max_in_flight"], 10);
    assert_eq!(created["description"], "");
    let shown = house.get(&of(&created)).await;
    let listed = house.get("webhook-endpoints").await;
    assert_eq!(listed["data"], json!([shown]));
    assert!(shown.get("secret").is_none());
    let plain = "SELECT count(*) FROM webhooks.endpoint_secrets WHERE octet_length(sealed) <= 32";
    assert_eq!(house.count(plain).await, 0, "sealing adds generation, nonce and tag");
}

#[tokio::test]
async fn every_bad_field_is_named() {
    let house = House::with(AddressRules::PublicOnly, Config::default()).await;
    let owner = house.member(Role::Owner);
    for (change, field, code) in [
        (json!({ "url": "https://127.0.0.1/hook" }), "url", "invalid_url"),
        (json!({ "url": "http://example.com/hook" }), "url", "invalid_url"),
        (json!({ "url": "" }), "url", "too_short"),
        (json!({ "event_types": ["organization.exploded"] }), "event_types[0]", "unknown_event_type"),
        (json!({ "event_types": [] }), "event_types", "too_few"),
        (json!({ "event_types": [1] }), "event_types[0]", "wrong_type"),
        (json!({ "max_in_flight": 101 }), "max_in_flight", "out_of_range"),
        (json!({ "description": "a".repeat(256) }), "description", "too_long"),
        (json!({ "description": "a\u{0}" }), "description", "control_character"),
        (json!({ "secret": "mine" }), "secret", "unknown_field"),
        (json!({ "organization_id": "x" }), "organization_id", "unknown_field"),
    ] {
        let mut body = wish();
        for (field, value) in change.as_object().expect("fields") {
            body[field] = value.clone();
        }
        let answer = house.api.post(&house.path("webhook-endpoints"), &body).bearer(&owner).send().await;
        let expected = vec![(field.to_owned(), code.to_owned())];
        assert_eq!(answer.expect_problem(422, "invalid_request"), expected, "{change}");
    }
    assert_eq!(house.count("SELECT count(*) FROM webhooks.endpoints").await, 0);
}

#[tokio::test]
async fn who_may_do_what() {
    let house = House::open().await;
    let endpoint = house.register("https://example.com/hook").await;
    let (list, one) = (house.path("webhook-endpoints"), house.path(&of(&endpoint)));
    let deliveries = format!("{one}/deliveries");
    for (role, manages, reads) in [
        (Role::Owner, true, true),
        (Role::Admin, true, true),
        (Role::Member, false, true),
        (Role::Viewer, false, true),
        (Role::Billing, false, false),
    ] {
        let token = house.member(role);
        let expected = |allowed: bool, status: u16| if allowed { status } else { 403 };
        let asks = [
            (house.api.get(&list), expected(reads, 200)),
            (house.api.get(&one), expected(reads, 200)),
            (house.api.get(&deliveries), expected(reads, 200)),
            (house.api.post(&list, &wish()), expected(manages, 201)),
            (house.api.patch(&one, &json!({ "description": role.as_str() })), expected(manages, 200)),
            (house.api.post(&format!("{one}/rotate-secret"), &json!({ "overlap_seconds": 0 })), expected(manages, 200)),
            (house.api.post(&format!("{one}/enable"), &json!({})), expected(manages, 204)),
            (house.api.post(&format!("{one}/test"), &json!({})), expected(manages, 202)),
        ];
        for (ask, status) in asks {
            assert_eq!(ask.bearer(&token).send().await.status.as_u16(), status, "{role}");
        }
    }
    let refused = house.api.delete(&one).bearer(&house.member(Role::Viewer)).send().await;
    refused.expect_problem(403, "forbidden");
    house.api.get(&list).send().await.expect_problem(401, "invalid_token");
}

#[tokio::test]
async fn another_organizations_endpoint_is_not_there() {
    let house = House::open().await;
    let endpoint = house.register("https://example.com/hook").await;
    let other = OrgId::new();
    let token = house.people.member(other, Role::Owner);
    let foreign = format!("/v1/organizations/{other}/{}", of(&endpoint));
    for ask in [
        house.api.get(&foreign),
        house.api.get(&format!("{foreign}/deliveries")),
        house.api.patch(&foreign, &json!({ "description": "mine" })),
        house.api.delete(&foreign),
        house.api.post(&format!("{foreign}/rotate-secret"), &json!({})),
        house.api.post(&format!("{foreign}/enable"), &json!({})),
        house.api.post(&format!("{foreign}/test"), &json!({})),
        house.api.get(&house.path(&of(&endpoint))),
        house.api.get(&house.path("webhook-endpoints")),
        house.api.get(&format!("/v1/organizations/{other}/webhook-endpoints/not-an-id")),
    ] {
        ask.bearer(&token).send().await.expect_problem(404, "not_found");
    }
    assert_eq!(house.get(&of(&endpoint)).await["description"], "");
}

#[tokio::test]
async fn a_change_needs_the_version_that_was_read() {
    let house = House::open().await;
    let endpoint = house.register("https://example.com/hook").await;
    let (path, owner) = (house.path(&of(&endpoint)), house.member(Role::Owner));
    let names = json!(["organization.updated", "organization.created", "organization.updated"]);
    let change = json!({ "event_types": names, "max_in_flight": 1, "url": "https://example.com/new" });
    let answer = house.api.patch(&path, &change).bearer(&owner).header("if-match", "\"1\"").send().await;
    let changed = answer.expect(200);
    assert_eq!(answer.header("etag"), "\"2\"");
    assert_eq!(changed["event_types"], json!(["organization.created", "organization.updated"]));
    assert_eq!((&changed["max_in_flight"], &changed["url"]), (&json!(1), &json!("https://example.com/new")));
    for ask in [house.api.patch(&path, &change), house.api.delete(&path)] {
        ask.bearer(&owner).header("if-match", "\"1\"").send().await.expect_problem(412, "version_mismatch");
    }
    let refused = house.api.patch(&path, &json!({ "url": "ftp://example.com" })).bearer(&owner).send().await;
    assert_eq!(refused.expect_problem(422, "invalid_request"), [("url".to_owned(), "invalid_url".to_owned())]);
    assert_eq!(house.get(&of(&endpoint)).await, changed);
    assert_eq!(house.api.delete(&path).bearer(&owner).header("if-match", "\"2\"").send().await.status, 204);
    house.api.get(&path).bearer(&owner).send().await.expect_problem(404, "not_found");
}

#[tokio::test]
async fn two_creations_cannot_take_the_last_place() {
    let config = Config { max_endpoints: 2, ..Config::default() };
    let house = House::with(AddressRules::Any, config).await;
    house.register("https://example.com/first").await;
    let (path, owner, wish) = (house.path("webhook-endpoints"), house.member(Role::Owner), wish());
    let create = || house.api.post(&path, &wish).bearer(&owner).send();
    let (one, other) = tokio::join!(create(), create());
    let (made, refused) = if one.status == 201 { (one, other) } else { (other, one) };
    assert_eq!(made.status, 201);
    refused.expect_problem(409, "too_many_endpoints");
    let other_organization = OrgId::new();
    let path = format!("/v1/organizations/{other_organization}/webhook-endpoints");
    let token = house.people.member(other_organization, Role::Owner);
    assert_eq!(house.api.post(&path, &wish).bearer(&token).send().await.status, 201);
}

#[tokio::test]
async fn endpoints_are_listed_in_pages() {
    let house = House::open().await;
    let mut expected = Vec::new();
    for number in 0..3 {
        let endpoint = house.register(&format!("https://example.com/{number}")).await;
        expected.insert(0, endpoint["id"].clone());
    }
    let first = house.get("webhook-endpoints?limit=2").await;
    let cursor = first["next_cursor"].as_str().expect("there is more");
    let second = house.get(&format!("webhook-endpoints?limit=2&cursor={cursor}")).await;
    let ids =
        |page: &Value| page["data"].as_array().expect("a page").iter().map(|one| one["id"].clone()).collect::<Vec<_>>();
    assert_eq!([ids(&first), ids(&second)].concat(), expected);
    assert_eq!(second["next_cursor"], Value::Null);
}

#[tokio::test]
async fn the_catalogue_is_public() {
    let house = House::open().await;
    let answer = house.api.get("/v1/event-types").send().await;
    let catalogue = answer.expect(200);
    assert_eq!(answer.header("cache-control"), "public, max-age=300");
    let names: Vec<_> =
        catalogue["data"].as_array().expect("a list").iter().map(|known| known["name"].clone()).collect();
    let facts = ["organization.created", "organization.updated", "billing.subscription.updated"];
    assert_eq!(names, [&facts[..], &["webhook_endpoint.disabled", "webhook_endpoint.test"]].concat());
    assert_eq!(catalogue["data"][0]["example"]["type"], "organization.created");
    assert_eq!(catalogue["data"][0]["schema"]["properties"]["type"]["const"], "organization.created");
}
