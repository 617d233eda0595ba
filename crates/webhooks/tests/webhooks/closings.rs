//! An organization is gone: there is nobody to tell any more.

use platform::caller::{OrgId, Role};
use serde_json::json;

use crate::house::House;

#[tokio::test]
async fn a_deleted_organization_leaves_no_endpoint_no_secret_and_nothing_that_waits() {
    let house = House::open().await;
    let nobody = "http://127.0.0.1:9/hook";
    house.register(nobody).await;
    house.register(nobody).await;
    house.run_sql(
        "INSERT INTO webhooks.endpoints (id, organization_id, url, description, event_types, max_in_flight, version, created_at, updated_at)
         SELECT gen_random_uuid(), gen_random_uuid(), url, '', event_types, 1, 1, now(), now() FROM webhooks.endpoints LIMIT 1;
         INSERT INTO webhooks.due_deliveries (delivery_id, endpoint_id, message_id, next_at)
         SELECT gen_random_uuid(), id, gen_random_uuid(), now() + interval '1 day' FROM webhooks.endpoints, generate_series(1, 900)",
    )
    .await;
    house.close().await;
    house.worker.run_due().await;
    let page = house.api.get(&house.path("webhook-endpoints")).bearer(&house.member(Role::Owner)).send().await;
    assert_eq!(page.expect(200)["data"], json!([]));
    let left = "SELECT (SELECT count(*) FROM webhooks.endpoints) + (SELECT count(*) FROM webhooks.due_deliveries)
        + (SELECT count(*) FROM webhooks.endpoint_secrets)";
    assert_eq!(house.count(left).await, 901, "another organization's endpoint and what waits for it");
    house.happen(1).await;
    house.close().await;
    house.worker.run_due().await;
    let (jobs, messages) = ("SELECT count(*) FROM platform.jobs", "SELECT count(*) FROM webhooks.messages");
    assert_eq!((house.count(jobs).await, house.count(messages).await), (0, 0), "nobody listens");
}

#[tokio::test]
async fn records_hold_the_endpoints_of_the_organizations_without_secrets() {
    let house = House::open().await;
    let registered = house.register("https://example.com/hook").await;
    let stranger = OrgId::new();
    let records = house.records(&[house.org, stranger]).await;
    let (own, other) = (&records["organizations"][0], &records["organizations"][1]);
    assert_eq!((&own["endpoints"][0]["id"], &own["endpoints"][0]["url"]), (&registered["id"], &registered["url"]));
    assert_eq!(other, &json!({ "organization_id": stranger, "endpoints": [] }));
    assert!(!records.to_string().contains("whsec_"));
}
