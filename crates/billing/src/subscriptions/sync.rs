//! Bringing a subscription up to date. What an event says about it is not believed: events come late, twice and in any order.
//! The subscription is fetched from the provider, and a ticket drawn before the fetch decides whose fetch was the newer one.

use platform::caller::OrgId;
use platform::db::Tx;
use platform::jobs::JobError;

use super::{Standing, Status, Subscription, is_expected, is_good, standing, store};
use crate::events::SubscriptionUpdated;
use crate::operations::OperationId;
use crate::ports::{ProviderError, ProviderSubscription};
use crate::{Billing, Error, closings, customers};

/// A subscription as it was fetched, and the ticket for writing it.
pub(crate) struct Fetched {
    id: String,
    ticket: i64,
    told: Told,
}

/// What the provider says about a subscription.
enum Told {
    Is(Box<ProviderSubscription>),
    /// It knows nothing of it any more.
    Gone,
}

impl Fetched {
    /// Whether the provider has it, in a mode that is not this service's.
    pub(crate) fn is_of_mode(&self, livemode: bool) -> bool {
        match &self.told {
            Told::Is(told) => told.livemode == livemode,
            Told::Gone => true,
        }
    }

    /// The provider's id of the subscription.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Whether nothing can follow.
    pub(crate) fn is_over(&self) -> bool {
        match &self.told {
            Told::Is(told) => Status::named(&told.status).is_final(),
            Told::Gone => true,
        }
    }

    /// Whether the provider has no such subscription.
    pub(crate) fn is_gone(&self) -> bool {
        matches!(self.told, Told::Gone)
    }
}

impl Billing {
    /// Draws a ticket and fetches a subscription, in no transaction. That the provider does not know it is believed only
    /// where `may_be_gone`.
    ///
    /// # Errors
    /// To be tried again.
    pub(crate) async fn fetch_subscription(&self, id: &str, may_be_gone: bool) -> Result<Fetched, JobError> {
        let provider = self.0.payments.name();
        let ticket = store::issue_ticket(&mut *self.0.db.read().await?, provider, id).await?;
        let told = match self.0.payments.fetch_subscription(id).await {
            Ok(told) => Told::Is(Box::new(told)),
            Err(ProviderError::NotFound) if may_be_gone => Told::Gone,
            Err(error) => return Err(error.into()),
        };
        Ok(Fetched { id: id.to_owned(), ticket, told })
    }

    /// Draws a ticket and ends a subscription at the provider, in no transaction. Of one that is over already, as when an
    /// answer got lost, it is asked how it ended.
    ///
    /// # Errors
    /// [`Error::Provider`]; when the database is away.
    pub(crate) async fn end_subscription(&self, operation: OperationId, id: &str) -> Result<Fetched, Error> {
        let payments = &self.0.payments;
        let ticket = store::issue_ticket(&mut *self.0.db.read().await?, payments.name(), id).await?;
        let told = match payments.cancel_subscription(operation, id).await {
            Err(ProviderError::NotFound) => payments.fetch_subscription(id).await,
            ended => ended,
        };
        let told = match told {
            Ok(told) => Told::Is(Box::new(told)),
            Err(ProviderError::NotFound) => Told::Gone,
            Err(error) => return Err(error.into()),
        };
        Ok(Fetched { id: id.to_owned(), ticket, told })
    }

    /// Whose subscription this is.
    ///
    /// # Errors
    /// When nobody can say now.
    pub(crate) async fn owner_of(&self, fetched: &Fetched) -> Result<Option<OrgId>, Error> {
        match &fetched.told {
            Told::Is(told) => self.owner(Some(&told.id), Some(&told.customer), told.organization).await,
            Told::Gone => self.owner(Some(&fetched.id), None, None).await,
        }
    }

    /// Who owns what the provider talks about: whom it belongs to already, else whom its customer was made for, else the one
    /// that its metadata names, provided it exists here. An account of the provider may serve others too.
    ///
    /// # Errors
    /// When nobody can say now.
    pub(crate) async fn owner(
        &self,
        subscription: Option<&str>,
        customer: Option<&str>,
        named: Option<OrgId>,
    ) -> Result<Option<OrgId>, Error> {
        let provider = self.0.payments.name();
        let known = store::find_owner(&mut *self.0.db.read().await?, provider, subscription, customer).await?;
        let Some(named) = named.filter(|_| known.is_none()) else { return Ok(known) };
        let exists = self.0.customers.contact(named).await.map_err(Error::Customers)?.is_some();
        Ok(exists.then_some(named))
    }

    /// Writes what was fetched, unless something newer is written already, and tells the others if that changes what they were
    /// told before. Says whether it wrote.
    ///
    /// # Errors
    /// When the database refuses or is away.
    pub(crate) async fn mirror(&self, tx: &mut Tx, organization: OrgId, fetched: &Fetched) -> Result<bool, Error> {
        let (provider, now, terms) = (self.0.payments.name(), self.0.clock.now(), self.terms());
        // Before and after are compared: nobody else may change what the organization has in between.
        store::lock_organization(tx, organization).await?;
        if !store::apply_ticket(tx, provider, &fetched.id, fetched.ticket).await? {
            return Ok(false);
        }
        let before = store::list(tx, organization).await?;
        let known = before.iter().find(|it| it.provider_id == fetched.id);
        let seen = match (&fetched.told, known) {
            (Told::Is(told), known) => Subscription::mirrored(known, told, now),
            (Told::Gone, Some(known)) => known.clone().ended(now),
            (Told::Gone, None) => return Ok(true),
        };
        count_step(known, &seen);
        store::save(tx, organization, provider, &seen, now).await?;
        if known.is_none() && !seen.status.is_final() {
            customers::store::bind(tx, organization, provider, &seen.customer, now).await?;
        }
        let after = store::list(tx, organization).await?;
        self.raise_alarms(organization, &after, &seen);
        if closings::store::is_closed(tx, organization).await? {
            self.refuse_purchase(tx, organization, (known, &after)).await?;
        }
        let (old, new) = (standing(&before, &terms, now), standing(&after, &terms, now));
        if old != new {
            self.0.events.announce(tx, &self.updated(organization, new)).await?;
        }
        Ok(true)
    }

    /// Nobody can use what is bought for an organization that is gone, on a page that was still open: it is canceled, and a
    /// person has to pay the money back.
    async fn refuse_purchase(
        &self,
        tx: &mut Tx,
        organization: OrgId,
        (known, after): (Option<&Subscription>, &[Subscription]),
    ) -> Result<(), Error> {
        if known.is_none() && after.iter().any(Subscription::is_running) {
            tracing::warn!(%organization, "something was bought for an organization that is gone");
            metrics::counter!("billing_alarms_total", "reason" => "bought_after_closing").increment(1);
        }
        self.cancel_all(tx, organization, after).await
    }

    fn updated(&self, organization: OrgId, standing: Standing) -> SubscriptionUpdated {
        let Standing { plan, status, quantity, current_period_end, cancel_at, access } = standing;
        let (access, at) = (access.as_str().to_owned(), self.0.clock.now());
        SubscriptionUpdated { organization, plan, status, quantity, current_period_end, cancel_at, access, at }
    }

    /// What a person should look at, as nobody may be getting what they pay for or be paying twice.
    fn raise_alarms(&self, organization: OrgId, all: &[Subscription], seen: &Subscription) {
        let (terms, now) = (self.terms(), self.0.clock.now());
        let good = |it: &&Subscription| is_good(it, &terms, now);
        let stored = all.iter().find(|it| it.id == seen.id);
        let unknown_price = stored.filter(good).is_some_and(|it| it.plan.is_none());
        let unknown_status = seen.status.label() == "other";
        let several = all.iter().filter(good).count() > 1;
        let alarms =
            [(unknown_price, "unknown_price"), (unknown_status, "unknown_status"), (several, "several_subscriptions")];
        for (_, reason) in alarms.into_iter().filter(|(holds, _)| *holds) {
            let (subscription, price) = (&seen.provider_id, seen.price.as_deref().unwrap_or_default());
            let status = seen.status.as_str();
            tracing::warn!(%organization, subscription, status, price, reason, "a subscription needs a look");
            metrics::counter!("billing_alarms_total", "reason" => reason).increment(1);
        }
    }
}

/// Steps that the provider does not document are stored like any other, and counted.
fn count_step(known: Option<&Subscription>, seen: &Subscription) {
    let from = known.map(|known| &known.status);
    if !is_expected(from, &seen.status) {
        let (from, to) = (from.map_or_else(|| "new".to_owned(), super::Status::label), seen.status.label());
        tracing::warn!(subscription = seen.provider_id, from, to, "an unexpected change of status");
        metrics::counter!("billing_unexpected_transitions_total", "from" => from, "to" => to).increment(1);
    }
}
