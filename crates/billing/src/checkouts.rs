//! Checkouts: a page of the provider on which an organization subscribes. Opening one is an operation: remembered before the
//! provider is asked, and asked again with the same key when the answer got lost. Paying happens over there; only the
//! provider's events tell.

pub(crate) mod http;
mod sending;
mod twins;

use chrono::{DateTime, Utc};
use platform::caller::{Member, OrgId};
use platform::db::Tx;
use platform::http::{Answer, Once};
use platform::once::{OnceError, OnceKey};
use platform::outbound::Url;
use serde::{Deserialize, Serialize};

use crate::operations::{self, Change, EXPIRED, Operation, OperationId, State};
use crate::plans::store::find_price;
use crate::plans::{PriceId, PriceTag};
use crate::ports::CheckoutPage;
use crate::subscriptions::{self, Subscription};
use crate::{Billing, Error, closings, customers, policy};

use sending::Setback;

/// What this kind of operation is called.
const KIND: &str = "checkout";

platform::text! {
    /// Where a browser is sent afterwards.
    pub struct ReturnUrl(1..=2048, format = "uri");
}

/// A wish to subscribe. It is stored with its operation, so that the provider can be asked for the same again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NewCheckout {
    pub(crate) price_id: PriceId,
    pub(crate) quantity: i32,
    pub(crate) success_url: ReturnUrl,
    pub(crate) cancel_url: ReturnUrl,
}

/// A page that was opened, and the operation that did it.
#[derive(Clone, Debug)]
pub(crate) struct Checkout {
    pub(crate) id: OperationId,
    pub(crate) url: String,
}

/// A request to open a page.
struct Order {
    organization: OrgId,
    key: OnceKey,
    wish: NewCheckout,
}

/// What is to be done about a request.
enum Step {
    /// It has its answer.
    Answer(Answer<Checkout>),
    /// The provider is to be asked, for the first time or again.
    Send(Errand),
}

/// What the provider is to be asked.
#[derive(Clone)]
struct Errand {
    operation: OperationId,
    wish: NewCheckout,
    /// The provider's id of the price.
    price: String,
    /// Whether the request was made before, with the same key.
    repeated: bool,
}

impl NewCheckout {
    /// Two wishes for the same are one operation, wherever they lead afterwards.
    fn subject(&self) -> String {
        format!("{KIND}:{}:{}", self.price_id, self.quantity)
    }
}

/// The origin of a URL, as browsers write it; none for anything that is no plain web address.
pub(crate) fn origin(url: &str) -> Option<String> {
    // The parser would silently drop or turn these, and other readers of the same text would not.
    let odd = url.contains(|c: char| c.is_control() || c.is_whitespace() || c == '\\');
    let url = Url::parse(url).ok().filter(|_| !odd)?;
    let plain = ["http", "https"].contains(&url.scheme()) && url.username().is_empty() && url.password().is_none();
    plain.then(|| url.origin().ascii_serialization())
}

impl Billing {
    /// Opens a page on which the organization subscribes, or finds the one that this request or a twin of it opened.
    ///
    /// # Errors
    /// [`Error::NotFound`] when the organization was deleted a moment ago, [`Error::Forbidden`], [`Error::Once`], [`Error::ReturnUrls`], [`Error::AlreadySubscribed`], [`Error::UnknownPrice`],
    /// [`Error::OtherCurrency`], [`Error::Refused`], [`Error::Provider`].
    pub(crate) async fn open_checkout(
        &self,
        member: &Member,
        wish: Once<NewCheckout>,
    ) -> Result<Answer<Checkout>, Error> {
        if !policy::may_manage_billing(member.role()) {
            return Err(Error::Forbidden);
        }
        let (key, wish) = wish.required()?;
        self.check_return_urls(&wish)?;
        let order = Order { organization: member.org(), key, wish };
        match self.try_checkout(&order).await {
            Err(Setback::StartOver { operation, gone, .. }) => {
                self.start_over(order.organization, operation, gone).await?;
                self.try_checkout(&order).await.map_err(Error::from)
            }
            done => done.map_err(Error::from),
        }
    }

    fn check_return_urls(&self, wish: &NewCheckout) -> Result<(), Error> {
        let refused = |url: &ReturnUrl| !origin(url.as_str()).is_some_and(|it| self.0.return_origins.contains(&it));
        let fields = [("success_url", &wish.success_url), ("cancel_url", &wish.cancel_url)];
        let refused: Vec<_> = fields.into_iter().filter(|(_, url)| refused(url)).map(|(field, _)| field).collect();
        if refused.is_empty() { Ok(()) } else { Err(Error::ReturnUrls(refused)) }
    }

    async fn try_checkout(&self, order: &Order) -> Result<Answer<Checkout>, Setback> {
        let errand = match self.begin_checkout(order).await? {
            Step::Answer(answer) => return Ok(answer),
            Step::Send(errand) => errand,
        };
        match self.send_checkout(order.organization, &errand).await {
            Ok(page) => Ok(answer(errand.operation, page, false)),
            Err(Setback::TwinAtWork) => Ok(self.await_twin(order, errand.repeated).await?),
            Err(setback) => Err(setback),
        }
    }

    /// Finds or makes the operation, in a transaction of its own: from here on it is remembered.
    async fn begin_checkout(&self, order: &Order) -> Result<Step, Error> {
        let now = self.0.clock.now();
        let mut tx = self.0.db.begin().await?;
        // Two clicks at once become one operation, and a subscription that is being mirrored is seen.
        subscriptions::store::lock_organization(&mut tx, order.organization).await?;
        if closings::store::is_closed(&mut tx, order.organization).await? {
            return Err(Error::NotFound);
        }
        let known = operations::store::find_by_key(&mut tx, order.organization, &order.key).await?;
        let step = match known {
            Some((_, false)) => return Err(OnceError::Reused.into()),
            Some((operation, true)) => self.repeat(&mut tx, operation, now).await?,
            None => self.begin(&mut tx, order, now).await?,
        };
        if let Step::Send(errand) = &step {
            let sent = Change::to(State::InFlight);
            operations::store::save_state(&mut tx, order.organization, errand.operation, sent, now).await?;
        }
        tx.commit().await?;
        Ok(step)
    }

    /// A request that was made before gets the answer it had, or goes on where it stopped.
    async fn repeat(&self, tx: &mut Tx, operation: Operation, now: DateTime<Utc>) -> Result<Step, Error> {
        match page(&operation, now)? {
            Some(page) => Ok(Step::Answer(answer(operation.id, page, true))),
            None => self.errand(tx, operation, true).await,
        }
    }

    /// A new request joins the open operation about the same, or begins one.
    async fn begin(&self, tx: &mut Tx, order: &Order, now: DateTime<Utc>) -> Result<Step, Error> {
        let Order { organization, key, wish } = order;
        self.check_offer(tx, *organization, wish).await?;
        let subject = wish.subject();
        let open = operations::store::find_open(tx, *organization, &subject).await?;
        if let Some(stale) = open.as_ref().filter(|open| open.is_stale(now)) {
            let closed = Change::rejected(EXPIRED);
            operations::store::save_state(tx, *organization, stale.id, closed, now).await?;
        }
        let operation = if let Some(open) = open.filter(|open| !open.is_stale(now)) {
            open
        } else {
            let wish = serde_json::to_value(wish).map_err(Error::StoredWish)?;
            let operation = Operation::new(KIND, subject, wish, now);
            operations::store::insert(tx, *organization, &operation, now).await?;
            operation
        };
        operations::store::insert_key(tx, *organization, operation.id, key, now).await?;
        match operation.page() {
            Some(page) => Ok(Step::Answer(answer(operation.id, page, false))),
            None => self.errand(tx, operation, false).await,
        }
    }

    /// What the provider is to be asked: what the operation was begun with, to the letter.
    async fn errand(&self, tx: &mut Tx, operation: Operation, repeated: bool) -> Result<Step, Error> {
        let wish: NewCheckout = serde_json::from_value(operation.wish).map_err(Error::StoredWish)?;
        let price = find_price(tx, wish.price_id).await?.ok_or(Error::UnknownPrice)?.provider_id;
        Ok(Step::Send(Errand { operation: operation.id, wish, price, repeated }))
    }

    /// Whether this organization may buy this at this moment.
    async fn check_offer(&self, tx: &mut Tx, organization: OrgId, wish: &NewCheckout) -> Result<(), Error> {
        let provider = self.0.payments.name();
        let price = find_price(tx, wish.price_id).await?;
        let price = price.filter(|price| price.active && price.provider == provider).ok_or(Error::UnknownPrice)?;
        let subscriptions = subscriptions::store::list(tx, organization).await?;
        if subscriptions.iter().any(Subscription::is_running) {
            return Err(Error::AlreadySubscribed);
        }
        let customer = customers::store::find(tx, organization, provider).await?;
        refuse_other_currency(&price, customer.as_deref(), &subscriptions)
    }
}

/// A customer of the provider pays in one currency for good.
fn refuse_other_currency(
    price: &PriceTag,
    customer: Option<&str>,
    subscriptions: &[Subscription],
) -> Result<(), Error> {
    let theirs = subscriptions.iter().filter(|it| Some(it.customer.as_str()) == customer);
    match theirs.filter_map(|it| it.plan.as_ref()).map(|plan| plan.currency).find(|paid| *paid != price.currency) {
        Some(paid) => Err(Error::OtherCurrency(paid)),
        None => Ok(()),
    }
}

/// The page of an operation, if it is open by now.
fn page(operation: &Operation, now: DateTime<Utc>) -> Result<Option<CheckoutPage>, Error> {
    match (operation.page(), operation.state) {
        (Some(page), _) => Ok(Some(page)),
        (None, State::Succeeded) => Err(Error::AlreadySubscribed),
        (None, State::Rejected) => Err(Error::Refused(operation.error.clone().unwrap_or_default())),
        (None, _) if operation.is_stale(now) => Err(Error::Refused(EXPIRED.to_owned())),
        (None, _) => Ok(None),
    }
}

fn answer(id: OperationId, page: CheckoutPage, replayed: bool) -> Answer<Checkout> {
    Answer { value: Checkout { id, url: page.url }, replayed }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_origin_of_a_url_is_scheme_host_and_port() {
        for (url, expected) in [
            ("https://app.example", "https://app.example"),
            ("https://APP.example:443/a?b={CHECKOUT_SESSION_ID}#c", "https://app.example"),
            ("http://localhost:8080/done", "http://localhost:8080"),
            ("https://app.example.evil.example/", "https://app.example.evil.example"),
        ] {
            assert_eq!(origin(url).as_deref(), Some(expected), "{url}");
        }
        for url in [
            "",
            "/done",
            "//app.example/done",
            "javascript:alert(1)",
            "data:text/html,x",
            "https://app.example@evil.example/",
            "https://app.example\\@evil.example/",
            "https://app .example/",
            "https://app.example/\n",
        ] {
            // What has an origin at all has not the one it pretends to have.
            assert_ne!(origin(url).as_deref(), Some("https://app.example"), "{url}");
        }
    }

    #[test]
    fn where_it_leads_afterwards_makes_no_other_operation() {
        let price_id = PriceId::new();
        let wish = |quantity, url: &str| NewCheckout {
            price_id,
            quantity,
            success_url: url.into(),
            cancel_url: "https://app.example".into(),
        };
        assert_eq!(wish(1, "https://a.example").subject(), wish(1, "https://b.example").subject());
        assert_ne!(wish(1, "https://a.example").subject(), wish(2, "https://a.example").subject());
    }
}
