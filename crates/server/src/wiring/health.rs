//! What readiness asks, and what the pools look like.

use async_trait::async_trait;
use platform::db::{Databases, Db};
use platform::http::ReadinessCheck;

struct DatabaseAnswers(Db);

#[async_trait]
impl ReadinessCheck for DatabaseAnswers {
    fn name(&self) -> &'static str {
        "database"
    }

    async fn check(&self) -> Result<(), String> {
        self.0.ping().await.map_err(|error| error.to_string())
    }
}

pub(super) fn checks(databases: &Databases) -> Vec<Box<dyn ReadinessCheck>> {
    vec![Box::new(DatabaseAnswers(databases.platform().clone()))]
}
