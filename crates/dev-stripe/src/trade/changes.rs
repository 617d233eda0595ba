//! A subscription is changed, by the API or in the dashboard.

use serde_json::{Value, json};

use super::prices::{period_end, priced, total};
use super::{invoices, renewals};
use crate::api::error::ApiError;
use crate::objects::{number, text};
use crate::shop::Shop;

/// What is to be different; what is absent stays.
#[derive(Default)]
pub(crate) struct Change {
    pub(crate) price: Option<String>,
    pub(crate) quantity: Option<i64>,
    pub(crate) cancel_at_period_end: Option<bool>,
    /// Null clears it.
    pub(crate) cancel_at: Option<Value>,
    pub(crate) trial_end: Option<i64>,
    pub(crate) metadata: Option<Value>,
    /// Whether what the change costs more is taken at once, for a whole period: the stand-in prorates nothing.
    pub(crate) invoice_now: bool,
}

/// Changes a subscription and tells what changed.
pub(crate) fn change(shop: &mut Shop, id: &str, change: &Change) -> Result<(), ApiError> {
    let before = shop.objects.copy(id);
    let mut after = before.clone();
    change_item(shop, &mut after, change)?;
    if let Some(metadata) = &change.metadata {
        after["metadata"] = metadata.clone();
    }
    if let Some(cancel_at) = &change.cancel_at {
        after["cancel_at"] = cancel_at.clone();
        after["canceled_at"] = json!(cancel_at.is_number().then(|| shop.now()));
    }
    if let Some(cancel) = change.cancel_at_period_end.filter(|cancel| after["cancel_at_period_end"] != *cancel) {
        let end = after["items"]["data"][0]["current_period_end"].clone();
        after["cancel_at_period_end"] = json!(cancel);
        after["cancel_at"] = if cancel { end } else { Value::Null };
        after["canceled_at"] = json!(cancel.then(|| shop.now()));
        after["cancellation_details"]["reason"] = json!(cancel.then_some("cancellation_requested"));
    }
    let ends_trial = change.trial_end.is_some_and(|end| end <= shop.now()) && after["status"] == "trialing";
    if let Some(end) = change.trial_end.filter(|_| after["status"] == "trialing") {
        after["trial_end"] = json!(end);
        after["billing_cycle_anchor"] = json!(end);
        after["items"]["data"][0]["current_period_end"] = json!(end);
    }
    let more = price_of(&after)? - price_of(&before)?;
    shop.objects.replace(after);
    let invoice = (change.invoice_now && more > 0).then(|| {
        let invoice = invoices::open(shop, id, more, "subscription_update");
        invoices::pay(shop, &invoice);
        invoice
    });
    shop.announce_change("customer.subscription.updated", id, &before);
    if let Some(invoice) = invoice {
        shop.announce("invoice.paid", &invoice);
    }
    if ends_trial {
        renewals::renew(shop, id);
    }
    Ok(())
}

/// Changes price and quantity of the one item.
fn change_item(shop: &Shop, subscription: &mut Value, change: &Change) -> Result<(), ApiError> {
    if let Some(quantity) = change.quantity {
        if quantity < 1 {
            let message = "This value must be greater than or equal to 1.";
            return Err(ApiError::bad("items[0][quantity]", message));
        }
        subscription["items"]["data"][0]["quantity"] = json!(quantity);
    }
    let Some(id) = &change.price else { return Ok(()) };
    let price = priced(shop, id, "items[0][price]")?;
    if price["currency"] != subscription["currency"] {
        let message = "The price specified only supports another currency than the subscription's.";
        return Err(ApiError::bad("items[0][price]", message));
    }
    let item = &subscription["items"]["data"][0];
    let other_interval = item["price"]["recurring"]["interval"] != price["recurring"]["interval"];
    if other_interval && subscription["status"] != "trialing" {
        // As with Stripe, another interval starts a period of its own.
        let now = shop.now();
        subscription["billing_cycle_anchor"] = json!(now);
        subscription["items"]["data"][0]["current_period_start"] = json!(now);
        subscription["items"]["data"][0]["current_period_end"] = json!(period_end(&price, now, now));
    }
    subscription["items"]["data"][0]["price"] = price;
    Ok(())
}

/// What a period of a subscription costs.
pub(crate) fn price_of(subscription: &Value) -> Result<i64, ApiError> {
    let item = &subscription["items"]["data"][0];
    total(&item["price"], number(item, "/quantity"))
}

/// Overwrites fields of a subscription with whatever the dashboard says, unchecked.
pub(crate) fn overwrite(shop: &mut Shop, id: &str, fields: &Value) -> Result<(), ApiError> {
    let found = shop.objects.of("subscription", id).cloned();
    let before = found.ok_or_else(|| ApiError::no_such("subscription", id, "id"))?;
    let change = Change {
        price: fields["price"].as_str().map(str::to_owned),
        quantity: fields["quantity"].as_i64(),
        ..Change::default()
    };
    let mut after = before.clone();
    change_item(shop, &mut after, &change)?;
    for (name, value) in fields.as_object().into_iter().flatten() {
        if !["price", "quantity", "id", "object", "items"].contains(&name.as_str()) {
            after[name] = value.clone();
        }
    }
    shop.objects.replace(after.clone());
    let ended = text(&after, "/status") == "canceled" && text(&before, "/status") != "canceled";
    if ended {
        shop.announce("customer.subscription.deleted", id);
    } else {
        shop.announce_change("customer.subscription.updated", id, &before);
    }
    Ok(())
}
