//! What users needs of others, in its own words.

use async_trait::async_trait;
use platform::caller::{OrgId, UserId};
use platform::jobs::BoxError;
use serde_json::Value;

/// Keeps something that belongs into the export of a person's data.
#[async_trait]
pub trait PersonalData: Send + Sync {
    /// Under which name it stands in the export.
    fn name(&self) -> &'static str;

    /// What is kept about the person, and about the organizations that are theirs alone, a hundred at most. Bounded: what is
    /// more than a person would read says that there is more.
    ///
    /// # Errors
    /// When nobody can say now.
    async fn export(&self, account: UserId, organizations: &[OrgId]) -> Result<Value, BoxError>;
}
