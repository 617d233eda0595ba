//! What only time does: periods renew, trials and sessions end.

use serde_json::Value;

use super::cancelling::{cancel, expire_session};
use super::changes::price_of;
use super::invoices::{self, Card};
use super::prices::period_end;
use crate::objects::{number, text};
use crate::shop::Shop;

/// Moves the clock, and everything that falls due on the way happens at its moment.
pub(crate) fn advance(shop: &mut Shop, seconds: i64) {
    let target = shop.now().saturating_add(seconds);
    while let Some((moment, id)) = next_due(shop).filter(|(moment, _)| *moment <= target) {
        shop.move_clock_to(moment);
        if shop.carts.contains_key(&id) {
            expire_session(shop, &id);
        } else {
            fall_due(shop, &id);
        }
    }
    shop.move_clock_to(target);
}

/// Starts the next period of a subscription: a new invoice, paid unless cards are declined.
pub(crate) fn renew(shop: &mut Shop, id: &str) {
    let before = shop.objects.copy(id);
    let item = &before["items"]["data"][0];
    let start = number(item, "/current_period_end");
    let end = period_end(&item["price"], number(&before, "/billing_cycle_anchor"), start);
    shop.objects.set(id, "/items/data/0/current_period_start", start);
    shop.objects.set(id, "/items/data/0/current_period_end", end);
    let amount = price_of(&before).unwrap_or_default();
    let invoice = invoices::open(shop, id, amount, "subscription_cycle");
    let declined = shop.renewals_decline && amount > 0;
    if declined {
        invoices::refuse(shop, &invoice, Card::Declined);
    } else {
        invoices::pay(shop, &invoice);
    }
    shop.objects.set(id, "/status", if declined { "past_due" } else { "active" });
    shop.announce(if declined { "invoice.payment_failed" } else { "invoice.paid" }, &invoice);
    shop.announce_change("customer.subscription.updated", id, &before);
}

fn fall_due(shop: &mut Shop, id: &str) {
    let subscription = shop.objects.copy(id);
    let cancel_at = subscription["cancel_at"].as_i64();
    if cancel_at.is_some_and(|moment| moment <= shop.now()) {
        cancel(shop, id, "cancellation_requested");
    } else {
        renew(shop, id);
    }
}

/// The next thing that falls due, and when.
fn next_due(shop: &Shop) -> Option<(i64, String)> {
    let sessions = shop.objects.list("checkout.session").filter(|session| session["status"] == "open");
    let sessions = sessions.map(|session| (number(session, "/expires_at"), session));
    let subscriptions = shop.objects.list("subscription").filter_map(|found| Some((due(found)?, found)));
    let next = sessions.chain(subscriptions).min_by_key(|(moment, _)| *moment)?;
    Some((next.0, text(next.1, "/id").to_owned()))
}

fn due(subscription: &Value) -> Option<i64> {
    if !["trialing", "active", "past_due"].contains(&text(subscription, "/status")) {
        return None;
    }
    let end = number(subscription, "/items/data/0/current_period_end");
    Some(subscription["cancel_at"].as_i64().map_or(end, |moment| moment.min(end)))
}
