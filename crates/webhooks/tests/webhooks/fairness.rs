//! One organization's endpoints never take all the room that a process has for calls.

use std::time::Duration;

use platform::caller::{OrgId, Role};
use platform::jobs::enqueue;
use platform::outbound::AddressRules;
use platform::shutdown::Shutdown;
use platform::telemetry::spawn;
use serde_json::json;
use tokio::time::timeout;
use webhooks::Config;

use crate::house::{House, Tell};
use crate::receiver::{Receiver, Reply};

const PATIENCE: Duration = Duration::from_mins(1);

#[tokio::test]
async fn an_organization_whose_endpoints_all_hang_leaves_room_for_the_others() {
    let house = House::with(AddressRules::Any, Config { concurrency: 20, ..Config::default() }).await;
    let mut hanging = Receiver::hesitating([Reply::default()]).await;
    for _ in 0..5 {
        house.register(&hanging.url).await;
    }
    let (neighbour, mut quick) = (OrgId::new(), Receiver::open().await);
    let owner = house.people.member(neighbour, Role::Owner);
    let wish = json!({ "url": quick.url, "event_types": ["organization.created"] });
    let path = format!("/v1/organizations/{neighbour}/webhook-endpoints");
    let _ = house.api.post(&path, &wish).bearer(&owner).send().await.expect(201);
    let shutdown = Shutdown::new();
    let (worker, until) = (house.patient_worker(), shutdown.clone());
    let running = spawn("worker", async move { worker.run(until).await });

    house.happen(10).await;
    timeout(PATIENCE, hanging.wait_for(10)).await.expect("half of the room");
    for number in 0..30 {
        let mut tx = house.db.begin().await.expect("begins");
        let data = json!({ "id": number.to_string(), "name": "Ada" });
        let event_type = "organization.created".to_owned();
        let tell = Tell { organization: neighbour, event_type, data, fail_afterwards: false };
        enqueue(&mut tx, &tell).await.expect("enqueued");
        tx.commit().await.expect("committed");
    }
    timeout(PATIENCE, quick.wait_for(30)).await.expect("the neighbour is served");
    assert_eq!(hanging.seen().len(), 10, "no more than is left");
    hanging.answer_all();
    timeout(PATIENCE, hanging.wait_for(40)).await.expect("what was held back follows, without waiting for the poll");
    shutdown.begin();
    running.await.expect("the worker ends");
    assert_eq!(house.count("SELECT count(*) FROM webhooks.due_deliveries").await, 0);
}
