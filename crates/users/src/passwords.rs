//! Passwords: which are acceptable, and how they are hashed without starving the service.

mod hashing;
mod phc;
mod rules;

use platform::secrets::Secrets;
use serde::{Deserialize, Serialize};

pub(crate) use rules::check as check_rules;

use crate::Error;
use hashing::Threads;

/// How many passwords may wait and for how long. Times in milliseconds.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HashingConfig {
    /// Hashing threads; 0 means one less than there are cores, at least one.
    pub threads: usize,
    /// Passwords that may wait for a thread; more are answered 503 at once.
    pub queue: usize,
    /// How long a request waits for its hash before it is answered 503.
    pub wait_ms: u64,
}

/// Hashes and verifies passwords: argon2id with a pepper, on threads of its own.
pub(crate) struct Passwords {
    threads: Threads,
    dummy: String,
}

/// What became of a password that was tried.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Wrong,
    Right,
    /// Right, and its hash was made with old parameters or an old pepper.
    RightButOld,
}

impl Passwords {
    pub(crate) fn new(config: &HashingConfig, secrets: Secrets) -> Self {
        // Work for the unknown address: a hash of the current shape that no password matches.
        let dummy = phc::Hash::unmatchable(secrets.generation()).to_string();
        Self { threads: Threads::new(config, secrets), dummy }
    }

    pub(crate) async fn hash(&self, password: &str) -> Result<String, Error> {
        self.threads.hash(password).await
    }

    /// What stands in the place of a hash where there is no password: nothing matches it.
    pub(crate) fn none(&self) -> &str {
        &self.dummy
    }

    /// Compares with the stored hash, or with one that nothing matches, so that an unknown address costs the same.
    pub(crate) async fn verify(&self, password: &str, stored: Option<&str>) -> Result<Verdict, Error> {
        self.threads.verify(password, stored.unwrap_or(&self.dummy)).await
    }
}
