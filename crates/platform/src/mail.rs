//! Mail to people. Sending is a job of the transaction that causes it; the message waits sealed in the database, so
//! that no link in it can be read there. It leaves by SMTP, or lands in the development mailbox when no server is
//! configured.

mod http;
mod job;
mod letter;
mod mailbox;
mod page;
mod smtp;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lettre::message::Mailbox as Address;
use serde::{Deserialize, Serialize};

use crate::config::Secret;
use crate::db::Tx;
use crate::jobs;
use crate::secrets::Secrets;

pub use mailbox::{Mailbox, ReceivedMail};

use job::SendMail;
use smtp::Smtp;

/// What the sealed message is sealed for.
const PURPOSE: &str = "platform.mail";

/// Who mail comes from and which server takes it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MailConfig {
    /// The sender: `Name <address>`.
    pub from: String,
    /// `smtps://user:password@host` or `smtp://user:password@host:587?tls=required`; none or empty keeps mail in the
    /// development mailbox.
    pub smtp_url: Option<Secret>,
    /// How long handing one message over may take, in milliseconds.
    pub timeout_ms: u64,
}

impl MailConfig {
    /// What is wrong with the values, as `(key, complaint)`; `strict` where a mail server is needed.
    #[must_use]
    pub fn complaints(&self, strict: bool) -> Vec<(String, String)> {
        let mut complaints = Vec::new();
        if let Err(error) = self.sender() {
            complaints.push(("mail.from".to_owned(), error.to_string()));
        }
        match self.server() {
            Some(url) if Smtp::new(url, self.timeout()).is_err() => {
                complaints.push(("mail.smtp_url".to_owned(), "is no smtp:// or smtps:// URL".to_owned()));
            }
            Some(url) if strict && !Smtp::is_encrypted(url) => {
                let complaint = "must be smtps:// or end in ?tls=required, or mail crosses the network readable";
                complaints.push(("mail.smtp_url".to_owned(), complaint.to_owned()));
            }
            None if strict => {
                complaints.push(("mail.smtp_url".to_owned(), "is missing: nobody would get mail".to_owned()));
            }
            _ => {}
        }
        complaints
    }

    fn sender(&self) -> Result<Address, MailConfigError> {
        self.from.parse().map_err(|_| MailConfigError::From)
    }

    fn server(&self) -> Option<&Secret> {
        self.smtp_url.as_ref().filter(|url| !url.is_empty())
    }

    fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }
}

/// Why no mailer can be made from the configuration.
#[derive(Debug, thiserror::Error)]
pub enum MailConfigError {
    /// `mail.from` is no address.
    #[error("mail.from must look like `Name <name@example.com>`")]
    From,
    /// `mail.smtp_url` is no SMTP URL. The URL may hold a password and is not repeated.
    #[error("mail.smtp_url must look like `smtps://user:password@host`")]
    SmtpUrl,
}

/// One message to one person.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mail {
    /// The address.
    pub to: String,
    /// The subject.
    pub subject: String,
    /// The message as plain text.
    pub text: String,
    /// The same message as HTML, if there is one.
    pub html: Option<String>,
}

/// Says nothing: addresses are personal, and mailed links let people in.
impl fmt::Debug for Mail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mail(…)")
    }
}

/// Sends mail. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Mailer(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    from: Address,
    secrets: Secrets,
    mailbox: Mailbox,
    smtp: Option<Smtp>,
}

impl Mailer {
    /// A mailer that hands over to the configured server, or to `mailbox` when there is none.
    ///
    /// # Errors
    /// When the sender or the server's URL cannot be read.
    pub fn new(config: &MailConfig, secrets: Secrets, mailbox: Mailbox) -> Result<Self, MailConfigError> {
        let smtp = config.server().map(|url| Smtp::new(url, config.timeout())).transpose()?;
        Ok(Self(Arc::new(Inner { from: config.sender()?, secrets, mailbox, smtp })))
    }

    /// Sends the mail if, and only if, the transaction commits.
    ///
    /// # Errors
    /// When the database refuses or is away.
    pub async fn send(&self, tx: &mut Tx, mail: Mail) -> Result<(), sqlx::Error> {
        jobs::enqueue(tx, &self.seal(&mail)?).await
    }

    fn seal(&self, mail: &Mail) -> Result<SendMail, sqlx::Error> {
        let plain = serde_json::to_vec(mail).map_err(|error| sqlx::Error::Encode(Box::new(error)))?;
        Ok(SendMail { sealed: STANDARD.encode(self.0.secrets.seal(PURPOSE, &plain)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(from: &str, smtp_url: &str) -> MailConfig {
        MailConfig { from: from.to_owned(), smtp_url: Some(smtp_url.to_owned().into()), timeout_ms: 1_000 }
    }

    #[test]
    fn settings_that_cannot_work_are_named_without_the_password() {
        let keys =
            |config: &MailConfig, strict| config.complaints(strict).into_iter().map(|(key, _)| key).collect::<Vec<_>>();
        let from = "Acme <no-reply@example.com>";
        for url in ["smtps://user:pw@mail.example.com", "smtp://mail.example.com:587?tls=required"] {
            assert_eq!(keys(&config(from, url), true), [""; 0], "{url}");
        }
        assert_eq!(keys(&config(from, ""), false), [""; 0]);
        assert_eq!(keys(&config(from, "smtp://127.0.0.1:1025"), false), [""; 0]);
        for url in
            ["", "smtp://mail.example.com", "smtp://mail.example.com?tls=opportunistic", "http://user:pw@host", "pw"]
        {
            assert_eq!(keys(&config(from, url), true), ["mail.smtp_url"], "{url}");
        }
        assert_eq!(keys(&config("nobody", ""), false), ["mail.from"]);
        let bad = config("a@b.example\r\nBcc: c@d.example", "http://user:hunter2@host");
        assert!(!format!("{:?} {:?}", bad.complaints(true), bad).contains("hunter2"));
        assert_eq!(keys(&bad, false), ["mail.from", "mail.smtp_url"]);
    }

    #[test]
    fn a_mail_says_nothing_in_a_log() {
        let mail =
            Mail { to: "a@b.example".into(), subject: "hi".into(), text: "https://x/?token=t".into(), html: None };
        assert_eq!(format!("{mail:?}"), "Mail(…)");
    }
}
