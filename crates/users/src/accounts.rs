//! A person's account: the profile, and what logging in needs to know of it.

pub(crate) mod http;
pub(crate) mod store;

use chrono::{DateTime, Utc};
use platform::caller::{Caller, UserId};

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
    /// When the address was proven.
    pub created_at: DateTime<Utc>,
}

/// What logging in compares. Not `Debug`: it holds a password's hash.
pub(crate) struct Login {
    pub(crate) id: UserId,
    pub(crate) password_hash: String,
    pub(crate) disabled_at: Option<DateTime<Utc>>,
}

impl Users {
    /// The caller's own account.
    ///
    /// # Errors
    /// [`Error::NotFound`] when it was erased a moment ago.
    pub async fn show_me(&self, caller: &Caller) -> Result<Account, Error> {
        store::find(&mut *self.0.db.read().await?, caller.user).await?.ok_or(Error::NotFound)
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
