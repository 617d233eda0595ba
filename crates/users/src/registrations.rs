//! Signing up: an attempt waits until its address is proven; proving it makes the account.

pub(crate) mod http;
pub(crate) mod store;

use std::time::Duration;

use chrono::{DateTime, Utc};
use platform::caller::UserId;
use serde_json::json;

use crate::audit::{Action, Deed};
use crate::email::Email;
use crate::passwords;
use crate::tokens::OneTimeToken;
use crate::{Error, Users, mails};

/// How long a verification link works.
const VERIFY_WITHIN: Duration = Duration::from_hours(24);

platform::text! {
    /// What a person wants to be called.
    pub struct Name(1..=100);
}

/// A wish to sign up. Not `Debug`: it holds a password.
pub struct NewRegistration {
    /// The address, as written.
    pub email: String,
    /// The password, exactly as received.
    pub password: String,
    /// What to call the person.
    pub name: Name,
}

/// An attempt that waits for its address to be proven.
pub(crate) struct Registration {
    pub(crate) email: String,
    pub(crate) mail_to: String,
    pub(crate) name: String,
    pub(crate) password_hash: String,
}

impl Users {
    /// Notes the attempt and mails a verification link. A taken address gets a mail that says so; the caller cannot tell the
    /// difference. Each attempt keeps its own password, so nobody plants one on an address they do not own.
    ///
    /// # Errors
    /// An unusable address or password; too many passwords to hash.
    pub async fn register(&self, wish: NewRegistration) -> Result<(), Error> {
        let email = Email::parse(&wish.email)?;
        passwords::check_rules(&wish.password, &email.canonical, &self.0.service.name)?;
        let password_hash = self.0.passwords.hash(&wish.password).await?;
        let token = OneTimeToken::new();
        let mut tx = self.0.db.begin().await?;
        if let Some(owner) = crate::accounts::store::find_mail_to(&mut tx, &email.canonical).await? {
            self.0.mailer.send(&mut tx, mails::already_registered(&self.0.service, &owner)).await?;
        } else {
            let registration = Registration {
                email: email.canonical.clone(),
                mail_to: email.mail_to.clone(),
                name: wish.name.into(),
                password_hash,
            };
            store::insert(&mut tx, &registration, &token.hash(), VERIFY_WITHIN).await?;
            self.0.mailer.send(&mut tx, mails::verify(&self.0.service, &email.mail_to, &token)).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// Proves the address of one attempt: its account comes into being, every other attempt on the address is void.
    ///
    /// # Errors
    /// [`Error::InvalidOneTimeToken`] when the token is unknown, spent or expired.
    pub async fn verify_email(&self, token: &str) -> Result<(), Error> {
        let now = self.0.clock.now();
        let mut tx = self.0.db.begin().await?;
        let registration =
            store::take(&mut tx, &OneTimeToken::hash_of(token)).await?.ok_or(Error::InvalidOneTimeToken)?;
        let account = self.open_account(&mut tx, &registration, now).await?;
        store::delete_others(&mut tx, &registration.email).await?;
        let deed =
            Deed { action: Action::AccountCreated, account: Some(account), organization: None, details: json!({}) };
        self.record(&mut tx, deed).await?;
        tx.commit().await?;
        Ok(())
    }

    async fn open_account(
        &self,
        tx: &mut platform::db::Tx,
        registration: &Registration,
        now: DateTime<Utc>,
    ) -> Result<UserId, Error> {
        let id = UserId::new();
        // Lost the race against another attempt on the same address: this one is void, too.
        let opened = crate::accounts::store::insert(tx, id, registration, now).await?;
        if opened { Ok(id) } else { Err(Error::InvalidOneTimeToken) }
    }
}
