//! The keys that sign access tokens. One signs (current), one is announced ahead (next), old ones still verify (retired). The
//! private halves lie in the database sealed with the root secret, so every replica has the same set.

pub(crate) mod http;
mod store;

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{DecodingKey, EncodingKey};
use platform::secrets::Secrets;

use crate::{Error, Users};

const SEALED_FOR: &str = "users.signing_key";

/// A key that signs.
pub(crate) struct SigningKey {
    pub(crate) id: String,
    pub(crate) private: EncodingKey,
}

/// A key as it is stored.
pub(crate) struct StoredKey {
    id: String,
    state: String,
    public_key: Vec<u8>,
    sealed_key: Vec<u8>,
}

/// The keys of one moment.
pub(crate) struct KeySet {
    current: SigningKey,
    verifying: HashMap<String, DecodingKey>,
    published: Vec<PublishedKey>,
}

/// The public half of a key, as the key set document shows it.
#[derive(Clone, Debug)]
pub(crate) struct PublishedKey {
    pub(crate) id: String,
    /// The public key, base64url.
    pub(crate) x: String,
}

/// The keys this process knows; loaded at the start.
#[derive(Default)]
pub(crate) struct KeyRing(RwLock<Option<Arc<KeySet>>>);

impl KeySet {
    pub(crate) fn current(&self) -> &SigningKey {
        &self.current
    }

    pub(crate) fn public(&self, id: &str) -> Option<&DecodingKey> {
        self.verifying.get(id)
    }

    pub(crate) fn published(&self) -> &[PublishedKey] {
        &self.published
    }

    fn from_stored(stored: &[StoredKey], secrets: &Secrets) -> Result<Self, Error> {
        let missing = || Error::SigningKeys("there is no current key".to_owned());
        let current = stored.iter().find(|key| key.state == "current").ok_or_else(missing)?;
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
        Ok(Self { current, verifying, published })
    }

    #[cfg(test)]
    pub(crate) fn for_tests() -> Self {
        let roots =
            [(1, platform::config::Secret::from("a root secret for the tests of this module".to_owned()))].into();
        let secrets = Secrets::new(platform::secrets::SecretsConfig { current: 1, roots });
        let key = make("current", &secrets).expect("a key");
        Self::from_stored(&[key], &secrets).expect("a key set")
    }
}

impl Users {
    /// Loads the signing keys, making the first one when there is none. Called once at the start.
    ///
    /// # Errors
    /// When the database is away or a key cannot be opened.
    pub async fn load_keys(&self) -> Result<(), Error> {
        let mut tx = self.0.db.begin().await?;
        let mut stored = store::list(&mut tx).await?;
        if stored.is_empty() {
            // Of replicas that start together, the first one's key wins.
            store::insert(&mut tx, &make("current", &self.0.secrets)?).await?;
            stored = store::list(&mut tx).await?;
        }
        tx.commit().await?;
        let keys = KeySet::from_stored(&stored, &self.0.secrets)?;
        *self.0.keys.0.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(keys));
        Ok(())
    }

    pub(crate) fn keys(&self) -> Result<Arc<KeySet>, Error> {
        let keys = self.0.keys.0.read().unwrap_or_else(PoisonError::into_inner).clone();
        keys.ok_or_else(|| Error::SigningKeys("the keys are not loaded".to_owned()))
    }
}

fn make(state: &str, secrets: &Secrets) -> Result<StoredKey, Error> {
    let failed = |_| Error::SigningKeys("a key could not be made".to_owned());
    let pair = Ed25519KeyPair::generate().map_err(failed)?;
    let private = pair.to_pkcs8v1().map_err(failed)?;
    Ok(StoredKey {
        id: platform::ids::new_uuid().simple().to_string(),
        state: state.to_owned(),
        public_key: pair.public_key().as_ref().to_vec(),
        sealed_key: secrets.seal(SEALED_FOR, private.as_ref()),
    })
}
