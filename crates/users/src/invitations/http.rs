use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use garde::Validate;
use platform::caller::{Caller, Member, OrgId, Role};
use platform::http::{Answer, Json, Once, Page, PageRequest, Path, Problem, Routes, SecretText};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::routes;

use super::{Invitation, InvitationId, NewInvitation};
use crate::Users;
use crate::email::EmailText;

pub(crate) fn routes() -> Routes<Users> {
    Routes::new()
        .with(routes!(invitation_create, invitation_list))
        .with(routes!(invitation_delete))
        .with(routes!(invitation_accept))
}

/// The place of an invitation.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct InvitationPath {
    /// The organization.
    #[serde(rename = "org_id")]
    _org_id: OrgId,
    /// The invitation.
    id: InvitationId,
}

/// Whom you invite.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewInvitationBody {
    /// Where the invitation goes; only the account with this address can accept it.
    #[garde(dive)]
    email: EmailText,
    /// What they shall be.
    #[garde(skip)]
    role: Role,
}

/// An invitation that waits for an answer.
#[derive(Serialize, ToSchema)]
struct InvitationBody {
    /// Names it.
    id: InvitationId,
    /// Where it went.
    #[schema(max_length = 254)]
    email: String,
    /// What they will be.
    role: Role,
    /// When it was sent.
    created_at: DateTime<Utc>,
    /// When it ends.
    expires_at: DateTime<Utc>,
}

impl From<Invitation> for InvitationBody {
    fn from(invitation: Invitation) -> Self {
        let Invitation { id, email, role, created_at, expires_at } = invitation;
        Self { id, email, role, created_at, expires_at }
    }
}

/// The proof that an invitation arrived.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
struct AcceptanceBody {
    /// From the link in the mail.
    #[garde(dive)]
    token: SecretText<1, 128>,
}

/// Where you belong now.
#[derive(Serialize, ToSchema)]
struct AcceptedInvitationBody {
    /// The organization.
    organization_id: OrgId,
    /// What you are there.
    role: Role,
}

/// Invite somebody
///
/// For owners and admins; only owners invite owners, which needs a recent login. The answer is the same whether the address
/// has an account or not. Inviting an address again replaces the invitation that is open: the old link ends. 409 is
/// `already_member`, or `too_many_invitations` when too many are open. Send an `Idempotency-Key` to make retries safe.
#[utoipa::path(post, path = "/organizations/{org_id}/invitations", operation_id = "invitation_create",
    security(("access_token" = [])),
    params(("org_id" = OrgId, Path, description = "The organization."),
           ("Idempotency-Key" = Option<String>, Header, description = "Makes retries safe for 24 hours.", max_length = 255)),
    request_body = NewInvitationBody,
    responses((status = 201, description = "A mail is on its way.", body = InvitationBody),
              (status = 409, description = "They are a member already, or too many are invited.", content_type = "application/problem+json")))]
async fn invitation_create(
    State(users): State<Users>,
    member: Member,
    wish: Once<NewInvitationBody>,
) -> Result<(StatusCode, Answer<Json<InvitationBody>>), Problem> {
    let wish = wish.map(|NewInvitationBody { email, role }| NewInvitation { email: email.into(), role });
    let answer = users.invite(&member, wish).await?;
    Ok((StatusCode::CREATED, answer.map(|invitation| Json(invitation.into()))))
}

/// List the invitations
///
/// Those that wait for an answer, newest first. For owners and admins.
#[utoipa::path(get, path = "/organizations/{org_id}/invitations", operation_id = "invitation_list",
    security(("access_token" = [])),
    params(("org_id" = OrgId, Path, description = "The organization."),
           ("limit" = Option<i64>, Query, description = "Entries on a page.", minimum = 1, maximum = 100),
           ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before.", max_length = 128)),
    responses((status = 200, description = "A page.", body = Page<InvitationBody>)))]
async fn invitation_list(
    State(users): State<Users>,
    member: Member,
    page: PageRequest,
) -> Result<Page<InvitationBody>, Problem> {
    Ok(users.list_invitations(&member, &page).await?.map(Into::into))
}

/// Take an invitation back
///
/// Its link ends. For owners and admins; only owners take back the invitation of an owner.
#[utoipa::path(delete, path = "/organizations/{org_id}/invitations/{id}", operation_id = "invitation_delete",
    security(("access_token" = [])),
    params(InvitationPath),
    responses((status = 204, description = "Nobody can accept it any more.")))]
async fn invitation_delete(
    State(users): State<Users>,
    member: Member,
    Path(place): Path<InvitationPath>,
) -> Result<StatusCode, Problem> {
    users.revoke_invitation(&member, place.id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Accept an invitation
///
/// Makes you a member. Only the account with the invited address can; to others the invitation does not exist. 409 is
/// `invitation_used`, `already_member`, or `too_many_members` when the organization is full.
#[utoipa::path(post, path = "/invitations/accept", operation_id = "invitation_accept", security(("access_token" = [])),
    request_body = AcceptanceBody,
    responses((status = 200, description = "You belong to it.", body = AcceptedInvitationBody),
              (status = 404, description = "There is no such invitation for you.", content_type = "application/problem+json"),
              (status = 409, description = "Accepted before, or it cannot be accepted.", content_type = "application/problem+json"),
              (status = 410, description = "Taken back or too old.", content_type = "application/problem+json")))]
async fn invitation_accept(
    State(users): State<Users>,
    caller: Caller,
    Json(body): Json<AcceptanceBody>,
) -> Result<Json<AcceptedInvitationBody>, Problem> {
    let (organization_id, role) = users.accept_invitation(&caller, body.token.expose()).await?;
    Ok(Json(AcceptedInvitationBody { organization_id, role }))
}
