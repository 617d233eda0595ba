use axum::extract::State;
use chrono::{DateTime, Utc};
use garde::Validate;
use platform::caller::{Member, OrgId, UserId};
use platform::http::{Page, PageRequest, Problem, Query, Routes};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::routes;

use super::{Entry, EntryId, Filter};
use crate::Users;

pub(crate) fn routes() -> Routes<Users> {
    Routes::new().with(routes!(audit_entry_list))
}

platform::text! {
    /// What was done, such as `member_removed`.
    pub struct ActionName(1..=64);
}

/// Which entries to list. The page is read by its own extractor.
#[derive(Deserialize, Validate, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct AuditFilter {
    /// Only what this person did.
    #[garde(skip)]
    actor: Option<UserId>,
    /// Only what is called so.
    #[garde(dive)]
    action: Option<ActionName>,
    /// Only what was done then or later.
    #[garde(skip)]
    from: Option<DateTime<Utc>>,
    /// Only what was done before.
    #[garde(skip)]
    to: Option<DateTime<Utc>>,
    /// Entries on a page.
    #[garde(skip)]
    #[serde(rename = "limit")]
    #[param(value_type = Option<i64>, minimum = 1, maximum = 100)]
    _limit: Option<IgnoredAny>,
    /// `next_cursor` of the page before.
    #[garde(skip)]
    #[serde(rename = "cursor")]
    #[param(value_type = Option<String>, max_length = 128)]
    _cursor: Option<IgnoredAny>,
}

/// Something that was done in an organization.
#[derive(Serialize, ToSchema)]
struct AuditEntryBody {
    /// Names the entry.
    id: EntryId,
    /// Who did it; null when nobody was known.
    actor: Option<UserId>,
    /// What was done.
    #[schema(max_length = 64, example = "member_removed")]
    action: String,
    /// The request that did it.
    #[schema(max_length = 64)]
    request_id: Option<String>,
    /// Where that came from; null for what happens in the background.
    #[schema(max_length = 45)]
    ip: Option<String>,
    /// What changed, before and after.
    #[schema(value_type = Object)]
    details: Value,
    /// When.
    at: DateTime<Utc>,
}

impl From<Entry> for AuditEntryBody {
    fn from(entry: Entry) -> Self {
        let Entry { id, actor, action, request_id, ip, details, at } = entry;
        Self { id, actor, action, request_id, ip, details, at }
    }
}

impl From<AuditFilter> for Filter {
    fn from(filter: AuditFilter) -> Self {
        let AuditFilter { actor, action, from, to, .. } = filter;
        Self { actor, action: action.map(Into::into), from, to }
    }
}

/// List the audit log
///
/// Who did what in the organization, newest first. For owners and admins.
#[utoipa::path(get, path = "/organizations/{org_id}/audit-log", operation_id = "audit_entry_list",
    security(("access_token" = [])),
    params(("org_id" = OrgId, Path, description = "The organization."), AuditFilter),
    responses((status = 200, description = "A page.", body = Page<AuditEntryBody>)))]
async fn audit_entry_list(
    State(users): State<Users>,
    member: Member,
    Query(filter): Query<AuditFilter>,
    page: PageRequest,
) -> Result<Page<AuditEntryBody>, Problem> {
    Ok(users.list_audit_log(&member, &filter.into(), &page).await?.map(Into::into))
}
