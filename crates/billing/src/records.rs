//! Records: what is on file about what organizations bought, for those who take their data with them.

use platform::caller::OrgId;
use serde_json::{Value, json};

use crate::operations::{self, Operation};
use crate::subscriptions::{self, Subscription};
use crate::{Billing, Error};

/// The most operations that are told of one organization; of subscriptions there are fewer.
const MAX_OPERATIONS: i64 = 100;

impl Billing {
    /// What these organizations bought and asked for. Nothing here is about a person: who asked is not kept.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn export_records(&self, organizations: &[OrgId]) -> Result<Value, Error> {
        let mut records = Vec::with_capacity(organizations.len());
        for organization in organizations {
            let mut connection = self.0.db.read().await?;
            let standing = self.standing_of(&mut connection, *organization).await?;
            let subscriptions = subscriptions::store::list(&mut connection, *organization).await?;
            let operations = operations::store::list(&mut connection, *organization, MAX_OPERATIONS).await?;
            records.push(json!({
                "organization_id": organization,
                "plan": standing.plan,
                "subscriptions": subscriptions.iter().map(subscription).collect::<Vec<_>>(),
                "operations": operations.iter().map(operation).collect::<Vec<_>>(),
            }));
        }
        Ok(json!({ "organizations": records }))
    }
}

fn subscription(bought: &Subscription) -> Value {
    json!({
        "id": bought.id,
        "provider_id": bought.provider_id,
        "customer": bought.customer,
        "status": bought.status.as_str(),
        "price": bought.price,
        "quantity": bought.quantity,
        "current_period_end": bought.current_period_end,
        "cancel_at": bought.cancel_at,
        "ended_at": bought.ended_at,
    })
}

fn operation(asked: &Operation) -> Value {
    json!({ "id": asked.id, "kind": asked.kind, "first_sent_at": asked.first_sent_at, "error": asked.error })
}
