//! How often the world may try: asked before a password is hashed, a row is searched or a mail is written. Limits on accounts
//! are counted by the address as it was typed, in its canonical form, so they are the same whether it has an account or not.

pub(crate) mod failed_attempts;

use platform::caller::{ClientAddress, UserId};
use platform::rate_limit::{RateLimit, Turn};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;

pub(crate) use failed_attempts::Attempt;
pub use failed_attempts::FailureLimit;

use crate::email::Email;
use crate::sessions::SessionId;
use crate::{Error, Users};

const LOGIN_FAILURES: &str = "login_failures";

/// How often the world may try. They hold over all replicas.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitsConfig {
    /// Logins from one address.
    pub login_by_address: RateLimit,
    /// Logins of one account that failed, wherever they came from.
    pub login_failures: FailureLimit,
    /// Wrong codes after a right password.
    pub second_factor_failures: FailureLimit,
    /// Attempts to sign up from one address.
    pub register_by_address: RateLimit,
    /// Mail of one kind that anybody can ask for, to one address for mail.
    pub mail_by_account: RateLimit,
    /// The same, asked for from one network address.
    pub mail_by_address: RateLimit,
    /// Refreshes of one session.
    pub refresh_by_session: RateLimit,
    /// Invitations by one person; those to one address count like mail to an account.
    pub invitations_by_person: RateLimit,
    /// Exports of their data that one person asks for.
    pub exports_by_person: RateLimit,
}

impl LimitsConfig {
    pub(crate) fn complaints(&self) -> Vec<(String, String)> {
        let limits = [
            (self.login_by_address, "login_by_address"),
            (self.register_by_address, "register_by_address"),
            (self.mail_by_account, "mail_by_account"),
            (self.mail_by_address, "mail_by_address"),
            (self.refresh_by_session, "refresh_by_session"),
            (self.invitations_by_person, "invitations_by_person"),
            (self.exports_by_person, "exports_by_person"),
        ];
        let complaints = limits.into_iter().filter_map(|(limit, key)| limit.complaint(&format!("users.limits.{key}")));
        complaints
            .chain(self.login_failures.complaint("users.limits.login_failures"))
            .chain(self.second_factor_failures.complaint("users.limits.second_factor_failures"))
            .collect()
    }

    /// When no failure counts any more, whatever failed. In seconds.
    pub(crate) fn failures_forgotten_after(&self) -> u32 {
        self.login_failures.memory().max(self.second_factor_failures.memory())
    }
}

/// Mail that anybody can ask for by typing an address; each kind is counted for itself.
#[derive(Clone, Copy, Debug)]
pub(crate) enum RequestedMail {
    PasswordReset,
    Verification,
}

impl RequestedMail {
    /// What its limits are called: by address, by account.
    fn limits(self) -> (&'static str, &'static str) {
        match self {
            RequestedMail::PasswordReset => ("forgot_by_address", "forgot_by_account"),
            RequestedMail::Verification => ("resend_by_address", "resend_by_account"),
        }
    }
}

impl Users {
    /// Lets a login try its password, and counts it as failed until it succeeds.
    pub(crate) async fn limit_login(
        &self,
        connection: &mut PgConnection,
        client: ClientAddress,
        typed: &str,
    ) -> Result<Attempt, Error> {
        let limits = &self.0.config.limits;
        let turn = Turn { name: "login_by_address", limit: limits.login_by_address, of: &network(client) };
        self.0.limits.take(connection, &[turn]).await?;
        self.begin_attempt(connection, LOGIN_FAILURES, &limits.login_failures, &account(typed)).await
    }

    /// Somebody proved to own the account in another way: its failed logins are forgotten.
    pub(crate) async fn forgive_logins(&self, connection: &mut PgConnection, email: &str) -> Result<(), sqlx::Error> {
        failed_attempts::store::delete(connection, &self.0.limits.key(LOGIN_FAILURES, &account(email))).await
    }

    /// Lets somebody who is logged in try their current password. The failed logins of strangers do not count here.
    pub(crate) async fn limit_current_password(
        &self,
        connection: &mut PgConnection,
        person: UserId,
    ) -> Result<Attempt, Error> {
        let limit = &self.0.config.limits.login_failures;
        self.begin_attempt(connection, "password_failures", limit, person.uuid().as_bytes()).await
    }

    /// Lets somebody who knows the password try a code. Within the transaction of the login, which keeps the account locked.
    pub(crate) async fn limit_second_factor(
        &self,
        connection: &mut PgConnection,
        person: UserId,
    ) -> Result<Attempt, Error> {
        let limit = &self.0.config.limits.second_factor_failures;
        self.begin_attempt(connection, "second_factor_failures", limit, person.uuid().as_bytes()).await
    }

    pub(crate) async fn limit_registration(&self, client: ClientAddress) -> Result<(), Error> {
        let limit = self.0.config.limits.register_by_address;
        let turn = Turn { name: "register_by_address", limit, of: &network(client) };
        Ok(self.0.limits.take(&mut *self.0.db.read().await?, &[turn]).await?)
    }

    /// The address that asks comes first: once it is refused, it uses up nobody's mail any more.
    pub(crate) async fn limit_mail(
        &self,
        mail: RequestedMail,
        client: ClientAddress,
        typed: &str,
    ) -> Result<(), Error> {
        let limits = &self.0.config.limits;
        let (of_address, of_account) = mail.limits();
        let turns = [
            Turn { name: of_address, limit: limits.mail_by_address, of: &network(client) },
            Turn { name: of_account, limit: limits.mail_by_account, of: &account(typed) },
        ];
        Ok(self.0.limits.take(&mut *self.0.db.read().await?, &turns).await?)
    }

    /// Within the transaction of the refresh: it is short, and twins wait for the session anyway.
    pub(crate) async fn limit_refresh(&self, connection: &mut PgConnection, session: SessionId) -> Result<(), Error> {
        let (limit, session) = (self.0.config.limits.refresh_by_session, session.uuid());
        let turn = Turn { name: "refresh_by_session", limit, of: session.as_bytes() };
        Ok(self.0.limits.take(connection, &[turn]).await?)
    }

    /// Within the transaction of the invitation, which is short. Who is invited did not ask for the mail: nobody mails them
    /// again and again, nor everybody once. What one inviter uses up is nobody else's.
    pub(crate) async fn limit_invitation(
        &self,
        connection: &mut PgConnection,
        inviter: UserId,
        email: &Email,
    ) -> Result<(), Error> {
        let limits = &self.0.config.limits;
        let inviter = inviter.uuid();
        let both = [inviter.as_bytes(), email.canonical.as_bytes()].concat();
        let turns = [
            Turn { name: "invitations_by_person", limit: limits.invitations_by_person, of: inviter.as_bytes() },
            Turn { name: "invitations_by_account", limit: limits.mail_by_account, of: &both },
        ];
        Ok(self.0.limits.take(connection, &turns).await?)
    }
}

fn network(client: ClientAddress) -> [u8; 16] {
    client.network().to_be_bytes()
}

/// The account an address stands for, whatever spelling was typed. What is no address is an account of its own.
fn account(typed: &str) -> Vec<u8> {
    Email::parse(typed).map_or_else(|_| typed.to_owned(), |email| email.canonical).into_bytes()
}
