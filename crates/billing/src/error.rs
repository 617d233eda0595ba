use platform::http::Problem;

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
    /// The database refused or is away.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            // Both stop a start or a migration; a request that met one would have met a mistake of ours.
            Error::InvalidCatalogue { .. } | Error::PriceChanged { .. } => Problem::internal(error),
            Error::Database(error) => error.into(),
        }
    }
}
