//! What this process remembers of people's standing for a few seconds: that a session is live, and what its person is in an
//! organization. The database says when that changes (`migrations/users/0007_standing_changes.sql`), also to this process, but a
//! few milliseconds after the commit; so that not even those count, use cases that take something away forget at once.

use chrono::{DateTime, Utc};
use platform::cache::Cache;
use platform::caller::{OrgId, Role, UserId};
use platform::db::{Db, Tx};

use crate::sessions::SessionId;
use crate::{Error, Users};

/// The triggers say it too.
const TOPIC: &str = "users.standing";

/// What is remembered, by account.
pub(crate) struct Standing {
    /// When the person of a live session last proved who they are.
    pub(crate) sessions: Cache<SessionId, DateTime<Utc>>,
    pub(crate) roles: Cache<OrgId, Role>,
    /// Whose account an issuer's person has; by identity.
    pub(crate) identities: Cache<(), UserId>,
}

impl Standing {
    pub(crate) fn new(db: &Db) -> Self {
        Self { sessions: Cache::new(db, TOPIC), roles: Cache::new(db, TOPIC), identities: Cache::new(db, TOPIC) }
    }

    fn forget(&self, account: UserId) {
        self.sessions.forget(account.uuid());
        self.roles.forget(account.uuid());
    }
}

impl Users {
    /// Commits what takes something away from a person: a session, a role, a membership.
    pub(crate) async fn commit_and_forget(&self, tx: Tx, account: UserId) -> Result<(), Error> {
        let committed = tx.commit().await;
        // Also when it is unknown whether it was committed.
        self.0.standing.forget(account);
        Ok(committed?)
    }

    /// Commits what takes something away from many.
    pub(crate) async fn commit_and_forget_everybody(&self, tx: Tx) -> Result<(), Error> {
        let committed = tx.commit().await;
        self.0.standing.sessions.forget_all();
        self.0.standing.roles.forget_all();
        self.0.standing.identities.forget_all();
        Ok(committed?)
    }
}
