//! Asking the provider for a page, in no transaction, and what becomes of the operation by the answer.

use platform::caller::OrgId;
use platform::telemetry::spawn;

use super::Errand;
use crate::operations::{self, Change, OperationId, SUPERSEDED};
use crate::ports::{CheckoutPage, CheckoutWish, ProviderError};
use crate::subscriptions::store::lock_organization;
use crate::{Billing, Error, customers};

/// Why there is no page.
pub(super) enum Setback {
    /// The provider is busy with the same call.
    TwinAtWork,
    /// This operation leads nowhere, another one may: its key cannot be used any more, or its customer is gone.
    StartOver {
        /// The operation.
        operation: OperationId,
        /// The provider's id of the customer that it does not know any more.
        gone: Option<String>,
        /// What it said.
        error: ProviderError,
    },
    /// Anything else.
    Failed(Error),
}

impl From<Error> for Setback {
    fn from(error: Error) -> Self {
        Setback::Failed(error)
    }
}

impl From<sqlx::Error> for Setback {
    fn from(error: sqlx::Error) -> Self {
        Setback::Failed(error.into())
    }
}

impl From<Setback> for Error {
    fn from(setback: Setback) -> Self {
        match setback {
            Setback::TwinAtWork => ProviderError::InProgress.into(),
            Setback::StartOver { error, .. } => error.into(),
            Setback::Failed(error) => error,
        }
    }
}

impl Billing {
    /// Asks the provider for the page. Whatever it says is remembered, even if the request has taken too long by then or its
    /// client is gone. If this process dies before, the operation is as good as unanswered, and asked for again by the next
    /// request.
    pub(super) async fn send_checkout(&self, organization: OrgId, errand: &Errand) -> Result<CheckoutPage, Setback> {
        let (billing, errand) = (self.clone(), errand.clone());
        let asking = spawn("checkout", async move { billing.ask_for_page(organization, &errand).await });
        // It panicked, or the process ends.
        asking.await.unwrap_or_else(|broken| Err(Error::Provider(ProviderError::Unknown(broken.into())).into()))
    }

    async fn ask_for_page(&self, organization: OrgId, errand: &Errand) -> Result<CheckoutPage, Setback> {
        let (operation, provider) = (errand.operation, self.0.payments.name());
        let mut asked_for = None;
        let outcome = match self.ensure_customer(organization, operation).await {
            Ok(customer) => {
                asked_for = Some(customer.clone());
                self.0.payments.open_checkout(operation, wish(organization, customer, errand)).await
            }
            Err(Error::Provider(error)) => Err(error),
            Err(error) => return Err(error.into()),
        };
        let now = self.0.clock.now();
        let mut connection = self.0.db.read().await?;
        let error = match outcome {
            Ok(page) => {
                operations::store::save_page(&mut connection, organization, operation, &page, now).await?;
                return Ok(page);
            }
            Err(error) => error,
        };
        let change = operations::consequence(&error);
        tracing::info!(%organization, %operation, provider, ?change, %error, "no checkout page was opened");
        if let Some(change) = change {
            operations::store::save_state(&mut connection, organization, operation, change, now).await?;
        }
        Err(match error {
            ProviderError::InProgress => Setback::TwinAtWork,
            ProviderError::NotFound => Setback::StartOver { operation, gone: asked_for, error },
            // A page or a customer that was made unseen costs nobody anything.
            ProviderError::KeyReused | ProviderError::KeySpent => Setback::StartOver { operation, gone: None, error },
            ProviderError::Rejected { code } => Setback::Failed(Error::Refused(operations::refusal(&code).to_owned())),
            error => Setback::Failed(Error::Provider(error)),
        })
    }

    /// Puts another operation in the place of one that leads nowhere. It has keys of its own at the provider; a page that
    /// the old one may have opened was never shown to anybody, and expires.
    pub(super) async fn start_over(
        &self,
        organization: OrgId,
        old: OperationId,
        gone: Option<String>,
    ) -> Result<(), Error> {
        let now = self.0.clock.now();
        let mut tx = self.0.db.begin().await?;
        lock_organization(&mut tx, organization).await?;
        if let Some(customer) = gone {
            customers::store::forget(&mut tx, organization, self.0.payments.name(), &customer).await?;
        }
        let closed = Change::rejected(SUPERSEDED);
        // A twin of this request may have been here first, and moved the keys of both.
        if operations::store::save_state(&mut tx, organization, old, closed, now).await? {
            let new = operations::store::renew(&mut tx, organization, old, now).await?;
            operations::store::move_keys(&mut tx, organization, old, new).await?;
        }
        tx.commit().await?;
        Ok(())
    }
}

fn wish(organization: OrgId, customer: String, errand: &Errand) -> CheckoutWish {
    CheckoutWish {
        organization,
        customer,
        price: errand.price.clone(),
        quantity: errand.wish.quantity,
        success_url: errand.wish.success_url.as_str().to_owned(),
        cancel_url: errand.wish.cancel_url.as_str().to_owned(),
    }
}
