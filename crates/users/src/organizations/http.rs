use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use garde::Validate;
use platform::caller::{Caller, Member, OrgId};
use platform::http::{Answer, ETag, IfMatch, Json, Once, Page, PageRequest, Problem, Routes};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::{NewOrganization, Organization, OrganizationName};
use crate::Users;

pub(crate) fn routes() -> Routes<Users> {
    let one = routes!(organization_show, organization_update, organization_delete);
    Routes::new().with(routes!(organization_create, organization_list)).with(one)
}

/// The organization you want.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewOrganizationBody {
    /// What it shall be called.
    #[garde(dive)]
    name: OrganizationName,
}

/// What it shall be called from now on.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
struct OrganizationChangeBody {
    /// The new name.
    #[garde(dive)]
    name: OrganizationName,
}

/// An organization.
#[derive(Serialize, ToSchema)]
struct OrganizationBody {
    /// Names it.
    id: OrgId,
    /// What it is called.
    #[schema(max_length = 100)]
    name: String,
    /// When it came into being.
    created_at: DateTime<Utc>,
}

impl From<Organization> for OrganizationBody {
    fn from(organization: Organization) -> Self {
        let Organization { id, name, created_at, .. } = organization;
        Self { id, name, created_at }
    }
}

fn body(organization: Organization) -> ETag<Json<OrganizationBody>> {
    ETag(organization.version, Json(organization.into()))
}

/// Create an organization
///
/// You become its owner. Send an `Idempotency-Key` to make retries safe.
#[utoipa::path(post, path = "/organizations", operation_id = "organization_create", security(("access_token" = [])),
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes retries safe for 24 hours.", max_length = 255)),
    request_body = NewOrganizationBody,
    responses((status = 201, description = "It exists and is yours.", body = OrganizationBody),
              (status = 409, description = "The same request is still running.", content_type = "application/problem+json")))]
async fn organization_create(
    State(users): State<Users>,
    caller: Caller,
    wish: Once<NewOrganizationBody>,
) -> Result<(StatusCode, Answer<ETag<Json<OrganizationBody>>>), Problem> {
    let wish = wish.map(|NewOrganizationBody { name }| NewOrganization { name });
    Ok((StatusCode::CREATED, users.create_organization(&caller, wish).await?.map(body)))
}

/// List your organizations
///
/// Those you are a member of, newest first.
#[utoipa::path(get, path = "/organizations", operation_id = "organization_list", security(("access_token" = [])),
    params(("limit" = Option<i64>, Query, description = "Entries on a page.", minimum = 1, maximum = 100),
           ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before.", max_length = 128)),
    responses((status = 200, description = "A page.", body = Page<OrganizationBody>)))]
async fn organization_list(
    State(users): State<Users>,
    caller: Caller,
    page: PageRequest,
) -> Result<Page<OrganizationBody>, Problem> {
    Ok(users.list_organizations(&caller, &page).await?.map(Into::into))
}

/// Show an organization
///
/// For its members.
#[utoipa::path(get, path = "/organizations/{org_id}", operation_id = "organization_show", security(("access_token" = [])),
    params(("org_id" = OrgId, Path, description = "The organization.")),
    responses((status = 200, description = "The organization.", body = OrganizationBody)))]
async fn organization_show(
    State(users): State<Users>,
    member: Member,
) -> Result<ETag<Json<OrganizationBody>>, Problem> {
    Ok(body(users.show_organization(&member).await?))
}

/// Rename an organization
///
/// For owners and admins. Send the `ETag` you read as `If-Match` to notice changes made meanwhile.
#[utoipa::path(patch, path = "/organizations/{org_id}", operation_id = "organization_update", security(("access_token" = [])),
    params(("org_id" = OrgId, Path, description = "The organization."),
           ("If-Match" = Option<String>, Header, description = "The ETag that was read.", max_length = 255)),
    request_body = OrganizationChangeBody,
    responses((status = 200, description = "As it is now.", body = OrganizationBody),
              (status = 412, description = "It was changed meanwhile.", content_type = "application/problem+json")))]
async fn organization_update(
    State(users): State<Users>,
    member: Member,
    if_match: IfMatch,
    Json(change): Json<OrganizationChangeBody>,
) -> Result<ETag<Json<OrganizationBody>>, Problem> {
    Ok(body(users.rename_organization(&member, change.name, &if_match).await?))
}

/// Delete an organization
///
/// For owners, with a recent login. Its memberships and invitations go with it; there is no way back.
#[utoipa::path(delete, path = "/organizations/{org_id}", operation_id = "organization_delete", security(("access_token" = [])),
    params(("org_id" = OrgId, Path, description = "The organization."),
           ("If-Match" = Option<String>, Header, description = "The ETag that was read.", max_length = 255)),
    responses((status = 204, description = "It is gone."),
              (status = 412, description = "It was changed meanwhile.", content_type = "application/problem+json")))]
async fn organization_delete(
    State(users): State<Users>,
    member: Member,
    if_match: IfMatch,
) -> Result<StatusCode, Problem> {
    users.delete_organization(&member, &if_match).await?;
    Ok(StatusCode::NO_CONTENT)
}
