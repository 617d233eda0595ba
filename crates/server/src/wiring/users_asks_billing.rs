//! Users asks billing for what belongs into the export of a person's data. Billing keeps nothing about people: it tells what
//! the organizations bought that are theirs alone.

use async_trait::async_trait;
use billing::Billing;
use platform::caller::{OrgId, UserId};
use platform::jobs::BoxError;
use serde_json::Value;
use users::ports::PersonalData;

pub(super) struct Purchases(pub(super) Billing);

#[async_trait]
impl PersonalData for Purchases {
    fn name(&self) -> &'static str {
        "billing"
    }

    async fn export(&self, _account: UserId, organizations: &[OrgId]) -> Result<Value, BoxError> {
        Ok(self.0.export_records(organizations).await?)
    }
}
