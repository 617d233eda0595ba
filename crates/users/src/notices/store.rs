use platform::caller::OrgId;
use sqlx::PgConnection;

use crate::mails::Addressee;

/// Somebody who owns an organization.
pub(super) struct Owner {
    pub(super) organization: String,
    mail_to: String,
    name: String,
}

impl Owner {
    pub(super) fn addressee(&self) -> Addressee {
        Addressee { mail_to: self.mail_to.clone(), name: self.name.clone() }
    }
}

/// The owners who can log in, those of longest standing first, and never more than 100.
pub(super) async fn list_owners(connection: &mut PgConnection, organization: OrgId) -> Result<Vec<Owner>, sqlx::Error> {
    sqlx::query_as!(
        Owner,
        "SELECT o.name AS organization, a.mail_to, a.name
           FROM users.organizations o
           JOIN users.memberships m ON m.organization_id = o.id AND m.role = 'owner'
           JOIN users.accounts a ON a.id = m.account_id AND a.disabled_at IS NULL
          WHERE o.id = $1
          ORDER BY m.created_at, m.account_id LIMIT 100",
        organization.uuid(),
    )
    .fetch_all(connection)
    .await
}
