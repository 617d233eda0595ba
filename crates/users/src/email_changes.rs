//! Moving an account to another address: the new one is proven first, the old one is told afterwards.

pub(crate) mod http;

use platform::caller::LoggedIn;

use crate::audit::Action;
use crate::email::Email;
use crate::mails::Addressee;
use crate::one_time_secrets::{self, Purpose};
use crate::sessions::deed;
use crate::tokens::OneTimeToken;
use crate::{Error, Users, accounts, mails};

impl Users {
    /// Mails a link to the address the caller wants. One that belongs to somebody else costs the same and gets the same
    /// answer; its owner is told.
    ///
    /// # Errors
    /// [`Error::RecentLoginRequired`]; an unusable address.
    pub async fn request_email_change(&self, person: &LoggedIn, new_email: &str) -> Result<(), Error> {
        self.require_recent_login(person.caller())?;
        let email = Email::parse(new_email).map_err(|error| error.of_field("new_email"))?;
        let token = OneTimeToken::new();
        let mut tx = self.0.db.begin().await?;
        let owner = accounts::store::find_owner(&mut tx, &email.canonical).await?;
        // For a taken address, too, though nobody will ever see its token: the same statements for both.
        one_time_secrets::store::insert(&mut tx, person.user(), Purpose::EmailChange(&email), &token).await?;
        let service = &self.0.service;
        let mail = match owner {
            Some(owner) if owner.id != person.user() => mails::address_taken(service, &owner.mail_to),
            // Their own address in another spelling may be theirs to change.
            Some(_) | None => mails::confirm_address(service, &email.mail_to, &token),
        };
        self.0.mailer.send(&mut tx, mail).await?;
        // The log keeps no address: it cannot be changed, and people may ask to be forgotten.
        self.record(&mut tx, deed(Action::EmailChangeRequested, Some(person.user()))).await?;
        Ok(tx.commit().await?)
    }

    /// Spends the token of the mail: the account moves to its address, and the old one is told.
    ///
    /// # Errors
    /// [`Error::InvalidOneTimeToken`] when the token is unknown, spent, expired or somebody else's, or when the address was
    /// taken in the meantime.
    pub async fn confirm_email_change(&self, person: &LoggedIn, token: &str) -> Result<(), Error> {
        let mut tx = self.0.db.begin().await?;
        let account = accounts::store::lock(&mut tx, person.user()).await?.ok_or(Error::NotFound)?;
        let hash = OneTimeToken::hash_of(token);
        let change = one_time_secrets::store::take_email_change(&mut tx, person.user(), &hash).await?;
        let email = change.ok_or(Error::InvalidOneTimeToken)?;
        if !accounts::store::save_email(&mut tx, person.user(), &email, account.version + 1).await? {
            return Err(Error::InvalidOneTimeToken);
        }
        // What was mailed to the old address is void.
        one_time_secrets::store::delete_of(&mut tx, person.user()).await?;
        self.record(&mut tx, deed(Action::EmailChanged, Some(person.user()))).await?;
        let old = Addressee { mail_to: account.email, name: account.name };
        self.0.mailer.send(&mut tx, mails::address_changed(&self.0.service, &old)).await?;
        Ok(tx.commit().await?)
    }
}
