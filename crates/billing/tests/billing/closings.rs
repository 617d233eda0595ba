//! An organization is gone: nobody goes on paying for it.

use std::time::Duration;

use platform::caller::{OrgId, Role};
use platform::jobs::JobError;
use serde_json::{Value, json};

use crate::gate::{Call, Trouble};
use crate::house::{House, says};

impl House {
    /// The state of every cancellation, oldest first.
    async fn cancellations(&self) -> Value {
        let records = self.records(&[self.org]).await;
        let operations = records["organizations"][0]["operations"].as_array().expect("operations").clone();
        let canceling = operations.into_iter().rev().filter(|it| it["kind"] == "cancel");
        let mut states = Vec::new();
        for it in canceling {
            let path = format!("billing/operations/{}", it["id"].as_str().expect("an id"));
            states.push(self.get(&path).await["state"].clone());
        }
        json!(states)
    }

    fn status_over_there(&self, subscription: &str) -> Value {
        self.stripe().object(subscription).expect("known")["status"].clone()
    }
}

#[tokio::test]
async fn what_a_deleted_organization_pays_for_is_canceled_and_stays_on_record() {
    let house = House::open().await;
    let subscription = house.subscribe("team", 2).await;
    house.close().await;
    house.worker.run_due().await;
    assert_eq!(house.status_over_there(&subscription), "canceled");
    assert_eq!(house.standing().await, says("free", "canceled", "free"));
    assert_eq!(house.cancellations().await, json!(["succeeded"]));
    assert_eq!(house.told().last(), Some(&says("free", "canceled", "free")));
    assert_eq!(house.count("SELECT count(*) FROM billing.customers").await, 1, "who paid is on record");
    let told = house.told();
    house.hear(&house.stripe().events()).await;
    house.close().await;
    house.worker.run_due().await;
    assert_eq!((house.told(), house.cancellations().await), (told, json!(["succeeded"])), "and that was all");
    assert_eq!((house.gate.calls(Call::CancelSubscription), house.jobs().await), (1, (0, 0)));
}

#[tokio::test]
async fn a_cancellation_is_asked_for_until_the_provider_says_that_it_is_over() {
    let house = House::open().await;
    let subscription = house.subscribe("team", 2).await;
    house.gate.trouble(Call::CancelSubscription, Trouble::Away);
    house.gate.trouble(Call::CancelSubscription, Trouble::AnswerLost);
    house.close().await;
    house.worker.run_due().await;
    assert_eq!(house.cancellations().await, json!(["pending"]));
    assert_eq!(house.status_over_there(&subscription), "active");
    house.retry().await;
    assert_eq!(house.cancellations().await, json!(["unknown"]));
    assert_eq!(house.status_over_there(&subscription), "canceled", "it was done, and nobody knows");
    // Long after every key is forgotten.
    house.clock.advance(Duration::from_hours(48));
    house.retry().await;
    assert_eq!(house.cancellations().await, json!(["succeeded"]));
    assert_eq!(house.standing().await, says("free", "canceled", "free"));
    assert_eq!((house.gate.calls(Call::CancelSubscription), house.jobs().await), (3, (0, 0)));
}

#[tokio::test]
async fn a_subscription_that_ended_or_vanished_over_there_needs_no_cancellation() {
    for vanished in [false, true] {
        let house = House::open().await;
        let subscription = house.subscribe("team", 2).await;
        house.stripe().change_subscription(&subscription, &json!({ "status": "canceled" })).expect("known");
        house.gate.trouble(Call::CancelSubscription, Trouble::NotFound);
        if vanished {
            house.gate.trouble(Call::FetchSubscription, Trouble::NotFound);
        }
        house.close().await;
        house.worker.run_due().await;
        assert_eq!(house.standing().await, says("free", "canceled", "free"), "{vanished}");
        assert_eq!((house.cancellations().await, house.jobs().await), (json!(["succeeded"]), (0, 0)), "{vanished}");
    }
}

#[tokio::test]
async fn a_refused_cancellation_waits_for_a_person() {
    let house = House::open().await;
    house.subscribe("team", 2).await;
    house.gate.trouble(Call::CancelSubscription, Trouble::Refused);
    house.close().await;
    house.worker.run_due().await;
    assert_eq!((house.cancellations().await, house.jobs().await), (json!(["rejected"]), (0, 1)));
}

#[tokio::test]
async fn a_page_that_was_still_open_sells_nothing_for_good() {
    let house = House::open().await;
    let subscription = house.buy("team", 2).await;
    house.close().await;
    house.worker.run_due().await;
    assert_eq!(house.cancellations().await, json!([]), "nobody knows yet that it was paid");
    house.hear(&house.stripe().events()).await;
    house.worker.run_due().await;
    assert_eq!(house.status_over_there(&subscription), "canceled");
    assert_eq!(house.standing().await, says("free", "canceled", "free"));
    let wish = house.wish("team", 1).await;
    house.ask(&house.member(Role::Owner), "late", &wish).await.expect_problem(404, "not_found");
    assert_eq!(house.jobs().await, (0, 0));
}

#[tokio::test]
async fn invoices_follow_the_organization_when_somebody_leaves() {
    let house = House::open().await;
    house.renew_contact().await.expect("nobody bought anything yet");
    let subscription = house.subscribe("team", 2).await;
    let customer = house.stripe().object(&subscription).expect("known")["customer"].clone();
    let name = || house.stripe().object(customer.as_str().expect("an id")).expect("a customer")["name"].clone();
    house.book.enter(house.org, "Acme, under new ownership");
    house.gate.trouble(Call::UpdateCustomer, Trouble::Away);
    assert!(matches!(house.renew_contact().await, Err(JobError::Retry(_))));
    assert_eq!(name(), "Acme");
    house.renew_contact().await.expect("renewed");
    assert_eq!(name(), "Acme, under new ownership");
    house.gate.trouble(Call::UpdateCustomer, Trouble::NotFound);
    house.renew_contact().await.expect("gone over there");
    house.gate.trouble(Call::UpdateCustomer, Trouble::Refused);
    assert!(matches!(house.renew_contact().await, Err(JobError::Discard(_))));
    house.close().await;
    house.renew_contact().await.expect("gone here");
    assert_eq!(house.gate.calls(Call::UpdateCustomer), 4);
}

#[tokio::test]
async fn records_hold_what_the_organizations_bought_and_no_others() {
    let house = House::open().await;
    let subscription = house.subscribe("team", 2).await;
    let stranger = OrgId::new();
    let records = house.records(&[house.org, stranger]).await;
    let (own, other) = (&records["organizations"][0], &records["organizations"][1]);
    assert_eq!((&own["plan"], &own["subscriptions"][0]["provider_id"]), (&json!("team"), &json!(subscription)));
    assert_eq!(
        (&own["operations"][0]["kind"], own["operations"].as_array().map(Vec::len)),
        (&json!("checkout"), Some(1))
    );
    assert_eq!(other, &json!({ "organization_id": stranger, "plan": "free", "subscriptions": [], "operations": [] }));
    assert!(!records.to_string().contains('@'), "{records}");
}
