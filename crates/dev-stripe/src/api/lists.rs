//! Reading: one object, or a page of a list, newest first.

use serde_json::{Value, json};

use super::call::Call;
use super::error::ApiError;
use crate::objects::{number, text};
use crate::shop::Shop;

/// A collection: its path, the `object` of its members, what messages call one, and the fields a list filters by,
/// as (parameter, JSON pointer).
struct Collection {
    path: &'static [&'static str],
    object: &'static str,
    noun: &'static str,
    filters: &'static [(&'static str, &'static str)],
}

const COLLECTIONS: [Collection; 11] = [
    of(&["customers"], "customer", "customer", &[("email", "/email")]),
    of(
        &["checkout", "sessions"],
        "checkout.session",
        "checkout.session",
        &[("customer", "/customer"), ("subscription", "/subscription"), ("status", "/status")],
    ),
    of(&["subscriptions"], "subscription", "subscription", &[("customer", "/customer"), ("price", ITEM_PRICE)]),
    of(
        &["invoices"],
        "invoice",
        "invoice",
        &[("customer", "/customer"), ("status", "/status"), ("subscription", INVOICE_SUBSCRIPTION)],
    ),
    of(
        &["invoice_payments"],
        "invoice_payment",
        "invoice_payment",
        &[("invoice", "/invoice"), ("status", "/status"), ("payment[payment_intent]", "/payment/payment_intent")],
    ),
    of(&["payment_intents"], "payment_intent", "payment_intent", &[("customer", "/customer")]),
    of(&["charges"], "charge", "charge", &[("customer", "/customer"), ("payment_intent", "/payment_intent")]),
    of(&["refunds"], "refund", "refund", &[("charge", "/charge"), ("payment_intent", "/payment_intent")]),
    of(&["events"], "event", "event", &[("type", "/type")]),
    of(&["prices"], "price", "price", &[("currency", "/currency"), ("product", "/product")]),
    of(&["products"], "product", "product", &[]),
];

const ITEM_PRICE: &str = "/items/data/0/price/id";
const INVOICE_SUBSCRIPTION: &str = "/parent/subscription_details/subscription";

const fn of(
    path: &'static [&'static str],
    object: &'static str,
    noun: &'static str,
    filters: &'static [(&'static str, &'static str)],
) -> Collection {
    Collection { path, object, noun, filters }
}

/// `GET` of a collection or of one of its members.
pub(crate) fn read(shop: &Shop, path: &[&str], call: &Call) -> Result<Value, ApiError> {
    for collection in &COLLECTIONS {
        match path.strip_prefix(collection.path) {
            Some([]) => return page(shop, collection, call),
            Some([id]) => {
                let found = shop.objects.of(collection.object, id).cloned();
                return found.ok_or_else(|| ApiError::no_such(collection.noun, id, "id"));
            }
            _ => {}
        }
    }
    Err(ApiError::unknown_url(call))
}

fn page(shop: &Shop, collection: &Collection, call: &Call) -> Result<Value, ApiError> {
    check(collection, call)?;
    let limit = call.params.integer("limit")?.unwrap_or(10);
    let limit = usize::try_from(limit).ok().filter(|limit| (1..=100).contains(limit));
    let limit = limit.ok_or_else(|| ApiError::bad("limit", "Limit must be between 1 and 100."))?;
    let mut found = Vec::new();
    for object in shop.objects.list(collection.object) {
        if wanted(collection, object, call)? {
            found.push(object);
        }
    }
    let place = |name: &str| -> Result<Option<usize>, ApiError> {
        let Some(id) = call.params.text(name) else { return Ok(None) };
        let place = found.iter().position(|object| object["id"] == id);
        place.map(Some).ok_or_else(|| ApiError::no_such(collection.noun, id, name))
    };
    let (after, before) = (place("starting_after")?, place("ending_before")?);
    // Backwards, the page is the one that ends just before the named object.
    let window = match (after, before) {
        (Some(after), _) => &found[after + 1..],
        (None, Some(before)) => &found[before.saturating_sub(limit)..before],
        (None, None) => &found[..],
    };
    let more = before.map_or(window.len() > limit, |before| before > limit);
    let data: Vec<&Value> = window.iter().take(limit).copied().collect();
    let url = format!("/v1/{}", collection.path.join("/"));
    Ok(json!({ "object": "list", "data": data, "has_more": more, "url": url }))
}

fn check(collection: &Collection, call: &Call) -> Result<(), ApiError> {
    let own = collection.filters.iter().map(|(name, _)| name.split('[').next().unwrap_or_default());
    let mut known: Vec<&str> = own.collect();
    known.extend(["limit", "starting_after", "ending_before", "created"]);
    match collection.object {
        "subscription" => known.push("status"),
        "event" => known.push("types"),
        "price" => known.extend(["active", "recurring", "type"]),
        _ => {}
    }
    call.params.only(&known)
}

fn wanted(collection: &Collection, object: &Value, call: &Call) -> Result<bool, ApiError> {
    let params = &call.params;
    for (name, field) in collection.filters {
        if params.text(name).is_some_and(|value| text(object, field) != value) {
            return Ok(false);
        }
    }
    let created = number(object, "/created");
    let bound = |name: &str| params.integer(&format!("created[{name}]"));
    let in_time = bound("gt")?.is_none_or(|bound| created > bound)
        && bound("gte")?.is_none_or(|bound| created >= bound)
        && bound("lt")?.is_none_or(|bound| created < bound)
        && bound("lte")?.is_none_or(|bound| created <= bound);
    let special = match collection.object {
        "subscription" => match params.text("status") {
            Some("all") => true,
            Some(status) => object["status"] == status,
            None => object["status"] != "canceled" && object["status"] != "incomplete_expired",
        },
        "event" => {
            let types = params.texts("types");
            types.is_empty() || types.contains(&text(object, "/type"))
        }
        "price" => params.flag("active")?.is_none_or(|active| object["active"] == active),
        "customer" => object["deleted"] != true,
        _ => true,
    };
    Ok(in_time && special)
}
