//! Customers: who an organization is to the payment provider.

pub(crate) mod store;

use platform::caller::OrgId;

use crate::operations::OperationId;
use crate::ports::NewCustomer;
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
}
