//! The states of a subscription (<https://docs.stripe.com/billing/subscriptions/overview#subscription-statuses>), and which
//! may follow which.

/// How a subscription stands with the provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// The first payment has not succeeded yet.
    Incomplete,
    /// The first payment was not made in time. Final.
    IncompleteExpired,
    /// Free of charge for a while.
    Trialing,
    /// Paid.
    Active,
    /// A payment failed; the provider tries again.
    PastDue,
    /// Ended. Final.
    Canceled,
    /// Payments failed, and the provider tries no more.
    Unpaid,
    /// A trial ended without a means of payment.
    Paused,
    /// A word that is not known here. It grants nothing.
    Other(String),
}

impl Status {
    /// The longest word that is kept.
    const LONGEST: usize = 64;

    /// The status of the provider's word.
    pub(crate) fn named(word: &str) -> Self {
        match word {
            "incomplete" => Self::Incomplete,
            "incomplete_expired" => Self::IncompleteExpired,
            "trialing" => Self::Trialing,
            "active" => Self::Active,
            "past_due" => Self::PastDue,
            "canceled" => Self::Canceled,
            "unpaid" => Self::Unpaid,
            "paused" => Self::Paused,
            "" => Self::Other("missing".to_owned()),
            other => Self::Other(other.chars().take(Self::LONGEST).collect()),
        }
    }

    /// The provider's word.
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Incomplete => "incomplete",
            Self::IncompleteExpired => "incomplete_expired",
            Self::Trialing => "trialing",
            Self::Active => "active",
            Self::PastDue => "past_due",
            Self::Canceled => "canceled",
            Self::Unpaid => "unpaid",
            Self::Paused => "paused",
            Self::Other(word) => word,
        }
    }

    /// A name for metrics, of which there are only so many.
    pub(crate) fn label(&self) -> String {
        if let Self::Other(_) = self { "other".to_owned() } else { self.as_str().to_owned() }
    }

    /// Whether nothing can follow.
    pub(crate) fn is_final(&self) -> bool {
        matches!(self, Self::Canceled | Self::IncompleteExpired)
    }
}

/// Whether the provider documents this step. Others happen too (a dashboard, missed events): they are stored and counted.
pub(crate) fn is_expected(from: Option<&Status>, to: &Status) -> bool {
    use Status::{Active, Canceled, Incomplete, IncompleteExpired, PastDue, Paused, Trialing, Unpaid};
    let Some(from) = from else { return matches!(to, Incomplete | Trialing | Active) };
    if from == to {
        return true;
    }
    match from {
        Incomplete => matches!(to, Active | IncompleteExpired | Canceled),
        Trialing => matches!(to, Active | PastDue | Paused | Canceled),
        Active => matches!(to, PastDue | Canceled),
        PastDue => matches!(to, Active | Unpaid | Canceled),
        Unpaid | Paused => matches!(to, Active | Canceled),
        Canceled | IncompleteExpired | Status::Other(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORDS: [&str; 9] = [
        "incomplete",
        "incomplete_expired",
        "trialing",
        "active",
        "past_due",
        "canceled",
        "unpaid",
        "paused",
        "a_new_one",
    ];

    #[test]
    fn every_word_is_kept_and_long_ones_are_cut() {
        for word in WORDS {
            assert_eq!(Status::named(word).as_str(), word);
        }
        assert_eq!(Status::named(&"x".repeat(100)).as_str().len(), 64);
        assert_eq!(Status::named("a_new_one").label(), "other");
    }

    #[test]
    fn the_expected_steps_are_those_of_the_table() {
        let after = |from: Option<&str>| {
            let from = from.map(Status::named);
            let expected = WORDS.into_iter().filter(|to| is_expected(from.as_ref(), &Status::named(to)));
            expected.filter(|to| from.as_ref().is_none_or(|from| from.as_str() != *to)).collect::<Vec<_>>()
        };
        assert_eq!(after(None), ["incomplete", "trialing", "active"]);
        assert_eq!(after(Some("incomplete")), ["incomplete_expired", "active", "canceled"]);
        assert_eq!(after(Some("trialing")), ["active", "past_due", "canceled", "paused"]);
        assert_eq!(after(Some("active")), ["past_due", "canceled"]);
        assert_eq!(after(Some("past_due")), ["active", "canceled", "unpaid"]);
        assert_eq!(after(Some("unpaid")), ["active", "canceled"]);
        assert_eq!(after(Some("paused")), ["active", "canceled"]);
        for last in ["canceled", "incomplete_expired", "a_new_one"] {
            assert_eq!(after(Some(last)), [""; 0], "{last}");
        }
        assert!(is_expected(Some(&Status::Canceled), &Status::Canceled));
    }
}
