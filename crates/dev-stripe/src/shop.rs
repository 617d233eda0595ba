//! The state of the stand-in, and what every part of it needs: the time, the objects, and telling the world.

use std::collections::{HashMap, VecDeque};

use serde_json::{Map, Value, json};

use crate::api::keys::Keys;
use crate::api::slow::SlowCalls;
use crate::api::view;
use crate::control::Failure;
use crate::delivery::{Delivery, Parcel};
use crate::objects::{Objects, new_id};
use crate::options::{Options, PriceSpec};

/// The state, behind one lock: every call is one step.
pub(crate) struct Shop {
    pub(crate) options: Options,
    /// Where the pages are.
    pub(crate) url: String,
    pub(crate) objects: Objects,
    /// What each checkout session sells.
    pub(crate) carts: HashMap<String, Cart>,
    pub(crate) keys: Keys,
    /// Failures asked for, each with how many calls it still hits.
    pub(crate) failures: VecDeque<(Failure, u32)>,
    pub(crate) slow: SlowCalls,
    /// Whether the cards of all customers are declined when a subscription is renewed.
    pub(crate) renewals_decline: bool,
    /// The API call that is being answered: its request id and idempotency key.
    pub(crate) cause: (Option<String>, Option<String>),
    /// The events held back, while they are.
    pub(crate) withheld: Option<Vec<String>>,
    delivery: Delivery,
    /// How far the clock was moved, in seconds.
    moved: i64,
    invoices: u32,
}

/// What a checkout session sells, and the subscription that waits for the bank of the customer.
#[derive(Clone)]
pub(crate) struct Cart {
    pub(crate) price: String,
    pub(crate) quantity: i64,
    pub(crate) trial_end: Option<i64>,
    pub(crate) metadata: Map<String, Value>,
    pub(crate) waiting: Option<String>,
}

impl Shop {
    pub(crate) fn new(options: Options, url: String, delivery: Delivery) -> Self {
        let mut shop = Self {
            url,
            objects: Objects::default(),
            carts: HashMap::new(),
            keys: Keys::default(),
            failures: VecDeque::new(),
            slow: SlowCalls::default(),
            renewals_decline: false,
            cause: (None, None),
            withheld: None,
            delivery,
            moved: 0,
            invoices: 0,
            options,
        };
        for price in shop.options.prices.clone() {
            shop.offer(&price);
        }
        shop
    }

    /// Seconds since 1970, on the clock that can be moved.
    pub(crate) fn now(&self) -> i64 {
        self.options.time.now().saturating_add(self.moved)
    }

    /// Moves the clock to a later moment.
    pub(crate) fn move_clock_to(&mut self, moment: i64) {
        self.moved = self.moved.saturating_add(moment.saturating_sub(self.now()).max(0));
    }

    /// The number of the next invoice.
    pub(crate) fn next_invoice_number(&mut self) -> String {
        self.invoices += 1;
        format!("DEV-{:04}", self.invoices)
    }

    /// Puts a price up for sale, with its product; a price of the same id is replaced.
    pub(crate) fn offer(&mut self, price: &PriceSpec) {
        let (created, livemode) = (self.now(), self.options.livemode);
        let known = self.objects.list("product").find(|product| product["name"] == price.product.as_str());
        let product = match known {
            Some(product) => product["id"].clone(),
            None => Value::String(self.objects.insert(json!({
                "id": new_id("prod"), "object": "product", "active": true, "created": created, "default_price": null,
                "description": null, "images": [], "livemode": livemode, "metadata": {}, "name": price.product,
                "type": "service", "updated": created,
            }))),
        };
        let object = json!({
            "id": price.id, "object": "price", "active": price.active, "billing_scheme": "per_unit",
            "created": created, "currency": price.currency, "livemode": livemode, "lookup_key": null, "metadata": {},
            "nickname": null, "product": product, "tax_behavior": "unspecified", "tiers_mode": null,
            "transform_quantity": null, "type": "recurring", "unit_amount": price.unit_amount,
            "unit_amount_decimal": price.unit_amount.to_string(),
            "recurring": {
                "interval": price.interval.word(), "interval_count": 1, "meter": null, "trial_period_days": null,
                "usage_type": "licensed",
            },
        });
        if self.objects.get(&price.id).is_some() {
            self.objects.replace(object);
        } else {
            self.objects.insert(object);
        }
    }

    /// Tells the world what happened to an object, with its state as of now.
    pub(crate) fn announce(&mut self, kind: &str, id: &str) {
        let object = view::shaped(self, self.objects.copy(id), &self.options.api_version);
        self.tell(kind, &json!({ "object": object }));
    }

    /// Tells the world what changed in an object since `before`, if anything did.
    pub(crate) fn announce_change(&mut self, kind: &str, id: &str, before: &Value) {
        let version = self.options.api_version.clone();
        let before = view::shaped(self, before.clone(), &version);
        let object = view::shaped(self, self.objects.copy(id), &version);
        let old = before.as_object().into_iter().flatten();
        let previous: Map<String, Value> = old
            .filter(|(field, value)| object.get(field.as_str()) != Some(value))
            .map(|(field, value)| (field.clone(), value.clone()))
            .collect();
        if !previous.is_empty() {
            self.tell(kind, &json!({ "object": object, "previous_attributes": previous }));
        }
    }

    /// Records an event with whatever it says, and sends it unless events are held back.
    pub(crate) fn tell(&mut self, kind: &str, data: &Value) -> String {
        let id = self.objects.insert(json!({
            "id": new_id("evt"), "object": "event", "api_version": self.options.api_version, "created": self.now(),
            "data": data, "livemode": self.options.livemode, "pending_webhooks": 1,
            "request": { "id": self.cause.0, "idempotency_key": self.cause.1 }, "type": kind,
        }));
        match &mut self.withheld {
            Some(held) => held.push(id.clone()),
            None => self.send(&id),
        }
        id
    }

    /// Sends a recorded event.
    pub(crate) fn send(&self, id: &str) {
        if let Some(parcel) = self.parcel(id) {
            self.delivery.queue(parcel);
        }
    }

    /// A recorded event as it goes over the wire.
    pub(crate) fn parcel(&self, id: &str) -> Option<Parcel> {
        let event = self.objects.of("event", id)?;
        Some(Parcel { event: id.to_owned(), body: event.to_string().into_bytes() })
    }
}
