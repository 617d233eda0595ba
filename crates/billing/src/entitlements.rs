//! Entitlements: what an organization may use now. Derived from its subscriptions and the catalogue, never stored.

pub(crate) mod http;

use std::collections::BTreeMap;

use platform::caller::Member;

use crate::plans::{self, Limit};
use crate::{Billing, Error, policy};

/// A plan and what it grants.
#[derive(Debug)]
pub(crate) struct Entitlements {
    pub(crate) plan: String,
    pub(crate) features: BTreeMap<String, Limit>,
}

impl Billing {
    /// What the member's organization may use now.
    ///
    /// # Errors
    /// When the database is away.
    pub(crate) async fn list_entitlements(&self, member: &Member) -> Result<Entitlements, Error> {
        if !policy::may_read_entitlements(member.role()) {
            return Err(Error::Forbidden);
        }
        let mut connection = self.0.db.read().await?;
        let plan = self.standing_of(&mut connection, member.org()).await?.plan;
        let features = plans::store::find_features(&mut connection, &plan).await?;
        Ok(Entitlements { plan, features })
    }
}
