//! Invitations: how people come into an organization. The token travels by mail and lets in nobody but the account with the
//! invited address; the answer is the same whether the address has an account or not.

pub(crate) mod http;
pub(crate) mod store;

use std::time::Duration;

use chrono::{DateTime, Utc};
use platform::caller::{Caller, Member, OrgId, Role};
use platform::db::Tx;
use platform::http::{Answer, Once, Page, PageRequest};
use platform::once::Opened;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::audit::{Action, Deed};
use crate::email::Email;
use crate::events::MemberAdded;
use crate::tokens::OneTimeToken;
use crate::{Error, Users, accounts, mails, members, organizations, policy};

/// How long an invitation can be accepted.
const ACCEPT_WITHIN: Duration = Duration::from_hours(7 * 24);

platform::id! {
    /// Names an invitation.
    pub struct InvitationId;
}

/// An invitation that waits for an answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Invitation {
    pub(crate) id: InvitationId,
    /// As the inviter wrote it.
    pub(crate) email: String,
    pub(crate) role: Role,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) expires_at: DateTime<Utc>,
}

/// A wish to invite somebody.
#[derive(Clone, Debug)]
pub(crate) struct NewInvitation {
    pub(crate) email: String,
    pub(crate) role: Role,
}

/// What the owner of an invited address holds in hands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Offer {
    pub(crate) id: InvitationId,
    pub(crate) role: Role,
    pub(crate) is_accepted: bool,
    pub(crate) is_revoked: bool,
    pub(crate) is_expired: bool,
}

impl Offer {
    fn check(self) -> Result<Self, Error> {
        match self {
            Self { is_accepted: true, .. } => Err(Error::InvitationUsed),
            Self { is_revoked: true, .. } | Self { is_expired: true, .. } => Err(Error::InvitationGone),
            open => Ok(open),
        }
    }
}

impl Users {
    /// Invites an address. An open invitation of the same address is replaced: its link ends, a new one is mailed.
    ///
    /// # Errors
    /// [`Error::Forbidden`], [`Error::InvalidEmail`], [`Error::RecentLoginRequired`] when a new owner is invited,
    /// [`Error::AlreadyMember`], [`Error::TooManyInvitations`]; too many invitations in a short time.
    pub(crate) async fn invite(&self, member: &Member, wish: Once<NewInvitation>) -> Result<Answer<Invitation>, Error> {
        let (mut tx, once, wish) = match wish.open(&self.0.db).await? {
            Opened::Replayed(answer) => return Ok(answer),
            Opened::Fresh { tx, once, body } => (tx, once, body),
        };
        let organization = organizations::store::lock(&mut tx, member.org()).await?.ok_or(Error::NotFound)?;
        self.allow_inviting(&mut tx, member, wish.role).await?;
        let email = Email::parse(&wish.email)?;
        let recipient = store::find_recipient(&mut tx, member.org(), &email.canonical).await?;
        if recipient.as_ref().is_some_and(|recipient| recipient.is_member) {
            return Err(Error::AlreadyMember);
        }
        self.limit_invitation(&mut tx, member.user(), &email).await?;
        let replaced = store::revoke_open(&mut tx, member.org(), &email.canonical).await?;
        let limit = self.0.config.organizations.max_open_invitations;
        if store::count_open(&mut tx, member.org()).await? >= limit {
            return Err(Error::TooManyInvitations(limit));
        }
        let token = OneTimeToken::new();
        let made = store::NewRow { email: &email, role: wish.role, token_hash: token.hash() };
        let invitation = store::insert(&mut tx, member.org(), &made, ACCEPT_WITHIN).await?;
        // Mail for somebody with an account goes where they said, whatever spelling the inviter chose.
        let mail_to = recipient.map_or(email.mail_to, |recipient| recipient.mail_to);
        let mail = mails::invitation(&self.0.service, &mail_to, &organization.name, &token);
        self.0.mailer.send(&mut tx, mail).await?;
        let details = json!({ "invitation": invitation.id, "role": invitation.role, "replaces": replaced });
        self.record(&mut tx, deed(Action::InvitationCreated, member, details)).await?;
        let answer = once.settle(&mut tx, invitation).await?;
        tx.commit().await?;
        Ok(answer)
    }

    async fn allow_inviting(&self, tx: &mut Tx, member: &Member, role: Role) -> Result<(), Error> {
        let caller = members::store::find_role(tx, member.org(), member.user()).await?.ok_or(Error::NotFound)?;
        if !policy::may_invite(caller, role) {
            return Err(Error::Forbidden);
        }
        // A new owner may take everything away, as one made out of a member could.
        if role == Role::Owner { self.require_recent_login(member.caller()) } else { Ok(()) }
    }

    /// The invitations that wait for an answer, newest first.
    ///
    /// # Errors
    /// [`Error::Forbidden`].
    pub(crate) async fn list_invitations(
        &self,
        member: &Member,
        page: &PageRequest,
    ) -> Result<Page<Invitation>, Error> {
        if !policy::may_read_invitations(member.role()) {
            return Err(Error::Forbidden);
        }
        let rows = store::list(&mut *self.0.db.read().await?, member.org(), page).await?;
        Ok(Page::of(rows, page, |invitation| invitation.id.uuid()))
    }

    /// Takes an invitation back; its link ends.
    ///
    /// # Errors
    /// [`Error::NotFound`] when it does not wait for an answer, [`Error::Forbidden`].
    pub(crate) async fn revoke_invitation(&self, member: &Member, id: InvitationId) -> Result<(), Error> {
        let mut tx = self.0.db.begin().await?;
        organizations::store::lock(&mut tx, member.org()).await?.ok_or(Error::NotFound)?;
        let found = store::find_open(&mut tx, member.org(), id).await?.ok_or(Error::NotFound)?;
        let caller = members::store::find_role(&mut tx, member.org(), member.user()).await?.ok_or(Error::NotFound)?;
        if !policy::may_revoke_invitation(caller, found.role) {
            return Err(Error::Forbidden);
        }
        store::revoke(&mut tx, member.org(), id).await?;
        let details = json!({ "invitation": id, "role": found.role });
        self.record(&mut tx, deed(Action::InvitationRevoked, member, details)).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Makes the caller a member, provided the invitation went to their address.
    ///
    /// # Errors
    /// [`Error::NotFound`] for an unknown token and for one of somebody else, [`Error::InvitationUsed`],
    /// [`Error::InvitationGone`], [`Error::AlreadyMember`], [`Error::TooManyMembers`].
    pub(crate) async fn accept_invitation(&self, caller: &Caller, token: &str) -> Result<(OrgId, Role), Error> {
        let hash = OneTimeToken::hash_of(token);
        let mut tx = self.0.db.begin().await?;
        // Before the organization, as everywhere: whoever erases their account locks both.
        accounts::store::lock(&mut tx, caller.user).await?.ok_or(Error::InvalidAccessToken)?;
        let org = store::find_inviting(&mut tx, &hash, caller.user).await?.ok_or(Error::NotFound)?;
        organizations::store::lock(&mut tx, org).await?.ok_or(Error::NotFound)?;
        // Read under the lock: of two who accept at once the second sees that the first did.
        let offer = store::find_offer(&mut tx, org, &hash).await?.ok_or(Error::NotFound)?.check()?;
        let limit = self.0.config.organizations.max_members;
        if members::store::count(&mut tx, org).await? >= limit {
            return Err(Error::TooManyMembers(limit));
        }
        if !members::store::insert(&mut tx, org, caller.user, offer.role).await? {
            return Err(Error::AlreadyMember);
        }
        store::accept(&mut tx, org, offer.id).await?;
        let added = MemberAdded { organization: org, user: caller.user, role: offer.role, at: self.0.clock.now() };
        self.0.events.announce(&mut tx, &added).await?;
        let details = json!({ "invitation": offer.id, "after": { "role": offer.role } });
        let action = Action::InvitationAccepted;
        let deed = Deed { action, account: Some(caller.user), organization: Some(org), details };
        self.record(&mut tx, deed).await?;
        tx.commit().await?;
        Ok((org, offer.role))
    }
}

fn deed(action: Action, member: &Member, details: serde_json::Value) -> Deed {
    Deed { action, account: Some(member.user()), organization: Some(member.org()), details }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_open_invitation_lets_in() {
        let open = Offer {
            id: InvitationId::new(),
            role: Role::Viewer,
            is_accepted: false,
            is_revoked: false,
            is_expired: false,
        };
        assert!(open.check().is_ok());
        let used = Offer { is_accepted: true, is_expired: true, ..open };
        assert!(matches!(used.check(), Err(Error::InvitationUsed)));
        for gone in [Offer { is_revoked: true, ..open }, Offer { is_expired: true, ..open }] {
            assert!(matches!(gone.check(), Err(Error::InvitationGone)));
        }
    }
}
