//! Customers: who an organization is to the payment provider.

pub(crate) mod store;

use platform::caller::OrgId;
use platform::jobs::JobError;

use crate::operations::OperationId;
use crate::ports::{NewCustomer, ProviderError};
use crate::{Billing, Error};

impl Billing {
    /// The provider's id of the organization's customer, who is made when there is none. Two that are made at once are one
    /// too many at the provider, where nobody will ever buy as the second.
    ///
    /// # Errors
    /// [`Error::NotFound`] when the organization was deleted a moment ago, [`Error::Customers`], [`Error::Provider`].
    pub(crate) async fn ensure_customer(&self, organization: OrgId, operation: OperationId) -> Result<String, Error> {
        let provider = self.0.payments.name();
        let known = store::find(&mut *self.0.db.read().await?, organization, provider).await?;
        if let Some(known) = known {
            return Ok(known);
        }
        let contact = self.0.customers.contact(organization).await.map_err(Error::Customers)?.ok_or(Error::NotFound)?;
        let made = self.0.payments.create_customer(operation, NewCustomer { organization, contact }).await?;
        let mut connection = self.0.db.read().await?;
        store::bind(&mut connection, organization, provider, &made, self.0.clock.now()).await?;
        Ok(store::find(&mut connection, organization, provider).await?.unwrap_or(made))
    }

    /// Tells the provider to whom the organization's invoices go now, as the one who got them may have left.
    ///
    /// # Errors
    /// To be tried again; [`JobError::Discard`] when the provider refuses.
    pub async fn renew_contact(&self, organization: OrgId) -> Result<(), JobError> {
        let customer = store::find(&mut *self.0.db.read().await?, organization, self.0.payments.name()).await?;
        let Some(customer) = customer else { return Ok(()) };
        let contact = self.0.customers.contact(organization).await.map_err(Error::Customers)?;
        // Who is gone gets no more invoices.
        let Some(contact) = contact else { return Ok(()) };
        // Another operation for every try: meanwhile it may be somebody else again, and doing it twice changes nothing.
        match self.0.payments.update_customer(OperationId::new(), &customer, contact).await {
            Ok(()) | Err(ProviderError::NotFound) => Ok(()),
            Err(error @ ProviderError::Rejected { .. }) => Err(JobError::Discard(error.to_string())),
            Err(error) => Err(error.into()),
        }
    }
}
