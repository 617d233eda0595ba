//! Forgotten passwords: a link goes to the stored address, and whoever reads mail there chooses a new password.

pub(crate) mod http;

use platform::caller::ClientAddress;
use platform::jobs::{self, Job, JobError, Running};
use serde::{Deserialize, Serialize};

use crate::audit::Action;
use crate::email::{Email, SealedEmail};
use crate::limits::RequestedMail;
use crate::one_time_secrets::{Purpose, store};
use crate::password_changes::NewPassword;
use crate::tokens::OneTimeToken;
use crate::{Error, Users, accounts, mails, passwords, personal_tokens};

/// Mails the link, if the address has an account. Looking that up is the job's work, so that the request cannot tell.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SendPasswordReset {
    email: SealedEmail,
}

impl Job for SendPasswordReset {
    const NAME: &'static str = "users.send_password_reset";
}

impl Users {
    /// Asks for a link to choose a new password. Known and unknown addresses cost the same and get the same answer.
    ///
    /// # Errors
    /// [`Error::RateLimit`]; when the database is away.
    pub async fn forget_password(&self, email: &str, client: ClientAddress) -> Result<(), Error> {
        self.limit_mail(RequestedMail::PasswordReset, client, email).await?;
        // An address that no mail can reach belongs to nobody.
        let Ok(email) = Email::parse(email) else { return Ok(()) };
        let mut tx = self.0.db.begin().await?;
        let job = SendPasswordReset { email: SealedEmail::seal(&email, &self.0.secrets) };
        jobs::enqueue(&mut tx, &job).await?;
        Ok(tx.commit().await?)
    }

    pub(crate) async fn send_password_reset(&self, job: SendPasswordReset, running: &Running) -> Result<(), JobError> {
        let email = job.email.open(&self.0.secrets)?;
        let mut tx = self.0.db.begin().await?;
        let owner = accounts::store::find_owner(&mut tx, &email).await?;
        if let Some(owner) = owner.filter(|owner| !owner.disabled) {
            let token = OneTimeToken::new();
            store::insert(&mut tx, owner.id, Purpose::PasswordReset, &token).await?;
            let mail = mails::password_reset(&self.0.service, &owner.addressee(), &token);
            self.0.mailer.send(&mut tx, mail).await?;
        }
        running.settle(&mut tx).await?;
        Ok(tx.commit().await?)
    }

    /// Spends the token of the mail for a new password. Every session and every personal token ends, as somebody else may have
    /// one of them. A second factor stays on. A password that breaks a rule leaves the token unspent.
    ///
    /// # Errors
    /// [`Error::InvalidOneTimeToken`] when the token is unknown, spent, expired or of another purpose; an unusable password.
    pub async fn reset_password(&self, token: &str, password: &str) -> Result<(), Error> {
        let hash = OneTimeToken::hash_of(token);
        let owner = store::find_reset_owner(&mut *self.0.db.read().await?, &hash).await?;
        let store::ResetOwner { account, email } = owner.ok_or(Error::InvalidOneTimeToken)?;
        passwords::check_rules(password, &email, &self.0.service.name)?;
        let password_hash = self.0.passwords.hash(password).await?;
        let mut tx = self.0.db.begin().await?;
        // The account comes first, here as everywhere: those who want its secrets and sessions, too, wait for it.
        let addressee = accounts::store::save_password(&mut tx, account, &password_hash, None).await?;
        let addressee = addressee.ok_or(Error::InvalidOneTimeToken)?;
        if !store::take_password_reset(&mut tx, account, &hash).await? {
            return Err(Error::InvalidOneTimeToken);
        }
        let new = NewPassword { account, addressee, kept_session: None, action: Action::PasswordReset };
        self.forgive_logins(&mut tx, &email).await?;
        personal_tokens::store::delete_of(&mut tx, account).await?;
        self.follow_new_password(&mut tx, new).await?;
        self.commit_and_forget(tx, account).await
    }
}
