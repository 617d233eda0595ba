use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use garde::Validate;
use platform::caller::{Member, OrgId, Role, UserId};
use platform::http::{ETag, IfMatch, Json, Page, PageRequest, Path, Problem, Routes};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::routes;

use super::Membership;
use crate::Users;

pub(crate) fn routes() -> Routes<Users> {
    Routes::new().with(routes!(member_list)).with(routes!(member_show, member_update, member_delete))
}

/// The place of a member.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct MemberPath {
    /// The organization.
    #[serde(rename = "org_id")]
    _org_id: OrgId,
    /// The member.
    user_id: UserId,
}

/// What a member shall be from now on.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
struct RoleChangeBody {
    /// The new role.
    #[garde(skip)]
    role: Role,
}

/// Somebody who belongs to an organization.
#[derive(Serialize, ToSchema)]
struct MemberBody {
    /// Names the person.
    user_id: UserId,
    /// What they want to be called.
    #[schema(max_length = 100)]
    name: String,
    /// Their address; null unless you are an owner or admin.
    #[schema(max_length = 254)]
    email: Option<String>,
    /// What they are here.
    role: Role,
    /// When they joined.
    created_at: DateTime<Utc>,
}

impl From<Membership> for MemberBody {
    fn from(membership: Membership) -> Self {
        let Membership { user, name, email, role, created_at, .. } = membership;
        Self { user_id: user, name, email, role, created_at }
    }
}

fn body(membership: Membership) -> ETag<Json<MemberBody>> {
    ETag(membership.version, Json(membership.into()))
}

/// List the members
///
/// For every member; only owners and admins see addresses. The newest accounts come first.
#[utoipa::path(get, path = "/organizations/{org_id}/members", operation_id = "member_list",
    security(("access_token" = [])),
    params(("org_id" = OrgId, Path, description = "The organization."),
           ("limit" = Option<i64>, Query, description = "Entries on a page.", minimum = 1, maximum = 100),
           ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before.", max_length = 128)),
    responses((status = 200, description = "A page.", body = Page<MemberBody>)))]
async fn member_list(
    State(users): State<Users>,
    member: Member,
    page: PageRequest,
) -> Result<Page<MemberBody>, Problem> {
    Ok(users.list_members(&member, &page).await?.map(Into::into))
}

/// Show a member
///
/// For every member; only owners and admins see the address.
#[utoipa::path(get, path = "/organizations/{org_id}/members/{user_id}", operation_id = "member_show",
    security(("access_token" = [])),
    params(MemberPath),
    responses((status = 200, description = "The member.", body = MemberBody)))]
async fn member_show(
    State(users): State<Users>,
    member: Member,
    Path(place): Path<MemberPath>,
) -> Result<ETag<Json<MemberBody>>, Problem> {
    Ok(body(users.show_member(&member, place.user_id).await?))
}

/// Change a member's role
///
/// For owners and admins. Only owners make owners, which needs a recent login, and only owners change what an owner is. An
/// organization is given away by making another member its owner and then leaving or taking a lesser role. The last owner
/// stays one: 409 `last_owner`.
#[utoipa::path(patch, path = "/organizations/{org_id}/members/{user_id}", operation_id = "member_update",
    security(("access_token" = [])),
    params(MemberPath, ("If-Match" = Option<String>, Header, description = "The ETag that was read.", max_length = 255)),
    request_body = RoleChangeBody,
    responses((status = 200, description = "As it is now.", body = MemberBody),
              (status = 409, description = "The organization would have no owner.", content_type = "application/problem+json"),
              (status = 412, description = "It was changed meanwhile.", content_type = "application/problem+json")))]
async fn member_update(
    State(users): State<Users>,
    member: Member,
    Path(place): Path<MemberPath>,
    if_match: IfMatch,
    Json(change): Json<RoleChangeBody>,
) -> Result<ETag<Json<MemberBody>>, Problem> {
    Ok(body(users.change_role(&member, place.user_id, change.role, &if_match).await?))
}

/// Remove a member
///
/// For owners and admins; only owners remove owners. Everybody may leave by removing themselves, but the last owner: 409
/// `last_owner`.
#[utoipa::path(delete, path = "/organizations/{org_id}/members/{user_id}", operation_id = "member_delete",
    security(("access_token" = [])),
    params(MemberPath, ("If-Match" = Option<String>, Header, description = "The ETag that was read.", max_length = 255)),
    responses((status = 204, description = "No member any more."),
              (status = 409, description = "The organization would have no owner.", content_type = "application/problem+json"),
              (status = 412, description = "It was changed meanwhile.", content_type = "application/problem+json")))]
async fn member_delete(
    State(users): State<Users>,
    member: Member,
    Path(place): Path<MemberPath>,
    if_match: IfMatch,
) -> Result<StatusCode, Problem> {
    users.remove_member(&member, place.user_id, &if_match).await?;
    Ok(StatusCode::NO_CONTENT)
}
