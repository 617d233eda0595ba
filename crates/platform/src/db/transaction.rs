use std::ops::{Deref, DerefMut};

use sqlx::{PgConnection, Postgres, Transaction};

use super::Wakeups;

/// A transaction that remembers whom to wake once it is committed. Dropped without [`Tx::commit`], it rolls back.
///
/// NOTIFY inside the transaction would take a lock that defeats PostgreSQL's group commit, so it is sent after the commit;
/// a lost one costs a poll interval, never a job.
#[derive(Debug)]
pub struct Tx {
    transaction: Transaction<'static, Postgres>,
    wakeups: Wakeups,
    channels: Vec<&'static str>,
}

impl Tx {
    pub(super) fn new(transaction: Transaction<'static, Postgres>, wakeups: Wakeups) -> Self {
        Self { transaction, wakeups, channels: Vec::new() }
    }

    /// Wakes the sleepers of a channel after the commit.
    pub fn wake(&mut self, channel: &'static str) {
        if !self.channels.contains(&channel) {
            self.channels.push(channel);
        }
    }

    /// Makes everything permanent, then sends the wake-ups.
    ///
    /// # Errors
    /// When the database refuses or is away; the effect may then be unknown, as with every lost answer to COMMIT.
    pub async fn commit(self) -> Result<(), sqlx::Error> {
        self.transaction.commit().await?;
        for channel in self.channels {
            self.wakeups.send(channel);
        }
        Ok(())
    }
}

impl Deref for Tx {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.transaction
    }
}

impl DerefMut for Tx {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.transaction
    }
}
