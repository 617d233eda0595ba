//! A customer pays on the checkout page.

use serde_json::{Value, json};

use super::invoices::{self, Card};
use super::prices::{period_end, priced, total};
use crate::api::error::ApiError;
use crate::api::{customers, params};
use crate::objects::{nested_list, new_id, text};
use crate::shop::{Cart, Shop};

/// How an attempt to pay ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Paid {
    /// The session is complete.
    Done,
    /// The card was declined; nothing happened.
    Declined,
    /// The customer must prove to the bank who they are, for this payment intent.
    Authenticate(String),
}

/// Pays a checkout session with a card.
pub(crate) fn pay(shop: &mut Shop, session: &str, means: Card) -> Result<Paid, ApiError> {
    let (sold, cart) = open_session(shop, session)?;
    if means == Card::Declined {
        return Ok(Paid::Declined);
    }
    let trial = cart.trial_end.is_some_and(|end| end > shop.now());
    let subscription = match cart.waiting.clone() {
        Some(waiting) => waiting,
        None => subscribe(shop, &sold, &cart, trial || means == Card::Good)?,
    };
    let invoice = text(&shop.objects.copy(&subscription), "/latest_invoice").to_owned();
    if means == Card::Authenticate && !trial {
        invoices::refuse(shop, &invoice, Card::Authenticate);
        if let Some(cart) = shop.carts.get_mut(session) {
            cart.waiting = Some(subscription.clone());
        }
        if cart.waiting.is_none() {
            shop.announce("customer.subscription.created", &subscription);
        }
        shop.announce("invoice.payment_action_required", &invoice);
        return Ok(Paid::Authenticate(invoices::payment_of(shop, &invoice).unwrap_or_default()));
    }
    finish(shop, session, &subscription);
    Ok(Paid::Done)
}

/// The bank has heard the customer. Gives the session to go back to, when the payment belongs to one.
pub(crate) fn authenticate(shop: &mut Shop, payment: &str, proven: bool) -> Result<Option<String>, ApiError> {
    let no_such = || ApiError::no_such("payment_intent", payment, "id");
    let intent = shop.objects.of("payment_intent", payment).ok_or_else(no_such)?;
    if intent["status"] != "requires_action" {
        return Err(ApiError::invalid("This payment does not wait for the customer."));
    }
    let invoice = invoices::invoice_of(shop, payment).ok_or_else(no_such)?;
    let subscription = invoices::subscription_of(shop, &invoice).ok_or_else(no_such)?;
    let waits = |cart: &Cart| cart.waiting.as_ref() == Some(&subscription);
    let session = shop.carts.iter().find(|(_, cart)| waits(cart)).map(|(id, _)| id.clone());
    if !proven {
        invoices::refuse(shop, &invoice, Card::Declined);
        shop.announce("invoice.payment_failed", &invoice);
    } else if let Some(session) = &session {
        finish(shop, session, &subscription);
    } else {
        settle(shop, &invoice);
    }
    Ok(session)
}

/// Takes the money for an open invoice, outside of checkout.
pub(crate) fn settle(shop: &mut Shop, invoice: &str) {
    invoices::pay(shop, invoice);
    if let Some(subscription) = invoices::subscription_of(shop, invoice) {
        let before = shop.objects.copy(&subscription);
        if ["incomplete", "past_due", "unpaid"].contains(&text(&before, "/status")) {
            shop.objects.set(&subscription, "/status", "active");
            shop.announce_change("customer.subscription.updated", &subscription, &before);
        }
    }
    shop.announce("invoice.paid", invoice);
}

fn open_session(shop: &Shop, id: &str) -> Result<(Value, Cart), ApiError> {
    let no_such = || ApiError::no_such("checkout.session", id, "id");
    let session = shop.objects.of("checkout.session", id).cloned().ok_or_else(no_such)?;
    let cart = shop.carts.get(id).cloned().ok_or_else(no_such)?;
    if session["status"] == "open" && session["expires_at"].as_i64() > Some(shop.now()) {
        return Ok((session, cart));
    }
    Err(ApiError::invalid("This checkout is closed."))
}

/// A new subscription with its first invoice, paid or not.
fn subscribe(shop: &mut Shop, session: &Value, cart: &Cart, paid: bool) -> Result<String, ApiError> {
    let price = priced(shop, &cart.price, "price")?;
    let trial = cart.trial_end.filter(|end| *end > shop.now());
    let amount = if trial.is_some() { 0 } else { total(&price, cart.quantity)? };
    let customer = match text(session, "/customer") {
        "" => customers::insert(shop, Some(session["customer_email"].as_str().unwrap_or("customer@example.com"))),
        id => text(&customers::living(shop, id, "customer")?, "/id").to_owned(),
    };
    shop.objects.set(text(session, "/id"), "/customer", customer.clone());
    shop.objects.set(&customer, "/currency", price["currency"].clone());
    let status = match (trial, paid) {
        (Some(_), _) => "trialing",
        (None, true) => "active",
        (None, false) => "incomplete",
    };
    let subscription = new_subscription(shop, &customer, cart, &price);
    shop.objects.set(&subscription, "/status", status);
    invoices::open(shop, &subscription, amount, "subscription_create");
    Ok(subscription)
}

fn new_subscription(shop: &mut Shop, customer: &str, cart: &Cart, price: &Value) -> String {
    let (id, now) = (new_id("sub"), shop.now());
    let trial = cart.trial_end.filter(|end| *end > now);
    let anchor = trial.unwrap_or(now);
    let end = trial.unwrap_or_else(|| period_end(price, now, now));
    let item = json!({
        "id": new_id("si"), "object": "subscription_item", "created": now, "current_period_start": now,
        "current_period_end": end, "discounts": [], "metadata": {}, "price": price, "quantity": cart.quantity,
        "subscription": id, "tax_rates": [],
    });
    shop.objects.insert(json!({
        "id": id, "object": "subscription", "application": null, "automatic_tax": { "enabled": false },
        "billing_cycle_anchor": anchor, "cancel_at": null, "cancel_at_period_end": false, "canceled_at": null,
        "cancellation_details": { "comment": null, "feedback": null, "reason": null },
        "collection_method": "charge_automatically", "created": now, "currency": price["currency"],
        "customer": customer, "days_until_due": null, "default_payment_method": null, "description": null,
        "discounts": [], "ended_at": null, "latest_invoice": null, "livemode": shop.options.livemode,
        "metadata": params::merge_metadata(&json!({}), cart.metadata.clone()), "pause_collection": null,
        "items": nested_list(&[item], &format!("/v1/subscription_items?subscription={id}")),
        "schedule": null, "start_date": now, "status": "incomplete", "trial_end": trial,
        "trial_start": trial.map(|_| now),
    }))
}

/// The money is there: closes the session and tells.
fn finish(shop: &mut Shop, session: &str, subscription: &str) {
    let subscribed = shop.objects.copy(subscription);
    let invoice = text(&subscribed, "/latest_invoice").to_owned();
    let waited = subscribed["status"] == "incomplete";
    let customer = shop.objects.copy(text(&subscribed, "/customer"));
    invoices::pay(shop, &invoice);
    let payment = if subscribed["status"] == "trialing" { "no_payment_required" } else { "paid" };
    for (field, value) in [
        ("/status", json!("complete")),
        ("/payment_status", json!(payment)),
        ("/subscription", json!(subscription)),
        ("/invoice", json!(invoice)),
        ("/url", Value::Null),
        ("/customer_details", json!({ "email": customer["email"], "name": customer["name"] })),
    ] {
        shop.objects.set(session, field, value);
    }
    shop.announce("checkout.session.completed", session);
    if waited {
        shop.objects.set(subscription, "/status", "active");
        shop.announce_change("customer.subscription.updated", subscription, &subscribed);
    } else {
        shop.announce("customer.subscription.created", subscription);
    }
    shop.announce("invoice.paid", &invoice);
    if let Some(cart) = shop.carts.get_mut(session) {
        cart.waiting = None;
    }
}
