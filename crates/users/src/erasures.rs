//! Erasing an account: the row goes, and with it everything that belongs to the person alone. What others keep, such as the
//! audit log, keeps an id that leads nowhere. The others are told, so that each erases what it keeps.

pub(crate) mod http;
mod store;

use platform::caller::{Caller, LoggedIn, OrgId, Role};
use platform::db::Tx;
use platform::http::IfMatch;
use serde_json::json;

use crate::audit::{Action, Deed};
use crate::events::{AccountErased, MemberRemoved};
use crate::mails::Addressee;
use crate::sessions::deed;
use crate::{Error, Users, accounts, mails};

/// The most organizations somebody may belong to who goes: leaving them is one transaction.
const MAX_ORGANIZATIONS: usize = 200;

/// Where a person who goes belongs.
#[derive(Clone, Debug)]
struct Place {
    organization: OrgId,
    name: String,
    role: Role,
    /// Whether others belong there too.
    is_shared: bool,
    /// Whether somebody else who can log in owns it.
    has_other_owner: bool,
}

/// What becomes of an organization that somebody leaves for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Parting {
    /// It was theirs alone and ends.
    Ends,
    /// It goes on without them.
    GoesOn,
}

impl Place {
    fn parting(&self) -> Result<Parting, Error> {
        match (self.is_shared, self.role) {
            (false, _) => Ok(Parting::Ends),
            (true, Role::Owner) if !self.has_other_owner => Err(Error::LastOwner),
            (true, _) => Ok(Parting::GoesOn),
        }
    }
}

impl Users {
    /// Erases the caller's account. Their tokens are refused from then on, and their address is free.
    ///
    /// # Errors
    /// [`Error::RecentLoginRequired`]; [`Error::LastOwner`] while an organization with other members would lose its owner;
    /// [`Error::TooManyOrganizations`]; [`Error::VersionMismatch`]; [`Error::InvalidAccessToken`] when a twin was faster.
    pub(crate) async fn erase_me(&self, person: &LoggedIn, if_match: &IfMatch) -> Result<(), Error> {
        self.require_recent_login(person.caller())?;
        let mut tx = self.0.db.begin().await?;
        // Nobody joins or founds an organization without this lock, so the places below are all there are.
        let account = accounts::store::lock(&mut tx, person.user()).await?.ok_or(Error::InvalidAccessToken)?;
        if_match.check(account.version).map_err(Error::VersionMismatch)?;
        for place in self.lock_places(&mut tx, person).await? {
            self.part_with(&mut tx, person.caller(), &place).await?;
        }
        store::delete_traces_of_address(&mut tx, account.id).await?;
        store::delete(&mut tx, account.id).await?;
        self.0.events.announce(&mut tx, &AccountErased { account: account.id, at: self.0.clock.now() }).await?;
        self.record(&mut tx, deed(Action::AccountErased, Some(account.id))).await?;
        let addressee = Addressee { mail_to: account.email, name: account.name };
        self.0.mailer.send(&mut tx, mails::farewell(&self.0.service, &addressee)).await?;
        self.commit_and_forget_everybody(tx).await
    }

    /// Where the person belongs, with every organization locked: of two owners who go at once the second sees that the first
    /// is gone.
    async fn lock_places(&self, tx: &mut Tx, person: &LoggedIn) -> Result<Vec<Place>, Error> {
        let limit = MAX_ORGANIZATIONS + 1;
        if store::lock_organizations(tx, person.user(), limit).await? == limit {
            return Err(Error::TooManyOrganizations(MAX_ORGANIZATIONS));
        }
        Ok(store::list_places(tx, person.user(), limit).await?)
    }

    async fn part_with(&self, tx: &mut Tx, caller: &Caller, place: &Place) -> Result<(), Error> {
        match place.parting()? {
            Parting::Ends => self.end_organization(tx, caller, place.organization, &place.name).await,
            Parting::GoesOn => {
                let at = self.0.clock.now();
                let removed = MemberRemoved { organization: place.organization, user: caller.user, at };
                self.0.events.announce(tx, &removed).await?;
                let details = json!({ "user": caller.user, "before": { "role": place.role } });
                let left = deed(Action::MemberRemoved, Some(caller.user));
                Ok(self.record(tx, Deed { organization: Some(place.organization), details, ..left }).await?)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shared_goes_on_with_an_owner_or_keeps_the_one_it_has() {
        for (role, is_shared, has_other_owner, expected) in [
            (Role::Owner, false, false, Some(Parting::Ends)),
            (Role::Owner, true, true, Some(Parting::GoesOn)),
            (Role::Owner, true, false, None),
            (Role::Admin, true, true, Some(Parting::GoesOn)),
            // Its owner may be disabled at the moment; that is no reason to stay.
            (Role::Viewer, true, false, Some(Parting::GoesOn)),
        ] {
            let place = Place { organization: OrgId::new(), name: "Acme".into(), role, is_shared, has_other_owner };
            assert_eq!(place.parting().ok(), expected, "{place:?}");
        }
    }
}
