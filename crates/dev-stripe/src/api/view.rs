//! How objects are shown: with what the caller asked to see in place of ids, in the shape of the caller's version.

use serde_json::{Value, json};

use super::call::Call;
use super::checkout;
use super::error::ApiError;
use crate::objects::{nested_list, text};
use crate::shop::Shop;
use crate::trade::invoices;

/// The first version in which periods stand on the items of a subscription.
const PERIOD_ON_ITEMS: &str = "2025-03-31";

/// The object as the caller wants it.
pub(crate) fn view(shop: &Shop, mut object: Value, call: &Call) -> Result<Value, ApiError> {
    for path in call.params.texts("expand") {
        let pieces: Vec<&str> = path.split('.').collect();
        if pieces.len() > 4 {
            return Err(ApiError::bad("expand", "You cannot expand more than 4 levels of a property."));
        }
        let refused = || ApiError::bad("expand", format!("This property cannot be expanded ({path})."));
        expand(shop, &mut object, &pieces).then_some(()).ok_or_else(refused)?;
    }
    Ok(shaped(shop, object, &call.version))
}

/// Puts objects in the place of ids along a path. False when the path leads nowhere.
fn expand(shop: &Shop, value: &mut Value, path: &[&str]) -> bool {
    let Some((field, rest)) = path.split_first() else { return true };
    if let Value::Array(all) = value {
        return all.iter_mut().all(|one| expand(shop, one, path));
    }
    match (text(value, "/object"), *field) {
        ("invoice", "payments") => value["payments"] = payments(shop, text(value, "/id")),
        ("checkout.session", "line_items") => {
            value["line_items"] = checkout::line_items(shop, text(value, "/id")).unwrap_or_default();
        }
        _ => {}
    }
    let Some(child) = value.get_mut(*field) else { return false };
    if let Some(found) = child.as_str().and_then(|id| shop.objects.get(id)) {
        *child = found.clone();
    }
    match child {
        Value::Null => true,
        Value::Object(_) | Value::Array(_) => expand(shop, child, rest),
        _ => false,
    }
}

fn payments(shop: &Shop, invoice: &str) -> Value {
    let all = shop.objects.list("invoice_payment").filter(|payment| payment["invoice"] == invoice);
    let all: Vec<Value> = all.cloned().collect();
    nested_list(&all, &format!("/v1/invoice_payments?invoice={invoice}"))
}

/// The object, and all within it, in the shape of a version.
pub(crate) fn shaped(shop: &Shop, mut value: Value, version: &str) -> Value {
    if version < PERIOD_ON_ITEMS {
        make_old(shop, &mut value);
    }
    value
}

fn make_old(shop: &Shop, value: &mut Value) {
    // An event keeps the shape it was made in.
    if text(value, "/object") == "event" {
        return;
    }
    match value {
        Value::Array(all) => all.iter_mut().for_each(|one| make_old(shop, one)),
        Value::Object(fields) => fields.values_mut().for_each(|one| make_old(shop, one)),
        _ => return,
    }
    match text(value, "/object") {
        "subscription" => {
            for field in ["current_period_start", "current_period_end"] {
                value[field] = value["items"]["data"][0][field].take();
            }
            remove(&mut value["items"]["data"][0], &["current_period_start", "current_period_end"]);
        }
        "invoice" => {
            let payment = invoices::payment_of(shop, text(value, "/id")).unwrap_or_default();
            value["subscription"] = value["parent"]["subscription_details"]["subscription"].clone();
            value["paid"] = json!(value["status"] == "paid");
            value["charge"] = shop.objects.copy(&payment)["latest_charge"].clone();
            value["payment_intent"] = if payment.is_empty() { Value::Null } else { json!(payment) };
            remove(value, &["parent", "payments"]);
        }
        "payment_intent" => value["invoice"] = json!(invoices::invoice_of(shop, text(value, "/id"))),
        "charge" => value["invoice"] = json!(invoices::invoice_of(shop, text(value, "/payment_intent"))),
        _ => {}
    }
}

fn remove(value: &mut Value, names: &[&str]) {
    for name in names {
        value.as_object_mut().and_then(|fields| fields.remove(*name));
    }
}
