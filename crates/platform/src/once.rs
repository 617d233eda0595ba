//! Idempotency: a request that is sent twice has its effect once and gets the same answer twice.
//!
//! The handler takes a [`Once`] body, the use case opens its transaction through it and settles the answer before the
//! commit, so that key and effect share the transaction. While it runs, a lock on the key turns a twin away.
//!
//! ```ignore
//! match once.open(&self.db).await? {
//!     Opened::Replayed(answer) => Ok(answer),
//!     Opened::Fresh { mut tx, once, body } => {
//!         let invoice = …;
//!         let answer = once.settle(&mut tx, invoice).await?;
//!         tx.commit().await?;
//!         Ok(answer)
//!     }
//! }
//! ```

mod store;

use std::fmt;

use axum::http::StatusCode;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::db::{Db, Tx};
use crate::http::Problem;
use crate::jobs::{Job, Jobs};

/// A request body with the idempotency key it came with, if any.
#[derive(Debug)]
pub struct Once<B> {
    key: Option<OnceKey>,
    body: B,
}

/// An idempotency key as it is stored: only hashes.
#[derive(Clone, PartialEq, Eq)]
pub struct OnceKey {
    /// Hash over caller, concrete path and key.
    pub scope: [u8; 32],
    /// Hash over the request, to notice another request with the same key.
    pub request_hash: [u8; 32],
}

impl fmt::Debug for OnceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnceKey")
    }
}

/// How a request begins.
#[derive(Debug)]
pub enum Opened<B, T> {
    /// For the first time: do the work in `tx`, then settle `once` and commit.
    Fresh {
        /// The open transaction; it holds the key.
        tx: Tx,
        /// Takes the answer.
        once: Unsettled,
        /// What was asked.
        body: B,
    },
    /// Again: this was the answer.
    Replayed(Answer<T>),
}

/// The obligation to store the answer in the transaction that holds the effect.
#[derive(Debug)]
#[must_use = "an answer that is not settled cannot be replayed"]
pub struct Unsettled(Option<OnceKey>);

/// An answer, and whether it was given before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer<T> {
    /// What is answered.
    pub value: T,
    /// Whether it comes from the store, without a second effect.
    pub replayed: bool,
}

/// Why a request with an idempotency key cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum OnceError {
    /// There is no key, and the request must not be made twice.
    #[error("an idempotency key is required")]
    KeyRequired,
    /// The key belongs to another request.
    #[error("the idempotency key was used for another request")]
    Reused,
    /// The same request is running at this moment.
    #[error("a request with this idempotency key is in progress")]
    InProgress,
    /// The database refused or is away.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    /// The stored answer is not of today's shape.
    #[error("the stored answer cannot be read")]
    Stored(#[from] serde_json::Error),
}

impl<B> Once<B> {
    /// A body with its key; without one nothing is remembered.
    pub fn new(key: Option<OnceKey>, body: B) -> Self {
        Self { key, body }
    }

    /// The same request for something else, usually wire type to domain type.
    pub fn map<U>(self, convert: impl FnOnce(B) -> U) -> Once<U> {
        Once { key: self.key, body: convert(self.body) }
    }

    /// Body and key apart, where a request without a key is refused and whoever takes the key remembers the answer itself,
    /// for longer than a day.
    ///
    /// # Errors
    /// [`OnceError::KeyRequired`].
    pub fn required(self) -> Result<(OnceKey, B), OnceError> {
        Ok((self.key.ok_or(OnceError::KeyRequired)?, self.body))
    }

    /// Opens the transaction of the request, or finds the answer it had.
    ///
    /// # Errors
    /// [`OnceError`]; nothing has happened then.
    pub async fn open<T: DeserializeOwned>(self, db: &Db) -> Result<Opened<B, T>, OnceError> {
        let Self { key, body } = self;
        let mut tx = db.begin().await?;
        if let Some(key) = &key {
            match store::begin(&mut tx, key).await? {
                store::State::Fresh => {}
                store::State::Replay(answer) => {
                    return Ok(Opened::Replayed(Answer { value: serde_json::from_value(answer)?, replayed: true }));
                }
                store::State::Reused => return Err(OnceError::Reused),
                store::State::InProgress => return Err(OnceError::InProgress),
            }
        }
        Ok(Opened::Fresh { tx, once: Unsettled(key), body })
    }
}

impl Unsettled {
    /// Stores the answer under the key; the commit makes it the answer for good.
    ///
    /// # Errors
    /// When the answer is not JSON, or the database refuses or is away.
    pub async fn settle<T: Serialize>(self, tx: &mut Tx, value: T) -> Result<Answer<T>, OnceError> {
        if let Some(key) = self.0 {
            store::settle(tx, &key, serde_json::to_value(&value)?).await?;
        }
        Ok(Answer { value, replayed: false })
    }
}

impl<T> Answer<T> {
    /// The same answer in another shape, usually domain type to wire type.
    pub fn map<U>(self, convert: impl FnOnce(T) -> U) -> Answer<U> {
        Answer { value: convert(self.value), replayed: self.replayed }
    }
}

impl From<OnceError> for Problem {
    fn from(error: OnceError) -> Self {
        match error {
            OnceError::KeyRequired => Problem::new(
                StatusCode::BAD_REQUEST,
                "idempotency_key_required",
                "Send an Idempotency-Key, so that repeating the request is safe.",
            ),
            OnceError::Reused => Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "idempotency_key_reused",
                "This Idempotency-Key was used for another request.",
            ),
            OnceError::InProgress => Problem::new(
                StatusCode::CONFLICT,
                "idempotency_in_progress",
                "A request with this Idempotency-Key is in progress, try again shortly.",
            ),
            OnceError::Database(error) => error.into(),
            OnceError::Stored(error) => Problem::internal(error),
        }
    }
}

/// Removes idempotency keys that are older than a day.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct PruneIdempotencyKeys {}

impl Job for PruneIdempotencyKeys {
    const NAME: &'static str = "platform.prune_idempotency_keys";
}

/// Keeps the table of keys small: an hourly job, which wiring registers once.
pub fn register_pruning(jobs: &mut Jobs, db: &Db) {
    let db = db.clone();
    jobs.register::<PruneIdempotencyKeys, _, _>(move |_, _| {
        let db = db.clone();
        async move {
            let mut connection = db.read().await?;
            while store::prune(&mut connection).await? {}
            Ok(())
        }
    });
    jobs.schedule("platform.prune_idempotency_keys", "17 * * * *", &PruneIdempotencyKeys {});
}
