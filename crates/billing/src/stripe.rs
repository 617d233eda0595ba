//! Stripe behind the port `PaymentProvider`: a thin client of its HTTP API that knows the few fields that are used. It
//! keeps nothing and knows no database, so that no call can happen inside a transaction.

mod calls;
mod error;
mod forms;
mod wire;

use async_trait::async_trait;
use platform::outbound::Outbound;

use crate::config::StripeConfig;
use crate::ports::{
    Checkout, CheckoutPage, CheckoutWish, Contact, NewCustomer, OperationId, PaymentProvider, ProviderError,
    ProviderSubscription,
};
use calls::Calls;

/// The account at Stripe.
pub(crate) struct Stripe {
    calls: Calls,
    livemode: bool,
}

impl Stripe {
    pub(crate) fn new(config: &StripeConfig, outbound: Outbound) -> Self {
        Self { calls: Calls::new(config, outbound), livemode: config.livemode() }
    }
}

#[async_trait]
impl PaymentProvider for Stripe {
    fn name(&self) -> &'static str {
        "stripe"
    }

    fn livemode(&self) -> bool {
        self.livemode
    }

    async fn create_customer(&self, operation: OperationId, customer: NewCustomer) -> Result<String, ProviderError> {
        // A checkout of the same operation has a key of its own.
        let call = calls::post("create_customer", "customers", format!("op:{operation}:customer"));
        self.calls.make(call.with(forms::customer(&customer)), wire::Customer::into_id).await
    }

    async fn update_customer(&self, operation: OperationId, id: &str, contact: Contact) -> Result<(), ProviderError> {
        let call = calls::change("update_customer", "customers", id, format!("op:{operation}"))?;
        self.calls.make(call.with(forms::contact(&contact)), wire::Customer::into_id).await.map(drop)
    }

    async fn open_checkout(&self, operation: OperationId, wish: CheckoutWish) -> Result<CheckoutPage, ProviderError> {
        let call = calls::post("open_checkout", "checkout/sessions", format!("op:{operation}"));
        self.calls.make(call.with(forms::checkout(operation, &wish)), wire::Session::into_page).await
    }

    async fn fetch_checkout(&self, id: &str) -> Result<Checkout, ProviderError> {
        let call = calls::get("fetch_checkout", "checkout/sessions", id)?;
        self.calls.make(call, |found: wire::Session| found.into_checkout(id)).await
    }

    async fn fetch_subscription(&self, id: &str) -> Result<ProviderSubscription, ProviderError> {
        let call = calls::get("fetch_subscription", "subscriptions", id)?;
        self.calls.make(call, |found: wire::Subscription| found.into_subscription(id)).await
    }

    async fn cancel_subscription(
        &self,
        operation: OperationId,
        id: &str,
    ) -> Result<ProviderSubscription, ProviderError> {
        // Stripe ignores the key, as it does for every DELETE: what is canceled twice is not found the second time.
        let call = calls::delete("cancel_subscription", "subscriptions", id, format!("op:{operation}"))?;
        self.calls.make(call, |ended: wire::Subscription| ended.into_subscription(id)).await
    }
}
