//! What the payment provider tells. An event says that something is worth looking at, never what is so: the object is fetched
//! from the provider, and the job that brought the event is settled in the transaction that writes what was found.

use platform::caller::OrgId;
use platform::jobs::{JobError, Running};

use crate::ports::{Checkout, CheckoutStatus};
use crate::{Billing, customers, operations};

/// How often an object is looked at whose owner nobody knows. It may be about to become known; after that a person has to look.
const TRIES_FOR_STRANGERS: i32 = 5;

/// An event of the payment provider. Whoever hands it in has made sure that the provider sent it.
#[derive(Clone, Debug)]
pub struct ProviderEvent {
    /// The provider's id of the event.
    pub id: String,
    /// What it is about, such as `customer.subscription.updated`.
    pub event_type: String,
    /// The provider's id of the object it is about.
    pub object_id: Option<String>,
    /// Whether real money moved.
    pub livemode: bool,
}

/// What is done about an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Topic {
    Checkout,
    Subscription { deleted: bool },
    Other,
}

/// What became of an event, for metrics.
#[derive(Clone, Copy, Debug)]
enum Outcome {
    /// What was found is written.
    Applied,
    /// Something newer was written before.
    Stale,
    /// Nothing depends on it.
    Ignored,
    /// It is about play money where real money moves, or the other way round.
    OtherMode,
}

impl Topic {
    fn of(event_type: &str) -> Self {
        match event_type {
            "checkout.session.completed" | "checkout.session.async_payment_succeeded" | "checkout.session.expired" => {
                Self::Checkout
            }
            "customer.subscription.deleted" => Self::Subscription { deleted: true },
            other if other.starts_with("customer.subscription.") => Self::Subscription { deleted: false },
            _ => Self::Other,
        }
    }
}

impl Outcome {
    fn of(written: bool) -> Self {
        if written { Self::Applied } else { Self::Stale }
    }

    fn count(self) {
        let outcome = match self {
            Self::Applied => "applied",
            Self::Stale => "stale",
            Self::Ignored => "ignored",
            Self::OtherMode => "other_mode",
        };
        metrics::counter!("billing_provider_events_total", "outcome" => outcome).increment(1);
    }
}

impl Billing {
    /// Looks at what an event is about, and settles the job that brought it in the same transaction: however often and in
    /// whatever order events come, what the provider says now is what is stored.
    ///
    /// # Errors
    /// [`JobError::Discard`] for an event without an object, and for one about somebody whom nobody knows after five tries;
    /// otherwise the provider or the database is away, or the job was taken over by another worker.
    pub async fn hear_provider(&self, running: &Running, event: ProviderEvent) -> Result<(), JobError> {
        let ProviderEvent { id, event_type, object_id, livemode } = event;
        tracing::info!(event = id, event_type, object = object_id, "heard the payment provider");
        if livemode != self.0.payments.livemode() {
            return self.let_pass(running, Outcome::OtherMode).await;
        }
        let topic = Topic::of(&event_type);
        if topic == Topic::Other {
            return self.let_pass(running, Outcome::Ignored).await;
        }
        let object = object_id.filter(|id| !id.is_empty());
        let object = object.ok_or_else(|| JobError::Discard(format!("the event {id} names no object")))?;
        match topic {
            Topic::Checkout => self.hear_checkout(running, &object).await,
            Topic::Subscription { deleted } => self.hear_subscription(running, &object, deleted).await,
            Topic::Other => Ok(()),
        }
    }

    async fn hear_subscription(&self, running: &Running, id: &str, deleted: bool) -> Result<(), JobError> {
        let fetched = self.fetch_subscription(id, deleted).await?;
        if !fetched.is_of_mode(self.0.payments.livemode()) {
            return self.let_pass(running, Outcome::OtherMode).await;
        }
        let Some(organization) = self.owner_of(&fetched).await? else {
            // What is gone at the provider and was never here is nobody's.
            let gone = fetched.is_gone();
            return if gone { self.let_pass(running, Outcome::Ignored).await } else { Err(stranger(running, id)) };
        };
        let mut tx = self.0.db.begin().await?;
        let written = self.mirror(&mut tx, organization, &fetched).await?;
        running.settle(&mut tx).await?;
        tx.commit().await?;
        Outcome::of(written).count();
        Ok(())
    }

    async fn hear_checkout(&self, running: &Running, id: &str) -> Result<(), JobError> {
        let checkout = self.0.payments.fetch_checkout(id).await?;
        if checkout.status == CheckoutStatus::Open {
            return self.let_pass(running, Outcome::Ignored).await;
        }
        let (customer, subscription) = (checkout.customer.as_deref(), checkout.subscription.as_deref());
        let Some(organization) = self.owner(subscription, customer, checkout.organization).await? else {
            return Err(stranger(running, id));
        };
        if checkout.status == CheckoutStatus::Expired {
            self.expire_checkout(running, organization, &checkout).await
        } else {
            self.complete_checkout(running, organization, &checkout).await
        }
    }

    async fn complete_checkout(
        &self,
        running: &Running,
        organization: OrgId,
        checkout: &Checkout,
    ) -> Result<(), JobError> {
        let fetched = match &checkout.subscription {
            Some(subscription) => Some(self.fetch_subscription(subscription, false).await?),
            None => None,
        };
        let (provider, now) = (self.0.payments.name(), self.0.clock.now());
        let mut tx = self.0.db.begin().await?;
        let mut written = true;
        if let Some(fetched) = &fetched {
            written = self.mirror(&mut tx, organization, fetched).await?;
        }
        if let Some(customer) = &checkout.customer {
            customers::store::bind(&mut tx, organization, provider, customer, now).await?;
        }
        operations::store::succeed(&mut tx, organization, checkout.operation, &checkout.id, now).await?;
        running.settle(&mut tx).await?;
        tx.commit().await?;
        Outcome::of(written).count();
        Ok(())
    }

    async fn expire_checkout(
        &self,
        running: &Running,
        organization: OrgId,
        checkout: &Checkout,
    ) -> Result<(), JobError> {
        let now = self.0.clock.now();
        let mut tx = self.0.db.begin().await?;
        operations::store::expire(&mut tx, organization, checkout.operation, &checkout.id, now).await?;
        running.settle(&mut tx).await?;
        tx.commit().await?;
        Outcome::Applied.count();
        Ok(())
    }

    /// Nothing is to be done about it.
    async fn let_pass(&self, running: &Running, outcome: Outcome) -> Result<(), JobError> {
        let mut tx = self.0.db.begin().await?;
        running.settle(&mut tx).await?;
        tx.commit().await?;
        outcome.count();
        Ok(())
    }
}

/// Nobody knows whose this is. That may change: the event that says so may be on its way.
fn stranger(running: &Running, object: &str) -> JobError {
    let complaint = format!("nobody here owns {object} of the payment provider");
    if running.attempt < TRIES_FOR_STRANGERS {
        return JobError::Retry(complaint.into());
    }
    tracing::error!(object, attempts = running.attempt, "somebody pays whom nobody knows");
    metrics::counter!("billing_alarms_total", "reason" => "unknown_customer").increment(1);
    JobError::Discard(complaint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checkouts_and_subscriptions_are_looked_at_and_nothing_else() {
        for (event_type, topic) in [
            ("checkout.session.completed", Topic::Checkout),
            ("checkout.session.async_payment_succeeded", Topic::Checkout),
            ("checkout.session.expired", Topic::Checkout),
            ("customer.subscription.created", Topic::Subscription { deleted: false }),
            ("customer.subscription.trial_will_end", Topic::Subscription { deleted: false }),
            ("customer.subscription.deleted", Topic::Subscription { deleted: true }),
            ("customer.deleted", Topic::Other),
            ("invoice.paid", Topic::Other),
            ("", Topic::Other),
        ] {
            assert_eq!(Topic::of(event_type), topic, "{event_type}");
        }
    }
}
