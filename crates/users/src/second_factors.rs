//! The second factor: a code from the person's app, or a recovery code when the app is gone. Resetting a password leaves it on:
//! whoever reads somebody's mail has not got their app.

mod base32;
pub(crate) mod http;
mod recovery_codes;
mod store;
mod totp;

use std::fmt::Write;

use platform::caller::{LoggedIn, UserId};
use platform::db::Tx;
use serde_json::json;

use crate::accounts::Account;
use crate::audit::{Action, Deed};
use crate::mails::Addressee;
use crate::sessions::deed;
use crate::{Error, Users, accounts, mails};
use recovery_codes::RecoveryCode;

const SEALED_FOR: &str = "users.second_factor";

/// What somebody shows besides their password. Not `Debug`: it opens an account.
pub enum SecondFactor {
    /// The code that their app shows at the moment.
    Totp(String),
    /// One of the codes they were given to keep.
    RecoveryCode(String),
}

/// What became of a login's second factor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The account has none.
    NotNeeded,
    Passed,
    Missing,
    /// Counted and recorded; the transaction wants to be committed.
    Wrong,
}

/// What an app has to know. Not `Debug`: it makes codes.
pub(crate) struct Enrolment {
    /// The secret in base32, for typing.
    pub(crate) secret: String,
    /// The same as a link, for a QR code.
    pub(crate) url: String,
}

impl Users {
    /// Makes a secret for the caller's app. It counts once a code of it was confirmed; until then another takes its place.
    ///
    /// # Errors
    /// [`Error::RecentLoginRequired`]; [`Error::SecondFactorOn`].
    pub(crate) async fn create_totp(&self, person: &LoggedIn) -> Result<Enrolment, Error> {
        self.require_recent_login(person.caller())?;
        let secret = platform::ids::random_bytes::<{ totp::SECRET_BYTES }>();
        let sealed = self.0.secrets.seal(SEALED_FOR, &secret);
        let mut tx = self.0.db.begin().await?;
        let account = accounts::store::lock(&mut tx, person.user()).await?.ok_or(Error::NotFound)?;
        if !store::insert_pending(&mut tx, account.id, &sealed, self.0.clock.now()).await? {
            return Err(Error::SecondFactorOn);
        }
        tx.commit().await?;
        let secret = base32::encode(&secret);
        let url = otpauth_url(&self.0.service.name, &account.email, &secret);
        Ok(Enrolment { secret, url })
    }

    /// Switches the second factor on, for a first code shows that the app has the secret. Gives the recovery codes.
    ///
    /// # Errors
    /// [`Error::RecentLoginRequired`]; [`Error::SecondFactorOn`]; [`Error::NotFound`] when no secret waits; a wrong code.
    pub(crate) async fn confirm_totp(&self, person: &LoggedIn, code: &str) -> Result<Vec<RecoveryCode>, Error> {
        self.require_recent_login(person.caller())?;
        let now = self.0.clock.now();
        let mut tx = self.0.db.begin().await?;
        let account = accounts::store::lock(&mut tx, person.user()).await?.ok_or(Error::NotFound)?;
        let factor = store::find(&mut tx, account.id).await?.ok_or(Error::NotFound)?;
        if factor.is_confirmed {
            return Err(Error::SecondFactorOn);
        }
        let wrong = || Error::InvalidField("code", "wrong_code", "is not the code of this moment".to_owned());
        let step = totp::accepted_step(&self.opened(&factor)?, code, now, None).ok_or_else(wrong)?;
        store::confirm(&mut tx, account.id, step, now).await?;
        let codes: Vec<RecoveryCode> = (0..recovery_codes::COUNT).map(|_| RecoveryCode::new()).collect();
        let hashes: Vec<Vec<u8>> = codes.iter().map(|code| code.hash().to_vec()).collect();
        store::insert_recovery_codes(&mut tx, account.id, &hashes).await?;
        self.record(&mut tx, deed(Action::SecondFactorAdded, Some(account.id))).await?;
        self.0.mailer.send(&mut tx, mails::second_factor_on(&self.0.service, &addressee(account))).await?;
        tx.commit().await?;
        Ok(codes)
    }

    /// Switches the second factor off; one that still waited for its first code goes silently.
    ///
    /// # Errors
    /// [`Error::RecentLoginRequired`]; [`Error::NotFound`] when there is none.
    pub(crate) async fn delete_totp(&self, person: &LoggedIn) -> Result<(), Error> {
        self.require_recent_login(person.caller())?;
        let mut tx = self.0.db.begin().await?;
        let account = accounts::store::lock(&mut tx, person.user()).await?.ok_or(Error::NotFound)?;
        if store::delete(&mut tx, account.id).await?.ok_or(Error::NotFound)? {
            self.record(&mut tx, deed(Action::SecondFactorRemoved, Some(account.id))).await?;
            self.0.mailer.send(&mut tx, mails::second_factor_off(&self.0.service, &addressee(account))).await?;
        }
        Ok(tx.commit().await?)
    }

    /// What a login with the right password needs besides. A code counts as wrong before it is looked at, so that a thousand
    /// guesses at once get no more tries than one after the other.
    pub(crate) async fn check_second_factor(
        &self,
        tx: &mut Tx,
        account: UserId,
        shown: Option<&SecondFactor>,
    ) -> Result<Outcome, Error> {
        let mut owner = None;
        if shown.is_some() {
            // Whoever shows the same code at the same time waits here, and finds it spent.
            owner = accounts::store::lock(tx, account).await?;
        }
        let Some(factor) = store::find(tx, account).await?.filter(|factor| factor.is_confirmed) else {
            return Ok(Outcome::NotNeeded);
        };
        let (Some(shown), Some(owner)) = (shown, owner) else { return Ok(Outcome::Missing) };
        let attempt = self.limit_second_factor(tx, account).await?;
        let is_right = match shown {
            SecondFactor::Totp(code) => self.spend_step(tx, account, &factor, code).await?,
            SecondFactor::RecoveryCode(code) => self.spend_recovery_code(tx, owner, code).await?,
        };
        if is_right {
            self.forgive_attempts(tx, &attempt).await?;
            return Ok(Outcome::Passed);
        }
        // Worth telling apart: whoever this was knows the password.
        let details = json!({ "second_factor": "wrong" });
        let failed = Deed { details, ..deed(Action::LoginFailed, Some(account)) };
        self.record(tx, failed).await?;
        if attempt.is_last_free {
            self.record(tx, deed(Action::LoginThrottled, Some(account))).await?;
        }
        Ok(Outcome::Wrong)
    }

    async fn spend_step(
        &self,
        tx: &mut Tx,
        account: UserId,
        factor: &store::Factor,
        code: &str,
    ) -> Result<bool, Error> {
        let secret = self.opened(factor)?;
        let Some(step) = totp::accepted_step(&secret, code, self.0.clock.now(), factor.last_step) else {
            return Ok(false);
        };
        store::save_step(tx, account, step).await?;
        Ok(true)
    }

    async fn spend_recovery_code(&self, tx: &mut Tx, owner: Account, code: &str) -> Result<bool, Error> {
        let hash = recovery_codes::hash_of(code);
        let Some(left) = store::take_recovery_code(tx, owner.id, &hash).await? else { return Ok(false) };
        let used = Deed { details: json!({ "left": left }), ..deed(Action::RecoveryCodeUsed, Some(owner.id)) };
        self.record(tx, used).await?;
        let mail = mails::recovery_code_used(&self.0.service, &addressee(owner), left);
        self.0.mailer.send(tx, mail).await?;
        Ok(true)
    }

    fn opened(&self, factor: &store::Factor) -> Result<Vec<u8>, Error> {
        self.0.secrets.open(SEALED_FOR, &factor.sealed_secret).map_err(|_| Error::SecondFactorBroken)
    }
}

fn addressee(account: Account) -> Addressee {
    Addressee { mail_to: account.email, name: account.name }
}

/// The link that apps read from a QR code (<https://github.com/google/google-authenticator/wiki/Key-Uri-Format>).
fn otpauth_url(product: &str, email: &str, secret: &str) -> String {
    let (product, email) = (percent_encoded(product), percent_encoded(email));
    format!("otpauth://totp/{product}:{email}?secret={secret}&issuer={product}&algorithm=SHA1&digits=6&period=30")
}

/// RFC 3986 section 2.1. Not as forms do it: apps show their `+` as it stands.
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_name_becomes_a_part_of_the_link() {
        let url = otpauth_url("A & B: Söhne?", "ann+x@example.com", "SECRET");
        let expected = "otpauth://totp/A%20%26%20B%3A%20S%C3%B6hne%3F:ann%2Bx%40example.com?secret=SECRET\
                        &issuer=A%20%26%20B%3A%20S%C3%B6hne%3F&algorithm=SHA1&digits=6&period=30";
        assert_eq!(url, expected);
    }
}
