//! What an organization may use: a pure function of its subscriptions, the catalogue and the time. It is stored nowhere, so
//! it cannot be wrong for longer than its causes are.

use chrono::{DateTime, TimeDelta, Utc};

use super::{Status, Subscription};

/// How long the end of a trial may go unheard: the event that says how it went on needs its time to arrive.
const LATENESS: TimeDelta = TimeDelta::hours(1);

/// The rules of access that are configured.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    /// What organizations without a subscription are on.
    pub(crate) free_plan: String,
    /// How long a subscription whose payment failed keeps its plan.
    pub(crate) grace: TimeDelta,
}

/// What an organization may use, and the terms of the subscription that counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) plan: String,
    pub(crate) status: Option<String>,
    pub(crate) quantity: Option<i32>,
    pub(crate) current_period_end: Option<DateTime<Utc>>,
    pub(crate) cancel_at: Option<DateTime<Utc>>,
    pub(crate) access: Access,
}

/// How much of what was bought is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// The plan that was bought.
    Full,
    /// The free plan.
    Free,
}

impl Access {
    /// The spoken name.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Access::Full => "full",
            Access::Free => "free",
        }
    }
}

/// Where an organization with these subscriptions stands. Of several that grant a plan the highest rank counts; of several
/// that grant none, the newest that is not over.
pub(crate) fn standing(subscriptions: &[Subscription], terms: &Terms, now: DateTime<Utc>) -> Standing {
    let granting = subscriptions.iter().filter(|it| is_good(it, terms, now));
    let best = granting.filter_map(|it| Some((it, it.plan.as_ref()?))).max_by_key(|(it, plan)| (plan.rank, it.id));
    let (shown, plan, access) = match best {
        Some((subscription, plan)) => (Some(subscription), &plan.code, Access::Full),
        None => (subscriptions.iter().max_by_key(|it| (!it.status.is_final(), it.id)), &terms.free_plan, Access::Free),
    };
    Standing {
        plan: plan.clone(),
        status: shown.map(|it| it.status.as_str().to_owned()),
        quantity: shown.map(|it| it.quantity),
        current_period_end: shown.and_then(|it| it.current_period_end),
        cancel_at: shown.and_then(|it| it.cancel_at),
        access,
    }
}

/// Whether a subscription entitles to its plan at this moment.
pub(crate) fn is_good(subscription: &Subscription, terms: &Terms, now: DateTime<Utc>) -> bool {
    let since = |moment: DateTime<Utc>| now.signed_duration_since(moment);
    match subscription.status {
        Status::Active => true,
        Status::Trialing => subscription.trial_end.is_none_or(|end| since(end) < LATENESS),
        Status::PastDue => subscription.past_due_since.is_some_and(|start| since(start) < terms.grace),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{BoughtPlan, SubscriptionId};
    use super::*;

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_767_225_600, 0).expect("a time")
    }

    fn terms() -> Terms {
        Terms { free_plan: "free".to_owned(), grace: TimeDelta::days(7) }
    }

    fn subscription(status: &str, plan: Option<(&str, i32)>) -> Subscription {
        let plan = plan.map(|(code, rank)| BoughtPlan { code: code.to_owned(), rank, currency: crate::Currency::Eur });
        Subscription {
            id: SubscriptionId::new(),
            provider_id: "sub_1".to_owned(),
            customer: "cus_1".to_owned(),
            status: Status::named(status),
            price: Some("price_1".to_owned()),
            plan,
            quantity: 3,
            current_period_end: Some(now() + TimeDelta::days(30)),
            trial_end: None,
            cancel_at: None,
            ended_at: None,
            past_due_since: None,
        }
    }

    const TEAM: Option<(&str, i32)> = Some(("team", 10));

    fn verdict(subscriptions: &[Subscription]) -> (String, Option<String>, &'static str) {
        let Standing { plan, status, access, .. } = standing(subscriptions, &terms(), now());
        (plan, status, access.as_str())
    }

    fn says(plan: &str, status: &str, access: &'static str) -> (String, Option<String>, &'static str) {
        (plan.to_owned(), Some(status.to_owned()), access)
    }

    #[test]
    fn without_a_subscription_there_is_the_free_plan_and_nothing_else() {
        let nothing = standing(&[], &terms(), now());
        let expected = Standing {
            plan: "free".to_owned(),
            status: None,
            quantity: None,
            current_period_end: None,
            cancel_at: None,
            access: Access::Free,
        };
        assert_eq!(nothing, expected);
    }

    #[test]
    fn only_active_and_trialing_ones_are_good_without_a_term() {
        for status in ["active", "trialing"] {
            assert_eq!(verdict(&[subscription(status, TEAM)]), says("team", status, "full"));
        }
        for status in ["incomplete", "incomplete_expired", "canceled", "unpaid", "paused", "past_due", "a_new_one"] {
            assert_eq!(verdict(&[subscription(status, TEAM)]), says("free", status, "free"));
        }
        assert_eq!(verdict(&[subscription("active", None)]), says("free", "active", "free"));
    }

    #[test]
    fn a_trial_and_the_days_of_grace_end_by_the_clock() {
        let mut trial = subscription("trialing", TEAM);
        trial.trial_end = Some(now() - LATENESS + TimeDelta::microseconds(1));
        assert_eq!(verdict(std::slice::from_ref(&trial)), says("team", "trialing", "full"));
        trial.trial_end = Some(now() - LATENESS);
        assert_eq!(verdict(&[trial]), says("free", "trialing", "free"));
        let mut late = subscription("past_due", TEAM);
        late.past_due_since = Some(now() - TimeDelta::days(7) + TimeDelta::microseconds(1));
        assert_eq!(verdict(std::slice::from_ref(&late)), says("team", "past_due", "full"));
        late.past_due_since = Some(now() - TimeDelta::days(7));
        assert_eq!(verdict(&[late]), says("free", "past_due", "free"));
    }

    #[test]
    fn of_several_the_best_plan_counts_and_what_is_over_only_when_there_is_nothing_else() {
        let (business, team) = (subscription("active", Some(("business", 20))), subscription("trialing", TEAM));
        assert_eq!(verdict(&[business.clone(), team.clone()]), says("business", "active", "full"));
        assert_eq!(verdict(&[team.clone(), business]), says("business", "active", "full"));
        let (unpaid, canceled) = (subscription("unpaid", TEAM), subscription("canceled", TEAM));
        assert_eq!(verdict(&[canceled.clone(), unpaid.clone()]), says("free", "unpaid", "free"));
        assert_eq!(verdict(&[canceled, unpaid, team]), says("team", "trialing", "full"));
    }
}
