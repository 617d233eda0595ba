//! Secrets at rest. One root secret a generation; every purpose gets its own key from it (HKDF-SHA256, RFC 5869), so that a
//! key used for one thing never serves another.

use std::collections::BTreeMap;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use serde::{Deserialize, Serialize};

use crate::config::Secret;

/// The shortest root secret that is accepted, in bytes.
pub const MIN_ROOT_BYTES: usize = 32;

/// Root secrets by generation. To rotate: add a generation, make it current, drop the old one when nothing uses it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretsConfig {
    /// The generation that seals what is new.
    pub current: u8,
    /// Every generation that may still be needed to open what is old.
    pub roots: BTreeMap<u8, Secret>,
}

impl SecretsConfig {
    /// What is wrong with the values, as `(key, complaint)`; placeholders only count where `strict`.
    #[must_use]
    pub fn complaints(&self, strict: bool) -> Vec<(String, String)> {
        let mut complaints = Vec::new();
        if !self.roots.contains_key(&self.current) {
            complaints.push(("secrets.current".to_owned(), format!("there is no secrets.roots.{}", self.current)));
        }
        for (generation, root) in &self.roots {
            let key = format!("secrets.roots.{generation}");
            if root.expose().len() < MIN_ROOT_BYTES {
                complaints.push((
                    key,
                    format!("must be at least {MIN_ROOT_BYTES} bytes; `openssl rand -base64 48` makes one"),
                ));
            } else if strict && root.is_placeholder() {
                complaints.push((key, "is a placeholder; `openssl rand -base64 48` makes a real one".to_owned()));
            }
        }
        complaints
    }
}

/// Something sealed cannot be opened: another purpose, a generation that was dropped, or bytes that were altered.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the sealed value cannot be opened")]
pub struct OpenError;

/// Seals, opens and derives keys. Cheap to clone.
#[derive(Clone)]
pub struct Secrets {
    config: std::sync::Arc<SecretsConfig>,
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secrets(…)")
    }
}

impl Secrets {
    /// The keys that grow from these roots.
    #[must_use]
    pub fn new(config: SecretsConfig) -> Self {
        Self { config: std::sync::Arc::new(config) }
    }

    /// The generation that new things are made with.
    #[must_use]
    pub fn generation(&self) -> u8 {
        self.config.current
    }

    /// A 256-bit key for one purpose, from one generation's root.
    ///
    /// # Errors
    /// When that generation is not configured.
    ///
    /// # Panics
    /// Never: 32 bytes are within what HKDF can give.
    pub fn key(&self, purpose: &str, generation: u8) -> Result<[u8; 32], OpenError> {
        struct Length;
        impl KeyType for Length {
            fn len(&self) -> usize {
                32
            }
        }
        let root = self.config.roots.get(&generation).ok_or(OpenError)?;
        let mut key = [0; 32];
        Salt::new(HKDF_SHA256, b"root")
            .extract(root.expose().as_bytes())
            .expand(&[purpose.as_bytes()], Length)
            .and_then(|okm| okm.fill(&mut key))
            .expect("32 bytes are within HKDF's reach");
        Ok(key)
    }

    /// The current generation's key for a message authentication code.
    ///
    /// # Panics
    /// Never in a service that booted: the configuration check demands the current root.
    #[must_use]
    pub fn mac_key(&self, purpose: &str) -> [u8; 32] {
        self.key(purpose, self.config.current).expect("the current root exists")
    }

    /// Encrypts and authenticates (AES-256-GCM): generation (1 byte), nonce (12), ciphertext, tag (16).
    ///
    /// # Panics
    /// Never for what fits into memory.
    #[must_use]
    pub fn seal(&self, purpose: &str, plaintext: &[u8]) -> Vec<u8> {
        let key = RandomizedNonceKey::new(&AES_256_GCM, &self.mac_key(purpose)).expect("the key has 32 bytes");
        let mut body = plaintext.to_vec();
        let nonce = key.seal_in_place_append_tag(Aad::empty(), &mut body).expect("the plaintext fits");
        let mut sealed = Vec::with_capacity(1 + NONCE_LEN + body.len());
        sealed.push(self.config.current);
        sealed.extend_from_slice(nonce.as_ref());
        sealed.extend_from_slice(&body);
        sealed
    }

    /// Opens what [`Secrets::seal`] made for the same purpose.
    ///
    /// # Errors
    /// When it was altered, sealed for another purpose, or by a generation that is gone.
    pub fn open(&self, purpose: &str, sealed: &[u8]) -> Result<Vec<u8>, OpenError> {
        let (generation, rest) = sealed.split_first().ok_or(OpenError)?;
        let (nonce, body) = rest.split_at_checked(NONCE_LEN).ok_or(OpenError)?;
        let key = RandomizedNonceKey::new(&AES_256_GCM, &self.key(purpose, *generation)?).map_err(|_| OpenError)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| OpenError)?;
        let mut body = body.to_vec();
        let plaintext = key.open_in_place(nonce, Aad::empty(), &mut body).map_err(|_| OpenError)?;
        Ok(plaintext.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(current: u8, generations: &[u8]) -> Secrets {
        let root = |generation: u8| Secret::from(format!("a root secret of generation {generation}, long enough"));
        Secrets::new(SecretsConfig { current, roots: generations.iter().map(|g| (*g, root(*g))).collect() })
    }

    #[test]
    fn what_was_sealed_opens_only_for_its_purpose_and_unaltered() {
        let secrets = secrets(1, &[1]);
        let sealed = secrets.seal("mail", b"hello");
        assert_eq!(secrets.open("mail", &sealed), Ok(b"hello".to_vec()));
        assert_eq!(secrets.open("cookies", &sealed), Err(OpenError));
        let mut altered = sealed.clone();
        *altered.last_mut().expect("not empty") ^= 1;
        assert_eq!(secrets.open("mail", &altered), Err(OpenError));
        assert_eq!(secrets.open("mail", b""), Err(OpenError));
    }

    #[test]
    fn the_old_generation_opens_after_a_rotation_until_it_is_dropped() {
        let sealed = secrets(1, &[1]).seal("mail", b"hello");
        assert_eq!(secrets(2, &[1, 2]).open("mail", &sealed), Ok(b"hello".to_vec()));
        assert_eq!(secrets(2, &[2]).open("mail", &sealed), Err(OpenError));
    }

    #[test]
    fn short_missing_and_placeholder_roots_are_refused() {
        let config = |root: &str| SecretsConfig { current: 1, roots: [(1, Secret::from(root.to_owned()))].into() };
        assert_eq!(config("short").complaints(false).len(), 1);
        let placeholder = config("change-me-change-me-change-me-change-me");
        assert_eq!(placeholder.complaints(true).len(), 1);
        assert_eq!(placeholder.complaints(false).len(), 0);
        assert_eq!(SecretsConfig { current: 2, roots: BTreeMap::new() }.complaints(false).len(), 1);
    }
}
