//! The page on which customers manage their subscriptions, and the page of an invoice.

use std::fmt::Write as _;

use axum::extract::{Path, State};
use serde_json::Value;

use super::Shown;
use super::look::{day, escape, message, money, not_found, notice, page};
use crate::objects::{number, text};
use crate::server::Stripe;
use crate::shop::Shop;
use crate::trade::cancelling::ended;
use crate::trade::changes::{self, Change, price_of};

/// `GET /portal/{session}`
pub(super) async fn show(State(stripe): State<Stripe>, Path(id): Path<String>) -> Shown {
    let shop = stripe.shop();
    let Some(session) = shop.objects.of("billing_portal.session", &id) else { return not_found("page") };
    let customer = text(session, "/customer");
    let back = match text(session, "/return_url") {
        "" => String::new(),
        url => format!("<a class=\"button\" href=\"{}\">Return to {}</a>", escape(url), escape(&shop.options.shop)),
    };
    let body = format!(
        "<main class=\"single card\"><div class=\"shop\">{}</div><h1>Your subscription</h1><h2>Plans</h2>{}\
         <h2>Invoices</h2>{}{back}{}</main>",
        escape(&shop.options.shop),
        subscriptions(&shop, &id, customer),
        invoices(&shop, customer),
        notice()
    );
    Shown::Page(page("Your subscription", &body))
}

/// `POST /portal/{session}/subscriptions/{subscription}`: cancels at the end of the period, or takes that back.
pub(super) async fn change(
    State(stripe): State<Stripe>,
    Path((session, subscription)): Path<(String, String)>,
    body: String,
) -> Shown {
    let mut shop = stripe.shop();
    let customer = shop.objects.copy(&session)["customer"].clone();
    let subscribed = shop.objects.copy(&subscription);
    if subscribed["customer"] != customer || !customer.is_string() || ended(&subscribed) {
        return not_found("subscription");
    }
    let cancel = form_urlencoded::parse(body.as_bytes()).any(|(name, value)| name == "cancel" && value == "yes");
    let wanted = Change { cancel_at_period_end: Some(cancel), ..Change::default() };
    if let Err(error) = changes::change(&mut shop, &subscription, &wanted) {
        return Shown::Page(message("This did not work", &error.message, None));
    }
    Shown::Elsewhere(format!("{}/portal/{session}", shop.url))
}

/// `GET /invoices/{invoice}`
pub(super) async fn invoice(State(stripe): State<Stripe>, Path(id): Path<String>) -> Shown {
    let shop = stripe.shop();
    let Some(invoice) = shop.objects.of("invoice", &id) else { return not_found("invoice") };
    let amount = money(number(invoice, "/amount_due"), text(invoice, "/currency"));
    let line = text(invoice, "/lines/data/0/description");
    let about = format!(
        "{line}, {} to {}. {amount}, {}.",
        day(number(invoice, "/period_start")),
        day(number(invoice, "/period_end")),
        text(invoice, "/status")
    );
    Shown::Page(message(&format!("Invoice {}", text(invoice, "/number")), &about, None))
}

fn subscriptions(shop: &Shop, session: &str, customer: &str) -> String {
    let mut rows = String::new();
    for found in shop.objects.list("subscription").filter(|found| found["customer"] == customer) {
        rows.push_str(&subscription(shop, session, found));
    }
    if rows.is_empty() { "<p>No subscription yet.</p>".to_owned() } else { rows }
}

fn subscription(shop: &Shop, session: &str, found: &Value) -> String {
    let item = &found["items"]["data"][0];
    let product = shop.objects.copy(text(item, "/price/product"));
    let amount = money(price_of(found).unwrap_or_default(), text(found, "/currency"));
    let end = day(number(item, "/current_period_end"));
    let (stays, next) = match (ended(found), found["cancel_at_period_end"] == true) {
        (true, _) => (None, "ended".to_owned()),
        (false, true) => (Some(("no", "Keep the plan")), format!("ends on {end}")),
        (false, false) => (Some(("yes", "Cancel the plan")), format!("renews on {end}")),
    };
    let action = stays.map(|(value, label)| {
        format!(
            "<form method=\"post\" action=\"/portal/{}/subscriptions/{}\">\
             <button name=\"cancel\" value=\"{value}\">{label}</button></form>",
            escape(session),
            escape(text(found, "/id"))
        )
    });
    format!(
        "<div class=\"row\"><span><strong>{}</strong> × {}<small>{amount} per {}, {}, {next}</small></span>{}</div>",
        escape(text(&product, "/name")),
        item["quantity"],
        escape(text(item, "/price/recurring/interval")),
        escape(text(found, "/status")),
        action.unwrap_or_default()
    )
}

fn invoices(shop: &Shop, customer: &str) -> String {
    let mut rows = String::new();
    for found in shop.objects.list("invoice").filter(|found| found["customer"] == customer) {
        // Writing to a string cannot fail.
        let _ = write!(
            rows,
            "<div class=\"row\"><span><a href=\"/invoices/{}\">{}</a><small>{}</small></span><span>{}, {}</span></div>",
            escape(text(found, "/id")),
            escape(text(found, "/number")),
            day(number(found, "/created")),
            money(number(found, "/amount_due"), text(found, "/currency")),
            escape(text(found, "/status"))
        );
    }
    if rows.is_empty() { "<p>No invoice yet.</p>".to_owned() } else { rows }
}
