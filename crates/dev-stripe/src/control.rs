//! What can be done to the stand-in from outside: what people do in Stripe's dashboard, what only time does, and what
//! goes wrong. The same is offered over HTTP below `/_control`.

mod http;

pub(crate) use http::routes;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::api::customers;
use crate::api::error::ApiError;
use crate::delivery::{Attempt, Parcel};
use crate::objects::text;
use crate::options::PriceSpec;
use crate::server::{Stripe, spawn};
use crate::trade::invoices::Card;
use crate::trade::sales::{self, Paid};
use crate::trade::{changes, refunds, renewals};

/// Longer than anybody looks ahead, in seconds.
const FURTHEST: i64 = 20 * 366 * 24 * 60 * 60;

/// More copies of one event than anybody sends.
const MOST_COPIES: usize = 1_000;

/// What happens to the next calls of the API instead of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// 500 in the middle of the work. Nothing of it is left, but the key remembers the answer.
    ServerError,
    /// 503 before anything began: the key is as good as unused.
    Outage,
    /// 429, and nothing was done.
    RateLimited,
    /// No answer, although the work was done and the key remembers it.
    Timeout,
    /// No answer, and nothing was done.
    Hang,
    /// Work that lasts until [`Control::finish_slow_calls`], and is then done even if the caller gave up. Until then other
    /// calls with its key get 409.
    Slow,
    /// 402, a declined card, for the next changes of subscriptions; other calls pass.
    CardDeclined,
    /// 402, the bank wants to hear the customer, for the next changes of subscriptions; other calls pass.
    AuthenticationRequired,
}

/// What becomes of events that were held back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Release {
    /// Sent in the order in which they happened.
    InOrder,
    /// Sent newest first.
    Reversed,
    /// Never sent; they stay in the list of events.
    Never,
}

/// Why something could not be done.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ControlError(String);

impl From<ApiError> for ControlError {
    fn from(error: ApiError) -> Self {
        Self(error.message)
    }
}

/// The hand behind the stand-in. Cloning is cheap.
#[derive(Clone)]
pub struct Control(Stripe);

impl Control {
    pub(crate) fn new(stripe: Stripe) -> Self {
        Self(stripe)
    }

    /// Seconds since 1970 on the stand-in's clock.
    #[must_use]
    pub fn now(&self) -> i64 {
        self.0.shop().now()
    }

    /// Moves the clock; periods renew, trials and sessions end at their moments on the way. Signatures keep the real
    /// time.
    ///
    /// # Errors
    /// When the seconds go back, or further than 20 years.
    pub fn advance(&self, seconds: i64) -> Result<(), ControlError> {
        if !(0..=FURTHEST).contains(&seconds) {
            return Err(ControlError("the clock moves forward, by at most 20 years".to_owned()));
        }
        renewals::advance(&mut self.0.shop(), seconds);
        Ok(())
    }

    /// The next calls fail, behind failures that were asked for before.
    pub fn fail_next(&self, failure: Failure, times: u32) {
        if times > 0 {
            self.0.shop().failures.push_back((failure, times));
        }
    }

    /// Forgets failures that were asked for.
    pub fn clear_failures(&self) {
        self.0.shop().failures.clear();
    }

    /// Waits until this many calls are being worked on.
    pub async fn slow_calls(&self, count: usize) {
        let mut working = self.0.shop().slow.count();
        // An error means that the stand-in is gone, and nobody calls it any more.
        let _ = working.wait_for(|working| *working >= count).await;
    }

    /// Ends the work on all of them.
    pub fn finish_slow_calls(&self) {
        self.0.shop().slow.finish();
    }

    /// Whether cards are declined when subscriptions renew.
    pub fn decline_renewals(&self, decline: bool) {
        self.0.shop().renewals_decline = decline;
    }

    /// Records events without sending them, until [`Control::release`].
    pub fn withhold(&self) {
        self.0.shop().withheld.get_or_insert_default();
    }

    /// Ends the withholding.
    pub fn release(&self, how: Release) {
        let mut shop = self.0.shop();
        let mut held = shop.withheld.take().unwrap_or_default();
        match how {
            Release::InOrder => {}
            Release::Reversed => held.reverse(),
            Release::Never => held.clear(),
        }
        for event in held {
            shop.send(&event);
        }
    }

    /// Every event so far, oldest first, as sent.
    #[must_use]
    pub fn events(&self) -> Vec<Value> {
        let mut events: Vec<Value> = self.0.shop().objects.list("event").cloned().collect();
        events.reverse();
        events
    }

    /// One object of whatever kind, in the newest shape.
    #[must_use]
    pub fn object(&self, id: &str) -> Option<Value> {
        self.0.shop().objects.get(id).cloned()
    }

    /// Every attempt to deliver an event, oldest first; a long life forgets the oldest.
    #[must_use]
    pub fn attempts(&self) -> Vec<Attempt> {
        self.0.delivery().attempts()
    }

    /// Waits until every event that was sent is taken or given up.
    pub async fn delivered(&self) {
        self.0.delivery().settled().await;
    }

    /// Sends copies of an event at once, and waits for what the receiver says to each.
    ///
    /// # Errors
    /// When there is no such event, or more than 1000 copies are asked for.
    pub async fn resend(&self, event: &str, copies: usize) -> Result<Vec<Attempt>, ControlError> {
        if copies > MOST_COPIES {
            return Err(ControlError(format!("at most {MOST_COPIES} copies")));
        }
        let parcel = self.0.shop().parcel(event);
        let parcel = parcel.ok_or_else(|| ControlError(format!("no such event: {event}")))?;
        let (tell, mut told) = tokio::sync::mpsc::channel(copies.max(1));
        for _ in 0..copies {
            let (delivery, parcel, tell) = (self.0.delivery().clone(), parcel.clone(), tell.clone());
            spawn(async move {
                // The listener waits for all of them.
                let _ = tell.send(delivery.attempt(&parcel).await).await;
            });
        }
        drop(tell);
        let mut attempts = Vec::new();
        while let Some(attempt) = told.recv().await {
            attempts.push(attempt);
        }
        Ok(attempts)
    }

    /// Records and sends an event about anything, true or not. Gives its id.
    #[expect(clippy::must_use_candidate, reason = "the sending is the point")]
    pub fn forge(&self, kind: &str, object: &Value) -> String {
        self.0.shop().tell(kind, &json!({ "object": object }))
    }

    /// Sends any bytes, properly signed, once.
    pub async fn send_signed(&self, body: Vec<u8>) -> Attempt {
        self.0.delivery().attempt(&Parcel { event: String::new(), body }).await
    }

    /// Sends events somewhere else from now on. Nowhere, when the address is empty.
    pub fn send_events_to(&self, url: impl Into<String>) {
        self.0.delivery().redirect(url.into());
    }

    /// Signs with a new secret beside the present one.
    ///
    /// # Errors
    /// When the secret is empty.
    pub fn rotate_secret(&self, secret: impl Into<String>) -> Result<(), ControlError> {
        let secret = secret.into();
        if secret.is_empty() {
            return Err(ControlError("the secret is empty".to_owned()));
        }
        self.0.delivery().rotate(secret);
        Ok(())
    }

    /// Signs with the newest secret only.
    pub fn retire_old_secret(&self) {
        self.0.delivery().retire();
    }

    /// Puts a price up for sale, or changes one: `active: false` archives it.
    pub fn offer(&self, price: &PriceSpec) {
        self.0.shop().offer(price);
    }

    /// Pays a checkout session as the page does, with a card that is good.
    ///
    /// # Errors
    /// When the session is unknown or not open.
    pub fn pay(&self, session: &str) -> Result<(), ControlError> {
        let paid = sales::pay(&mut self.0.shop(), session, Card::Good)?;
        if paid == Paid::Done { Ok(()) } else { Err(ControlError("the session was not paid".to_owned())) }
    }

    /// Deletes a customer in the dashboard.
    ///
    /// # Errors
    /// When there is none of that id.
    pub fn delete_customer(&self, id: &str) -> Result<(), ControlError> {
        customers::delete(&mut self.0.shop(), id)?;
        Ok(())
    }

    /// Changes a subscription in the dashboard: `price` (an id) and `quantity` are understood, every other field is
    /// overwritten with what is given, unchecked, so that any state can be made.
    ///
    /// # Errors
    /// When there is no such subscription or price.
    pub fn change_subscription(&self, id: &str, fields: &Value) -> Result<(), ControlError> {
        Ok(changes::overwrite(&mut self.0.shop(), id, fields)?)
    }

    /// Refunds a charge or payment intent in the dashboard: what is left unless an amount is given. Gives the refund's
    /// id.
    ///
    /// # Errors
    /// When there is none of that id, or less is left.
    pub fn refund(&self, paid: &str, amount: Option<i64>) -> Result<String, ControlError> {
        let refund = refunds::refund(&mut self.0.shop(), paid, amount, None, &json!({}))?;
        Ok(text(&refund, "/id").to_owned())
    }

    /// Takes the money for an open invoice.
    ///
    /// # Errors
    /// When it is not open.
    pub fn pay_invoice(&self, id: &str) -> Result<(), ControlError> {
        let mut shop = self.0.shop();
        let open = shop.objects.of("invoice", id).is_some_and(|invoice| invoice["status"] == "open");
        if !open {
            return Err(ControlError(format!("no open invoice: {id}")));
        }
        sales::settle(&mut shop, id);
        Ok(())
    }

    /// What the stand-in is up to.
    pub(crate) fn state(&self) -> Value {
        let shop = self.0.shop();
        json!({
            "now": shop.now(), "url": shop.url, "failures": shop.failures, "renewals_decline": shop.renewals_decline,
            "withheld": shop.withheld, "api_version": shop.options.api_version, "livemode": shop.options.livemode,
        })
    }
}
