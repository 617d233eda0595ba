//! Checkout sessions: what is for sale on a page, for a day.

use serde_json::{Value, json};

use super::call::Call;
use super::customers;
use super::error::ApiError;
use super::params::merge_metadata;
use crate::objects::{nested_list, new_id, number, text};
use crate::shop::{Cart, Shop};
use crate::trade::cancelling;
use crate::trade::prices::{priced, total};

/// How long a session is open, in seconds.
const OPEN: i64 = 24 * 60 * 60;

const DAY: i64 = 24 * 60 * 60;

/// What is understood, and what may be sent without effect.
const KNOWN: [&str; 21] = [
    "mode",
    "customer",
    "customer_email",
    "client_reference_id",
    "line_items",
    "success_url",
    "cancel_url",
    "metadata",
    "subscription_data",
    "expires_at",
    "allow_promotion_codes",
    "automatic_tax",
    "billing_address_collection",
    "customer_update",
    "consent_collection",
    "locale",
    "payment_method_collection",
    "payment_method_types",
    "tax_id_collection",
    "ui_mode",
    "custom_text",
];

pub(crate) fn create(shop: &mut Shop, call: &Call) -> Result<Value, ApiError> {
    let params = &call.params;
    params.only(&KNOWN)?;
    let mode = params.required("mode")?;
    if mode != "subscription" {
        return Err(ApiError::bad("mode", "The stand-in sells subscriptions only: mode must be subscription."));
    }
    let cart = cart(shop, call)?;
    let price = priced(shop, &cart.price, "line_items[0][price]")?;
    let customer = match params.text("customer") {
        Some(id) => Some(customers::living(shop, id, "customer")?),
        None => None,
    };
    same_currency(customer.as_ref(), &price)?;
    let success_url = url(params.required("success_url")?, "success_url")?;
    let cancel_url = params.text("cancel_url").map(|given| url(given, "cancel_url")).transpose()?;
    let now = shop.now();
    let total = total(&price, cart.quantity)?;
    let id = new_id(if shop.options.livemode { "cs_live" } else { "cs_test" });
    let session = json!({
        "id": id, "object": "checkout.session", "allow_promotion_codes": null, "amount_subtotal": total,
        "amount_total": total, "cancel_url": cancel_url, "client_reference_id": params.text("client_reference_id"),
        "created": now, "currency": price["currency"], "customer": params.text("customer"),
        "customer_details": null, "customer_email": params.text("customer_email"),
        "expires_at": params.integer("expires_at")?.unwrap_or(now + OPEN), "invoice": null,
        "livemode": shop.options.livemode, "locale": params.text("locale"),
        "metadata": merge_metadata(&json!({}), params.metadata("metadata")?), "mode": mode, "payment_intent": null,
        "payment_method_types": ["card"], "payment_status": "unpaid", "status": "open", "subscription": null,
        "success_url": success_url, "ui_mode": "hosted", "url": format!("{}/pay/{id}", shop.url),
    });
    shop.carts.insert(id, cart);
    shop.objects.insert(session.clone());
    Ok(session)
}

pub(crate) fn expire(shop: &mut Shop, id: &str) -> Result<Value, ApiError> {
    let session = found(shop, id)?;
    if session["status"] != "open" {
        let status = text(&session, "/status");
        return Err(ApiError::invalid(format!(
            "Only Checkout Sessions with a status in [\"open\"] can be expired. This one has a status of {status}."
        )));
    }
    cancelling::expire_session(shop, id);
    Ok(shop.objects.copy(id))
}

pub(crate) fn line_items(shop: &Shop, id: &str) -> Result<Value, ApiError> {
    found(shop, id)?;
    let cart = shop.carts.get(id).ok_or_else(|| ApiError::no_such("checkout.session", id, "id"))?;
    let price = shop.objects.copy(&cart.price);
    let amount = number(&price, "/unit_amount").saturating_mul(cart.quantity);
    let product = shop.objects.copy(text(&price, "/product"));
    let line = json!({
        "id": format!("li_{}", &id[8..]), "object": "item", "amount_discount": 0, "amount_subtotal": amount,
        "amount_tax": 0, "amount_total": amount, "currency": price["currency"], "description": product["name"],
        "price": price, "quantity": cart.quantity,
    });
    Ok(nested_list(&[line], &format!("/v1/checkout/sessions/{id}/line_items")))
}

fn found(shop: &Shop, id: &str) -> Result<Value, ApiError> {
    let session = shop.objects.of("checkout.session", id);
    session.cloned().ok_or_else(|| ApiError::no_such("checkout.session", id, "id"))
}

/// One price and a quantity: more than one line is beyond the stand-in.
fn cart(shop: &Shop, call: &Call) -> Result<Cart, ApiError> {
    let params = &call.params;
    match params.entries("line_items").len() {
        0 => return Err(ApiError::missing("line_items")),
        1 => {}
        _ => return Err(ApiError::bad("line_items", "The stand-in sells one line at a time.")),
    }
    let quantity = params.integer("line_items[0][quantity]")?;
    let quantity = quantity.ok_or_else(|| ApiError::missing("line_items[0][quantity]"))?;
    if quantity < 1 {
        return Err(ApiError::bad("line_items[0][quantity]", "This value must be greater than or equal to 1."));
    }
    let days = params.integer("subscription_data[trial_period_days]")?;
    if days.is_some_and(|days| !(1..=730).contains(&days)) {
        let param = "subscription_data[trial_period_days]";
        return Err(ApiError::bad(param, "The trial period must be between 1 and 730 days."));
    }
    let in_days = days.map(|days| shop.now() + days * DAY);
    Ok(Cart {
        price: params.required("line_items[0][price]")?.to_owned(),
        quantity,
        trial_end: params.integer("subscription_data[trial_end]")?.or(in_days),
        metadata: params.metadata("subscription_data[metadata]")?,
        waiting: None,
    })
}

fn same_currency(customer: Option<&Value>, price: &Value) -> Result<(), ApiError> {
    let theirs = customer.map(|customer| text(customer, "/currency")).unwrap_or_default();
    let ours = text(price, "/currency");
    if theirs.is_empty() || theirs == ours {
        return Ok(());
    }
    Err(ApiError::invalid(format!(
        "You cannot combine currencies on a single customer. This customer has an active subscription, subscription \
         schedule, discount, quote, or invoice item with currency {theirs}; the price has {ours}."
    )))
}

/// Only addresses a browser can be sent to.
pub(crate) fn url(given: &str, param: &str) -> Result<String, ApiError> {
    let plain = given.replace("{CHECKOUT_SESSION_ID}", "id");
    match reqwest::Url::parse(&plain) {
        Ok(url) if ["http", "https"].contains(&url.scheme()) => Ok(given.to_owned()),
        _ => Err(ApiError::coded("url_invalid", param, "Not a valid URL")),
    }
}
