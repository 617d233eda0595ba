//! Customers.

use serde_json::{Value, json};

use super::call::Call;
use super::error::ApiError;
use super::params::merge_metadata;
use crate::objects::new_id;
use crate::shop::Shop;
use crate::trade::cancelling;

const KNOWN: [&str; 8] =
    ["email", "name", "description", "metadata", "phone", "address", "preferred_locales", "tax_exempt"];

pub(crate) fn create(shop: &mut Shop, call: &Call) -> Result<Value, ApiError> {
    call.params.only(&KNOWN)?;
    let id = insert(shop, call.params.text("email"));
    change(shop, &id, call)
}

pub(crate) fn update(shop: &mut Shop, id: &str, call: &Call) -> Result<Value, ApiError> {
    call.params.only(&KNOWN)?;
    living(shop, id, "id")?;
    change(shop, id, call)
}

pub(crate) fn delete(shop: &mut Shop, id: &str) -> Result<Value, ApiError> {
    living(shop, id, "id")?;
    cancelling::delete_customer(shop, id);
    Ok(shop.objects.copy(id))
}

/// A customer that was not deleted.
pub(crate) fn living(shop: &Shop, id: &str, param: &str) -> Result<Value, ApiError> {
    let found = shop.objects.of("customer", id).filter(|customer| customer["deleted"] != true);
    found.cloned().ok_or_else(|| ApiError::no_such("customer", id, param))
}

/// A new customer of whom nothing else is known.
pub(crate) fn insert(shop: &mut Shop, email: Option<&str>) -> String {
    let (created, livemode) = (shop.now(), shop.options.livemode);
    shop.objects.insert(json!({
        "id": new_id("cus"), "object": "customer", "address": null, "balance": 0, "created": created,
        "currency": null, "default_source": null, "delinquent": false, "description": null, "discount": null,
        "email": email, "livemode": livemode, "metadata": {}, "name": null, "phone": null, "preferred_locales": [],
        "shipping": null, "tax_exempt": "none", "test_clock": null,
    }))
}

fn change(shop: &mut Shop, id: &str, call: &Call) -> Result<Value, ApiError> {
    let mut customer = shop.objects.copy(id);
    for field in ["email", "name", "description", "phone"] {
        if call.params.has(field) {
            customer[field] = json!(call.params.text(field));
        }
    }
    customer["metadata"] = merge_metadata(&customer["metadata"], call.params.metadata("metadata")?);
    shop.objects.replace(customer.clone());
    Ok(customer)
}
