//! Clicks while the provider is busy with the first one, and requests that nobody waits for.

use dev_stripe::Failure;
use platform::caller::Role;
use tokio::join;

use crate::gate::{Call, Stalled};
use crate::house::House;

/// More looks than a machine needs to write a line, however busy it is.
const LOOKS: usize = 2_000;

#[tokio::test]
async fn billing_case_18_a_second_click_while_the_first_is_at_the_provider_gets_the_same_page() {
    let house = House::open().await;
    let (owner, wish) = (house.member(Role::Owner), house.wish("team", 1).await);
    let _ = house.ask(&owner, "the customer is made", &house.wish("team", 2).await).await.expect(201);
    house.stripe().fail_next(Failure::Slow, 1);
    let Stalled { arrived, go_on } = house.gate.stall(Call::OpenCheckout);
    let first = async {
        let answer = house.ask(&owner, "one", &wish).await;
        go_on.send(()).expect("the second click waits");
        answer
    };
    let second = async {
        house.stripe().slow_calls(1).await;
        house.ask(&owner, "two", &wish).await
    };
    let (one, two, ()) = join!(first, second, async {
        arrived.await.expect("the provider turned the second click away");
        house.stripe().finish_slow_calls();
    });
    assert_eq!(two.expect(201), one.expect(201));
    assert_eq!(two.header("idempotency-replayed"), "");
    assert_eq!(house.gate.calls(Call::OpenCheckout), 3);
    assert_eq!(house.count("SELECT count(*) FROM billing.operations WHERE state = 'in_flight'").await, 2);
}

#[tokio::test]
async fn billing_case_18_a_second_click_is_told_to_come_back_when_the_first_takes_long() {
    let house = House::open().await;
    let (owner, wish) = (house.member(Role::Owner), house.wish("team", 1).await);
    // Making the customer is what takes long.
    house.stripe().fail_next(Failure::Slow, 1);
    let (one, ()) = join!(house.ask(&owner, "one", &wish), async {
        house.stripe().slow_calls(1).await;
        for key in ["one", "two"] {
            let twin = house.ask(&owner, key, &wish).await;
            twin.expect_problem(409, "idempotency_in_progress");
            assert_eq!(twin.header("retry-after"), "1");
        }
        assert_eq!(house.count("SELECT count(*) FROM billing.operations WHERE state = 'in_flight'").await, 1);
        house.stripe().finish_slow_calls();
    });
    let one = one.expect(201);
    for key in ["one", "two"] {
        let again = house.ask(&owner, key, &wish).await;
        assert_eq!(again.expect(201), one);
        assert_eq!(again.header("idempotency-replayed"), "true");
    }
    assert_eq!((house.gate.calls(Call::CreateCustomer), house.gate.calls(Call::OpenCheckout)), (3, 1));
}

#[tokio::test]
async fn what_the_provider_said_is_written_down_even_if_nobody_waits_for_it_any_more() {
    let house = House::open().await;
    let (owner, wish) = (house.member(Role::Owner), house.wish("team", 1).await);
    house.stripe().fail_next(Failure::Slow, 1);
    tokio::select! {
        _ = house.ask(&owner, "k", &wish) => panic!("the provider takes its time"),
        () = house.stripe().slow_calls(1) => {}
    }
    house.stripe().finish_slow_calls();
    let mut looks = 0;
    while house.count("SELECT count(*) FROM billing.operations WHERE url IS NOT NULL").await == 0 {
        looks += 1;
        assert!(looks < LOOKS, "nothing was written down");
    }
    let again = house.ask(&owner, "k", &wish).await;
    assert_eq!((again.status.as_u16(), again.header("idempotency-replayed")), (201, "true"));
    assert_eq!(house.gate.calls(Call::OpenCheckout), 1);
}
