//! Subscriptions: a mirror of the provider's, and what an organization may use because of them.

pub(crate) mod http;
mod standing;
mod status;
pub(crate) mod store;
mod sync;

use chrono::{DateTime, TimeDelta, Utc};
use platform::caller::{Member, OrgId};
use sqlx::PgConnection;

use crate::money::Currency;
use crate::ports::ProviderSubscription;
use crate::{Billing, Error, policy};

pub(crate) use standing::{Access, Standing, Terms, is_good, standing};
pub(crate) use status::{Status, is_expected};
pub(crate) use sync::Fetched;

platform::id! {
    /// Names a subscription here; the provider has an id of its own.
    pub struct SubscriptionId;
}

/// A subscription as it is mirrored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Subscription {
    pub(crate) id: SubscriptionId,
    /// The provider's id.
    pub(crate) provider_id: String,
    /// The provider's id of the customer.
    pub(crate) customer: String,
    pub(crate) status: Status,
    /// The provider's id of the price.
    pub(crate) price: Option<String>,
    /// What the catalogue has under that price; none when it does not know it. Prices that are no longer on offer count.
    pub(crate) plan: Option<BoughtPlan>,
    pub(crate) quantity: i32,
    pub(crate) current_period_end: Option<DateTime<Utc>>,
    pub(crate) trial_end: Option<DateTime<Utc>>,
    pub(crate) cancel_at: Option<DateTime<Utc>>,
    pub(crate) ended_at: Option<DateTime<Utc>>,
    /// When it was first seen to be past due.
    pub(crate) past_due_since: Option<DateTime<Utc>>,
}

/// The plan that a price is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BoughtPlan {
    pub(crate) code: String,
    pub(crate) rank: i32,
    pub(crate) currency: Currency,
}

impl Subscription {
    /// What the provider says, as it is to be stored over what was known.
    fn mirrored(known: Option<&Self>, told: &ProviderSubscription, now: DateTime<Utc>) -> Self {
        let status = Status::named(&told.status);
        let known_end = known.and_then(|known| known.ended_at);
        let known_debt = known.and_then(|known| known.past_due_since);
        Self {
            id: known.map_or_else(SubscriptionId::new, |known| known.id),
            provider_id: told.id.clone(),
            customer: told.customer.clone(),
            price: told.price.clone(),
            plan: None,
            quantity: told.quantity.max(0),
            current_period_end: told.current_period_end,
            trial_end: told.trial_end,
            cancel_at: told.cancel_at,
            ended_at: status.is_final().then(|| told.ended_at.or(known_end).unwrap_or(now)),
            past_due_since: (status == Status::PastDue).then(|| known_debt.unwrap_or(now)),
            status,
        }
    }

    /// The same, of which the provider knows nothing any more.
    fn ended(self, now: DateTime<Utc>) -> Self {
        let ended_at = Some(self.ended_at.unwrap_or(now));
        let status = if self.status.is_final() { self.status } else { Status::Canceled };
        Self { status, ended_at, past_due_since: None, ..self }
    }

    /// Whether it keeps the organization from buying another. One whose first payment was never made does not: its customer
    /// may try again.
    pub(crate) fn is_running(&self) -> bool {
        !self.status.is_final() && self.status != Status::Incomplete
    }
}

impl Billing {
    /// Where the organization stands now.
    ///
    /// # Errors
    /// [`Error::Forbidden`].
    pub(crate) async fn show_subscription(&self, member: &Member) -> Result<Standing, Error> {
        if !policy::may_read_billing(member.role()) {
            return Err(Error::Forbidden);
        }
        self.standing_of(&mut *self.0.db.read().await?, member.org()).await
    }

    /// Where the organization stands now, in one statement.
    pub(crate) async fn standing_of(
        &self,
        connection: &mut PgConnection,
        organization: OrgId,
    ) -> Result<Standing, Error> {
        let subscriptions = store::list(connection, organization).await?;
        Ok(standing(&subscriptions, &self.terms(), self.0.clock.now()))
    }

    /// The configured rules of access.
    pub(crate) fn terms(&self) -> Terms {
        let grace = TimeDelta::try_days(self.0.config.grace_days).unwrap_or(TimeDelta::MAX);
        Terms { free_plan: self.0.config.free_plan.clone(), grace }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(status: &str) -> ProviderSubscription {
        ProviderSubscription {
            id: "sub_1".to_owned(),
            customer: "cus_1".to_owned(),
            organization: None,
            status: status.to_owned(),
            price: Some("price_1".to_owned()),
            quantity: 1,
            current_period_end: None,
            trial_end: None,
            cancel_at: None,
            ended_at: None,
            livemode: false,
        }
    }

    #[test]
    fn the_days_of_grace_count_from_the_first_time_it_was_seen_past_due() {
        let first = DateTime::from_timestamp(1_767_225_600, 0).expect("a time");
        let later = first + TimeDelta::days(3);
        let late = Subscription::mirrored(None, &told("past_due"), first);
        let still = Subscription::mirrored(Some(&late), &told("past_due"), later);
        assert_eq!((late.past_due_since, still.past_due_since), (Some(first), Some(first)));
        let paid = Subscription::mirrored(Some(&still), &told("active"), later);
        assert_eq!((paid.id, paid.past_due_since), (late.id, None));
    }

    #[test]
    fn what_is_over_has_an_end_and_what_is_not_has_none() {
        let now = DateTime::from_timestamp(1_767_225_600, 0).expect("a time");
        for (status, over) in [("canceled", true), ("incomplete_expired", true), ("active", false), ("new", false)] {
            let seen = Subscription::mirrored(None, &told(status), now);
            assert_eq!(seen.ended_at, over.then_some(now), "{status}");
            let gone = seen.ended(now + TimeDelta::days(1));
            assert!(gone.status.is_final() && gone.ended_at.is_some(), "{status}");
        }
        let mut strange = told("active");
        strange.ended_at = Some(now);
        assert_eq!(Subscription::mirrored(None, &strange, now).ended_at, None);
    }
}
