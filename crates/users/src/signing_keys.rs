//! The keys that sign access tokens. One signs (current), one is announced ahead (next), old ones still verify (retired). The
//! private halves lie in the database sealed with the root secret, so every replica has the same set.

pub(crate) mod http;
mod rotation;
pub(crate) mod store;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::{DecodingKey, EncodingKey};
use platform::secrets::Secrets;

pub(crate) use rotation::KEPT_FOR;
pub use rotation::{KeyState, SigningKeyEntry};

use crate::tokens::SignedTokens;
use crate::{Error, Users};

const SEALED_FOR: &str = "users.signing_key";

/// How long others may keep the published keys.
pub(crate) const PUBLISHED_FOR: Duration = Duration::from_mins(10);

/// A process signs and publishes with what it loaded this long ago at most: so soon it learns of a rotation.
const FRESH_FOR: TimeDelta = TimeDelta::seconds(30);

/// A token may name a key that this process has not loaded yet. Anybody can write such a token, so the keys are not loaded again
/// more often than this.
const RELOAD_PAUSE: TimeDelta = TimeDelta::seconds(5);

/// A key that signs.
pub(crate) struct SigningKey {
    pub(crate) id: String,
    pub(crate) private: EncodingKey,
}

/// A key as it is stored.
pub(crate) struct StoredKey {
    id: String,
    state: KeyState,
    public_key: Vec<u8>,
    sealed_key: Vec<u8>,
}

/// The keys of one moment.
pub(crate) struct KeySet {
    current: SigningKey,
    verifying: HashMap<String, DecodingKey>,
    published: Vec<PublishedKey>,
    signed: SignedTokens,
}

/// The public half of a key, as the key set document shows it.
#[derive(Clone, Debug)]
pub(crate) struct PublishedKey {
    pub(crate) id: String,
    /// The public key, base64url.
    pub(crate) x: String,
}

/// The keys this process knows.
#[derive(Default)]
pub(crate) struct KeyRing {
    keys: RwLock<Option<Arc<KeySet>>>,
    tried_at: Mutex<Option<DateTime<Utc>>>,
}

impl KeyRing {
    /// Whether the last attempt to load the keys is so long ago; of those who ask at once, one is told so.
    fn is_due(&self, now: DateTime<Utc>, pause: TimeDelta) -> bool {
        let mut tried_at = self.tried_at.lock().unwrap_or_else(PoisonError::into_inner);
        let due = tried_at.is_none_or(|tried_at| (now - tried_at).abs() >= pause);
        if due {
            *tried_at = Some(now);
        }
        due
    }

    fn put(&self, keys: KeySet) {
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(keys));
    }
}

impl KeySet {
    pub(crate) fn current(&self) -> &SigningKey {
        &self.current
    }

    pub(crate) fn public(&self, id: &str) -> Option<&DecodingKey> {
        self.verifying.get(id)
    }

    /// Tokens of these keys whose signature was checked before.
    pub(crate) fn signed(&self) -> &SignedTokens {
        &self.signed
    }

    pub(crate) fn published(&self) -> &[PublishedKey] {
        &self.published
    }

    fn from_stored(stored: &[StoredKey], secrets: &Secrets) -> Result<Self, Error> {
        let missing = || Error::SigningKeys("there is no current key".to_owned());
        let current = stored.iter().find(|key| key.state == KeyState::Current).ok_or_else(missing)?;
        let private = secrets
            .open(SEALED_FOR, &current.sealed_key)
            .map_err(|error| Error::SigningKeys(format!("{error}; was the root secret of its generation removed?")))?;
        let mut verifying = HashMap::new();
        let mut published = Vec::new();
        for key in stored {
            let x = URL_SAFE_NO_PAD.encode(&key.public_key);
            let public = DecodingKey::from_ed_components(&x).map_err(|error| Error::SigningKeys(error.to_string()))?;
            verifying.insert(key.id.clone(), public);
            published.push(PublishedKey { id: key.id.clone(), x });
        }
        let current = SigningKey { id: current.id.clone(), private: EncodingKey::from_ed_der(&private) };
        Ok(Self { current, verifying, published, signed: SignedTokens::default() })
    }

    #[cfg(test)]
    pub(crate) fn for_tests_of(pair: &Ed25519KeyPair) -> Self {
        let root = platform::config::Secret::from("a root secret for the tests of this module".to_owned());
        let secrets = Secrets::new(platform::secrets::SecretsConfig { current: 1, roots: [(1, root)].into() });
        let key = seal(pair, KeyState::Current, &secrets).expect("a key");
        Self::from_stored(&[key], &secrets).expect("a key set")
    }
}

impl Users {
    /// Loads the signing keys, making those that are missing. Called once at the start.
    ///
    /// # Errors
    /// When the database is away or a key cannot be opened.
    pub async fn load_keys(&self) -> Result<(), Error> {
        let mut tx = self.0.db.begin().await?;
        let stored = store::list(&mut tx).await?;
        for state in [KeyState::Current, KeyState::Next] {
            if !stored.iter().any(|key| key.state == state) {
                // Of replicas that start together, the first one's key wins.
                store::insert(&mut tx, &make(state, &self.0.secrets)?).await?;
            }
        }
        let stored = store::list(&mut tx).await?;
        tx.commit().await?;
        self.0.keys.is_due(self.0.clock.now(), TimeDelta::zero());
        self.0.keys.put(KeySet::from_stored(&stored, &self.0.secrets)?);
        if let Some(issuer) = &self.0.issuer {
            // Whether it is up or not: our start does not depend on it.
            issuer.prepare();
        }
        Ok(())
    }

    /// The keys to sign with and to publish, loaded a moment ago. Better old ones than none.
    pub(crate) async fn fresh_keys(&self) -> Result<Arc<KeySet>, Error> {
        if self.0.keys.is_due(self.0.clock.now(), FRESH_FOR)
            && let Err(error) = self.load_keys_again().await
        {
            tracing::warn!(%error, "the signing keys could not be loaded again; the known ones go on");
        }
        self.keys()
    }

    /// Loads the keys that other processes may have made; `false` when that was done a moment ago.
    pub(crate) async fn learn_new_keys(&self) -> Result<bool, Error> {
        let due = self.0.keys.is_due(self.0.clock.now(), RELOAD_PAUSE);
        if due {
            self.load_keys_again().await?;
        }
        Ok(due)
    }

    async fn load_keys_again(&self) -> Result<(), Error> {
        let stored = store::list(&mut *self.0.db.read().await?).await?;
        self.0.keys.put(KeySet::from_stored(&stored, &self.0.secrets)?);
        Ok(())
    }

    pub(crate) fn keys(&self) -> Result<Arc<KeySet>, Error> {
        let keys = self.0.keys.keys.read().unwrap_or_else(PoisonError::into_inner).clone();
        keys.ok_or_else(|| Error::SigningKeys("the keys are not loaded".to_owned()))
    }
}

/// Whether this could be the name of a key of ours; anything else is not worth looking for.
pub(crate) fn is_key_id(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn make(state: KeyState, secrets: &Secrets) -> Result<StoredKey, Error> {
    seal(&Ed25519KeyPair::generate().map_err(|_| unmade())?, state, secrets)
}

fn seal(pair: &Ed25519KeyPair, state: KeyState, secrets: &Secrets) -> Result<StoredKey, Error> {
    let private = pair.to_pkcs8v1().map_err(|_| unmade())?;
    Ok(StoredKey {
        id: platform::ids::new_uuid().simple().to_string(),
        state,
        public_key: pair.public_key().as_ref().to_vec(),
        sealed_key: secrets.seal(SEALED_FOR, private.as_ref()),
    })
}

fn unmade() -> Error {
    Error::SigningKeys("a key could not be made".to_owned())
}
