//! The end of subscriptions, customers and sessions.

use serde_json::{Value, json};

use crate::objects::text;
use crate::shop::Shop;

/// Ends a subscription now.
pub(crate) fn cancel(shop: &mut Shop, id: &str, reason: &str) {
    let now = shop.now();
    for (field, value) in [
        ("/status", json!("canceled")),
        ("/ended_at", json!(now)),
        ("/canceled_at", json!(now)),
        ("/cancellation_details/reason", json!(reason)),
    ] {
        shop.objects.set(id, field, value);
    }
    shop.announce("customer.subscription.deleted", id);
}

/// Deletes a customer; their subscriptions end.
pub(crate) fn delete_customer(shop: &mut Shop, id: &str) {
    let theirs = |subscription: &&Value| subscription["customer"] == id && !ended(subscription);
    let subscriptions: Vec<String> =
        shop.objects.list("subscription").filter(theirs).map(|found| text(found, "/id").to_owned()).collect();
    for subscription in subscriptions {
        cancel(shop, &subscription, "cancellation_requested");
    }
    shop.announce("customer.deleted", id);
    shop.objects.replace(json!({ "id": id, "object": "customer", "deleted": true }));
}

/// Closes a session that was not paid, and the subscription that waited for it.
pub(crate) fn expire_session(shop: &mut Shop, id: &str) {
    shop.objects.set(id, "/status", "expired");
    shop.objects.set(id, "/url", Value::Null);
    let waiting = shop.carts.get_mut(id).and_then(|cart| cart.waiting.take());
    if let Some(subscription) = waiting {
        let before = shop.objects.copy(&subscription);
        let now = shop.now();
        shop.objects.set(&subscription, "/status", "incomplete_expired");
        shop.objects.set(&subscription, "/ended_at", now);
        shop.announce_change("customer.subscription.updated", &subscription, &before);
    }
    shop.announce("checkout.session.expired", id);
}

/// Whether a subscription can never come back.
pub(crate) fn ended(subscription: &Value) -> bool {
    ["canceled", "incomplete_expired"].contains(&text(subscription, "/status"))
}
