//! What the service has written down, for those who want to see it with their own eyes.

use sqlx::{Connection, PgConnection};

use crate::dev::client::Failure;

/// A look into the database, past all modules.
pub(super) struct Records(PgConnection);

impl Records {
    pub(super) async fn open(url: &str) -> Result<Self, sqlx::Error> {
        Ok(Self(PgConnection::connect(url).await?))
    }

    /// Events that were received, each counted once.
    pub(super) async fn received(&mut self) -> Result<i64, Failure> {
        self.count("SELECT count(*) FROM webhooks.inbox").await
    }

    /// Jobs that are not done yet.
    pub(super) async fn waiting(&mut self) -> Result<i64, Failure> {
        self.count("SELECT count(*) FROM platform.jobs").await
    }

    /// Jobs that failed for good.
    pub(super) async fn dead(&mut self) -> Result<i64, Failure> {
        self.count("SELECT count(*) FROM platform.dead_jobs").await
    }

    async fn count(&mut self, question: &'static str) -> Result<i64, Failure> {
        Ok(sqlx::query_scalar(question).fetch_one(&mut self.0).await?)
    }
}
