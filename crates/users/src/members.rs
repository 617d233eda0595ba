//! Members: who belongs to an organization, what they are there, and how that changes. An organization always keeps an owner.

pub(crate) mod http;
pub(crate) mod store;

use chrono::{DateTime, Utc};
use platform::caller::{Member, OrgId, Role, UserId};
use platform::db::Tx;
use platform::http::{IfMatch, Page, PageRequest};
use serde_json::json;

use crate::audit::{Action, Deed};
use crate::events::MemberRemoved;
use crate::{Error, Users, organizations, policy};

/// A person's place in an organization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Membership {
    pub(crate) user: UserId,
    pub(crate) name: String,
    /// Only those who manage members are told.
    pub(crate) email: Option<String>,
    pub(crate) role: Role,
    /// Counts the changes of the role.
    pub(crate) version: i64,
    pub(crate) created_at: DateTime<Utc>,
}

impl Membership {
    fn shown_to(self, reader: Role) -> Self {
        let email = self.email.filter(|_| policy::may_read_addresses(reader));
        Self { email, ..self }
    }
}

impl Users {
    /// Everybody who belongs to the organization, the newest accounts first.
    ///
    /// # Errors
    /// [`Error::Forbidden`].
    pub(crate) async fn list_members(&self, member: &Member, page: &PageRequest) -> Result<Page<Membership>, Error> {
        if !policy::may_read_members(member.role()) {
            return Err(Error::Forbidden);
        }
        let rows = store::list(&mut *self.0.db.read().await?, member.org(), page).await?;
        let page = Page::of(rows, page, |found| found.user.uuid());
        Ok(page.map(|found| found.shown_to(member.role())))
    }

    /// One member.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Forbidden`].
    pub(crate) async fn show_member(&self, member: &Member, user: UserId) -> Result<Membership, Error> {
        let found = store::find(&mut *self.0.db.read().await?, member.org(), user).await?.ok_or(Error::NotFound)?;
        if !policy::may_read_members(member.role()) {
            return Err(Error::Forbidden);
        }
        Ok(found.shown_to(member.role()))
    }

    /// Gives a member another role. Making somebody an owner gives the organization away, so it wants a recent login.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Forbidden`], [`Error::VersionMismatch`], [`Error::RecentLoginRequired`],
    /// [`Error::LastOwner`].
    pub(crate) async fn change_role(
        &self,
        member: &Member,
        user: UserId,
        role: Role,
        if_match: &IfMatch,
    ) -> Result<Membership, Error> {
        let mut tx = self.0.db.begin().await?;
        let (caller, found) = lock_both(&mut tx, member, user).await?;
        if !policy::may_change_role(caller, found.role, role) {
            return Err(Error::Forbidden);
        }
        if_match.check(found.version).map_err(Error::VersionMismatch)?;
        if found.role == role {
            return Ok(found.shown_to(caller));
        }
        if role == Role::Owner {
            self.require_recent_login(member.caller())?;
        }
        keep_an_owner(&mut tx, member.org(), &found).await?;
        let changed = Membership { role, version: found.version + 1, ..found.clone() };
        store::save(&mut tx, member.org(), &changed).await?;
        let details = json!({ "user": user, "before": { "role": found.role }, "after": { "role": role } });
        self.record(&mut tx, deed(Action::RoleChanged, member, details)).await?;
        self.commit_and_forget(tx, user).await?;
        Ok(changed.shown_to(caller))
    }

    /// Ends a membership; everybody may end their own, which is leaving. Live tokens are refused from then on.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Forbidden`], [`Error::VersionMismatch`], [`Error::LastOwner`].
    pub(crate) async fn remove_member(&self, member: &Member, user: UserId, if_match: &IfMatch) -> Result<(), Error> {
        let mut tx = self.0.db.begin().await?;
        let (caller, found) = lock_both(&mut tx, member, user).await?;
        if !policy::may_remove_member(caller, found.role, user == member.user()) {
            return Err(Error::Forbidden);
        }
        if_match.check(found.version).map_err(Error::VersionMismatch)?;
        keep_an_owner(&mut tx, member.org(), &found).await?;
        store::delete(&mut tx, member.org(), user).await?;
        let removed = MemberRemoved { organization: member.org(), user, at: self.0.clock.now() };
        self.0.events.announce(&mut tx, &removed).await?;
        let details = json!({ "user": user, "before": { "role": found.role } });
        self.record(&mut tx, deed(Action::MemberRemoved, member, details)).await?;
        self.commit_and_forget(tx, user).await
    }
}

/// What the caller is, and the member they want to change, with the organization locked: of two changes the second sees what
/// the first did, even to the caller's own role.
async fn lock_both(tx: &mut Tx, member: &Member, user: UserId) -> Result<(Role, Membership), Error> {
    organizations::store::lock(tx, member.org()).await?.ok_or(Error::NotFound)?;
    let mut found = store::list_some(tx, member.org(), &[member.user(), user]).await?;
    let caller = found.iter().find(|found| found.user == member.user()).ok_or(Error::NotFound)?.role;
    let wanted = found.iter().position(|found| found.user == user).ok_or(Error::NotFound)?;
    Ok((caller, found.swap_remove(wanted)))
}

/// Refuses to take the last owner away.
async fn keep_an_owner(tx: &mut Tx, organization: OrgId, leaving: &Membership) -> Result<(), Error> {
    if leaving.role == Role::Owner && !store::has_other_owner(tx, organization, leaving.user).await? {
        return Err(Error::LastOwner);
    }
    Ok(())
}

fn deed(action: Action, member: &Member, details: serde_json::Value) -> Deed {
    Deed { action, account: Some(member.user()), organization: Some(member.org()), details }
}
