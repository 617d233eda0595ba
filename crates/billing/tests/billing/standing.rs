//! What an organization may use, and who may see it.

use std::time::Duration;

use chrono::TimeDelta;
use platform::caller::Role;
use serde_json::{Value, json};
use test_support::Statements;

use crate::house::{House, says, session};
use crate::meter::Meter;

const DAY: Duration = Duration::from_hours(24);

#[tokio::test]
async fn without_a_subscription_there_is_the_free_plan() {
    let house = House::open().await;
    let nothing = json!({
        "plan": "free", "status": null, "quantity": null, "current_period_end": null, "cancel_at": null, "access": "free",
    });
    assert_eq!(house.get("billing/subscription").await, nothing);
    assert_eq!(house.get("entitlements").await, json!({ "plan": "free", "features": { "seats": 3 } }));
}

#[tokio::test]
async fn a_subscription_is_shown_with_its_terms() {
    let house = House::open().await;
    let subscription = house.subscribe("team", 4).await;
    let shown = house.get("billing/subscription").await;
    assert_eq!(
        (&shown["plan"], &shown["status"], &shown["access"]),
        (&json!("team"), &json!("active"), &json!("full"))
    );
    assert_eq!((&shown["quantity"], &shown["cancel_at"]), (&json!(4), &Value::Null));
    assert_eq!(shown["current_period_end"], "2026-02-01T00:00:00Z");
    let features = json!({ "audit_log": true, "seats": 25 });
    assert_eq!(house.get("entitlements").await, json!({ "plan": "team", "features": features }));
    let end = (house.clock.now() + TimeDelta::days(31)).timestamp();
    house.stripe().change_subscription(&subscription, &json!({ "cancel_at": end })).expect("changed");
    house.hear(&[house.event("customer.subscription.updated")]).await;
    assert_eq!(house.get("billing/subscription").await["cancel_at"], "2026-02-01T00:00:00Z");
    assert!(house.last_told().cancel_at.is_some());
}

#[tokio::test]
async fn members_know_the_entitlements_and_those_who_manage_billing_the_rest() {
    let house = House::open().await;
    let wish = house.wish("team", 1).await;
    let opened = house.ask(&house.member(Role::Billing), "k", &wish).await.expect(201);
    let operation = format!("billing/operations/{}", opened["id"].as_str().expect("an id"));
    for role in Role::ALL {
        let person = house.member(role);
        let get = |rest: &str| house.api.get(&house.path(rest)).bearer(&person).send();
        let _ = get("entitlements").await.expect(200);
        let allowed = matches!(role, Role::Owner | Role::Admin | Role::Billing);
        for path in ["billing/subscription", &operation] {
            let answer = get(path).await;
            assert_eq!(answer.status.as_u16(), if allowed { 200 } else { 403 }, "{role} {path}");
        }
        let asked = house.ask(&person, "k2", &wish).await;
        assert_eq!(asked.status.as_u16(), if allowed { 201 } else { 403 }, "{role}");
    }
    for path in ["entitlements", "billing/subscription", &operation] {
        house.api.get(&house.path(path)).bearer(&house.stranger()).send().await.expect_problem(404, "not_found");
    }
}

#[tokio::test]
async fn billing_case_26_a_trial_ends_by_the_clock_alone() {
    let house = House::open().await;
    let subscription = house.subscribe("team", 1).await;
    let end = (house.clock.now() + TimeDelta::days(14)).timestamp();
    let trial = json!({ "status": "trialing", "trial_end": end });
    house.stripe().change_subscription(&subscription, &trial).expect("changed");
    house.hear(&[house.event("customer.subscription.updated")]).await;
    house.clock.advance(DAY * 14);
    assert_eq!(house.standing().await, says("team", "trialing", "full"), "the event may be on its way");
    house.clock.advance(Duration::from_hours(1));
    assert_eq!(house.standing().await, says("free", "trialing", "free"));
    assert_eq!(house.get("entitlements").await["plan"], "free");
}

#[tokio::test]
async fn billing_case_26_the_days_of_grace_end_by_the_clock_alone() {
    let house = House::open().await;
    let subscription = house.subscribe("team", 1).await;
    house.stripe().change_subscription(&subscription, &json!({ "status": "past_due" })).expect("changed");
    let late = house.event("customer.subscription.updated");
    house.hear(std::slice::from_ref(&late)).await;
    house.clock.advance(DAY * 6);
    house.hear(&[late]).await;
    assert_eq!(house.standing().await, says("team", "past_due", "full"));
    house.clock.advance(DAY);
    assert_eq!(house.standing().await, says("free", "past_due", "free"));
    house.stripe().change_subscription(&subscription, &json!({ "status": "active" })).expect("changed");
    house.hear(&[house.event("customer.subscription.updated")]).await;
    assert_eq!(house.standing().await, says("team", "active", "full"));
}

#[tokio::test]
async fn billing_case_19_two_pages_that_are_both_paid_are_both_stored_and_the_best_plan_counts() {
    let house = House::open().await;
    let owner = house.member(Role::Owner);
    let business = house.ask(&owner, "one", &house.wish("business", 1).await).await.expect(201);
    let team = house.ask(&owner, "two", &house.wish("team", 1).await).await.expect(201);
    assert_ne!(business["url"], team["url"]);
    let alarms = Meter::start("billing_alarms_total", &[("reason", "several_subscriptions")]);
    let applied = Meter::start("billing_provider_events_total", &[("outcome", "applied")]);
    house.pay(&business);
    house.hear(&house.stripe().events()).await;
    assert_eq!(alarms.added(), 0);
    house.pay(&team);
    house.hear(&house.stripe().events()).await;
    assert!(alarms.added() >= 1 && applied.added() >= 2);
    assert_eq!(house.standing().await, says("business", "active", "full"));
    assert_eq!(house.count("SELECT count(*) FROM billing.subscriptions").await, 2);
    assert_eq!(house.told(), [says("business", "active", "full")], "the smaller one changed nothing");
}

#[tokio::test]
async fn billing_case_31_coming_back_from_paying_grants_nothing_before_the_event() {
    let house = House::open().await;
    let wish = house.wish("team", 1).await;
    let opened = house.ask(&house.member(Role::Owner), "k", &wish).await.expect(201);
    let operation = format!("billing/operations/{}", opened["id"].as_str().expect("an id"));
    house.pay(&opened);
    assert_eq!(house.get(&operation).await["state"], "in_flight");
    assert_eq!(house.standing().await, says("free", "none", "free"));
    house.hear(&[house.event("checkout.session.completed")]).await;
    assert_eq!(house.get(&operation).await, json!({ "id": opened["id"], "kind": "checkout", "state": "succeeded" }));
    assert_eq!(house.standing().await, says("team", "active", "full"));
    let session = session(&opened);
    let other = json!({ "type": "checkout.session.expired", "data": { "object": { "id": session } } });
    house.hear(&[other]).await;
    assert_eq!(house.get(&operation).await["state"], "succeeded", "what the provider says counts, not the event");
}

#[tokio::test]
async fn entitlements_cost_two_statements_and_the_subscription_one() {
    let house = House::open().await;
    house.subscribe("team", 1).await;
    let owner = house.member(Role::Owner);
    for (path, budget) in [("entitlements", 2), ("billing/subscription", 1)] {
        let before = Statements::sent();
        let _ = house.api.get(&house.path(path)).bearer(&owner).send().await.expect(200);
        assert_eq!(Statements::sent() - before, budget, "{path}");
    }
}
