//! Billing asks users whom invoices are made out to.

use async_trait::async_trait;
use billing::ports::{Contact, Customers};
use platform::caller::OrgId;
use platform::jobs::BoxError;
use users::{OrganizationContact, Users};

pub(super) struct OrganizationsPay(pub(super) Users);

#[async_trait]
impl Customers for OrganizationsPay {
    async fn contact(&self, organization: OrgId) -> Result<Option<Contact>, BoxError> {
        let known = self.0.organization_contact(organization).await?;
        Ok(known.map(|OrganizationContact { name, email }| Contact { name, email }))
    }
}
