use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::MAX_CONNECTIONS;
use crate::config::Secret;

/// Where the database is and how much of it this process may take. Times in milliseconds.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatabaseConfig {
    /// `postgres://user:password@host:port/name`; empty in development, where the built-in PostgreSQL is used.
    pub url: Secret,
    /// Whether module pools run as module roles; `false` only on hosts that forbid creating roles.
    pub roles: bool,
    /// What module roles are called, `{role_prefix}_{module}`; the database's name unless said.
    pub role_prefix: Option<String>,
    /// Pool size for each module and for the platform itself.
    pub connections: BTreeMap<String, u32>,
    /// A statement that runs longer is cancelled.
    pub statement_timeout_ms: u64,
    /// A statement that waits longer for a lock is cancelled.
    pub lock_timeout_ms: u64,
    /// A request that waits longer for a connection is answered 503.
    pub acquire_timeout_ms: u64,
    /// A statement that runs longer is logged as slow.
    pub slow_statement_ms: u64,
}

impl DatabaseConfig {
    /// Connections this process may open: the pools and the listening one.
    #[must_use]
    pub fn total_connections(&self) -> u32 {
        self.connections.values().sum::<u32>() + 1
    }

    /// What is wrong with the values, as `(key, complaint)`.
    #[must_use]
    pub fn complaints(&self) -> Vec<(String, String)> {
        let mut complaints = Vec::new();
        if self.total_connections() > MAX_CONNECTIONS {
            let complaint = format!(
                "the pools add up to {} connections with the listening one; a process may open {MAX_CONNECTIONS}",
                self.total_connections()
            );
            complaints.push(("database.connections".to_owned(), complaint));
        }
        for (module, _) in self.connections.iter().filter(|(_, size)| **size == 0) {
            complaints
                .push((format!("database.connections.{module}"), "a pool needs at least one connection".to_owned()));
        }
        complaints
    }
}
