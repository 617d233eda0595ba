//! Subscriptions: changed and canceled through the API.

use serde_json::{Value, json};

use super::call::Call;
use super::error::ApiError;
use super::params::merge_metadata;
use crate::objects::text;
use crate::shop::Shop;
use crate::trade::cancelling;
use crate::trade::changes::{self, Change};

/// What is understood, and what may be sent without effect.
const KNOWN: [&str; 10] = [
    "items",
    "cancel_at_period_end",
    "cancel_at",
    "metadata",
    "proration_behavior",
    "payment_behavior",
    "trial_end",
    "description",
    "cancellation_details",
    "default_payment_method",
];

pub(crate) fn update(shop: &mut Shop, id: &str, call: &Call) -> Result<Value, ApiError> {
    let params = &call.params;
    params.only(&KNOWN)?;
    let subscription = found(shop, id)?;
    if subscription["status"] == "canceled" || subscription["status"] == "incomplete_expired" {
        let message = "A canceled subscription can only update its cancellation_details and metadata.";
        return Err(ApiError::invalid(message));
    }
    if params.entries("items").len() > 1 {
        return Err(ApiError::bad("items", "The stand-in's subscriptions have one item."));
    }
    let item = text(&subscription, "/items/data/0/id");
    if params.has("items") && params.required("items[0][id]")? != item {
        let given = params.required("items[0][id]")?;
        return Err(ApiError::no_such("subscription item", given, "items[0][id]"));
    }
    let cancel_at = params.integer("cancel_at")?;
    let trial_end = match params.text("trial_end") {
        Some("now") => Some(shop.now()),
        _ => params.integer("trial_end")?,
    };
    let change = Change {
        price: params.text("items[0][price]").map(str::to_owned),
        quantity: params.integer("items[0][quantity]")?,
        cancel_at_period_end: params.flag("cancel_at_period_end")?,
        cancel_at: params.has("cancel_at").then(|| json!(cancel_at)),
        trial_end,
        metadata: Some(merge_metadata(&subscription["metadata"], params.metadata("metadata")?)),
        invoice_now: params.text("proration_behavior") == Some("always_invoice"),
    };
    changes::change(shop, id, &change)?;
    Ok(shop.objects.copy(id))
}

pub(crate) fn cancel(shop: &mut Shop, id: &str) -> Result<Value, ApiError> {
    let subscription = found(shop, id)?;
    if subscription["status"] == "canceled" {
        return Err(ApiError::no_such("subscription", id, "id"));
    }
    cancelling::cancel(shop, id, "cancellation_requested");
    Ok(shop.objects.copy(id))
}

fn found(shop: &Shop, id: &str) -> Result<Value, ApiError> {
    shop.objects.of("subscription", id).cloned().ok_or_else(|| ApiError::no_such("subscription", id, "id"))
}
