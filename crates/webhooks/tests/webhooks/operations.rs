//! What operators find and mend, across organizations.

use chrono::TimeDelta;
use platform::caller::OrgId;
use platform::clock::Clock;
use platform::ids::new_uuid;
use serde_json::Value;
use uuid::Uuid;
use webhooks::{DeliveryFilter, DeliveryOutcome, DeliveryStatus, ReceiptFilter};

use crate::house::House;
use crate::receiver::{Receiver, Reply};
use crate::sender::{self, event, expect_taken, send};

fn everything() -> DeliveryFilter {
    DeliveryFilter { organization: None, endpoint: None, statuses: DeliveryStatus::ALL.to_vec(), since: None }
}

/// The ids of deliveries, newest first, both ways and in pages of one.
async fn ids(house: &House, filter: &DeliveryFilter) -> Vec<Uuid> {
    let ids = house.webhooks().list_delivery_ids(filter, Uuid::max(), 100).await.expect("a list");
    let counted = house.webhooks().count_deliveries(filter).await.expect("a number");
    assert_eq!(counted.and_then(|counted| usize::try_from(counted).ok()), Some(ids.len()));
    let (mut before, mut paged) = (Uuid::max(), Vec::new());
    while let Some(id) = house.webhooks().list_delivery_ids(filter, before, 1).await.expect("a list").pop() {
        paged.push(id);
        before = id;
    }
    assert_eq!(paged, ids);
    ids
}

#[tokio::test]
async fn very_many_deliveries_are_not_counted_to_the_end() {
    let house = House::open().await;
    house.register("https://example.com/hook").await;
    house
        .run_sql(
            "INSERT INTO webhooks.due_deliveries (delivery_id, endpoint_id, message_id, next_at)
             SELECT gen_random_uuid(), id, gen_random_uuid(), now()
             FROM webhooks.endpoints, generate_series(1, 100000)",
        )
        .await;
    assert_eq!(house.webhooks().count_deliveries(&everything()).await.expect("a count"), Some(100_000));
    house
        .run_sql(
            "INSERT INTO webhooks.due_deliveries (delivery_id, endpoint_id, message_id, next_at)
             SELECT gen_random_uuid(), id, gen_random_uuid(), now() FROM webhooks.endpoints",
        )
        .await;
    assert_eq!(house.webhooks().count_deliveries(&everything()).await.expect("a count"), None);
}

fn id(value: &Value) -> Uuid {
    value["id"].as_str().expect("an id").parse().expect("an id")
}

fn all_as(ids: &[Uuid], outcome: DeliveryOutcome) -> Vec<(Uuid, DeliveryOutcome)> {
    ids.iter().map(|id| (*id, outcome)).collect()
}

/// Three deliveries that failed once and wait, to one endpoint; newest first.
async fn waiting() -> (House, Receiver, Value, Vec<Uuid>) {
    let house = House::open().await;
    let receiver = Receiver::replying([Reply::status(500)]).await;
    let endpoint = house.register(&receiver.url).await;
    house.happen(3).await;
    house.worker.run_due().await;
    let waiting = ids(&house, &everything()).await;
    assert_eq!(waiting.len(), 3);
    (house, receiver, endpoint, waiting)
}

#[tokio::test]
async fn deliveries_of_every_organization_are_found_by_status_endpoint_organization_and_age() {
    let mut house = House::open().await;
    let (good, bad) = (Receiver::open().await, Receiver::replying([Reply::status(500)]).await);
    let first = house.org;
    let arriving = house.register(&good.url).await;
    let failing = house.register(&bad.url).await;
    house.happen(1).await;
    house.worker.run_due().await;
    // Given up before the worker runs again, or it might be tried once more.
    house.run_sql("UPDATE webhooks.deliveries SET status = 'dead', finished_at = now() WHERE status = 'pending'").await;
    house.run_sql("DELETE FROM webhooks.due_deliveries").await;
    house.org = OrgId::new();
    let foreign = house.register(&good.url).await;
    house.happen(1).await;
    house.worker.run_due().await;

    let with = |statuses: &[DeliveryStatus]| DeliveryFilter { statuses: statuses.to_vec(), ..everything() };
    let dead = ids(&house, &with(&[DeliveryStatus::Dead])).await;
    let delivered = ids(&house, &with(&[DeliveryStatus::Delivered])).await;
    assert_eq!((dead.len(), delivered.len()), (1, 2));
    assert_eq!(ids(&house, &DeliveryFilter { endpoint: Some(id(&failing)), ..everything() }).await, dead);
    let of = |organization| DeliveryFilter { organization: Some(organization), ..everything() };
    assert_eq!(ids(&house, &of(first)).await.len(), 2);
    let theirs = ids(&house, &of(house.org)).await;
    assert_eq!(theirs, [delivered[0]]);
    assert_eq!(ids(&house, &DeliveryFilter { endpoint: Some(id(&arriving)), ..of(house.org) }).await.len(), 0);
    assert_eq!(ids(&house, &of(OrgId::new())).await.len(), 0);
    let later = Clock::system().now() + TimeDelta::minutes(1);
    assert_eq!(ids(&house, &DeliveryFilter { since: Some(later), ..everything() }).await.len(), 0);
    let earlier = Clock::system().now() - TimeDelta::minutes(1);
    assert_eq!(ids(&house, &DeliveryFilter { since: Some(earlier), ..everything() }).await.len(), 3);

    let found = house.webhooks().find_deliveries(&[dead[0], delivered[0], new_uuid()]).await.expect("a list");
    let facts: Vec<_> = found.iter().map(|one| (one.id, one.attempts, one.last_http_status)).collect();
    assert_eq!(facts, [(delivered[0], 1, Some(200)), (dead[0], 1, Some(500))]);
    assert_eq!((found[1].last_error.as_deref(), found[0].endpoint_id), (Some("http_status"), id(&foreign)));
    let attempts = house.webhooks().list_delivery_attempts(dead[0], 10).await.expect("a list");
    assert_eq!((attempts.len(), attempts[0].http_status), (1, Some(500)));
}

#[tokio::test]
async fn operators_do_not_see_what_a_receiver_hides_in_its_url() {
    let house = House::open().await;
    for url in ["http://hooks.test:8443/s3cret?token=s3cret", "http://hooks.test?s3cret", "http://hooks.test/s3cret"] {
        house.register(url).await;
    }
    house.happen(1).await;
    house.worker.run_due().await;
    let found = house.webhooks().find_deliveries(&ids(&house, &everything()).await).await.expect("a list");
    assert!(!serde_json::to_string(&found).expect("JSON").contains("s3cret"), "{found:?}");
    let mut origins: Vec<_> = found.iter().filter_map(|one| one.endpoint_origin.as_deref()).collect();
    origins.sort_unstable();
    assert_eq!(origins, ["http://hooks.test", "http://hooks.test", "http://hooks.test:8443"]);
}

#[tokio::test]
async fn what_waits_is_given_up_with_its_slots_but_not_while_it_is_sent() {
    let (house, receiver, endpoint, waiting) = waiting().await;
    // One is on its way, one was when its worker vanished, one waits.
    for (number, until) in [(0, "now() + interval '1 minute'"), (1, "now()")] {
        let lease = format!(
            "UPDATE webhooks.due_deliveries SET lease = gen_random_uuid(), leased_until = {until}, next_at = now()
             WHERE delivery_id = '{}'",
            waiting[number]
        );
        house.run_sql(lease.leak()).await;
    }
    house.run_sql("UPDATE webhooks.endpoints SET in_flight = 2").await;
    let mut wanted = waiting.clone();
    wanted.push(new_uuid());
    let outcomes = house.webhooks().discard_deliveries(&wanted).await.expect("answered");
    let expected = [DeliveryOutcome::Sending, DeliveryOutcome::Done, DeliveryOutcome::Done, DeliveryOutcome::Missing];
    assert_eq!(outcomes, wanted.iter().copied().zip(expected).collect::<Vec<_>>());
    assert_eq!(house.count("SELECT in_flight::bigint FROM webhooks.endpoints").await, 1, "the slot is given back");
    assert_eq!(house.count("SELECT count(*) FROM webhooks.due_deliveries").await, 1);
    let again = house.webhooks().discard_deliveries(&waiting[1..]).await.expect("answered");
    assert_eq!(again, all_as(&waiting[1..], DeliveryOutcome::Finished));

    house.end_leases().await;
    house.hurry().await;
    house.worker.run_due().await;
    assert_eq!(receiver.seen().len(), 4, "only the one that was left is tried again");
    let shown = house.deliveries(&endpoint).await;
    let statuses: Vec<_> = shown.iter().map(|delivery| delivery["status"].as_str()).collect();
    assert_eq!(statuses, [Some("pending"), Some("dead"), Some("dead")]);
    assert_eq!(house.count("SELECT in_flight::bigint FROM webhooks.endpoints").await, 0);
}

#[tokio::test]
async fn many_deliveries_begin_again_at_once_whatever_became_of_them() {
    let house = House::open().await;
    let replies = [500, 200, 500, 200].map(Reply::status);
    let receiver = Receiver::replying(replies).await;
    let endpoint = house.register(&receiver.url).await;
    house.happen(3).await;
    house.worker.run_due().await;
    let failed = "UPDATE webhooks.deliveries SET status = 'dead', finished_at = now()
        WHERE id = (SELECT min(delivery_id::text)::uuid FROM webhooks.due_deliveries);
        DELETE FROM webhooks.due_deliveries WHERE delivery_id IN (SELECT id FROM webhooks.deliveries WHERE status = 'dead')";
    house.run_sql(failed).await;
    let all = ids(&house, &everything()).await;
    let outcomes = house.webhooks().retry_deliveries(&all).await.expect("answered");
    assert_eq!(outcomes, all_as(&all, DeliveryOutcome::Done));
    assert_eq!(ids(&house, &DeliveryFilter { statuses: vec![DeliveryStatus::Pending], ..everything() }).await, all);
    house.worker.run_due().await;
    assert_eq!(receiver.seen().len(), 6, "all three were sent once more, at once");
    assert!(house.deliveries(&endpoint).await.iter().all(|delivery| delivery["status"] == "delivered"));
    assert_eq!(house.count("SELECT in_flight::bigint FROM webhooks.endpoints").await, 0);
}

#[tokio::test]
async fn deliveries_that_cannot_begin_again_say_why() {
    let (house, receiver, _, waiting) = waiting().await;
    let retry = async || house.webhooks().retry_deliveries(&waiting).await.expect("answered");
    house
        .run_sql(
            "UPDATE webhooks.due_deliveries SET lease = gen_random_uuid(), leased_until = now() + interval '1 minute'",
        )
        .await;
    assert_eq!(retry().await, all_as(&waiting, DeliveryOutcome::Sending));
    house.run_sql("UPDATE webhooks.due_deliveries SET lease = NULL, leased_until = NULL").await;
    house.run_sql("UPDATE webhooks.endpoints SET disabled_at = now()").await;
    assert_eq!(retry().await, all_as(&waiting, DeliveryOutcome::EndpointDisabled));
    house.run_sql("UPDATE webhooks.endpoints SET disabled_at = NULL; DELETE FROM webhooks.messages").await;
    assert_eq!(retry().await, all_as(&waiting, DeliveryOutcome::MessageExpired));
    house.run_sql("DELETE FROM webhooks.endpoints").await;
    assert_eq!(retry().await, all_as(&waiting, DeliveryOutcome::EndpointGone));
    let nobody = [new_uuid()];
    let outcomes = house.webhooks().retry_deliveries(&nobody).await.expect("answered");
    assert_eq!(outcomes, all_as(&nobody, DeliveryOutcome::Missing));
    house.worker.run_due().await;
    assert_eq!(receiver.seen().len(), 3, "none of them was sent again");
}

#[tokio::test]
async fn receipts_are_found_and_handed_on_again_but_never_twice_at_once() {
    let (house, ear) = sender::house().await;
    for (source, name, kind) in [("stripe", "evt_1", "a"), ("stripe_test", "evt_2", "a"), ("stripe", "evt_3", "b")] {
        expect_taken(&send(&house.api, source, event(name, kind).to_string()).await);
    }
    house.worker.run_due().await;
    let door = house.webhooks();
    let list = async |filter: ReceiptFilter, before: Uuid| {
        let receipts = door.list_receipts(&filter, before, 10).await.expect("a list");
        assert!(receipts.iter().all(|receipt| filter.lets_through(receipt)));
        receipts
    };
    let names = |receipts: &[webhooks::ReceiptEntry]| {
        receipts.iter().map(|receipt| receipt.external_id.clone()).collect::<Vec<_>>()
    };
    let all = list(ReceiptFilter::default(), Uuid::max()).await;
    assert_eq!(names(&all), ["evt_3", "evt_2", "evt_1"]);
    assert_eq!(names(&list(ReceiptFilter::default(), all[1].id).await), ["evt_1"]);
    let of_source = ReceiptFilter { source: Some("stripe".to_owned()), ..ReceiptFilter::default() };
    assert_eq!(names(&list(of_source, Uuid::max()).await), ["evt_3", "evt_1"]);
    let of_type = ReceiptFilter { event_type: Some("a".to_owned()), ..ReceiptFilter::default() };
    assert_eq!(names(&list(of_type, Uuid::max()).await), ["evt_2", "evt_1"]);
    let since =
        ReceiptFilter { since: Some(Clock::system().now() + TimeDelta::minutes(1)), ..ReceiptFilter::default() };
    assert!(!since.lets_through(&all[0]));
    assert_eq!(list(since, Uuid::max()).await.len(), 0);
    assert_eq!(door.handling_names(None), ["webhooks handles stripe", "webhooks handles stripe_test"]);
    assert_eq!(all[0].handling(), (door.handling_names(Some("stripe")).remove(0), all[0].id.to_string()));
    let payload = door.receipt_payload(all[2].id).await.expect("answered").expect("it is there");
    assert_eq!(payload, event("evt_1", "a").to_string().into_bytes());
    assert_eq!(usize::try_from(all[2].payload_bytes), Ok(payload.len()));
    assert!(door.receipt_payload(new_uuid()).await.expect("answered").is_none());

    let before: Vec<_> = ear.heard().into_iter().map(|(event, _)| event).collect();
    for _ in 0..2 {
        door.hand_on_again(&[all[0].id, all[1].id, new_uuid()]).await.expect("enqueued");
    }
    assert_eq!(house.count("SELECT count(*) FROM platform.jobs").await, 2, "those that wait are not added again");
    house.worker.run_due().await;
    assert_eq!(ear.ids(), ["evt_1", "evt_2", "evt_2", "evt_3", "evt_3"]);
    let repeated = ear.heard().into_iter().skip(3).all(|(event, _)| before.contains(&event));
    assert!(repeated, "the handler hears exactly what it heard before");
}
