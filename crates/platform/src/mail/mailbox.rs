use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use super::Mail;
use crate::clock::Clock;

/// How many mails are kept; older ones make room.
const CAPACITY: usize = 500;

/// The mail of development and tests: kept in memory, shown at `/dev/mail`. Clones share the content.
#[derive(Clone, Debug)]
pub struct Mailbox {
    clock: Clock,
    received: Arc<Mutex<VecDeque<ReceivedMail>>>,
}

/// A message in the mailbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReceivedMail {
    /// The job that sent it.
    pub id: Uuid,
    /// When.
    pub sent_at: DateTime<Utc>,
    /// The message: `to`, `subject`, `text`, `html`.
    #[serde(flatten)]
    pub mail: Mail,
}

impl Mailbox {
    /// An empty mailbox that stamps what arrives by this clock.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self { clock, received: Arc::default() }
    }

    /// All mail, newest first.
    #[must_use]
    pub fn list(&self) -> Vec<ReceivedMail> {
        self.received().iter().cloned().collect()
    }

    /// The mail to one address, newest first.
    #[must_use]
    pub fn to(&self, address: &str) -> Vec<ReceivedMail> {
        self.received().iter().filter(|received| received.mail.to == address).cloned().collect()
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Adds a message; the same job's again changes nothing.
    pub(super) fn put(&self, id: Uuid, mail: Mail, sent_at: DateTime<Utc>) {
        let mut received = self.received();
        if received.iter().all(|known| known.id != id) {
            received.push_front(ReceivedMail { id, sent_at, mail });
            received.truncate(CAPACITY);
        }
    }

    fn received(&self) -> MutexGuard<'_, VecDeque<ReceivedMail>> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::new_uuid;

    fn mail(to: &str, subject: String) -> Mail {
        Mail { to: to.to_owned(), subject, text: String::new(), html: None }
    }

    #[test]
    fn the_newest_come_first_and_the_oldest_make_room() {
        let mailbox = Mailbox::new(Clock::fixed(DateTime::UNIX_EPOCH));
        for number in 0..=CAPACITY {
            let to = if number % 2 == 0 { "even@example.com" } else { "odd@example.com" };
            mailbox.put(new_uuid(), mail(to, number.to_string()), DateTime::UNIX_EPOCH);
        }
        let subjects: Vec<_> = mailbox.list().into_iter().map(|received| received.mail.subject).collect();
        assert_eq!(subjects.len(), CAPACITY);
        assert_eq!((subjects[0].as_str(), subjects[CAPACITY - 1].as_str()), ("500", "1"));
        assert!(mailbox.to("odd@example.com").iter().all(|received| received.mail.to == "odd@example.com"));
        assert_eq!(mailbox.to("odd@example.com").len(), CAPACITY / 2);
        assert!(mailbox.to("nobody@example.com").is_empty());
    }
}
