//! The checkout page, and the page of the bank.

use std::fmt::Write as _;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde_json::Value;

use super::Shown;
use super::look::{day, escape, message, money, not_found, notice, page};
use crate::api::error::ApiError;
use crate::objects::{number, text};
use crate::server::Stripe;
use crate::shop::{Cart, Shop};
use crate::trade::invoices::{self, Card};
use crate::trade::sales::{self, Paid};

/// The choices on the page: value, label, number, what happens.
const CARDS: [(&str, &str, &str); 3] = [
    ("good", "Payment succeeds", "4242 4242 4242 4242"),
    ("authenticate", "3-D Secure is required", "4000 0027 6000 3184"),
    ("declined", "Card is declined", "4000 0000 0000 0002"),
];

/// `GET /pay/{session}`
pub(super) async fn show(State(stripe): State<Stripe>, Path(id): Path<String>) -> Shown {
    offer(&stripe.shop(), &id, None)
}

/// `POST /pay/{session}/pay`
pub(super) async fn pay(State(stripe): State<Stripe>, Path(id): Path<String>, body: String) -> Shown {
    let chosen = form_urlencoded::parse(body.as_bytes()).find(|(name, _)| name == "card");
    let card = match chosen.as_ref().map(|(_, card)| card.as_ref()) {
        Some("declined") => Card::Declined,
        Some("authenticate") => Card::Authenticate,
        _ => Card::Good,
    };
    let mut shop = stripe.shop();
    match sales::pay(&mut shop, &id, card) {
        Ok(Paid::Done) => done(&shop, &id),
        Ok(Paid::Declined) => offer(&shop, &id, Some("Your card was declined. Try another one.")),
        Ok(Paid::Authenticate(payment)) => Shown::Elsewhere(format!("{}/authenticate/{payment}", shop.url)),
        Err(error) if shop.objects.of("checkout.session", &id).is_some() => refused(&error),
        Err(_) => not_found("checkout"),
    }
}

/// `POST /pay/{session}/cancel`: leaves; the session stays open until it expires, as with Stripe.
pub(super) async fn cancel(State(stripe): State<Stripe>, Path(id): Path<String>) -> Shown {
    let shop = stripe.shop();
    let Some(session) = shop.objects.of("checkout.session", &id) else { return not_found("checkout") };
    match text(session, "/cancel_url") {
        "" => Shown::Page(message("Checkout left", "Nothing was paid. You can close this page.", None)),
        url => Shown::Elsewhere(with_session(url, &id)),
    }
}

/// `GET /authenticate/{payment}`: the bank asks.
pub(super) async fn bank(State(stripe): State<Stripe>, Path(payment): Path<String>) -> Shown {
    let shop = stripe.shop();
    let Some(intent) = shop.objects.of("payment_intent", &payment) else { return not_found("payment") };
    if intent["status"] != "requires_action" {
        return Shown::Page(message("Nothing to confirm", "This payment does not wait for you.", None));
    }
    let amount = escape(&money(number(intent, "/amount"), text(intent, "/currency")));
    let name = escape(&shop.options.shop);
    let body = format!(
        "<main class=\"single card\"><h1>Confirm your payment</h1>\
         <p>Your bank asks whether you want to pay <strong>{amount}</strong> to {name}. A real bank would ask for a \
         code or show this in its app.</p>\
         <form method=\"post\"><button name=\"proven\" value=\"yes\">Confirm payment</button>\
         <button class=\"plain\" name=\"proven\" value=\"no\">Refuse</button></form>{}</main>",
        notice()
    );
    Shown::Page(page("Confirm your payment", &body))
}

/// `POST /authenticate/{payment}`: the customer answers the bank.
pub(super) async fn answer_bank(State(stripe): State<Stripe>, Path(payment): Path<String>, body: String) -> Shown {
    let proven = form_urlencoded::parse(body.as_bytes()).any(|(name, value)| name == "proven" && value == "yes");
    let mut shop = stripe.shop();
    match sales::authenticate(&mut shop, &payment, proven) {
        Ok(Some(session)) if proven => done(&shop, &session),
        Ok(Some(session)) => offer(&shop, &session, Some("Your bank did not confirm the payment. Try again.")),
        Ok(None) => after_bank(&shop, &payment, proven),
        Err(error) => refused(&error),
    }
}

fn after_bank(shop: &Shop, payment: &str, proven: bool) -> Shown {
    let invoice = invoices::invoice_of(shop, payment).unwrap_or_default();
    let url = format!("{}/invoices/{invoice}", shop.url);
    let title = if proven { "Payment confirmed" } else { "Payment not confirmed" };
    Shown::Page(message(title, "You can close this page.", Some((&url, "Show the invoice"))))
}

fn done(shop: &Shop, id: &str) -> Shown {
    let session = shop.objects.copy(id);
    Shown::Elsewhere(with_session(text(&session, "/success_url"), id))
}

fn with_session(url: &str, id: &str) -> String {
    url.replace("{CHECKOUT_SESSION_ID}", id)
}

fn refused(error: &ApiError) -> Shown {
    Shown::Refused(StatusCode::CONFLICT, message("This did not work", &error.message, None))
}

/// The page of a session: the offer while it is open, a message afterwards.
fn offer(shop: &Shop, id: &str, error: Option<&str>) -> Shown {
    let found = shop.objects.of("checkout.session", id).zip(shop.carts.get(id));
    let Some((session, cart)) = found else { return not_found("checkout") };
    if session["status"] == "complete" {
        let back = with_session(text(session, "/success_url"), id);
        let link = Some((back.as_str(), "Continue"));
        return Shown::Page(message("Payment complete", "This checkout has already been paid.", link));
    }
    if session["status"] != "open" || number(session, "/expires_at") <= shop.now() {
        let back = with_session(text(session, "/cancel_url"), id);
        let link = (!back.is_empty()).then_some((back.as_str(), "Go back"));
        return Shown::Page(message("Checkout expired", "Start again from where you came.", link));
    }
    let title = format!("Subscribe to {}", product(shop, cart));
    let side = summary(shop, session, cart);
    let form = form(shop, session, cart, error);
    Shown::Page(page(&title, &format!("<div class=\"split\">{side}{form}</div>")))
}

fn product(shop: &Shop, cart: &Cart) -> String {
    let price = shop.objects.copy(&cart.price);
    text(&shop.objects.copy(text(&price, "/product")), "/name").to_owned()
}

/// The left half: what is bought.
fn summary(shop: &Shop, session: &Value, cart: &Cart) -> String {
    let price = shop.objects.copy(&cart.price);
    let (currency, interval) = (text(&price, "/currency"), text(&price, "/recurring/interval"));
    let each = escape(&money(number(&price, "/unit_amount"), currency));
    let total = escape(&money(number(session, "/amount_total"), currency));
    let (name, shop_name, quantity) = (escape(&product(shop, cart)), escape(&shop.options.shop), cart.quantity);
    let today = if trial(shop, cart).is_some() { escape(&money(0, currency)) } else { total.clone() };
    let after = trial(shop, cart).map(|end| {
        format!(
            "<li><span>After the trial<small>from {}</small></span><span>{total} / {interval}</span></li>",
            day(end)
        )
    });
    let after = after.unwrap_or_default();
    format!(
        "<section class=\"side\"><div>\
         <div class=\"shop\">{shop_name} <span class=\"badge\">Test mode</span></div>\
         <p class=\"lead\">Subscribe to {name}</p>\
         <p class=\"price\">{total} <small>per {interval}</small></p>\
         <ul class=\"lines\">\
         <li><span>{name}<small>Quantity {quantity} × {each} per {interval}</small></span><span>{total}</span></li>\
         {after}\
         <li class=\"total\"><span>Total due today</span><span>{today}</span></li>\
         </ul></div></section>"
    )
}

/// The right half: how it is paid.
fn form(shop: &Shop, session: &Value, cart: &Cart, error: Option<&str>) -> String {
    let id = escape(text(session, "/id"));
    let email = match text(session, "/customer") {
        "" => text(session, "/customer_email").to_owned(),
        customer => text(&shop.objects.copy(customer), "/email").to_owned(),
    };
    let email = if email.is_empty() { String::new() } else { format!("<p class=\"fine\">For {}</p>", escape(&email)) };
    let error = error.map(|text| format!("<p class=\"error\" role=\"alert\">{}</p>", escape(text))).unwrap_or_default();
    let mut cards = String::new();
    for (value, label, number) in CARDS {
        let checked = if value == "good" { " checked" } else { "" };
        // Writing to a string cannot fail.
        let _ = write!(
            cards,
            "<label class=\"choice\"><input type=\"radio\" name=\"card\" value=\"{value}\"{checked}>\
             <span><strong>{label}</strong><code>{number}</code></span></label>"
        );
    }
    let pay = if trial(shop, cart).is_some() { "Start trial" } else { "Pay and subscribe" };
    let amount = money(number(session, "/amount_total"), text(session, "/currency"));
    let interval = shop.objects.copy(&cart.price)["recurring"]["interval"].as_str().unwrap_or_default().to_owned();
    format!(
        "<main class=\"form\"><div><h1>Pay with a test card</h1>{email}{error}\
         <form method=\"post\" action=\"/pay/{id}/pay\"><div class=\"group\" role=\"radiogroup\" \
         aria-label=\"Test card\"><fieldset>{cards}</fieldset></div>\
         <button>{pay}</button></form>\
         <form method=\"post\" action=\"/pay/{id}/cancel\"><button class=\"plain\">Cancel and go back</button></form>\
         <p class=\"fine\">You will be charged {} every {interval} until you cancel.</p>{}</div></main>",
        escape(&amount),
        notice()
    )
}

fn trial(shop: &Shop, cart: &Cart) -> Option<i64> {
    cart.trial_end.filter(|end| *end > shop.now())
}
