//! Invoices and the payments for them.

use serde_json::{Value, json};

use crate::objects::{nested_list, new_id, number, text};
use crate::shop::Shop;

/// What the bank of the customer thinks of a card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Card {
    /// 4242 4242 4242 4242.
    Good,
    /// 4000 0000 0000 0002.
    Declined,
    /// 4000 0027 6000 3184: the customer must prove who they are.
    Authenticate,
}

/// An open invoice over `amount` for the current period of a subscription, with a payment unless it is over nothing.
/// The subscription points to it.
pub(crate) fn open(shop: &mut Shop, subscription: &str, amount: i64, reason: &str) -> String {
    let subscribed = shop.objects.copy(subscription);
    let (id, now, number) = (new_id("in"), shop.now(), shop.next_invoice_number());
    let customer = shop.objects.copy(text(&subscribed, "/customer"));
    let item = &subscribed["items"]["data"][0];
    let (start, end) = (&item["current_period_start"], &item["current_period_end"]);
    let hosted = format!("{}/invoices/{id}", shop.url);
    let (currency, livemode) = (subscribed["currency"].clone(), shop.options.livemode);
    let line = line(shop, &id, &subscribed, amount);
    shop.objects.insert(json!({
        "id": id, "object": "invoice", "amount_due": amount, "amount_overpaid": 0, "amount_paid": 0,
        "amount_remaining": amount, "attempt_count": 0, "attempted": false, "auto_advance": true,
        "billing_reason": reason, "collection_method": "charge_automatically", "created": now,
        "currency": currency, "customer": customer["id"], "customer_email": customer["email"],
        "customer_name": customer["name"], "description": null, "due_date": null, "hosted_invoice_url": hosted,
        "invoice_pdf": null, "livemode": livemode, "metadata": {}, "number": number,
        "lines": nested_list(&[line], &format!("/v1/invoices/{id}/lines")),
        "parent": {
            "type": "subscription_details", "quote_details": null,
            "subscription_details": { "metadata": subscribed["metadata"], "subscription": subscription },
        },
        "period_start": start, "period_end": end, "starting_balance": 0, "status": "open",
        "status_transitions": {
            "finalized_at": now, "marked_uncollectible_at": null, "paid_at": null, "voided_at": null,
        },
        "subtotal": amount, "total": amount, "total_excluding_tax": amount,
    }));
    if amount > 0 {
        open_payment(shop, &id, amount);
    }
    shop.objects.set(subscription, "/latest_invoice", id.clone());
    id
}

/// Takes the money for an open invoice.
pub(crate) fn pay(shop: &mut Shop, invoice: &str) {
    let now = shop.now();
    let amount = number(&shop.objects.copy(invoice), "/amount_due");
    if let Some(payment) = payment_of(shop, invoice) {
        let charge = charge(shop, &payment, amount);
        for (field, value) in [
            ("/status", json!("succeeded")),
            ("/amount_received", json!(amount)),
            ("/latest_charge", json!(charge)),
            ("/next_action", Value::Null),
            ("/last_payment_error", Value::Null),
        ] {
            shop.objects.set(&payment, field, value);
        }
        if let Some(link) = link(shop, |link| link["invoice"] == invoice) {
            shop.objects.set(&link, "/status", "paid");
            shop.objects.set(&link, "/amount_paid", amount);
            shop.objects.set(&link, "/status_transitions/paid_at", now);
        }
    }
    for (field, value) in [
        ("/status", json!("paid")),
        ("/attempted", json!(true)),
        ("/attempt_count", json!(1)),
        ("/amount_paid", json!(amount)),
        ("/amount_remaining", json!(0)),
        ("/status_transitions/paid_at", json!(now)),
    ] {
        shop.objects.set(invoice, field, value);
    }
}

/// The card was no good: the invoice stays open, and the payment says why.
pub(crate) fn refuse(shop: &mut Shop, invoice: &str, card: Card) {
    shop.objects.set(invoice, "/attempted", true);
    let attempts = number(&shop.objects.copy(invoice), "/attempt_count") + 1;
    shop.objects.set(invoice, "/attempt_count", attempts);
    let Some(payment) = payment_of(shop, invoice) else { return };
    let (status, action, error) = match card {
        Card::Authenticate => {
            let to = format!("{}/authenticate/{payment}", shop.url);
            let action = json!({ "type": "redirect_to_url", "redirect_to_url": { "url": to, "return_url": null } });
            ("requires_action", action, Value::Null)
        }
        Card::Good | Card::Declined => {
            let error = json!({
                "type": "card_error", "code": "card_declined", "decline_code": "generic_decline",
                "message": "Your card was declined.",
            });
            ("requires_payment_method", Value::Null, error)
        }
    };
    shop.objects.set(&payment, "/status", status);
    shop.objects.set(&payment, "/next_action", action);
    shop.objects.set(&payment, "/last_payment_error", error);
}

/// The payment intent of an invoice.
pub(crate) fn payment_of(shop: &Shop, invoice: &str) -> Option<String> {
    let mut links = shop.objects.list("invoice_payment");
    let link = links.find(|link| link["invoice"] == invoice)?;
    Some(text(link, "/payment/payment_intent").to_owned())
}

/// The invoice of a payment intent.
pub(crate) fn invoice_of(shop: &Shop, payment: &str) -> Option<String> {
    let mut links = shop.objects.list("invoice_payment");
    let link = links.find(|link| link["payment"]["payment_intent"] == payment)?;
    Some(text(link, "/invoice").to_owned())
}

/// The subscription of an invoice.
pub(crate) fn subscription_of(shop: &Shop, invoice: &str) -> Option<String> {
    let id = text(shop.objects.get(invoice)?, "/parent/subscription_details/subscription");
    (!id.is_empty()).then(|| id.to_owned())
}

fn link(shop: &Shop, wanted: impl Fn(&Value) -> bool) -> Option<String> {
    let mut links = shop.objects.list("invoice_payment");
    links.find(|link| wanted(link)).map(|link| text(link, "/id").to_owned())
}

fn line(shop: &Shop, invoice: &str, subscribed: &Value, amount: i64) -> Value {
    let item = &subscribed["items"]["data"][0];
    let price = &item["price"];
    let product = shop.objects.copy(text(price, "/product"));
    json!({
        "id": new_id("il"), "object": "line_item", "amount": amount, "currency": subscribed["currency"],
        "description": format!("{} × {}", item["quantity"], text(&product, "/name")), "invoice": invoice,
        "livemode": shop.options.livemode, "metadata": subscribed["metadata"], "quantity": item["quantity"],
        "parent": {
            "type": "subscription_item_details",
            "subscription_item_details": {
                "proration": false, "subscription": subscribed["id"], "subscription_item": item["id"],
            },
        },
        "period": { "start": item["current_period_start"], "end": item["current_period_end"] },
        "pricing": {
            "type": "price_details", "unit_amount_decimal": price["unit_amount_decimal"],
            "price_details": { "price": price["id"], "product": price["product"] },
        },
    })
}

fn open_payment(shop: &mut Shop, invoice: &str, amount: i64) {
    let billed = shop.objects.copy(invoice);
    let (id, now, livemode) = (new_id("pi"), shop.now(), shop.options.livemode);
    shop.objects.insert(json!({
        "id": id, "object": "payment_intent", "amount": amount, "amount_capturable": 0, "amount_received": 0,
        "canceled_at": null, "capture_method": "automatic", "client_secret": format!("{id}_secret"), "created": now,
        "currency": billed["currency"], "customer": billed["customer"], "description": "Subscription",
        "last_payment_error": null, "latest_charge": null, "livemode": livemode, "metadata": {}, "next_action": null,
        "payment_method": null, "payment_method_types": ["card"], "status": "requires_payment_method",
    }));
    shop.objects.insert(json!({
        "id": new_id("inpay"), "object": "invoice_payment", "amount_paid": null, "amount_requested": amount,
        "created": now, "currency": billed["currency"], "invoice": invoice, "is_default": true, "livemode": livemode,
        "payment": { "type": "payment_intent", "payment_intent": id }, "status": "open",
        "status_transitions": { "canceled_at": null, "paid_at": null },
    }));
}

fn charge(shop: &mut Shop, payment: &str, amount: i64) -> String {
    let intent = shop.objects.copy(payment);
    let (now, livemode) = (shop.now(), shop.options.livemode);
    shop.objects.insert(json!({
        "id": new_id("ch"), "object": "charge", "amount": amount, "amount_captured": amount, "amount_refunded": 0,
        "captured": true, "created": now, "currency": intent["currency"], "customer": intent["customer"],
        "description": intent["description"], "disputed": false, "failure_code": null, "failure_message": null,
        "livemode": livemode, "metadata": {}, "paid": true, "payment_intent": payment,
        "payment_method_details": { "type": "card", "card": { "brand": "visa", "last4": "4242" } },
        "receipt_url": null, "refunded": false, "status": "succeeded",
    }))
}
