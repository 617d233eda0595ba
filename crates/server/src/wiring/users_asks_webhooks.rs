//! Users asks webhooks for what belongs into the export of a person's data. Webhooks keeps nothing about people: it tells where
//! the organizations listen that are theirs alone.

use async_trait::async_trait;
use platform::caller::{OrgId, UserId};
use platform::jobs::BoxError;
use serde_json::Value;
use users::ports::PersonalData;
use webhooks::Webhooks;

pub(super) struct Listening(pub(super) Webhooks);

#[async_trait]
impl PersonalData for Listening {
    fn name(&self) -> &'static str {
        "webhooks"
    }

    async fn export(&self, _account: UserId, organizations: &[OrgId]) -> Result<Value, BoxError> {
        Ok(self.0.export_records(organizations).await?)
    }
}
