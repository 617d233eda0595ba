use std::time::Duration;

use platform::http::{Problem, StatusCode};
use platform::jobs::BoxError;
use platform::once::OnceError;

use crate::money::Currency;
use crate::operations::EXPIRED;
use crate::ports::ProviderError;

/// When the twin of a request may have its answer.
const RETRY_TWIN_AFTER: Duration = Duration::from_secs(1);

/// When it may be worth trying again what the provider did not do.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// What can go wrong in billing.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configured catalogue breaks a rule.
    #[error("configuration key `{key}`: {complaint}")]
    InvalidCatalogue {
        /// The key at fault, such as `billing.plans[1].prices[0].amount`.
        key: String,
        /// The rule in words.
        complaint: String,
    },
    /// The configuration changes a price that customers may be paying.
    #[error("configuration key `{key}`: `{price}` was seeded with {recorded} and never changes; use a new id")]
    PriceChanged {
        /// The key at fault, such as `billing.plans[1].prices[0].amount`.
        key: String,
        /// The provider's id of the price.
        price: String,
        /// What the key was when the price was first seeded.
        recorded: String,
    },
    /// It does not exist, or it is another organization's.
    #[error("not found")]
    NotFound,
    /// The caller's role does not allow it.
    #[error("forbidden")]
    Forbidden,
    /// The organization has a subscription; another one would be paid beside it.
    #[error("the organization has a subscription")]
    AlreadySubscribed,
    /// The price is not on offer.
    #[error("the price is not on offer")]
    UnknownPrice,
    /// The organization has paid in this currency, and the provider's customers keep theirs.
    #[error("the organization pays in {0}")]
    OtherCurrency(Currency),
    /// These fields lead a browser to places that are not ours.
    #[error("these lead elsewhere: {0:?}")]
    ReturnUrls(Vec<&'static str>),
    /// The operation was rejected, for this reason.
    #[error("rejected: {0}")]
    Refused(String),
    /// The idempotency key is missing or belongs to another request.
    #[error(transparent)]
    Once(#[from] OnceError),
    /// The payment provider did not do it.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// Nobody can say now who the organization is.
    #[error("the organization cannot be looked up")]
    Customers(#[source] BoxError),
    /// What an operation was begun with cannot be written or read.
    #[error("the wish of an operation cannot be stored or read")]
    StoredWish(#[source] serde_json::Error),
    /// The database refused or is away.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::NotFound => Self::not_found(),
            Error::Forbidden => Self::forbidden(),
            Error::AlreadySubscribed => Self::new(
                StatusCode::CONFLICT,
                "already_subscribed",
                "The organization has a subscription. Change it instead of buying another one.",
            ),
            Error::UnknownPrice => Self::invalid().field("price_id", "unknown_price", "is not a price on offer"),
            Error::OtherCurrency(currency) => {
                let message = format!("must be a price in {currency}, as the organization has paid in it before");
                Self::invalid().field("price_id", "other_currency", message)
            }
            Error::ReturnUrls(fields) => fields.into_iter().fold(Self::invalid(), |problem, field| {
                problem.field(field, "foreign_origin", "must be an address on a site of ours")
            }),
            Error::Refused(reason) if reason == EXPIRED => Self::new(
                StatusCode::CONFLICT,
                "operation_expired",
                "The request is too old to be repeated. Make it again with a new Idempotency-Key.",
            ),
            Error::Refused(reason) => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "payment_rejected",
                format!("The payment provider rejected it: {reason}."),
            ),
            Error::Once(error) => error.into(),
            Error::Provider(error) => provider_problem(error),
            Error::Customers(_) => Self::busy(error),
            // Catalogues stop a start or a migration; a request that met one would have met a mistake of ours.
            Error::InvalidCatalogue { .. } | Error::PriceChanged { .. } | Error::StoredWish(_) => Self::internal(error),
            Error::Database(error) => error.into(),
        }
    }
}

fn provider_problem(error: ProviderError) -> Problem {
    match error {
        ProviderError::Unavailable(_) => {
            let detail = "The payment provider cannot be reached. Try again shortly, with the same Idempotency-Key.";
            Problem::unavailable(detail, RETRY_AFTER).with_cause(error)
        }
        ProviderError::InProgress => Problem::from(OnceError::InProgress).retry_after(RETRY_TWIN_AFTER),
        ProviderError::Unknown(_) | ProviderError::KeySpent => {
            let detail = "The payment provider did not answer. Repeat the request with the same Idempotency-Key.";
            Problem::unavailable(detail, RETRY_AFTER).with_cause(error)
        }
        ProviderError::Rejected { .. }
        | ProviderError::NotFound
        | ProviderError::KeyReused
        | ProviderError::BadCall { .. }
        | ProviderError::Malformed(_) => Problem::internal(error),
    }
}
