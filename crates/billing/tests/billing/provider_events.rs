//! Events of the provider: late, twice, in any order, about anybody, and never believed.

use billing::ports::{CheckoutWish, Contact, NewCustomer, OperationId};
use dev_stripe::{Interval, PriceSpec};
use platform::caller::OrgId;
use serde_json::{Value, json};
use tokio::join;

use crate::gate::{Call, Gate, Trouble};
use crate::house::{House, Tell, says};
use crate::meter::Meter;

#[tokio::test]
async fn billing_case_01_twenty_copies_of_an_event_on_two_workers_have_one_effect() {
    let house = House::open().await;
    house.buy("team", 3).await;
    let event = house.event("customer.subscription.created");
    for _ in 0..20 {
        house.hand_in(&event).await;
    }
    let other = house.another_worker();
    join!(house.worker.run_due(), other.run_due());
    assert_eq!(house.jobs().await, (0, 0), "every copy is settled");
    assert_eq!(house.count("SELECT count(*) FROM billing.subscriptions").await, 1);
    assert_eq!(house.told(), [says("team", "active", "full")]);
    house.hear(&[event]).await;
    assert_eq!(house.told().len(), 1, "nothing is told twice");
    let told = house.last_told();
    assert_eq!((told.organization, told.quantity, told.at), (house.org, Some(3), house.clock.now()));
    assert!(told.current_period_end.is_some() && told.cancel_at.is_none());
}

#[tokio::test]
async fn billing_case_02_two_events_in_the_wrong_order_end_in_the_providers_state() {
    let house = House::open().await;
    let subscription = house.buy("team", 3).await;
    house.stripe().change_subscription(&subscription, &json!({ "quantity": 5 })).expect("changed");
    let (created, updated) =
        (house.event("customer.subscription.created"), house.event("customer.subscription.updated"));
    house.hear(&[updated, created]).await;
    assert_eq!(house.get("billing/subscription").await["quantity"], 5);
    assert_eq!(house.told().len(), 1, "the second event brought nothing new");
}

#[tokio::test]
async fn billing_case_03_what_is_canceled_stays_so_when_an_update_arrives_late() {
    let house = House::open().await;
    let subscription = house.subscribe("team", 1).await;
    house.stripe().change_subscription(&subscription, &json!({ "quantity": 5 })).expect("changed");
    let updated = house.event("customer.subscription.updated");
    house.stripe().change_subscription(&subscription, &json!({ "status": "canceled" })).expect("canceled");
    house.hear(&[house.event("customer.subscription.deleted"), updated]).await;
    assert_eq!(house.standing().await, says("free", "canceled", "free"));
    assert_eq!(house.count("SELECT count(*) FROM billing.subscriptions WHERE ended_at IS NOT NULL").await, 1);
}

#[tokio::test]
async fn an_event_that_says_active_does_not_make_it_so() {
    let house = House::open().await;
    let subscription = house.buy("team", 1).await;
    house.stripe().change_subscription(&subscription, &json!({ "status": "canceled" })).expect("canceled");
    let lie = house.event("customer.subscription.created");
    assert_eq!(lie["data"]["object"]["status"], "active");
    house.hear(&[lie]).await;
    assert_eq!(house.standing().await, says("free", "canceled", "free"));
}

#[tokio::test]
async fn billing_case_04_a_worker_that_stalled_writes_nothing_over_what_is_newer() {
    let house = House::open().await;
    let subscription = house.subscribe("team", 1).await;
    let event = house.event("customer.subscription.created");
    house.hand_in(&event).await;
    let stalled = house.gate.stall(Call::FetchSubscription);
    let other = house.another_worker();
    join!(house.worker.run_due(), async {
        stalled.arrived.await.expect("the first worker has fetched");
        house.stripe().change_subscription(&subscription, &json!({ "quantity": 9 })).expect("changed");
        house.hand_in(&house.event("customer.subscription.updated")).await;
        other.run_due().await;
        assert_eq!(house.get("billing/subscription").await["quantity"], 9);
        stalled.go_on.send(()).expect("the first worker waits");
    });
    assert_eq!(house.get("billing/subscription").await["quantity"], 9);
    assert_eq!(house.jobs().await, (0, 0), "the stale job is settled all the same");
    let tickets = "SELECT count(*) FROM billing.sync_tickets WHERE applied = issued";
    assert_eq!(house.count(tickets).await, 1);
}

#[tokio::test]
async fn billing_case_05_a_paid_invoice_may_come_before_its_subscription() {
    let house = House::open().await;
    house.buy("team", 1).await;
    house.hear(&[house.event("invoice.paid")]).await;
    assert_eq!(house.standing().await, says("free", "none", "free"));
    house.hear(&[house.event("customer.subscription.created")]).await;
    assert_eq!(house.standing().await, says("team", "active", "full"));
    house.hear(&[house.event("checkout.session.completed")]).await;
    assert_eq!(house.told(), [says("team", "active", "full")], "granted once");
}

/// A subscription of somebody who never asked for it here.
async fn bought_elsewhere(house: &House, organization: OrgId) -> String {
    let (operation, provider) = (OperationId::new(), house.gate.provider());
    let contact = Contact { name: "Acme".to_owned(), email: "owner@example.com".to_owned() };
    let customer = provider.create_customer(operation, NewCustomer { organization, contact }).await.expect("made");
    let url = "https://app.example/".to_owned();
    let wish = CheckoutWish {
        organization,
        customer,
        price: "price_team".to_owned(),
        quantity: 1,
        success_url: url.clone(),
        cancel_url: url,
    };
    let page = provider.open_checkout(operation, wish).await.expect("opened");
    house.pay(&json!({ "url": page.url }))
}

#[tokio::test]
async fn billing_case_06_an_unknown_customer_is_waited_for_and_then_a_person_is_told() {
    let house = House::open().await;
    let alarms = Meter::start("billing_alarms_total", &[("reason", "unknown_customer")]);
    bought_elsewhere(&house, OrgId::new()).await;
    house.hear(&[house.event("customer.subscription.created")]).await;
    for tries in 1..5 {
        assert_eq!(house.jobs().await, (1, 0), "after {tries} tries");
        assert_eq!(alarms.added(), 0, "after {tries} tries");
        house.retry().await;
    }
    assert_eq!(house.jobs().await, (0, 1));
    assert!(alarms.added() >= 1);
    assert_eq!(house.count("SELECT count(*) FROM billing.subscriptions").await, 0);
}

#[tokio::test]
async fn billing_case_06_a_customer_is_bound_when_the_metadata_names_an_organization_that_exists() {
    let house = House::open().await;
    let later = OrgId::new();
    bought_elsewhere(&house, house.org).await;
    house.hear(&[house.event("customer.subscription.created")]).await;
    assert_eq!(house.standing().await, says("team", "active", "full"));
    assert_eq!(house.count("SELECT count(*) FROM billing.customers").await, 1);
    // It may come into being while the event waits.
    bought_elsewhere(&house, later).await;
    house.hear(&[house.event("customer.subscription.created")]).await;
    house.book.enter(later, "Late");
    house.retry().await;
    assert_eq!(house.jobs().await, (0, 0));
    assert_eq!(house.count("SELECT count(*) FROM billing.customers").await, 2);
}

#[tokio::test]
async fn billing_case_07_play_money_counts_for_nothing_where_real_money_moves() {
    let house = House::open().await;
    let subscription = house.buy("team", 1).await;
    let passed = Meter::start("billing_provider_events_total", &[("outcome", "other_mode")]);
    let event_type = "customer.subscription.created".to_owned();
    house.tell(&Tell { event_type, object_id: Some(subscription), livemode: true }).await;
    house.worker.run_due().await;
    assert_eq!(house.jobs().await, (0, 0));
    assert!(passed.added() >= 1);
    assert_eq!(house.gate.calls(Call::FetchSubscription), 0);
    assert_eq!(house.standing().await, says("free", "none", "free"));
}

#[tokio::test]
async fn billing_case_08_an_unknown_type_is_settled_and_an_unknown_status_grants_nothing() {
    let house = House::open().await;
    let subscription = house.subscribe("team", 1).await;
    let ignored = Meter::start("billing_provider_events_total", &[("outcome", "ignored")]);
    house.hear(&[json!({ "type": "tax.settings.updated", "data": { "object": {} } })]).await;
    assert_eq!(house.jobs().await, (0, 0));
    assert!(ignored.added() >= 1);
    let alarms = Meter::start("billing_alarms_total", &[("reason", "unknown_status")]);
    let steps =
        |from: &str, to: &str| Meter::start("billing_unexpected_transitions_total", &[("from", from), ("to", to)]);
    let (there, back) = (steps("active", "other"), steps("other", "active"));
    for (number, status) in [(1, "frozen"), (2, "thawed")] {
        house.stripe().change_subscription(&subscription, &json!({ "status": status })).expect("changed");
        house.hear(&[house.event("customer.subscription.updated")]).await;
        assert_eq!(house.standing().await, says("free", status, "free"));
        assert!(alarms.added() >= number, "{status}");
    }
    assert!(there.added() >= 1);
    // What has no status at all is no answer, and asked for again.
    house.stripe().change_subscription(&subscription, &json!({ "status": "" })).expect("changed");
    house.hear(&[house.event("customer.subscription.updated")]).await;
    assert_eq!((house.jobs().await, house.standing().await), ((1, 0), says("free", "thawed", "free")));
    house.stripe().change_subscription(&subscription, &json!({ "status": "active" })).expect("changed");
    house.retry().await;
    assert_eq!((house.jobs().await, house.standing().await), ((0, 0), says("team", "active", "full")));
    assert!(back.added() >= 1);
}

#[tokio::test]
async fn an_event_without_an_object_is_put_aside_at_once() {
    let house = House::open().await;
    house.hear(&[json!({ "type": "customer.subscription.updated", "data": {} })]).await;
    assert_eq!(house.jobs().await, (0, 1));
}

#[tokio::test]
async fn what_the_provider_no_longer_knows_is_over_only_when_the_event_says_so() {
    let house = House::open().await;
    let subscription = house.subscribe("team", 1).await;
    let about = |event_type: &str| json!({ "type": event_type, "data": { "object": { "id": subscription } } });
    let hear = async |gate: &Gate, event: Value| {
        gate.trouble(Call::FetchSubscription, Trouble::NotFound);
        house.hear(&[event]).await;
    };
    hear(&house.gate, about("customer.subscription.updated")).await;
    assert_eq!(house.jobs().await, (1, 0), "it is tried again");
    assert_eq!(house.standing().await, says("team", "active", "full"));
    house.retry().await;
    hear(&house.gate, about("customer.subscription.deleted")).await;
    assert_eq!(house.jobs().await, (0, 0));
    assert_eq!(house.standing().await, says("free", "canceled", "free"));
    // Of what was never here there is nothing to end.
    let never = json!({ "type": "customer.subscription.deleted", "data": { "object": { "id": "sub_never" } } });
    house.hear(&[never]).await;
    assert_eq!(house.jobs().await, (0, 0));
}

#[tokio::test]
async fn billing_case_33_an_unknown_price_grants_nothing_until_the_catalogue_knows_it() {
    let house = House::open().await;
    let subscription = house.subscribe("team", 1).await;
    house.stripe().offer(&PriceSpec {
        id: "price_special".to_owned(),
        product: "Made by hand".to_owned(),
        currency: "eur".to_owned(),
        unit_amount: 1,
        interval: Interval::Month,
        active: true,
    });
    let alarms = Meter::start("billing_alarms_total", &[("reason", "unknown_price")]);
    house.stripe().change_subscription(&subscription, &json!({ "price": "price_special" })).expect("changed");
    house.hear(&[house.event("customer.subscription.updated")]).await;
    assert_eq!(house.standing().await, says("free", "active", "free"));
    assert!(alarms.added() >= 1);
    assert_eq!(house.told().last(), Some(&says("free", "active", "free")));
    let mut plans = crate::house::plans();
    let special = json!(
        { "id": "price_special", "provider": "stripe", "currency": "EUR", "amount": 1, "interval": "month" });
    plans[1]["prices"].as_array_mut().expect("prices").push(special);
    house.seed(&plans).await;
    assert_eq!(house.standing().await, says("team", "active", "full"));
}

#[tokio::test]
async fn billing_case_33_a_price_that_is_no_longer_on_offer_keeps_its_promise() {
    let house = House::open().await;
    house.subscribe("team", 1).await;
    house.seed(&json!([crate::house::plans()[0]])).await;
    house.hear(&[house.event("customer.subscription.created")]).await;
    assert_eq!(house.standing().await, says("team", "active", "full"));
    assert_eq!(house.get("entitlements").await["features"], json!({ "audit_log": true, "seats": 25 }));
}
