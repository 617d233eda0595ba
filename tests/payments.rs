//! What the payment provider says happened, and what the house makes of it, over real HTTP.

use serde_json::json;

use crate::buyer::{Buyer, Records};
use crate::home::Home;

#[tokio::test]
async fn the_provider_is_asked_what_is_so_whatever_an_event_claims() {
    let (home, payments) = Home::open_with_payments().await;
    let control = payments.control();
    let person = home.person("ada@example.com").await;
    let buyer = Buyer::new(&home.api, &person.token, home.organization(&person).await);
    let subscription = buyer.subscribe(control).await;
    control.delivered().await;
    home.work().await;
    assert_eq!(buyer.plan().await, "team");

    let claimed = control.object(&subscription).expect("the subscription");
    assert_eq!(claimed["status"], "active");
    control.withhold();
    let ended = json!({ "status": "canceled", "ended_at": home.clock.now().timestamp() });
    control.change_subscription(&subscription, &ended).expect("it is there");
    control.release(dev_stripe::Release::Never);
    // A late copy of yesterday's news, properly signed.
    control.forge("customer.subscription.updated", &claimed);
    control.delivered().await;
    assert_eq!(control.attempts().last().and_then(|attempt| attempt.status), Some(200));
    home.work().await;

    let records = Records::of(&mut home.owner().await).await;
    assert_eq!(records.subscriptions, [(subscription, "canceled".to_owned())]);
    assert_eq!((records.jobs, records.dead), (0, 0), "{records:?}");
    assert_eq!(buyer.plan().await, "free");
    assert_eq!(buyer.get("/billing/subscription").await["access"], "free");
}

#[tokio::test]
async fn a_success_page_that_is_opened_before_the_event_grants_nothing() {
    let (home, payments) = Home::open_with_payments().await;
    let control = payments.control();
    let person = home.person("ada@example.com").await;
    let buyer = Buyer::new(&home.api, &person.token, home.organization(&person).await);
    control.withhold();
    buyer.subscribe(control).await;
    home.work().await;
    assert_eq!(buyer.plan().await, "free");
    control.release(dev_stripe::Release::Reversed);
    control.delivered().await;
    home.work().await;
    assert_eq!(buyer.plan().await, "team");
    let records = Records::of(&mut home.owner().await).await;
    assert_eq!((records.inbox, records.jobs, records.dead), (3, 0, 0), "{records:?}");
}
