use std::time::Duration;

use platform::caller::{OrgId, Role, UserId};
use platform::http::PageRequest;
use sqlx::PgConnection;

use super::{Invitation, InvitationId, Offer};
use crate::email::Email;

/// Whom an invitation goes to, when the address has an account.
pub(super) struct Recipient {
    /// As the owner of the account wrote the address.
    pub(super) mail_to: String,
    pub(super) is_member: bool,
}

pub(super) async fn find_recipient(
    connection: &mut PgConnection,
    organization: OrgId,
    canonical_email: &str,
) -> Result<Option<Recipient>, sqlx::Error> {
    sqlx::query_as!(
        Recipient,
        r#"SELECT a.mail_to, m.account_id IS NOT NULL AS "is_member!"
           FROM users.accounts a
           LEFT JOIN users.memberships m ON m.organization_id = $1 AND m.account_id = a.id
           WHERE a.email = $2"#,
        organization.uuid(),
        canonical_email,
    )
    .fetch_optional(connection)
    .await
}

/// Takes back what is open for the address, expired or not.
pub(super) async fn revoke_open(
    connection: &mut PgConnection,
    organization: OrgId,
    canonical_email: &str,
) -> Result<Option<InvitationId>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"UPDATE users.invitations SET revoked_at = now()
           WHERE organization_id = $1 AND email = $2 AND accepted_at IS NULL AND revoked_at IS NULL
           RETURNING id AS "id: InvitationId""#,
        organization.uuid(),
        canonical_email,
    )
    .fetch_optional(connection)
    .await
}

pub(super) async fn count_open(connection: &mut PgConnection, organization: OrgId) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM users.invitations
           WHERE organization_id = $1 AND accepted_at IS NULL AND revoked_at IS NULL AND expires_at > now()"#,
        organization.uuid(),
    )
    .fetch_one(connection)
    .await
}

/// What an invitation is made of.
pub(super) struct NewRow<'a> {
    pub(super) email: &'a Email,
    pub(super) role: Role,
    pub(super) token_hash: [u8; 32],
}

pub(super) async fn insert(
    connection: &mut PgConnection,
    organization: OrgId,
    made: &NewRow<'_>,
    valid_for: Duration,
) -> Result<Invitation, sqlx::Error> {
    sqlx::query_as!(
        Invitation,
        r#"INSERT INTO users.invitations
               (id, organization_id, email, mail_to, role, token_hash, expires_at, created_at)
           VALUES ($1, $2, $3, $4, $5, $6, now() + make_interval(secs => $7), now())
           RETURNING id AS "id: InvitationId", mail_to AS email, role AS "role: Role", created_at, expires_at"#,
        InvitationId::new().uuid(),
        organization.uuid(),
        made.email.canonical,
        made.email.mail_to,
        made.role.as_str(),
        &made.token_hash,
        valid_for.as_secs_f64(),
    )
    .fetch_one(connection)
    .await
}

pub(super) async fn list(
    connection: &mut PgConnection,
    organization: OrgId,
    page: &PageRequest,
) -> Result<Vec<Invitation>, sqlx::Error> {
    sqlx::query_as!(
        Invitation,
        r#"SELECT id AS "id: InvitationId", mail_to AS email, role AS "role: Role", created_at, expires_at
           FROM users.invitations
           WHERE organization_id = $1 AND id < $2
             AND accepted_at IS NULL AND revoked_at IS NULL AND expires_at > now()
           ORDER BY id DESC LIMIT $3"#,
        organization.uuid(),
        page.before,
        page.fetch(),
    )
    .fetch_all(connection)
    .await
}

pub(super) async fn find_open(
    connection: &mut PgConnection,
    organization: OrgId,
    id: InvitationId,
) -> Result<Option<Invitation>, sqlx::Error> {
    sqlx::query_as!(
        Invitation,
        r#"SELECT id AS "id: InvitationId", mail_to AS email, role AS "role: Role", created_at, expires_at
           FROM users.invitations
           WHERE organization_id = $1 AND id = $2
             AND accepted_at IS NULL AND revoked_at IS NULL AND expires_at > now()"#,
        organization.uuid(),
        id.uuid(),
    )
    .fetch_optional(connection)
    .await
}

pub(super) async fn revoke(
    connection: &mut PgConnection,
    organization: OrgId,
    id: InvitationId,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE users.invitations SET revoked_at = now() WHERE organization_id = $1 AND id = $2",
        organization.uuid(),
        id.uuid(),
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The organization that invites the person with this token; `None` when it was mailed to another address.
pub(super) async fn find_inviting(
    connection: &mut PgConnection,
    token_hash: &[u8; 32],
    user: UserId,
) -> Result<Option<OrgId>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT i.organization_id AS "id: OrgId"
           FROM users.invitations i JOIN users.accounts a ON a.email = i.email
           WHERE i.token_hash = $1 AND a.id = $2"#,
        token_hash,
        user.uuid(),
    )
    .fetch_optional(connection)
    .await
}

pub(super) async fn find_offer(
    connection: &mut PgConnection,
    organization: OrgId,
    token_hash: &[u8; 32],
) -> Result<Option<Offer>, sqlx::Error> {
    sqlx::query_as!(
        Offer,
        r#"SELECT id AS "id: InvitationId", role AS "role: Role", accepted_at IS NOT NULL AS "is_accepted!",
                  revoked_at IS NOT NULL AS "is_revoked!", expires_at <= now() AS "is_expired!"
           FROM users.invitations
           WHERE organization_id = $1 AND token_hash = $2"#,
        organization.uuid(),
        token_hash,
    )
    .fetch_optional(connection)
    .await
}

pub(super) async fn accept(
    connection: &mut PgConnection,
    organization: OrgId,
    id: InvitationId,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE users.invitations SET accepted_at = now() WHERE organization_id = $1 AND id = $2",
        organization.uuid(),
        id.uuid(),
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Removes a batch of invitations that ended by age a month ago; until then their links say that they are too old. Returns how
/// many.
pub(crate) async fn delete_expired(connection: &mut PgConnection, batch: i64) -> Result<u64, sqlx::Error> {
    let deleted = sqlx::query!(
        "DELETE FROM users.invitations WHERE id IN
             (SELECT id FROM users.invitations WHERE expires_at < now() - interval '30 days'
              ORDER BY expires_at LIMIT $1)",
        batch,
    )
    .execute(connection)
    .await?;
    Ok(deleted.rows_affected())
}
