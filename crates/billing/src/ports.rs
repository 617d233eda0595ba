//! What billing needs of others, in its own words.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use platform::caller::OrgId;
use platform::jobs::BoxError;

pub use crate::operations::OperationId;

/// Knows whom to send invoices to.
#[async_trait]
pub trait Customers: Send + Sync {
    /// How the organization is called and reached; `None` when it does not exist.
    ///
    /// # Errors
    /// When nobody can say now.
    async fn contact(&self, organization: OrgId) -> Result<Option<Contact>, BoxError>;
}

/// Whom an invoice is made out to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contact {
    /// The name of the organization.
    pub name: String,
    /// Where invoices and receipts are sent.
    pub email: String,
}

/// Takes the money: Stripe first. Calls that cause something carry the operation they belong to, which makes their idempotency
/// key: the same call made twice has its effect once.
#[async_trait]
pub trait PaymentProvider: Send + Sync {
    /// The stored name of the provider, `stripe`.
    fn name(&self) -> &'static str;

    /// Whether real money moves.
    fn livemode(&self) -> bool;

    /// Makes a customer and gives its id.
    ///
    /// # Errors
    /// [`ProviderError`].
    async fn create_customer(&self, operation: OperationId, customer: NewCustomer) -> Result<String, ProviderError>;

    /// Has invoices made out to somebody else from now on.
    ///
    /// # Errors
    /// [`ProviderError`].
    async fn update_customer(&self, operation: OperationId, id: &str, contact: Contact) -> Result<(), ProviderError>;

    /// Opens a page on which the customer subscribes.
    ///
    /// # Errors
    /// [`ProviderError`]; `NotFound` when the customer is gone.
    async fn open_checkout(&self, operation: OperationId, wish: CheckoutWish) -> Result<CheckoutPage, ProviderError>;

    /// What became of such a page.
    ///
    /// # Errors
    /// [`ProviderError`].
    async fn fetch_checkout(&self, id: &str) -> Result<Checkout, ProviderError>;

    /// A subscription as it is now.
    ///
    /// # Errors
    /// [`ProviderError`].
    async fn fetch_subscription(&self, id: &str) -> Result<ProviderSubscription, ProviderError>;

    /// Ends a subscription now, and says how it stands then. Nothing is paid back.
    ///
    /// # Errors
    /// [`ProviderError`]; `NotFound` when it is over already.
    async fn cancel_subscription(
        &self,
        operation: OperationId,
        id: &str,
    ) -> Result<ProviderSubscription, ProviderError>;
}

/// The customer to be made.
#[derive(Clone, Debug)]
pub struct NewCustomer {
    /// Who it is here; kept with the customer.
    pub organization: OrgId,
    /// Who it is to people.
    pub contact: Contact,
}

/// What is to be sold, to whom, and where the customer goes afterwards.
#[derive(Clone, Debug)]
pub struct CheckoutWish {
    /// Kept with the page and with the subscription that comes of it.
    pub organization: OrgId,
    /// The provider's id of the customer.
    pub customer: String,
    /// The provider's id of the price.
    pub price: String,
    /// Seats.
    pub quantity: i32,
    /// Where the customer goes after paying. It proves nothing: only events grant access.
    pub success_url: String,
    /// Where the customer goes without paying.
    pub cancel_url: String,
}

/// A page on which the customer subscribes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckoutPage {
    /// The provider's id.
    pub id: String,
    /// Where to send the browser.
    pub url: String,
}

/// What became of a checkout page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkout {
    /// The provider's id.
    pub id: String,
    /// How far it is.
    pub status: CheckoutStatus,
    /// Who it was opened for.
    pub organization: Option<OrgId>,
    /// The operation that opened it.
    pub operation: Option<OperationId>,
    /// The provider's id of the customer.
    pub customer: Option<String>,
    /// The provider's id of what was bought.
    pub subscription: Option<String>,
}

/// How far a checkout is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckoutStatus {
    /// Waiting for the customer.
    Open,
    /// Bought.
    Complete,
    /// Too late.
    Expired,
}

/// A subscription as the provider has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderSubscription {
    /// The provider's id.
    pub id: String,
    /// The provider's id of the customer.
    pub customer: String,
    /// Who it belongs to, if the provider was told.
    pub organization: Option<OrgId>,
    /// The provider's word for its state; there may be new ones some day.
    pub status: String,
    /// The provider's id of what is paid for; `None` when it is not one price.
    pub price: Option<String>,
    /// Seats.
    pub quantity: i32,
    /// Until when it is paid.
    pub current_period_end: Option<DateTime<Utc>>,
    /// Until when it is free of charge.
    pub trial_end: Option<DateTime<Utc>>,
    /// When it will end, if that is decided.
    pub cancel_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
    /// Whether real money moves.
    pub livemode: bool,
}

/// Why a provider did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// It refused, and will again, for a reason that the customer may mend: a declined card for instance.
    #[error("the payment provider refused: {code}")]
    Rejected {
        /// The provider's code, for programs.
        code: String,
    },
    /// It cannot be reached or is overloaded; nothing happened.
    #[error("the payment provider is unavailable")]
    Unavailable(#[source] BoxError),
    /// No answer came, so nobody knows whether it happened: ask again with the same key.
    #[error("the payment provider did not answer")]
    Unknown(#[source] BoxError),
    /// The same call is being served at this moment; who made it will be told how it ends.
    #[error("the payment provider is serving the same call")]
    InProgress,
    /// It does not know what it was asked about.
    #[error("the payment provider does not know it")]
    NotFound,
    /// The idempotency key belongs to another call: a mistake of ours.
    #[error("the idempotency key was used for another call")]
    KeyReused,
    /// It keeps an answer to the idempotency key, and that answer is a failure. Whether something happened is as unknown as it
    /// was at first, and asking again with this key never tells: what moves no money may be asked for under another one.
    #[error("the idempotency key is answered with the same failure for good")]
    KeySpent,
    /// It cannot do what it is asked, through no fault of the customer: a mistake of ours or of the configuration, such as a
    /// price that it does not have. Nothing happened.
    #[error("the payment provider cannot do what it is asked: {code} ({param})")]
    BadCall {
        /// The provider's code, for programs.
        code: String,
        /// What it is about in the call, or nothing.
        param: String,
    },
    /// The answer is not what its documentation says.
    #[error("the answer of the payment provider cannot be read")]
    Malformed(#[source] BoxError),
}
