//! Changing the password while logged in, and what every new password brings with it.

pub(crate) mod http;

use platform::caller::{LoggedIn, UserId};
use platform::db::Tx;

use crate::audit::Action;
use crate::mails::Addressee;
use crate::passwords::Verdict;
use crate::sessions::{SessionId, deed};
use crate::{Error, Users, accounts, mails, one_time_secrets, passwords, sessions};

/// The password somebody has and the one they want. Not `Debug`: it holds both.
pub struct PasswordChange {
    /// The one that counts until now, exactly as received.
    pub current: String,
    /// The one that shall count, exactly as received.
    pub new: String,
}

/// A password that counts from now on.
pub(crate) struct NewPassword {
    pub(crate) account: UserId,
    pub(crate) addressee: Addressee,
    /// The one session that goes on, if any.
    pub(crate) kept_session: Option<SessionId>,
    pub(crate) action: Action,
}

impl Users {
    /// Changes the caller's password, who proves to know the current one. Every other session ends.
    ///
    /// # Errors
    /// [`Error::WrongPassword`]; [`Error::RateLimit`] after many of those; an unusable new password.
    pub async fn change_password(&self, person: &LoggedIn, change: &PasswordChange) -> Result<(), Error> {
        let login = accounts::store::find_login_of(&mut *self.0.db.read().await?, person.user()).await?;
        let login = login.ok_or(Error::NotFound)?;
        // Before the current password is looked at: a bad new one says nothing about a guess, and a guess that is looked at
        // counts.
        passwords::check_rules(&change.new, &login.email, &self.0.service.name)
            .map_err(|error| error.of_field("new_password"))?;
        let attempt = self.limit_current_password(&mut *self.0.db.read().await?, person.user()).await?;
        if self.0.passwords.verify(&change.current, Some(&login.password_hash)).await? == Verdict::Wrong {
            self.note_failed_login(Some(person.user()), &attempt).await?;
            return Err(Error::WrongPassword);
        }
        let password_hash = self.0.passwords.hash(&change.new).await?;
        let mut tx = self.0.db.begin().await?;
        // Changed elsewhere in the meantime: what was checked is no longer the current password.
        let checked = Some(login.password_version);
        let addressee = accounts::store::save_password(&mut tx, person.user(), &password_hash, checked).await?;
        let addressee = addressee.ok_or(Error::WrongPassword)?;
        self.forgive_attempts(&mut tx, &attempt).await?;
        let kept_session = Some(SessionId::from(person.login()));
        let new = NewPassword { account: person.user(), addressee, kept_session, action: Action::PasswordChanged };
        self.follow_new_password(&mut tx, new).await?;
        self.commit_and_forget(tx, person.user()).await
    }

    /// Ends the other sessions, voids what was mailed before, writes it down and tells the person.
    pub(crate) async fn follow_new_password(&self, tx: &mut Tx, new: NewPassword) -> Result<(), Error> {
        let NewPassword { account, addressee, kept_session, action } = new;
        sessions::store::revoke_all(tx, account, kept_session).await?;
        one_time_secrets::store::delete_of(tx, account).await?;
        self.record(tx, deed(action, Some(account))).await?;
        self.0.mailer.send(tx, mails::password_changed(&self.0.service, &addressee)).await?;
        Ok(())
    }
}
