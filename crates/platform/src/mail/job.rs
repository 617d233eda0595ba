use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::letter::compose;
use super::{Mail, Mailer, PURPOSE};
use crate::jobs::{Job, JobError, Jobs, Running};
use crate::secrets::OpenError;

/// The work of sending one mail. The message is sealed and then base64.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SendMail {
    pub(super) sealed: String,
}

impl Job for SendMail {
    const NAME: &'static str = "platform.send_mail";
    // A mail server that hangs holds up other mail only.
    const QUEUE: &'static str = "mail";
}

/// Why a waiting message could not be read.
#[derive(Debug, thiserror::Error)]
enum Unreadable {
    #[error("the waiting mail is not base64")]
    Encoding(#[from] base64::DecodeError),
    // During a rotation another process may seal with a generation this one does not know yet: worth another try.
    #[error("the waiting mail cannot be opened; is the secrets generation it was sealed with still configured?")]
    Sealed(#[from] OpenError),
    #[error("the waiting mail is in a form this version does not know")]
    Form(#[from] serde_json::Error),
}

impl Mailer {
    /// Adds the sending to what the worker can do.
    pub fn register(&self, jobs: &mut Jobs) {
        let mailer = self.clone();
        jobs.register::<SendMail, _, _>(move |job, running| {
            let mailer = mailer.clone();
            async move { mailer.deliver(&job, &running).await }
        });
    }

    async fn deliver(&self, job: &SendMail, running: &Running) -> Result<(), JobError> {
        let mail = self.open(job)?;
        self.hand_over(mail, running.id).await
    }

    fn open(&self, job: &SendMail) -> Result<Mail, Unreadable> {
        let sealed = STANDARD.decode(&job.sealed)?;
        let plain = self.0.secrets.open(PURPOSE, &sealed)?;
        Ok(serde_json::from_slice(&plain)?)
    }

    /// A job may run twice; both tries carry the same Message-ID, by which mail servers and readers know them as one.
    async fn hand_over(&self, mail: Mail, job: Uuid) -> Result<(), JobError> {
        let now = self.0.mailbox.clock().now();
        let letter = compose(&mail, &self.0.from, job, now).map_err(|error| JobError::Discard(error.to_string()))?;
        if let Some(smtp) = &self.0.smtp {
            return smtp.hand_over(letter).await;
        }
        self.0.mailbox.put(job, mail, now);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::clock::Clock;
    use crate::config::Secret;
    use crate::mail::{MailConfig, Mailbox};
    use crate::secrets::{Secrets, SecretsConfig};

    fn mailer(secret: &str) -> (Mailer, Mailbox) {
        let config = MailConfig { from: "House <house@example.com>".to_owned(), smtp_url: None, timeout_ms: 1_000 };
        let roots = [(1, Secret::from(secret.to_owned()))].into();
        let mailbox = Mailbox::new(Clock::fixed(DateTime::UNIX_EPOCH));
        let mailer = Mailer::new(&config, Secrets::new(SecretsConfig { current: 1, roots }), mailbox.clone());
        (mailer.expect("a valid configuration"), mailbox)
    }

    fn mail(to: &str) -> Mail {
        Mail { to: to.to_owned(), subject: "Welcome".to_owned(), text: "token=sesame".to_owned(), html: None }
    }

    #[test]
    fn the_waiting_message_is_unreadable_and_opens_with_the_same_secret_only() {
        let (mailer_a, _) = mailer("a root secret that is long enough, number one");
        let (mailer_b, _) = mailer("a root secret that is long enough, number two");
        let job = mailer_a.seal(&mail("ann@example.com")).expect("sealed");
        let stored = serde_json::to_string(&job).expect("serializes");
        assert!(!stored.contains("sesame") && !stored.contains("ann@"), "{stored}");
        assert_eq!(mailer_a.open(&job).expect("opens"), mail("ann@example.com"));
        assert!(matches!(mailer_b.open(&job), Err(Unreadable::Sealed(_))));
    }

    #[tokio::test]
    async fn a_job_that_runs_twice_leaves_one_mail_in_the_mailbox() {
        let (mailer, mailbox) = mailer("a root secret that is long enough, number one");
        let job = crate::ids::new_uuid();
        for _ in 0..2 {
            mailer.hand_over(mail("ann@example.com"), job).await.expect("delivered");
        }
        assert_eq!(mailbox.to("ann@example.com").len(), 1);
    }

    #[tokio::test]
    async fn a_message_nobody_could_deliver_is_discarded_without_naming_the_person() {
        let (mailer, mailbox) = mailer("a root secret that is long enough, number one");
        let outcome = mailer.hand_over(mail("not an address"), crate::ids::new_uuid()).await;
        let Err(JobError::Discard(reason)) = outcome else { panic!("expected a discard, got {outcome:?}") };
        assert!(!reason.contains("not an address"), "{reason}");
        assert!(mailbox.list().is_empty());
    }
}
