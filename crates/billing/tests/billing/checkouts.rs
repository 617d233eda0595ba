//! Opening a checkout: what is asked for, by whom, and how often.

use std::time::Duration;

use platform::caller::Role;
use serde_json::json;
use tokio::join;

use crate::gate::Call;
use crate::house::{House, session};

#[tokio::test]
async fn a_checkout_leads_to_a_page_that_sells_what_was_asked_for() {
    let house = House::open().await;
    let opened = house.ask(&house.member(Role::Admin), "k", &house.wish("team", 7).await).await.expect(201);
    let page = house.stripe().object(&session(&opened)).expect("the session");
    assert_eq!((&page["amount_total"], &page["currency"]), (&json!(7 * 1_900), &json!("eur")));
    assert_eq!(
        (&page["success_url"], &page["cancel_url"]),
        (&json!("https://app.example/done"), &json!("https://app.example/back"))
    );
    let customer = house.stripe().object(page["customer"].as_str().expect("a customer")).expect("the customer");
    assert_eq!((&customer["name"], &customer["email"]), (&json!("Acme"), &json!("owner@example.com")));
    let operation = house.get(&format!("billing/operations/{}", opened["id"].as_str().expect("an id"))).await;
    assert_eq!(operation, json!({ "id": opened["id"], "kind": "checkout", "state": "in_flight" }));
}

#[tokio::test]
async fn a_checkout_without_a_key_is_refused() {
    let house = House::open().await;
    let wish = house.wish("team", 1).await;
    let ask = house.api.post(&house.path("billing/checkout"), &wish).bearer(&house.member(Role::Owner));
    ask.send().await.expect_problem(400, "idempotency_key_required");
    assert_eq!(house.gate.calls(Call::CreateCustomer), 0);
}

#[tokio::test]
async fn the_same_request_gets_the_same_page_for_good() {
    let house = House::open().await;
    let (owner, wish) = (house.member(Role::Owner), house.wish("team", 1).await);
    let first = house.ask(&owner, "k", &wish).await;
    let again = house.ask(&owner, "k", &wish).await;
    assert_eq!(again.expect(201), first.expect(201));
    assert_eq!((first.header("idempotency-replayed"), again.header("idempotency-replayed")), ("", "true"));
    house.pay(&first.expect(201));
    house.hear(&house.stripe().events()).await;
    house.clock.advance(Duration::from_hours(100));
    assert_eq!(house.ask(&owner, "k", &wish).await.expect(201), first.expect(201));
    assert_eq!(house.gate.calls(Call::OpenCheckout), 1);
}

#[tokio::test]
async fn billing_case_17_the_same_key_with_another_body_is_refused_and_the_provider_not_called() {
    let house = House::open().await;
    let (owner, wish) = (house.member(Role::Owner), house.wish("team", 1).await);
    let _ = house.ask(&owner, "k", &wish).await.expect(201);
    let other = house.wish("team", 2).await;
    house.ask(&owner, "k", &other).await.expect_problem(422, "idempotency_key_reused");
    assert_eq!(house.gate.calls(Call::OpenCheckout), 1);
    // Somebody else's key is another one.
    let _ = house.ask(&house.member(Role::Admin), "k", &other).await.expect(201);
}

#[tokio::test]
async fn billing_case_18_a_double_click_gets_the_same_page() {
    let house = House::open().await;
    let (owner, wish) = (house.member(Role::Owner), house.wish("team", 1).await);
    let (one, two) = join!(house.ask(&owner, "one", &wish), house.ask(&owner, "two", &wish));
    let three = house.ask(&house.member(Role::Admin), "three", &wish).await;
    assert_eq!(one.expect(201), two.expect(201));
    assert_eq!(one.expect(201), three.expect(201));
    assert_eq!(three.header("idempotency-replayed"), "");
    assert_eq!(house.count("SELECT count(*) FROM billing.operations").await, 1);
    assert_eq!(house.ask(&owner, "two", &wish).await.header("idempotency-replayed"), "true");
    let other = house.wish("team", 2).await;
    house.ask(&owner, "two", &other).await.expect_problem(422, "idempotency_key_reused");
}

#[tokio::test]
async fn who_has_a_subscription_buys_no_second_one() {
    let house = House::open().await;
    let subscription = house.subscribe("team", 1).await;
    let (owner, wish) = (house.member(Role::Owner), house.wish("business", 1).await);
    house.ask(&owner, "k", &wish).await.expect_problem(409, "already_subscribed");
    house.stripe().change_subscription(&subscription, &json!({ "status": "canceled" })).expect("canceled");
    house.hear(&[house.event("customer.subscription.deleted")]).await;
    let _ = house.ask(&owner, "k", &wish).await.expect(201);
    assert_eq!(house.gate.calls(Call::CreateCustomer), 1, "the customer is the old one");
}

#[tokio::test]
async fn billing_case_23_a_price_in_another_currency_is_refused_before_any_call() {
    let house = House::open().await;
    let subscription = house.subscribe("team", 1).await;
    house.stripe().change_subscription(&subscription, &json!({ "status": "canceled" })).expect("canceled");
    house.hear(&[house.event("customer.subscription.deleted")]).await;
    let mut wish = house.wish("team", 1).await;
    wish["price_id"] = json!(house.price("team", "USD").await);
    let refused = house.ask(&house.member(Role::Owner), "k", &wish).await.expect_problem(422, "invalid_request");
    assert_eq!(refused, [("price_id".to_owned(), "other_currency".to_owned())]);
    assert_eq!(house.gate.calls(Call::OpenCheckout), 1);
}

#[tokio::test]
async fn billing_case_28_a_customer_deleted_at_the_provider_is_made_anew() {
    let house = House::open().await;
    let subscription = house.subscribe("team", 1).await;
    let gone = house.stripe().object(&subscription).expect("a subscription")["customer"].clone();
    house.stripe().delete_customer(gone.as_str().expect("an id")).expect("deleted");
    house.hear(&[house.event("customer.subscription.deleted"), house.event("customer.deleted")]).await;
    assert_eq!(house.standing().await, crate::house::says("free", "canceled", "free"));
    let (owner, wish) = (house.member(Role::Owner), house.wish("business", 1).await);
    let opened = house.ask(&owner, "again", &wish).await.expect(201);
    let customer = house.stripe().object(&session(&opened)).expect("a session")["customer"].clone();
    assert_ne!(customer, gone);
    assert_eq!(
        house.ask(&owner, "again", &wish).await.expect(201),
        opened,
        "the key leads to the operation that worked"
    );
    house.pay(&opened);
    house.hear(&[house.event("checkout.session.completed")]).await;
    assert_eq!(house.standing().await, crate::house::says("business", "active", "full"));
    assert_eq!(house.count("SELECT count(*) FROM billing.customers").await, 1);
}

#[tokio::test]
async fn billing_case_32_checkout_leads_back_to_our_sites_only() {
    let house = House::open().await;
    let owner = house.member(Role::Owner);
    let mut wish = house.wish("team", 1).await;
    wish["success_url"] = json!("https://other.example/done?session={CHECKOUT_SESSION_ID}#top");
    let _ = house.ask(&owner, "good", &wish).await.expect(201);
    for bad in [
        "https://evil.example/",
        "https://app.example.evil.example/",
        "https://app.example@evil.example/",
        "https://app.example:8443/",
        "http://app.example/",
        "javascript:alert(1)",
        "/done",
    ] {
        wish["success_url"] = json!(bad);
        let refused = house.ask(&owner, "bad", &wish).await.expect_problem(422, "invalid_request");
        assert_eq!(refused, [("success_url".to_owned(), "foreign_origin".to_owned())], "{bad}");
    }
    wish["cancel_url"] = json!("https://evil.example/");
    let refused = house.ask(&owner, "bad", &wish).await.expect_problem(422, "invalid_request");
    let fields: Vec<_> = refused.iter().map(|(field, _)| field.as_str()).collect();
    assert_eq!(fields, ["success_url", "cancel_url"]);
    assert_eq!(house.gate.calls(Call::OpenCheckout), 1);
}

#[tokio::test]
async fn only_what_is_on_offer_is_sold_in_sane_numbers() {
    let house = House::open().await;
    let owner = house.member(Role::Owner);
    let team = house.wish("team", 1).await;
    let refused = async |field: &str, value: serde_json::Value| {
        let mut wish = team.clone();
        wish[field] = value;
        house.ask(&owner, "k", &wish).await.expect_problem(422, "invalid_request")
    };
    let says = |field: &str, code: &str| vec![(field.to_owned(), code.to_owned())];
    assert_eq!(refused("quantity", json!(0)).await, says("quantity", "out_of_range"));
    assert_eq!(refused("quantity", json!(10_001)).await, says("quantity", "out_of_range"));
    assert_eq!(refused("price_id", json!(house.org)).await, says("price_id", "unknown_price"));
    assert_eq!(refused("price_id", json!("price_team")).await, says("price_id", "wrong_type"));
    house.seed(&json!([crate::house::plans()[0]])).await;
    assert_eq!(refused("quantity", json!(1)).await, says("price_id", "unknown_price"));
    assert_eq!(house.count("SELECT count(*) FROM billing.operations").await, 0);
}
