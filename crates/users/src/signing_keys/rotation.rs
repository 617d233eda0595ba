//! Rotation: the announced key begins to sign, the one that signed retires, and another is announced. Nobody notices: the next
//! key was published long enough ago, the retired one stays published until no token of it can be alive.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::json;

use super::{PUBLISHED_FOR, make, store};
use crate::audit::{Action, Deed};
use crate::tokens::VALID_FOR;
use crate::{Error, Users};

/// How long a retired key is kept: as long as its last token and a copy of the published keys live, and a minute more for
/// processes that learn late of the rotation.
pub(crate) const KEPT_FOR: Duration =
    Duration::from_secs(VALID_FOR.as_secs() + PUBLISHED_FOR.as_secs() + Duration::from_mins(1).as_secs());

/// What a signing key is for at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum KeyState {
    /// It is published, and signs after the next rotation.
    Next,
    /// It signs.
    Current,
    /// It signed before the last rotation, and still verifies.
    Retired,
}

impl KeyState {
    /// The stored and spoken name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            KeyState::Next => "next",
            KeyState::Current => "current",
            KeyState::Retired => "retired",
        }
    }
}

/// A signing key as operators see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SigningKeyEntry {
    /// Its name, the `kid` of tokens.
    pub id: String,
    /// What it is for.
    pub state: KeyState,
    /// When it was made, and so announced.
    pub created_at: DateTime<Utc>,
    /// When it ceased to sign.
    pub retired_at: Option<DateTime<Utc>>,
    /// The root secret that its private half is sealed with.
    pub root_generation: i32,
}

impl Users {
    /// The keys that sign access tokens, the newest first.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn list_signing_keys(&self) -> Result<Vec<SigningKeyEntry>, Error> {
        Ok(store::list_entries(&mut *self.0.db.read().await?).await?)
    }

    /// Makes the next key current, retires the current one and announces another. `at_once` does not wait until everybody who
    /// verifies tokens must know the next key; for when the current one is in wrong hands.
    ///
    /// # Errors
    /// [`Error::RotationRefused`] when the next key is too young or another rotation is under way.
    pub async fn rotate_signing_keys(&self, at_once: bool) -> Result<Vec<SigningKeyEntry>, Error> {
        let mut tx = self.0.db.begin().await?;
        if !store::try_lock_rotation(&mut tx).await? {
            return Err(Error::RotationRefused("another rotation is under way"));
        }
        match store::is_next_announced(&mut tx, PUBLISHED_FOR).await? {
            None => return Err(Error::RotationRefused("there is no next key; a process that starts makes one")),
            Some(false) if !at_once => {
                return Err(Error::RotationRefused("the next key was announced less than 10 minutes ago"));
            }
            Some(_) => {}
        }
        store::advance(&mut tx).await?;
        let next = make(KeyState::Next, &self.0.secrets)?;
        store::insert(&mut tx, &next).await?;
        let keys = store::list_entries(&mut tx).await?;
        let id_of = |state| keys.iter().find(|key| key.state == state).map(|key| key.id.as_str());
        let details = json!({ "current": id_of(KeyState::Current), "next": id_of(KeyState::Next), "at_once": at_once });
        let deed = Deed { action: Action::SigningKeysRotated, account: None, organization: None, details };
        self.record(&mut tx, deed).await?;
        tx.commit().await?;
        Ok(keys)
    }
}
