//! What can go wrong, said so that the reader knows what to do next.

use std::fmt;
use std::path::PathBuf;

use crate::binaries::{Looked, OLDEST_MAJOR};

/// Why there is no running cluster.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No usable PostgreSQL is installed.
    #[error(transparent)]
    NotFound(#[from] NotFound),
    /// A file or a program could not be used.
    #[error("could not {doing}")]
    Io {
        /// What was attempted, as in "could not …".
        doing: String,
        /// What the operating system answered.
        #[source]
        source: std::io::Error,
    },
    /// One of PostgreSQL's programs failed.
    #[error("{program} failed:\n{output}")]
    Program {
        /// The program's name.
        program: &'static str,
        /// What it printed, or the end of the server's log.
        output: String,
    },
    /// A server holds the data directory but does not become ready.
    #[error("the PostgreSQL server of {data} (process {process}) does not become ready; its log is {log}")]
    NotReady {
        /// The data directory.
        data: PathBuf,
        /// The server's process id.
        process: u32,
        /// The server's log.
        log: PathBuf,
    },
    /// The port that was asked for belongs to somebody else.
    #[error("port {0} on 127.0.0.1 is taken by another program")]
    PortTaken(u16),
    /// The data was made by a PostgreSQL that is not installed.
    #[error(
        "the data in {data} was made by PostgreSQL {made_by}, but only these are installed: {installed}.\n\
         Install PostgreSQL {made_by} again, or delete that directory to begin with an empty database."
    )]
    OtherVersion {
        /// The data directory.
        data: PathBuf,
        /// The major version that made it.
        made_by: String,
        /// The versions found on this machine.
        installed: String,
    },
    /// PostgreSQL refuses to run as root, and there is nobody else to run it as.
    #[error(
        "PostgreSQL refuses to run as root, and /etc/passwd has neither a user `postgres` nor `nobody` to run it as"
    )]
    NoAccount,
    /// The user that PostgreSQL runs as cannot reach any place for its data.
    #[error(
        "PostgreSQL refuses to run as root, and the user `{account}` that it would run as can reach neither \
         {directory} nor {fallback}"
    )]
    Unreachable {
        /// The user PostgreSQL would run as.
        account: String,
        /// The directory the caller asked for.
        directory: PathBuf,
        /// The directory that was tried instead.
        fallback: PathBuf,
    },
    /// Only a [`Kind::Durable`](crate::Kind::Durable) cluster may be killed: others may share the rest.
    #[error("only a durable cluster may be killed and restarted, because others may be using this one")]
    NotDurable,
}

impl Error {
    /// For `map_err` on file and process operations.
    pub(crate) fn io(doing: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }
}

/// Says that no usable PostgreSQL is installed, where it was looked for, and how to mend it.
#[derive(Debug)]
pub struct NotFound {
    /// Every place that was examined and what was there.
    pub looked_in: Vec<Looked>,
}

impl std::error::Error for NotFound {}

impl fmt::Display for NotFound {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "no PostgreSQL {OLDEST_MAJOR} or newer was found on this machine. Looked in:")?;
        for looked in &self.looked_in {
            writeln!(out, "  - {}: {}", looked.place, looked.outcome)?;
        }
        write!(
            out,
            "Do one of these:\n  \
             - install PostgreSQL, for example `apt install postgresql` or `brew install postgresql`;\n  \
             - run `docker compose up -d postgres` and name that server as below;\n  \
             - name a server you have in DATABASE_URL (or APP__DATABASE__URL), for example\n    \
               DATABASE_URL=postgres://user:password@127.0.0.1:5432/database\n\
             The test suite starts its own server, so it needs an installed PostgreSQL."
        )
    }
}
