use std::error::Error;
use std::io;
use std::path::Path;

/// Why a task ended without success.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The system refused.
    #[error("cannot {doing}")]
    Io { doing: String, source: io::Error },
    /// Another program failed, and what it printed stands above.
    #[error("`{0}` failed; its own message stands above")]
    Command(String),
    /// No PostgreSQL to work with.
    #[error("there is no PostgreSQL for this task")]
    Postgres(#[from] dev_postgres::Error),
    /// PostgreSQL refused.
    #[error("the database for this task cannot be used")]
    Database(#[from] sqlx::Error),
    /// A migration is wrong.
    #[error("migrations/{module} cannot be applied")]
    Migration { module: String, source: sqlx::migrate::MigrateError },
    /// A check found something, or something is missing; the text says what to do.
    #[error("{0}")]
    Finding(String),
}

impl Failure {
    /// The failure and what led to it. Some errors repeat their cause in their own text; that is said once.
    pub(crate) fn with_causes(&self) -> String {
        let mut text = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            let said = error.to_string();
            if !text.contains(&said) {
                text.push_str(": ");
                text.push_str(&said);
            }
            cause = error.source();
        }
        text
    }
}

/// Names what was being done with a path when the system refused.
pub(crate) fn io(doing: &str, path: &Path) -> impl FnOnce(io::Error) -> Failure {
    let doing = format!("{doing} {}", path.display());
    move |source| Failure::Io { doing, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_is_told_once() {
        let failure = io("read", Path::new("openapi/v1.json"))(io::Error::other("no such file"));
        assert_eq!(failure.with_causes(), "cannot read openapi/v1.json: no such file");
        let failure = Failure::Database(sqlx::Error::Protocol("out of order".to_owned()));
        assert_eq!(failure.with_causes().matches("out of order").count(), 1);
    }
}
