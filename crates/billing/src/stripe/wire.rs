//! What is read: of each object only the fields that are used. Everything else may come, go or change its shape.

use chrono::{DateTime, Utc};
use platform::caller::OrgId;
use platform::outbound::Url;
use serde::Deserialize;

use super::error::Unfit;
use crate::ports::{Checkout, CheckoutPage, CheckoutStatus, ProviderSubscription};

/// The longest id or word that is kept.
const LONGEST_WORD: usize = 255;

/// The last second of the year 9999, after which neither RFC 3339 nor anybody's plans go on.
const END_OF_TIME: i64 = 253_402_300_799;

/// `customer`.
#[derive(Deserialize)]
pub(super) struct Customer {
    id: String,
}

impl Customer {
    pub(super) fn into_id(self) -> Result<String, Unfit> {
        word(self.id, "id")
    }
}

/// `checkout.session`.
#[derive(Deserialize)]
pub(super) struct Session {
    id: String,
    url: Option<String>,
    status: Option<SessionStatus>,
    client_reference_id: Option<String>,
    metadata: Option<Metadata>,
    customer: Option<Reference>,
    subscription: Option<Reference>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum SessionStatus {
    Open,
    Complete,
    Expired,
}

/// What we told Stripe to keep.
#[derive(Default, Deserialize)]
struct Metadata {
    organization_id: Option<String>,
    operation_id: Option<String>,
}

/// Another object: its id, or the object itself.
#[derive(Deserialize)]
#[serde(untagged)]
enum Reference {
    Id(String),
    Object { id: String },
}

impl Session {
    pub(super) fn into_page(self) -> Result<CheckoutPage, Unfit> {
        let web = |url: &String| Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "https" | "http"));
        let url = self.url.filter(web).ok_or(Unfit::Value("url"))?;
        Ok(CheckoutPage { id: word(self.id, "id")?, url })
    }

    pub(super) fn into_checkout(self, asked_for: &str) -> Result<Checkout, Unfit> {
        let metadata = self.metadata.unwrap_or_default();
        let organization = metadata.organization_id.or(self.client_reference_id);
        let status = match self.status.ok_or(Unfit::Value("status"))? {
            SessionStatus::Open => CheckoutStatus::Open,
            SessionStatus::Complete => CheckoutStatus::Complete,
            SessionStatus::Expired => CheckoutStatus::Expired,
        };
        Ok(Checkout {
            id: same(self.id, asked_for)?,
            status,
            // What is no id of ours was written by somebody else.
            organization: organization.and_then(|id| id.parse().ok()),
            operation: metadata.operation_id.and_then(|id| id.parse().ok()),
            customer: self.customer.map(|it| it.into_id("customer")).transpose()?,
            subscription: self.subscription.map(|it| it.into_id("subscription")).transpose()?,
        })
    }
}

/// `subscription`.
#[derive(Deserialize)]
pub(super) struct Subscription {
    id: String,
    customer: Reference,
    status: String,
    metadata: Option<Metadata>,
    items: Items,
    /// Here before the version `2025-03-31`, on the items from then on.
    current_period_end: Option<i64>,
    trial_end: Option<i64>,
    cancel_at: Option<i64>,
    cancel_at_period_end: Option<bool>,
    ended_at: Option<i64>,
    livemode: bool,
}

#[derive(Deserialize)]
struct Items {
    data: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    price: Option<Reference>,
    quantity: Option<i64>,
    current_period_end: Option<i64>,
}

impl Subscription {
    pub(super) fn into_subscription(self, asked_for: &str) -> Result<ProviderSubscription, Unfit> {
        let metadata = self.metadata.unwrap_or_default();
        // With several items, until when all of them are paid.
        let item_period_end = self.items.data.iter().filter_map(|item| item.current_period_end).min();
        let current_period_end = moment(self.current_period_end.or(item_period_end), "current_period_end")?;
        let planned = moment(self.cancel_at, "cancel_at")?;
        let at_period_end = current_period_end.filter(|_| self.cancel_at_period_end == Some(true));
        let (price, quantity) = sold(self.items)?;
        Ok(ProviderSubscription {
            id: same(self.id, asked_for)?,
            customer: self.customer.into_id("customer")?,
            organization: metadata.organization_id.and_then(|id| id.parse::<OrgId>().ok()),
            status: word(self.status, "status")?,
            price,
            quantity,
            current_period_end,
            trial_end: moment(self.trial_end, "trial_end")?,
            cancel_at: planned.or(at_period_end),
            ended_at: moment(self.ended_at, "ended_at")?,
            livemode: self.livemode,
        })
    }
}

/// The price, if it is a single one, and how many of it. What is metered has no quantity and counts as one.
fn sold(items: Items) -> Result<(Option<String>, i32), Unfit> {
    let single = items.data.len() == 1;
    let Some(first) = items.data.into_iter().next() else { return Ok((None, 0)) };
    let quantity = i32::try_from(first.quantity.unwrap_or(1)).ok().filter(|quantity| *quantity >= 0);
    let quantity = quantity.ok_or(Unfit::Value("items.data[0].quantity"))?;
    let price = first.price.filter(|_| single).map(|price| price.into_id("items.data[0].price")).transpose()?;
    Ok((price, quantity))
}

impl Reference {
    fn into_id(self, field: &'static str) -> Result<String, Unfit> {
        let (Self::Id(id) | Self::Object { id }) = self;
        word(id, field)
    }
}

/// A short text without control characters, which no database or log minds.
fn word(text: String, field: &'static str) -> Result<String, Unfit> {
    let fits = (1..=LONGEST_WORD).contains(&text.len()) && !text.contains(char::is_control);
    if fits { Ok(text) } else { Err(Unfit::Value(field)) }
}

/// The id that was asked for: another object's state must never be taken for it.
fn same(id: String, asked_for: &str) -> Result<String, Unfit> {
    if id == asked_for { Ok(id) } else { Err(Unfit::Value("id")) }
}

fn moment(seconds: Option<i64>, field: &'static str) -> Result<Option<DateTime<Utc>>, Unfit> {
    let read = |seconds: i64| {
        let moment = DateTime::from_timestamp(seconds, 0).filter(|_| (0..=END_OF_TIME).contains(&seconds));
        moment.ok_or(Unfit::Value(field))
    };
    seconds.map(read).transpose()
}

#[cfg(test)]
mod tests;
