//! Organizations own everything people make together; a membership gives a person a role in one.

pub(crate) mod http;
pub(crate) mod store;

use chrono::{DateTime, Utc};
use platform::caller::{Caller, Member, OrgId, Role};
use platform::db::Tx;
use platform::http::{Answer, IfMatch, Once, Page, PageRequest};
use platform::once::Opened;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::audit::{Action, Deed};
use crate::events::{OrganizationCreated, OrganizationDeleted, OrganizationUpdated};
use crate::{Error, Users, members, policy};

/// How large an organization may get.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrganizationConfig {
    /// Members an organization may have.
    pub max_members: i64,
    /// Invitations that may wait for an answer.
    pub max_open_invitations: i64,
}

platform::text! {
    /// What an organization is called.
    pub struct OrganizationName(1..=100);
}

/// An organization.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Organization {
    /// Names it.
    pub id: OrgId,
    /// What it is called.
    pub name: String,
    /// Counts its changes.
    pub version: i64,
    /// When it came into being.
    pub created_at: DateTime<Utc>,
}

/// A wish for an organization.
#[derive(Clone, Debug)]
pub struct NewOrganization {
    /// What it shall be called.
    pub name: OrganizationName,
}

/// Whom to write to about an organization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrganizationContact {
    /// What the organization is called.
    pub name: String,
    /// The address of its longest-standing owner.
    pub email: String,
}

impl Users {
    /// Creates an organization that the caller owns.
    ///
    /// # Errors
    /// A repeated request that is still running or says something else.
    pub async fn create_organization(
        &self,
        caller: &Caller,
        wish: Once<NewOrganization>,
    ) -> Result<Answer<Organization>, Error> {
        let (mut tx, once, wish) = match wish.open(&self.0.db).await? {
            Opened::Replayed(answer) => return Ok(answer),
            Opened::Fresh { tx, once, body } => (tx, once, body),
        };
        let organization =
            Organization { id: OrgId::new(), name: wish.name.into(), version: 1, created_at: self.0.clock.now() };
        store::insert(&mut tx, &organization).await?;
        if !members::store::insert(&mut tx, organization.id, caller.user, Role::Owner).await? {
            // Erased a moment ago.
            return Err(Error::InvalidAccessToken);
        }
        let created = OrganizationCreated {
            organization: organization.id,
            name: organization.name.clone(),
            owner: caller.user,
            at: organization.created_at,
        };
        self.0.events.announce(&mut tx, &created).await?;
        let details = json!({ "name": organization.name });
        self.record(&mut tx, deed(Action::OrganizationCreated, caller, organization.id, details)).await?;
        let answer = once.settle(&mut tx, organization).await?;
        tx.commit().await?;
        Ok(answer)
    }

    /// The caller's organizations, newest first.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn list_organizations(&self, caller: &Caller, page: &PageRequest) -> Result<Page<Organization>, Error> {
        let rows = store::list_of(&mut *self.0.db.read().await?, caller.user, page).await?;
        Ok(Page::of(rows, page, |organization| organization.id.uuid()))
    }

    /// The member's organization.
    ///
    /// # Errors
    /// [`Error::NotFound`] when it was deleted a moment ago.
    pub async fn show_organization(&self, member: &Member) -> Result<Organization, Error> {
        if !policy::may_read_organization(member.role()) {
            return Err(Error::Forbidden);
        }
        store::find(&mut *self.0.db.read().await?, member.org()).await?.ok_or(Error::NotFound)
    }

    /// Renames the member's organization, provided nobody changed it since the client read it.
    ///
    /// # Errors
    /// [`Error::Forbidden`], [`Error::VersionMismatch`].
    pub async fn rename_organization(
        &self,
        member: &Member,
        name: OrganizationName,
        if_match: &IfMatch,
    ) -> Result<Organization, Error> {
        let mut tx = self.0.db.begin().await?;
        let found = store::lock(&mut tx, member.org()).await?.ok_or(Error::NotFound)?;
        if !policy::may_update_organization(member.role()) {
            return Err(Error::Forbidden);
        }
        if_match.check(found.version).map_err(Error::VersionMismatch)?;
        let renamed = Organization { name: name.into(), version: found.version + 1, ..found.clone() };
        store::save(&mut tx, renamed.id, &renamed).await?;
        let updated =
            OrganizationUpdated { organization: renamed.id, name: renamed.name.clone(), at: self.0.clock.now() };
        self.0.events.announce(&mut tx, &updated).await?;
        let details = json!({ "before": { "name": found.name }, "after": { "name": renamed.name } });
        let deed = Deed {
            action: Action::OrganizationUpdated,
            account: Some(member.user()),
            organization: Some(renamed.id),
            details,
        };
        self.record(&mut tx, deed).await?;
        tx.commit().await?;
        Ok(renamed)
    }

    /// Ends the member's organization with its memberships and invitations. There is no way back, so it wants a recent login.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Forbidden`], [`Error::VersionMismatch`], [`Error::RecentLoginRequired`].
    pub async fn delete_organization(&self, member: &Member, if_match: &IfMatch) -> Result<(), Error> {
        let mut tx = self.0.db.begin().await?;
        let found = store::lock(&mut tx, member.org()).await?.ok_or(Error::NotFound)?;
        // As it is now, under the lock: somebody may have taken the role away a moment ago.
        let role = members::store::find_role(&mut tx, found.id, member.user()).await?.ok_or(Error::NotFound)?;
        if !policy::may_delete_organization(role) {
            return Err(Error::Forbidden);
        }
        if_match.check(found.version).map_err(Error::VersionMismatch)?;
        self.require_recent_login(member.caller())?;
        self.end_organization(&mut tx, member.caller(), found.id, &found.name).await?;
        self.commit_and_forget_everybody(tx).await
    }

    /// Ends an organization that is locked, and tells the others.
    ///
    /// # Errors
    /// When the database is away.
    pub(crate) async fn end_organization(
        &self,
        tx: &mut Tx,
        caller: &Caller,
        organization: OrgId,
        name: &str,
    ) -> Result<(), Error> {
        store::delete(tx, organization).await?;
        self.0.events.announce(tx, &OrganizationDeleted { organization, at: self.0.clock.now() }).await?;
        let details = json!({ "before": { "name": name } });
        Ok(self.record(tx, deed(Action::OrganizationDeleted, caller, organization, details)).await?)
    }

    /// Whom to write to about an organization, for other modules; `None` when it does not exist.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn organization_contact(&self, organization: OrgId) -> Result<Option<OrganizationContact>, Error> {
        Ok(store::find_contact(&mut *self.0.db.read().await?, organization).await?)
    }

    /// The person's role in the organization.
    ///
    /// # Errors
    /// When the database is away.
    pub(crate) async fn role_in(&self, caller: &Caller, organization: OrgId) -> Result<Option<Role>, Error> {
        let read =
            async { Ok(members::store::find_role(&mut *self.0.db.read().await?, organization, caller.user).await?) };
        self.0.standing.roles.get_or_read(caller.user.uuid(), organization, read).await
    }
}

fn deed(action: Action, caller: &Caller, organization: OrgId, details: serde_json::Value) -> Deed {
    Deed { action, account: Some(caller.user), organization: Some(organization), details }
}
