//! Answers the platform's question who calls and in which role; every module's extractors ask it.

use async_trait::async_trait;
use platform::caller::{Authority, Caller, OrgId, Role};
use platform::http::Problem;

use crate::Users;

#[async_trait]
impl Authority for Users {
    async fn authenticate(&self, access_token: &str) -> Result<Caller, Problem> {
        Ok(Users::authenticate(self, access_token).await?)
    }

    async fn role_in(&self, caller: &Caller, org: OrgId) -> Result<Option<Role>, Problem> {
        Ok(Users::role_in(self, caller, org).await?)
    }
}
