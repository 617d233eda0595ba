//! What the payment provider says happened, and what the house makes of it, over real HTTP.

use reqwest::Method;
use serde_json::json;

use crate::buyer::{Buyer, Records};
use crate::erasure::{ask, columns_that_know, export, sign_up, text};
use crate::home::{Home, send};

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

#[tokio::test]
async fn what_somebody_bought_is_in_their_export_and_ends_with_their_account() {
    let (home, payments) = Home::open_with_payments().await;
    let control = payments.control();
    let token = sign_up(&home).await;
    let create = ask(&home, Method::POST, "/v1/organizations", &token).json(&json!({ "name": "Acme" }));
    let organization = text(&send(create).await.expect(201)["id"]);
    let buyer = Buyer::new(&home.api, &token, &organization);
    let subscription = buyer.subscribe(control).await;
    control.delivered().await;
    home.work().await;
    assert_eq!(buyer.plan().await, "team");
    let data = export(&home, &token).await;
    let bought = &data["billing"]["organizations"][0];
    assert_eq!(
        (&bought["organization_id"], &bought["subscriptions"][0]["provider_id"]),
        (&json!(organization), &json!(subscription))
    );

    send(ask(&home, Method::DELETE, "/v1/me", &token)).await.expect(204);
    home.work().await;
    control.delivered().await;
    home.work().await;
    assert_eq!(control.object(&subscription).expect("on record")["status"], "canceled");
    let mut owner = home.owner().await;
    for (query, left) in [
        ("SELECT count(*) FROM billing.subscriptions WHERE organization_id = $1::uuid AND status <> 'canceled'", 0),
        ("SELECT count(*) FROM billing.customers WHERE organization_id = $1::uuid", 1),
        ("SELECT count(*) FROM platform.jobs WHERE $1 <> ''", 0),
        ("SELECT count(*) FROM platform.dead_jobs WHERE $1 <> ''", 0),
    ] {
        let count: i64 = sqlx::query_scalar(query).bind(&organization).fetch_one(&mut owner).await.expect(query);
        assert_eq!(count, left, "{query}");
    }
    // What the payment provider signed is evidence for 90 days, and never changed.
    assert_eq!(columns_that_know(&home).await.into_iter().collect::<Vec<_>>(), ["webhooks.inbox.payload"]);
}

#[tokio::test]
async fn invoices_of_an_organization_no_longer_go_to_an_owner_who_erased_themselves() {
    let (home, payments) = Home::open_with_payments().await;
    let (ann, ben) = (home.person("ann@example.com").await, home.person("ben@example.com").await);
    let organization = home.organization(&ann).await;
    let buyer = Buyer::new(&home.api, &ann.token, organization);
    let subscription = buyer.subscribe(payments.control()).await;
    payments.control().delivered().await;
    home.work().await;
    let customer = text(&payments.control().object(&subscription).expect("known")["customer"]);
    let address = || payments.control().object(&customer).expect("a customer")["email"].clone();
    assert_eq!(address(), "ann@example.com");
    home.join(&ben, organization, platform::caller::Role::Owner).await;
    send(ask(&home, Method::DELETE, "/v1/me", &ann.token)).await.expect(204);
    home.work().await;
    assert_eq!(address(), "ben@example.com");
    assert_eq!(payments.control().object(&subscription).expect("known")["status"], "active");
}
