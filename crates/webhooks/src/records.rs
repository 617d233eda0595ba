//! Records: where organizations want to be told, for those who take their data with them.

use platform::caller::OrgId;
use platform::http::PageRequest;
use serde_json::{Value, json};

use crate::endpoints::{self, Endpoint};
use crate::{Error, Webhooks};

/// The most endpoints that are told of one organization.
const MAX_ENDPOINTS: i64 = 100;

impl Webhooks {
    /// The endpoints of these organizations, without their secrets.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn export_records(&self, organizations: &[OrgId]) -> Result<Value, Error> {
        let mut records = Vec::with_capacity(organizations.len());
        for organization in organizations {
            let page = PageRequest::first(MAX_ENDPOINTS);
            let found = endpoints::store::list(&mut *self.0.db.read().await?, *organization, &page).await?;
            let endpoints: Vec<Value> = found.iter().map(endpoint).collect();
            records.push(json!({ "organization_id": organization, "endpoints": endpoints }));
        }
        Ok(json!({ "organizations": records }))
    }
}

fn endpoint(known: &Endpoint) -> Value {
    json!({
        "id": known.id,
        "url": known.url,
        "description": known.description,
        "event_types": known.event_types,
        "created_at": known.created_at,
        "disabled_at": known.disabled_at,
    })
}
