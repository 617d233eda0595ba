//! Answers the platform's question who calls and in which role; every module's extractors ask it.

use async_trait::async_trait;
use platform::caller::{Authority, Caller, OrgId, Role};
use platform::http::Problem;

use crate::{Users, personal_tokens};

#[async_trait]
impl Authority for Users {
    async fn authenticate(&self, token: &str) -> Result<Caller, Problem> {
        if token.starts_with(personal_tokens::PREFIX) {
            return Ok(self.authenticate_personal_token(token).await?);
        }
        Ok(Users::authenticate(self, token).await?)
    }

    async fn role_in(&self, caller: &Caller, org: OrgId) -> Result<Option<Role>, Problem> {
        Ok(Users::role_in(self, caller, org).await?)
    }
}
