//! Signing up: an attempt waits until its address is proven; proving it makes the account.

pub(crate) mod http;
pub(crate) mod store;

use std::time::Duration;

use platform::caller::{ClientAddress, UserId};
use platform::jobs::{self, Job, JobError, Running};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::audit::{Action, Deed};
use crate::email::{Email, SealedEmail};
use crate::limits::RequestedMail;
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

/// The newest attempt on an address without an account.
pub(crate) struct Waiting {
    pub(crate) id: uuid::Uuid,
    pub(crate) mail_to: String,
    /// How many attempts wait for the address, this one included.
    pub(crate) attempts: i64,
}

/// Mails another link, if an attempt waits for the address. Looking that up is the job's work, so that the request cannot
/// tell.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ResendVerification {
    email: SealedEmail,
}

impl Job for ResendVerification {
    const NAME: &'static str = "users.resend_verification";
}

impl Users {
    /// Notes the attempt and mails a verification link. A taken address gets a mail that says so; the caller cannot tell the
    /// difference. Each attempt keeps its own password, so nobody plants one on an address they do not own.
    ///
    /// # Errors
    /// An unusable address or password; too many passwords to hash; [`Error::RateLimit`].
    pub async fn register(&self, wish: NewRegistration, client: ClientAddress) -> Result<(), Error> {
        let email = Email::parse(&wish.email)?;
        passwords::check_rules(&wish.password, &email.canonical, &self.0.service.name)?;
        self.limit_registration(client).await?;
        let password_hash = self.0.passwords.hash(&wish.password).await?;
        let token = OneTimeToken::new();
        let mut tx = self.0.db.begin().await?;
        let owner = crate::accounts::store::find_owner(&mut tx, &email.canonical).await?;
        let mail = match &owner {
            Some(owner) => mails::already_registered(&self.0.service, &owner.mail_to),
            None => mails::verify(&self.0.service, &email.mail_to, &token),
        };
        let registration =
            Registration { email: email.canonical, mail_to: email.mail_to, name: wish.name.into(), password_hash };
        // On a taken address, too, though nobody will ever see its token: the same statements for both.
        store::insert(&mut tx, &registration, &token.hash(), VERIFY_WITHIN).await?;
        self.0.mailer.send(&mut tx, mail).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Asks for another verification link. Every address costs the same and gets the same answer.
    ///
    /// # Errors
    /// [`Error::RateLimit`]; when the database is away.
    pub async fn resend_verification(&self, email: &str, client: ClientAddress) -> Result<(), Error> {
        self.limit_mail(RequestedMail::Verification, client, email).await?;
        // An address that no mail can reach belongs to nobody.
        let Ok(email) = Email::parse(email) else { return Ok(()) };
        let mut tx = self.0.db.begin().await?;
        let job = ResendVerification { email: SealedEmail::seal(&email, &self.0.secrets) };
        jobs::enqueue(&mut tx, &job).await?;
        Ok(tx.commit().await?)
    }

    /// The attempt's earlier link is void from now on. Where several attempts wait, one of them may be a stranger's, and a
    /// link would lend their password the trust of the person who asked: those get no link, but the advice to start over.
    pub(crate) async fn send_verification_again(
        &self,
        job: ResendVerification,
        running: &Running,
    ) -> Result<(), JobError> {
        let email = job.email.open(&self.0.secrets)?;
        let mut tx = self.0.db.begin().await?;
        match store::find_waiting(&mut tx, &email).await? {
            Some(waiting) if waiting.attempts == 1 => {
                let token = OneTimeToken::new();
                store::renew(&mut tx, waiting.id, &token.hash(), VERIFY_WITHIN).await?;
                self.0.mailer.send(&mut tx, mails::verify(&self.0.service, &waiting.mail_to, &token)).await?;
            }
            Some(waiting) => {
                self.0.mailer.send(&mut tx, mails::sign_up_again(&self.0.service, &waiting.mail_to)).await?;
            }
            None => {}
        }
        running.settle(&mut tx).await?;
        Ok(tx.commit().await?)
    }

    /// Proves the address of one attempt: its account comes into being, every other attempt on the address is void.
    ///
    /// # Errors
    /// [`Error::InvalidOneTimeToken`] when the token is unknown, spent or expired.
    pub async fn verify_email(&self, token: &str) -> Result<(), Error> {
        let mut tx = self.0.db.begin().await?;
        let registration =
            store::find(&mut tx, &OneTimeToken::hash_of(token)).await?.ok_or(Error::InvalidOneTimeToken)?;
        // The address comes first: racing attempts on it, with this token or another, wait for one another here. All but
        // the first find it taken, which spends their tokens.
        let account = UserId::new();
        let opened = crate::accounts::store::insert(&mut tx, account, &registration, self.0.clock.now()).await?;
        if !opened {
            return Err(Error::InvalidOneTimeToken);
        }
        store::delete_all(&mut tx, &registration.email).await?;
        let deed =
            Deed { action: Action::AccountCreated, account: Some(account), organization: None, details: json!({}) };
        self.record(&mut tx, deed).await?;
        tx.commit().await?;
        Ok(())
    }
}
