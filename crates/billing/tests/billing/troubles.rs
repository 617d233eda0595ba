//! Calls that fail, answers that get lost: nothing is bought twice, and nobody is stuck.

use std::time::Duration;

use dev_stripe::{Failure, Interval, PriceSpec};
use platform::caller::Role;
use serde_json::{Value, json};

use crate::gate::{Call, Trouble};
use crate::house::{House, session};

impl House {
    /// The state of the one operation.
    async fn state(&self, opened: &Value) -> Value {
        self.get(&format!("billing/operations/{}", opened["id"].as_str().expect("an id"))).await
    }
}

#[tokio::test]
async fn billing_case_15_an_answer_that_got_lost_is_asked_for_again_with_the_same_key() {
    let house = House::open().await;
    let (owner, wish) = (house.member(Role::Owner), house.wish("team", 1).await);
    house.gate.trouble(Call::OpenCheckout, Trouble::AnswerLost);
    let lost = house.ask(&owner, "k", &wish).await;
    lost.expect_problem(503, "unavailable");
    assert!(!lost.header("retry-after").is_empty());
    assert_eq!(house.count("SELECT count(*) FROM billing.operations WHERE state = 'unknown'").await, 1);
    let opened = house.ask(&owner, "k", &wish).await.expect(201);
    assert_eq!(house.state(&opened).await["state"], "in_flight");
    assert_eq!((house.gate.calls(Call::OpenCheckout), house.gate.calls(Call::CreateCustomer)), (2, 1));
    // The stand-in made one page: its key says so, whoever asks.
    let double = house.ask(&owner, "another", &wish).await.expect(201);
    assert_eq!(double, opened);
    house.pay(&opened);
    house.hear(&house.stripe().events()).await;
    assert_eq!(house.count("SELECT count(*) FROM billing.subscriptions").await, 1);
    assert_eq!(house.state(&opened).await["state"], "succeeded");
}

#[tokio::test]
async fn billing_case_15_a_double_click_goes_on_where_the_first_one_was_lost() {
    let house = House::open().await;
    let (owner, wish) = (house.member(Role::Owner), house.wish("team", 1).await);
    house.gate.trouble(Call::OpenCheckout, Trouble::AnswerLost);
    house.ask(&owner, "one", &wish).await.expect_problem(503, "unavailable");
    // Another way back does not make it another request at the provider: what was asked first is asked again.
    let mut elsewhere = wish.clone();
    elsewhere["success_url"] = json!("https://app.example/elsewhere");
    let opened = house.ask(&owner, "two", &elsewhere).await.expect(201);
    assert_eq!(house.ask(&owner, "one", &wish).await.expect(201), opened);
    let page = house.stripe().object(&session(&opened)).expect("a session");
    assert_eq!(page["success_url"], wish["success_url"]);
    assert_eq!(house.count("SELECT count(*) FROM billing.operations").await, 1);
}

#[tokio::test]
async fn a_provider_that_is_away_leaves_the_operation_waiting() {
    let house = House::open().await;
    let (owner, wish) = (house.member(Role::Owner), house.wish("team", 1).await);
    for call in [Call::CreateCustomer, Call::OpenCheckout] {
        house.gate.trouble(call, Trouble::Away);
        house.ask(&owner, "k", &wish).await.expect_problem(503, "unavailable");
        assert_eq!(house.count("SELECT count(*) FROM billing.operations WHERE state = 'pending'").await, 1);
    }
    let _ = house.ask(&owner, "k", &wish).await.expect(201);
}

#[tokio::test]
async fn a_refusal_is_the_answer_to_its_request_for_good() {
    let house = House::open().await;
    let (owner, wish) = (house.member(Role::Owner), house.wish("team", 1).await);
    house.gate.trouble(Call::OpenCheckout, Trouble::Refused);
    for _ in 0..2 {
        house.ask(&owner, "k", &wish).await.expect_problem(422, "payment_rejected");
    }
    assert_eq!(house.gate.calls(Call::OpenCheckout), 1);
    let rejected = "SELECT count(*) FROM billing.operations WHERE state = 'rejected' AND error = 'card_declined'";
    assert_eq!(house.count(rejected).await, 1);
    let _ = house.ask(&owner, "another", &wish).await.expect(201);
}

#[tokio::test]
async fn a_price_that_the_provider_does_not_have_is_our_mistake_and_can_be_mended() {
    let house = House::open().await;
    let mut plans = crate::house::plans();
    plans[2]["prices"][0]["id"] = json!("price_misspelt");
    house.seed(&plans).await;
    let (owner, wish) = (house.member(Role::Owner), house.wish("business", 1).await);
    for _ in 0..2 {
        house.ask(&owner, "k", &wish).await.expect_problem(500, "internal");
        assert_eq!(house.count("SELECT count(*) FROM billing.operations WHERE state = 'pending'").await, 1);
    }
    house.stripe().offer(&PriceSpec {
        id: "price_misspelt".to_owned(),
        product: "Business".to_owned(),
        currency: "eur".to_owned(),
        unit_amount: 4_900,
        interval: Interval::Month,
        active: true,
    });
    let opened = house.ask(&owner, "k", &wish).await.expect(201);
    assert_eq!(house.state(&opened).await["state"], "in_flight");
}

#[tokio::test]
async fn a_server_error_that_the_provider_keeps_for_a_day_blocks_nobody_for_a_day() {
    let house = House::open().await;
    let (owner, wish) = (house.member(Role::Owner), house.wish("team", 1).await);
    let _ = house.ask(&owner, "the customer is made", &house.wish("team", 2).await).await.expect(201);
    house.stripe().fail_next(Failure::ServerError, 1);
    house.ask(&owner, "k", &wish).await.expect_problem(503, "unavailable");
    assert_eq!(house.count("SELECT count(*) FROM billing.operations WHERE state = 'unknown'").await, 1);
    let opened = house.ask(&owner, "another", &wish).await.expect(201);
    assert_eq!(house.ask(&owner, "k", &wish).await.expect(201), opened);
    let superseded = "SELECT count(*) FROM billing.operations WHERE state = 'rejected' AND error = 'superseded'";
    assert_eq!(house.count(superseded).await, 1);
    assert_eq!(house.gate.calls(Call::OpenCheckout), 4, "asked, asked again, and under another key");
}

#[tokio::test]
async fn a_customer_whose_creation_got_lost_may_be_renamed_before_it_is_repeated() {
    let house = House::open().await;
    let (owner, wish) = (house.member(Role::Owner), house.wish("team", 1).await);
    house.gate.trouble(Call::CreateCustomer, Trouble::AnswerLost);
    house.ask(&owner, "k", &wish).await.expect_problem(503, "unavailable");
    house.book.enter(house.org, "Acme Incorporated");
    let opened = house.ask(&owner, "k", &wish).await.expect(201);
    assert_eq!(house.ask(&owner, "k", &wish).await.expect(201), opened);
    let superseded = "SELECT count(*) FROM billing.operations WHERE state = 'rejected' AND error = 'superseded'";
    assert_eq!(house.count(superseded).await, 1);
    assert_eq!(house.count("SELECT count(*) FROM billing.operations").await, 2);
}

#[tokio::test]
async fn a_customer_who_is_gone_again_and_again_is_a_mistake_and_no_loop() {
    let house = House::open().await;
    let (owner, wish) = (house.member(Role::Owner), house.wish("team", 1).await);
    for _ in 0..2 {
        house.gate.trouble(Call::OpenCheckout, Trouble::NotFound);
    }
    house.ask(&owner, "k", &wish).await.expect_problem(500, "internal");
    assert_eq!(house.gate.calls(Call::OpenCheckout), 2);
    let _ = house.ask(&owner, "k", &wish).await.expect(201);
}

#[tokio::test]
async fn billing_case_16_what_is_a_day_old_is_not_asked_for_again() {
    let house = House::open().await;
    let (owner, wish) = (house.member(Role::Owner), house.wish("team", 1).await);
    house.gate.trouble(Call::OpenCheckout, Trouble::AnswerLost);
    house.ask(&owner, "k", &wish).await.expect_problem(503, "unavailable");
    house.clock.advance(Duration::from_hours(23));
    house.ask(&owner, "k", &wish).await.expect_problem(409, "operation_expired");
    assert_eq!(house.gate.calls(Call::OpenCheckout), 1);
    let opened = house.ask(&owner, "another", &wish).await.expect(201);
    assert_eq!(house.state(&opened).await["state"], "in_flight");
    house.ask(&owner, "k", &wish).await.expect_problem(409, "operation_expired");
}

#[tokio::test]
async fn a_page_that_nobody_used_in_time_makes_room_for_another() {
    let house = House::open().await;
    let (owner, wish) = (house.member(Role::Owner), house.wish("team", 1).await);
    let first = house.ask(&owner, "one", &wish).await.expect(201);
    house.clock.advance(Duration::from_hours(22));
    assert_eq!(house.ask(&owner, "two", &wish).await.expect(201), first);
    house.stripe().advance(25 * 60 * 60).expect("later");
    house.hear(&[house.event("checkout.session.expired")]).await;
    let expired = house.state(&first).await;
    assert_eq!((&expired["state"], &expired["error"]), (&json!("rejected"), &json!("expired")));
    assert_ne!(house.ask(&owner, "three", &wish).await.expect(201)["url"], first["url"]);
}

#[tokio::test]
async fn an_old_page_is_not_handed_out_even_if_nobody_told_that_it_expired() {
    let house = House::open().await;
    let (owner, wish) = (house.member(Role::Owner), house.wish("team", 1).await);
    let first = house.ask(&owner, "one", &wish).await.expect(201);
    house.clock.advance(Duration::from_hours(23));
    let second = house.ask(&owner, "two", &wish).await.expect(201);
    assert_ne!(second["url"], first["url"]);
    // The customer had the old page open, and pays there after all.
    house.pay(&first);
    house.hear(&house.stripe().events()).await;
    assert_eq!(house.state(&first).await, json!({ "id": first["id"], "kind": "checkout", "state": "succeeded" }));
    assert_eq!(house.standing().await, crate::house::says("team", "active", "full"));
}
