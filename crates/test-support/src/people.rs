use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use chrono::DateTime;
use platform::caller::{Authority, Caller, Credential, OrgId, Role, UserId};
use platform::http::Problem;

/// An authority for a module's own tests: people whose access token is their id, with the roles a test gives them.
#[derive(Clone, Default)]
pub struct People(Arc<Mutex<HashMap<(UserId, OrgId), Role>>>);

impl People {
    /// A new person in a role; the access token is what their requests carry.
    #[must_use]
    pub fn member(&self, org: OrgId, role: Role) -> String {
        let user = UserId::new();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert((user, org), role);
        user.to_string()
    }

    /// Somebody who belongs nowhere.
    #[must_use]
    pub fn stranger(&self) -> String {
        UserId::new().to_string()
    }
}

#[async_trait]
impl Authority for People {
    async fn authenticate(&self, access_token: &str) -> Result<Caller, Problem> {
        let user: UserId = access_token.parse().map_err(|_| Problem::invalid_token("not a person of this test"))?;
        let credential = Credential::Login { id: user.uuid(), authenticated_at: DateTime::UNIX_EPOCH };
        Ok(Caller { user, credential })
    }

    async fn role_in(&self, caller: &Caller, org: OrgId) -> Result<Option<Role>, Problem> {
        Ok(self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&(caller.user, org)).copied())
    }
}
