//! A person's account: the profile, and what logging in needs to know of it.

pub(crate) mod http;
pub(crate) mod store;

use chrono::{DateTime, Utc};
use platform::caller::{Caller, LoggedIn, UserId};
use platform::http::IfMatch;

use crate::audit::Action;
use crate::mails::Addressee;
use crate::registrations::Name;
use crate::sessions::deed;
use crate::{Error, Users};

/// A person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Names the person.
    pub id: UserId,
    /// Where mail goes; proven, as an account comes into being by proving it.
    pub email: String,
    /// What the person wants to be called.
    pub name: String,
    /// Counts the changes of the profile.
    pub version: i64,
    /// When the address was proven.
    pub created_at: DateTime<Utc>,
}

/// What logging in compares. Not `Debug`: it holds a password's hash.
pub(crate) struct Login {
    pub(crate) id: UserId,
    /// Canonical.
    pub(crate) email: String,
    pub(crate) password_hash: String,
    /// Counts the passwords of the account; renewing a hash does not.
    pub(crate) password_version: i64,
    pub(crate) disabled_at: Option<DateTime<Utc>>,
}

/// Who has an address.
pub(crate) struct Owner {
    pub(crate) id: UserId,
    /// Where mail goes, whatever spelling somebody just typed.
    pub(crate) mail_to: String,
    pub(crate) name: String,
    pub(crate) disabled: bool,
}

impl Owner {
    pub(crate) fn addressee(&self) -> Addressee {
        Addressee { mail_to: self.mail_to.clone(), name: self.name.clone() }
    }
}

impl Users {
    /// The caller's own account.
    ///
    /// # Errors
    /// [`Error::NotFound`] when it was erased a moment ago.
    pub async fn show_me(&self, caller: &Caller) -> Result<Account, Error> {
        store::find(&mut *self.0.db.read().await?, caller.user).await?.ok_or(Error::NotFound)
    }

    /// Changes what the caller is called, provided nobody changed the profile since the client read it.
    ///
    /// # Errors
    /// [`Error::VersionMismatch`].
    pub async fn rename_me(&self, person: &LoggedIn, name: Name, if_match: &IfMatch) -> Result<Account, Error> {
        let mut tx = self.0.db.begin().await?;
        let found = store::lock(&mut tx, person.user()).await?.ok_or(Error::NotFound)?;
        if_match.check(found.version).map_err(Error::VersionMismatch)?;
        let renamed = Account { name: name.into(), version: found.version + 1, ..found };
        store::save(&mut tx, &renamed).await?;
        // The log keeps no name: it cannot be changed, and people may ask to be forgotten.
        self.record(&mut tx, deed(Action::AccountUpdated, Some(person.user()))).await?;
        tx.commit().await?;
        Ok(renamed)
    }

    /// An account ready to log in with, for development and tests; nothing happens when the address has one.
    ///
    /// # Errors
    /// When the address cannot be used or the database is away.
    pub async fn seed_account(&self, email: &str, password: &str, name: &str) -> Result<UserId, Error> {
        let email = crate::email::Email::parse(email)?;
        let password_hash = self.0.passwords.hash(password).await?;
        let mut tx = self.0.db.begin().await?;
        let registration = crate::registrations::Registration {
            email: email.canonical.clone(),
            mail_to: email.mail_to,
            name: name.to_owned(),
            password_hash,
        };
        let id = UserId::new();
        store::insert(&mut tx, id, &registration, self.0.clock.now()).await?;
        let login = store::find_login(&mut tx, &email.canonical).await?;
        tx.commit().await?;
        Ok(login.map_or(id, |login| login.id))
    }
}
