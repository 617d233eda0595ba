//! Operations: what this side asks of the payment provider, remembered before it is asked. An answer may get lost; what is
//! remembered is asked again with the same idempotency key, so that nothing happens twice.
//!
//! `pending` (to be asked) → `in_flight` (asked) → `succeeded` or `rejected`; `unknown` when no answer came, and then asked
//! again. A checkout stays `in_flight` while its page is open; a cancellation is asked for by a job until it is over.

pub(crate) mod http;
pub(crate) mod store;

use chrono::{DateTime, TimeDelta, Utc};
use platform::caller::Member;
use serde_json::Value;

use crate::ports::{CheckoutPage, ProviderError};
use crate::{Billing, Error, policy};

/// How long an operation may be asked for again: providers forget idempotency keys after a day.
const REPEATABLE: TimeDelta = TimeDelta::hours(23);

/// The error of an operation that was not asked for again in time, or whose page was not used in time.
pub(crate) const EXPIRED: &str = "expired";

/// The error of an operation that another one took over from, as its idempotency key could not be used any more.
pub(crate) const SUPERSEDED: &str = "superseded";

/// What the provider's codes of refusal are called here. All others are `refused`.
const REFUSALS: [(&str, &str); 6] = [
    ("authentication_required", "authentication_required"),
    ("subscription_payment_intent_requires_action", "authentication_required"),
    ("card_declined", "card_declined"),
    ("expired_card", "card_declined"),
    ("incorrect_cvc", "card_declined"),
    ("insufficient_funds", "card_declined"),
];

platform::id! {
    /// Names one thing asked of the payment provider; its idempotency key there is made of it.
    pub struct OperationId;
}

/// Something asked of the provider.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    pub(crate) id: OperationId,
    pub(crate) kind: String,
    pub(crate) subject: String,
    pub(crate) wish: Value,
    pub(crate) state: State,
    /// Why it was rejected.
    pub(crate) error: Option<String>,
    /// What the provider made of it.
    pub(crate) provider_object_id: Option<String>,
    pub(crate) url: Option<String>,
    pub(crate) first_sent_at: Option<DateTime<Utc>>,
}

/// How far an operation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub(crate) enum State {
    /// To be asked for.
    Pending,
    /// Asked for.
    InFlight,
    /// Asked for, without an answer.
    Unknown,
    /// Done.
    Succeeded,
    /// It will not be done.
    Rejected,
}

/// What becomes of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) state: State,
    /// Why it is rejected.
    pub(crate) error: Option<&'static str>,
}

impl Change {
    pub(crate) fn to(state: State) -> Self {
        Self { state, error: None }
    }

    pub(crate) fn rejected(error: &'static str) -> Self {
        Self { state: State::Rejected, error: Some(error) }
    }
}

impl Operation {
    /// An operation that is about to be asked for.
    pub(crate) fn new(kind: &str, subject: String, wish: Value, now: DateTime<Utc>) -> Self {
        Self {
            id: OperationId::new(),
            kind: kind.to_owned(),
            subject,
            wish,
            state: State::InFlight,
            error: None,
            provider_object_id: None,
            url: None,
            first_sent_at: Some(now),
        }
    }

    /// Whether it is not over.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.state, State::Pending | State::InFlight | State::Unknown)
    }

    /// Whether it was first asked for too long ago to be asked for again.
    pub(crate) fn is_stale(&self, now: DateTime<Utc>) -> bool {
        self.first_sent_at.is_some_and(|sent| now.signed_duration_since(sent) >= REPEATABLE)
    }

    /// The page that it opened.
    pub(crate) fn page(&self) -> Option<CheckoutPage> {
        Some(CheckoutPage { id: self.provider_object_id.clone()?, url: self.url.clone()? })
    }
}

/// What becomes of an operation by an error; nothing while a twin of the call is being served.
pub(crate) fn consequence(error: &ProviderError) -> Option<Change> {
    match error {
        ProviderError::InProgress => None,
        ProviderError::Rejected { code } => Some(Change::rejected(refusal(code))),
        ProviderError::Unavailable(_) | ProviderError::BadCall { .. } => Some(Change::to(State::Pending)),
        ProviderError::Unknown(_)
        | ProviderError::NotFound
        | ProviderError::KeyReused
        | ProviderError::KeySpent
        | ProviderError::Malformed(_) => Some(Change::to(State::Unknown)),
    }
}

/// What a refusal is called here: the provider's words are many and change.
pub(crate) fn refusal(code: &str) -> &'static str {
    REFUSALS.iter().find(|(theirs, _)| *theirs == code).map_or("refused", |(_, ours)| ours)
}

impl Billing {
    /// One operation.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Forbidden`].
    pub(crate) async fn show_operation(&self, member: &Member, id: OperationId) -> Result<Operation, Error> {
        let found = store::find(&mut *self.0.db.read().await?, member.org(), id).await?.ok_or(Error::NotFound)?;
        if !policy::may_read_billing(member.role()) {
            return Err(Error::Forbidden);
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_is_asked_for_again_for_23_hours() {
        let start = DateTime::from_timestamp(1_767_225_600, 0).expect("a time");
        let operation = Operation::new("checkout", "checkout:x:1".to_owned(), Value::Null, start);
        assert!(!operation.is_stale(start + REPEATABLE - TimeDelta::microseconds(1)));
        assert!(operation.is_stale(start + REPEATABLE));
        assert!(!Operation { first_sent_at: None, ..operation }.is_stale(start + REPEATABLE));
    }

    #[test]
    fn only_a_refusal_rejects_and_only_certainty_waits() {
        let rejected = |code: &str| consequence(&ProviderError::Rejected { code: code.to_owned() });
        assert_eq!(rejected("card_declined"), Some(Change::rejected("card_declined")));
        assert_eq!(rejected("something_new"), Some(Change::rejected("refused")));
        assert_eq!(consequence(&ProviderError::InProgress), None);
        let mistake = ProviderError::BadCall { code: "resource_missing".to_owned(), param: String::new() };
        for certain in [ProviderError::Unavailable("down".into()), mistake] {
            assert_eq!(consequence(&certain), Some(Change::to(State::Pending)));
        }
        for lost in [
            ProviderError::Unknown("timeout".into()),
            ProviderError::Malformed("html".into()),
            ProviderError::NotFound,
            ProviderError::KeyReused,
            ProviderError::KeySpent,
        ] {
            assert_eq!(consequence(&lost), Some(Change::to(State::Unknown)));
        }
    }
}
