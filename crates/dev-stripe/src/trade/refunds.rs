//! Money goes back.

use serde_json::{Value, json};

use crate::api::error::ApiError;
use crate::objects::{new_id, number, text};
use crate::shop::Shop;

/// Refunds a charge, or the charge of a payment intent: all that is left unless an amount is given.
pub(crate) fn refund(
    shop: &mut Shop,
    paid: &str,
    amount: Option<i64>,
    reason: Option<&str>,
    metadata: &Value,
) -> Result<Value, ApiError> {
    let charge = charge_of(shop, paid)?;
    let left = number(&charge, "/amount") - number(&charge, "/amount_refunded");
    let id = text(&charge, "/id").to_owned();
    if left == 0 {
        let message = format!("Charge {id} has already been refunded.");
        return Err(ApiError::coded("charge_already_refunded", "charge", message));
    }
    let amount = amount.unwrap_or(left);
    if amount < 1 {
        let message = "This value must be greater than or equal to 1.";
        return Err(ApiError::coded("parameter_invalid_integer", "amount", message));
    }
    if amount > left {
        let message = format!("Refund amount ({amount}) is greater than unrefunded amount on charge ({left})");
        return Err(ApiError::bad("amount", message));
    }
    let refund = json!({
        "id": new_id("re"), "object": "refund", "amount": amount, "balance_transaction": null, "charge": id,
        "created": shop.now(), "currency": charge["currency"], "metadata": metadata,
        "payment_intent": charge["payment_intent"], "reason": reason, "receipt_number": null, "status": "succeeded",
    });
    let refunded = shop.objects.insert(refund.clone());
    shop.objects.set(&id, "/amount_refunded", number(&charge, "/amount_refunded") + amount);
    shop.objects.set(&id, "/refunded", amount == left);
    shop.announce("refund.created", &refunded);
    shop.announce("charge.refunded", &id);
    Ok(refund)
}

fn charge_of(shop: &Shop, paid: &str) -> Result<Value, ApiError> {
    if let Some(charge) = shop.objects.of("charge", paid) {
        return Ok(charge.clone());
    }
    let Some(payment) = shop.objects.of("payment_intent", paid) else {
        let noun = if paid.starts_with("ch_") { "charge" } else { "payment_intent" };
        return Err(ApiError::no_such(noun, paid, noun));
    };
    let charge = shop.objects.of("charge", text(payment, "/latest_charge"));
    charge.cloned().ok_or_else(|| {
        ApiError::invalid(format!("This PaymentIntent ({paid}) does not have a successful charge to refund."))
    })
}
