//! Signatures that receivers check, as Standard Webhooks 1.0 has them: HMAC-SHA256 over id, timestamp and body.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use platform::ids::random_bytes;
use platform::secrets::{OpenError, Secrets};
use sha2::Sha256;

/// What keys are sealed for.
const PURPOSE: &str = "webhooks.signing_key";

/// What a key of Standard Webhooks begins with where people see it.
pub(crate) const PREFIX: &str = "whsec_";

/// A key that signs for one endpoint. Never printed; its owner sees it once.
pub(crate) struct SigningKey(Vec<u8>);

impl SigningKey {
    /// A new key of 192 random bits, within the 192 to 512 that the specification asks for.
    pub(crate) fn generate() -> Self {
        Self(random_bytes::<24>().to_vec())
    }

    /// The key as its owner copies it: `whsec_` and base64.
    pub(crate) fn reveal(&self) -> String {
        format!("{PREFIX}{}", STANDARD.encode(&self.0))
    }

    /// The key as it is stored.
    pub(crate) fn seal(&self, secrets: &Secrets) -> Vec<u8> {
        secrets.seal(PURPOSE, &self.0)
    }

    /// Reads a stored key.
    pub(crate) fn open(secrets: &Secrets, sealed: &[u8]) -> Result<Self, OpenError> {
        secrets.open(PURPOSE, sealed).map(Self)
    }

    fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> String {
        let mac = hmac_sha256(&self.0, &[format!("{id}.{timestamp}.").as_bytes(), body]);
        format!("v1,{}", STANDARD.encode(mac))
    }
}

/// HMAC-SHA256 (RFC 2104) over these bytes, one part after the other: what we sign with, and what our sources do.
pub(crate) fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// The header `webhook-signature`: one signature by each key, so that a receiver that holds any of them is satisfied.
pub(crate) fn signature(keys: &[SigningKey], id: &str, timestamp: i64, body: &[u8]) -> String {
    let signatures: Vec<String> = keys.iter().map(|key| key.sign(id, timestamp, body)).collect();
    signatures.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk";
    const TIMESTAMP: i64 = 1_649_367_553;
    const BODY: &[u8] = br#"{"email":"test@example.com","username":"test_user"}"#;

    fn key(text: &str) -> SigningKey {
        SigningKey(STANDARD.decode(text).expect("base64"))
    }

    #[test]
    fn the_specifications_known_answer_is_given() {
        let key = key("C2FVsBQIhrscChlQIMV+b5sSYspob7oD");
        assert_eq!(key.reveal(), "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD");
        let expected = "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=";
        assert_eq!(signature(&[key], ID, TIMESTAMP, BODY), expected);
    }

    #[test]
    fn the_official_library_signs_alike() {
        let key = SigningKey::generate();
        let library = standardwebhooks::Webhook::new(&key.reveal()).expect("it reads our key");
        assert_eq!(library.sign(ID, TIMESTAMP, BODY).expect("signs"), signature(&[key], ID, TIMESTAMP, BODY));
    }

    #[test]
    fn every_key_signs() {
        let (old, new) = (SigningKey::generate(), SigningKey::generate());
        let expected = format!("{} {}", old.sign(ID, TIMESTAMP, BODY), new.sign(ID, TIMESTAMP, BODY));
        assert_eq!(signature(&[old, new], ID, TIMESTAMP, BODY), expected);
    }
}
