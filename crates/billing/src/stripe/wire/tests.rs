use proptest::prelude::*;
use proptest::sample::select;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::*;
use crate::ports::OperationId;

const ORGANIZATION: &str = "0199c0de-0000-7000-8000-000000000001";
const OPERATION: &str = "0199c0de-0000-7000-8000-000000000002";
const PERIOD_END: i64 = 1_702_592_000;

fn new_shape() -> Value {
    json!({
        "id": "sub_1", "object": "subscription", "customer": "cus_1", "status": "active", "livemode": false,
        "metadata": { "organization_id": ORGANIZATION, "colour": "red" }, "trial_end": null, "cancel_at": null,
        "cancel_at_period_end": false, "ended_at": null, "some_new_field": [{}],
        "items": { "object": "list", "data": [{
            "id": "si_1", "quantity": 3, "current_period_end": PERIOD_END,
            "price": { "id": "price_1", "object": "price", "unit_amount": 1_200 },
        }] },
    })
}

fn old_shape() -> Value {
    let mut old = new_shape();
    old["current_period_end"] = json!(PERIOD_END);
    old["items"]["data"][0].as_object_mut().expect("an item").remove("current_period_end");
    old
}

fn session() -> Value {
    json!({
        "id": "cs_1", "object": "checkout.session", "url": "https://checkout.stripe.com/c/pay/cs_1", "status": "open",
        "client_reference_id": ORGANIZATION, "customer": "cus_1", "subscription": null,
        "metadata": { "organization_id": ORGANIZATION, "operation_id": OPERATION },
    })
}

fn read<W: DeserializeOwned>(value: &Value) -> Result<W, Unfit> {
    Unfit::check(value.to_string().as_bytes())
}

fn subscription(value: &Value) -> Result<ProviderSubscription, String> {
    read::<Subscription>(value).and_then(|it| it.into_subscription("sub_1")).map_err(|unfit| unfit.to_string())
}

fn checkout(value: &Value) -> Result<Checkout, String> {
    read::<Session>(value).and_then(|it| it.into_checkout("cs_1")).map_err(|unfit| unfit.to_string())
}

/// The value with some of its parts, named by JSON pointers, put in the place of others.
fn with(mut value: Value, changes: &[(&str, Value)]) -> Value {
    for (pointer, part) in changes {
        let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
        value.pointer_mut(parent).expect("a place")[name] = part.clone();
    }
    value
}

fn at(seconds: i64) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(seconds, 0)
}

#[test]
fn billing_case_09_the_period_is_read_from_the_subscription_and_from_its_items() {
    let expected = ProviderSubscription {
        id: "sub_1".to_owned(),
        customer: "cus_1".to_owned(),
        organization: ORGANIZATION.parse().ok(),
        status: "active".to_owned(),
        price: Some("price_1".to_owned()),
        quantity: 3,
        current_period_end: at(PERIOD_END),
        trial_end: None,
        cancel_at: None,
        ended_at: None,
        livemode: false,
    };
    assert_eq!(subscription(&new_shape()).as_ref(), Ok(&expected));
    assert_eq!(subscription(&old_shape()).as_ref(), Ok(&expected));
}

#[test]
fn other_objects_may_be_ids_or_expanded() {
    let expanded = with(new_shape(), &[("/customer", json!({ "id": "cus_1", "email": "a@b.example" }))]);
    assert_eq!(subscription(&expanded), subscription(&new_shape()));
    let expanded = with(session(), &[("/subscription", json!({ "id": "sub_1", "status": "active" }))]);
    assert_eq!(checkout(&expanded).expect("readable").subscription.as_deref(), Some("sub_1"));
}

#[test]
fn the_end_is_the_planned_one_or_that_of_the_period() {
    let end = |value: Value| subscription(&value).expect("readable").cancel_at;
    let flagged = |value| with(value, &[("/cancel_at_period_end", json!(true))]);
    assert_eq!(end(flagged(new_shape())), at(PERIOD_END));
    assert_eq!(end(flagged(old_shape())), at(PERIOD_END));
    assert_eq!(end(with(flagged(new_shape()), &[("/cancel_at", json!(PERIOD_END - 1))])), at(PERIOD_END - 1));
    let ended = with(new_shape(), &[("/status", json!("canceled")), ("/ended_at", json!(PERIOD_END))]);
    assert_eq!(subscription(&ended).expect("readable").ended_at, at(PERIOD_END));
}

#[test]
fn several_items_have_no_single_price_and_are_paid_until_the_first_ends() {
    let item = json!({ "price": "price_2", "quantity": 9, "current_period_end": PERIOD_END - 60 });
    let mut several = new_shape();
    several["items"]["data"].as_array_mut().expect("a list").push(item);
    let read = subscription(&several).expect("readable");
    assert_eq!((read.price, read.quantity, read.current_period_end), (None, 3, at(PERIOD_END - 60)));
    let none = subscription(&with(new_shape(), &[("/items/data", json!([]))])).expect("readable");
    assert_eq!((none.price, none.quantity, none.current_period_end), (None, 0, None));
}

#[test]
fn what_is_metered_counts_as_one() {
    let metered = with(new_shape(), &[("/items/data", json!([{ "price": "price_1" }]))]);
    assert_eq!(subscription(&metered).expect("readable").quantity, 1);
}

#[test]
fn billing_case_08_a_status_of_the_future_is_passed_on() {
    let read = subscription(&with(new_shape(), &[("/status", json!("hibernating"))])).expect("readable");
    assert_eq!(read.status, "hibernating");
}

#[test]
fn metadata_of_strangers_names_nobody() {
    for metadata in [json!({}), Value::Null, json!({ "organization_id": "42" }), json!({ "organization_id": null })] {
        let read = subscription(&with(new_shape(), &[("/metadata", metadata.clone())])).expect("readable");
        assert_eq!(read.organization, None, "{metadata}");
    }
}

#[test]
fn values_that_make_no_sense_are_refused_by_name() {
    let quantity = "/items/data/0/quantity";
    for (pointer, value, complaint) in [
        ("/id", json!("sub_2"), "`id` makes no sense"),
        ("/status", json!("a\0b"), "`status` makes no sense"),
        ("/customer", json!(""), "`customer` makes no sense"),
        ("/customer", Value::Null, "the answer cannot be read at `customer`"),
        (quantity, json!(2_147_483_648_i64), "`items.data[0].quantity` makes no sense"),
        (quantity, json!(-1), "`items.data[0].quantity` makes no sense"),
        (quantity, json!(1.5), "the answer cannot be read at `items.data[0].quantity`"),
        ("/trial_end", json!(i64::MAX), "`trial_end` makes no sense"),
        ("/trial_end", json!(END_OF_TIME + 1), "`trial_end` makes no sense"),
        ("/ended_at", json!(-1), "`ended_at` makes no sense"),
        ("/cancel_at", json!("soon"), "the answer cannot be read at `cancel_at`"),
    ] {
        assert_eq!(subscription(&with(new_shape(), &[(pointer, value)])), Err(complaint.to_owned()));
    }
}

#[test]
fn a_checkout_names_whom_it_is_for() {
    let expected = Checkout {
        id: "cs_1".to_owned(),
        status: CheckoutStatus::Open,
        organization: ORGANIZATION.parse().ok(),
        operation: OPERATION.parse::<OperationId>().ok(),
        customer: Some("cus_1".to_owned()),
        subscription: None,
    };
    assert_eq!(checkout(&session()).as_ref(), Ok(&expected));
    let referred = checkout(&with(session(), &[("/metadata", json!({}))])).expect("readable");
    assert_eq!((referred.organization, referred.operation), (expected.organization, None));
    for (word, status) in [("complete", CheckoutStatus::Complete), ("expired", CheckoutStatus::Expired)] {
        let read = checkout(&with(session(), &[("/status", json!(word)), ("/url", Value::Null)]));
        assert_eq!(read.expect("readable").status, status);
    }
    for wrong in [with(session(), &[("/status", json!("asleep"))]), with(session(), &[("/status", Value::Null)])] {
        assert!(checkout(&wrong).is_err());
    }
}

#[test]
fn only_web_pages_are_pages() {
    let page = |url: Value| read::<Session>(&with(session(), &[("/url", url)])).and_then(Session::into_page).is_ok();
    assert!(page(json!("https://checkout.stripe.com/c/pay/cs_1#fid")) && page(json!("http://127.0.0.1:4242/pay/cs_1")));
    assert!(!page(Value::Null) && !page(json!("javascript:alert(1)")) && !page(json!("/pay")));
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    let keys = ["id", "data", "price", "quantity", "organization_id", "x"];
    leaf.prop_recursive(3, 16, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((select(keys.to_vec()), inner), 0..4)
                .prop_map(|pairs| pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
        ]
    })
}

const PLACES: [&str; 19] = [
    "/id",
    "/customer",
    "/status",
    "/metadata",
    "/items",
    "/items/data",
    "/items/data/0/price",
    "/items/data/0/quantity",
    "/items/data/0/current_period_end",
    "/current_period_end",
    "/trial_end",
    "/cancel_at",
    "/cancel_at_period_end",
    "/ended_at",
    "/livemode",
    "/url",
    "/client_reference_id",
    "/subscription",
    "/metadata/organization_id",
];

proptest! {
    #[test]
    fn an_object_with_anything_in_one_place_is_read_or_refused_without_a_panic(
        place in select(PLACES.to_vec()),
        anything in any_json(),
    ) {
        for object in [new_shape(), old_shape(), session()] {
            let (parent, _) = place.rsplit_once('/').expect("a pointer");
            if !object.pointer(parent).is_some_and(Value::is_object) {
                continue;
            }
            let changed = with(object, &[(place, anything.clone())]);
            if let Ok(read) = subscription(&changed) {
                prop_assert!(read.quantity >= 0 && read.id == "sub_1");
            }
            // Whether it can be read or not: it does not panic.
            drop((checkout(&changed), read::<Session>(&changed).and_then(Session::into_page)));
        }
    }

    #[test]
    fn bytes_that_are_no_answer_are_refused_without_a_panic(bytes: Vec<u8>) {
        prop_assert!(Unfit::check::<Subscription>(&bytes).is_err());
        prop_assert!(Unfit::check::<Session>(&bytes).is_err());
        prop_assert!(Unfit::check::<Customer>(&bytes).is_err());
    }
}
