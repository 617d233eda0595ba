//! Tokens: the signed one that proves a login for ten minutes, and random ones of which only a hash is kept.

mod access;
#[cfg(test)]
pub(crate) mod forge;
mod header;
mod signed;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

pub(crate) use access::{Audience, Claims, VALID_FOR, sign, verify};
pub(crate) use header::{Refusal, read_header, signature_only};
pub(crate) use signed::SignedTokens;

/// 256 random bits that work once, or as a refresh token. Only their SHA-256 is stored: guessing is hopeless, so no salt.
pub(crate) struct OneTimeToken(String);

impl OneTimeToken {
    pub(crate) fn new() -> Self {
        Self(URL_SAFE_NO_PAD.encode(platform::ids::random_bytes::<32>()))
    }

    /// The token itself, for the mail or the answer that carries it.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }

    pub(crate) fn hash(&self) -> [u8; 32] {
        Self::hash_of(&self.0)
    }

    pub(crate) fn hash_of(token: &str) -> [u8; 32] {
        Sha256::digest(token.as_bytes()).into()
    }
}
