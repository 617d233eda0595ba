//! Personal tokens: what people give to their programs instead of a password. A token acts for its owner within its scope,
//! never on the account itself, and ends by itself.

pub(crate) mod http;
mod secret;
pub(crate) mod store;

use chrono::{DateTime, TimeDelta, Utc};
use platform::caller::{Caller, Credential, LoggedIn, Scope};
use platform::http::{Page, PageRequest};
use serde_json::json;

use crate::audit::{Action, Deed};
use crate::mails::Addressee;
use crate::sessions::deed;
use crate::{Error, Users, accounts, mails};
pub(crate) use secret::PREFIX;
use secret::TokenSecret;

platform::id! {
    /// Names a personal token; not the secret.
    pub struct PersonalTokenId;
}

platform::text! {
    /// What a token is for, in its owner's words.
    pub struct TokenName(1..=100);
}

/// The longest a token may live, in days.
const MAX_DAYS: i64 = 365;

/// How long one that expired stays in the list, in days.
pub(crate) const DAYS_KEPT: i64 = 30;

/// The most a person has, those that expired a while ago among them.
const MAX_TOKENS: i64 = 100;

/// A token that somebody wants.
pub(crate) struct NewPersonalToken {
    pub(crate) name: TokenName,
    pub(crate) scope: Scope,
    pub(crate) expires_at: DateTime<Utc>,
}

/// A token, without what makes it work.
#[derive(Clone, Debug)]
pub(crate) struct PersonalToken {
    pub(crate) id: PersonalTokenId,
    pub(crate) name: String,
    pub(crate) scope: Scope,
    /// Its last characters.
    pub(crate) ends_with: String,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) expires_at: DateTime<Utc>,
    /// To the minute.
    pub(crate) last_used_at: Option<DateTime<Utc>>,
}

impl Users {
    /// Makes a token for the caller, whose secret is shown now and never again.
    ///
    /// # Errors
    /// [`Error::RecentLoginRequired`]; [`Error::TooManyTokens`]; a time to expire that is over or too far away.
    pub(crate) async fn create_personal_token(
        &self,
        person: &LoggedIn,
        wish: NewPersonalToken,
    ) -> Result<(PersonalToken, TokenSecret), Error> {
        self.require_recent_login(person.caller())?;
        let created_at = self.0.clock.now();
        let NewPersonalToken { name, scope, expires_at } = wish;
        check_expiry(expires_at, created_at)?;
        let secret = TokenSecret::new();
        let ends_with = secret.ends_with().to_owned();
        let id = PersonalTokenId::new();
        let token =
            PersonalToken { id, name: name.into(), scope, ends_with, created_at, expires_at, last_used_at: None };
        let mut tx = self.0.db.begin().await?;
        let account = accounts::store::lock(&mut tx, person.user()).await?.ok_or(Error::NotFound)?;
        if store::count(&mut tx, account.id).await? >= MAX_TOKENS {
            return Err(Error::TooManyTokens(MAX_TOKENS));
        }
        store::insert(&mut tx, account.id, &token, &secret.hash()).await?;
        let details = json!({ "token": id, "scope": scope, "expires_at": expires_at });
        let created = Deed { details, ..deed(Action::TokenCreated, Some(account.id)) };
        self.record(&mut tx, created).await?;
        let addressee = Addressee { mail_to: account.email, name: account.name };
        self.0.mailer.send(&mut tx, mails::personal_token_created(&self.0.service, &addressee)).await?;
        tx.commit().await?;
        Ok((token, secret))
    }

    /// The caller's tokens, newest first.
    ///
    /// # Errors
    /// When the database is away.
    pub(crate) async fn list_personal_tokens(
        &self,
        person: &LoggedIn,
        page: &PageRequest,
    ) -> Result<Page<PersonalToken>, Error> {
        let rows = store::list(&mut *self.0.db.read().await?, person.user(), page).await?;
        Ok(Page::of(rows, page, |token| token.id.uuid()))
    }

    /// Ends a token of the caller; it is refused from now on.
    ///
    /// # Errors
    /// [`Error::NotFound`] when it is somebody else's or gone.
    pub(crate) async fn delete_personal_token(&self, person: &LoggedIn, token: PersonalTokenId) -> Result<(), Error> {
        let mut tx = self.0.db.begin().await?;
        if !store::delete(&mut tx, person.user(), token).await? {
            return Err(Error::NotFound);
        }
        let details = json!({ "token": token });
        self.record(&mut tx, Deed { details, ..deed(Action::TokenRevoked, Some(person.user())) }).await?;
        Ok(tx.commit().await?)
    }

    /// Whose personal token this is. Asked every time, so that revoking one counts at once.
    ///
    /// # Errors
    /// [`Error::InvalidAccessToken`] when it is made up, expired or revoked, or its owner is disabled.
    pub(crate) async fn authenticate_personal_token(&self, presented: &str) -> Result<Caller, Error> {
        let hash = secret::hash_of(presented).ok_or(Error::InvalidAccessToken)?;
        let found = store::find_bearer(&mut *self.0.db.read().await?, &hash, self.0.clock.now()).await?;
        let store::Bearer { account, scope } = found.ok_or(Error::InvalidAccessToken)?;
        Ok(Caller { user: account, credential: Credential::PersonalToken(scope) })
    }
}

fn check_expiry(expires_at: DateTime<Utc>, now: DateTime<Utc>) -> Result<(), Error> {
    let wrong = |code, message: String| Err(Error::InvalidField("expires_at", code, message));
    if expires_at <= now {
        wrong("in_the_past", "must be in the future".to_owned())
    } else if expires_at > now + TimeDelta::days(MAX_DAYS) {
        wrong("too_late", format!("must be within {MAX_DAYS} days"))
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_lives_for_a_year_at_most() {
        let now = DateTime::from_timestamp(1_767_225_600, 0).expect("a time");
        let year = TimeDelta::days(365);
        for (expires_in, good) in [
            (TimeDelta::days(-1), false),
            (TimeDelta::zero(), false),
            (TimeDelta::seconds(1), true),
            (year, true),
            (year + TimeDelta::seconds(1), false),
        ] {
            assert_eq!(check_expiry(now + expires_in, now).is_ok(), good, "{expires_in}");
        }
    }
}
