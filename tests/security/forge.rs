//! Makes access tokens as attackers would, and better ones than they could.

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use platform::secrets::Secrets;
use serde_json::{Value, json};
use server::{Config, Environment};

use crate::home::Home;

/// Signs with the house's own key, so that whatever else is wrong with a token has to be what gives it away.
pub(super) struct Forger {
    pair: Ed25519KeyPair,
    pub(super) header: Value,
    /// What a live token says.
    pub(super) claims: Value,
}

impl Forger {
    /// Copies a live token of the house, with its key, which the root secret of the tests opens.
    pub(super) async fn of(home: &Home, token: &str) -> Self {
        let stored = sqlx::query_as("SELECT id, sealed_key FROM users.signing_keys WHERE state = 'current'");
        let (kid, sealed): (String, Vec<u8>) = stored.fetch_one(&mut home.owner().await).await.expect("a key");
        let config = Config::load(Environment::Test, &std::collections::BTreeMap::new()).expect("a configuration");
        let private = Secrets::new(config.secrets).open("users.signing_key", &sealed).expect("the root of the tests");
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&private).expect("a key");
        let payload = token.split('.').nth(1).expect("three parts");
        let claims = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).expect("base64url")).expect("claims");
        Self { pair, header: json!({ "alg": "EdDSA", "typ": "at+jwt", "kid": kid }), claims }
    }

    pub(super) fn public_key(&self) -> Vec<u8> {
        self.pair.public_key().as_ref().to_vec()
    }

    /// As the house signs it.
    pub(super) fn sign(&self, header: &Value, claims: &Value) -> String {
        self.sign_text(&header.to_string(), &claims.to_string())
    }

    /// The same of parts that need not be sound JSON.
    pub(super) fn sign_text(&self, header: &str, claims: &str) -> String {
        joined(header, claims, |message| self.pair.sign(message).as_ref().to_vec())
    }

    /// The good header with one field changed, rightly signed.
    pub(super) fn with_header(&self, name: &str, value: &Value) -> String {
        let mut header = self.header.clone();
        header[name] = value.clone();
        self.sign(&header, &self.claims)
    }

    /// The good claims with one changed, rightly signed; null takes it out.
    pub(super) fn with_claim(&self, name: &str, value: &Value) -> String {
        let mut claims = self.claims.clone();
        claims[name] = value.clone();
        if value.is_null() {
            claims.as_object_mut().expect("an object").remove(name);
        }
        self.sign(&self.header, &claims)
    }

    /// With another algorithm in the header, signed by `signer`.
    pub(super) fn signed_otherwise(&self, algorithm: &str, signer: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
        let mut header = self.header.clone();
        header["alg"] = json!(algorithm);
        joined(&header.to_string(), &self.claims.to_string(), signer)
    }
}

fn joined(header: &str, claims: &str, signer: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let signature = URL_SAFE_NO_PAD.encode(signer(message.as_bytes()));
    format!("{message}.{signature}")
}

pub(super) fn hs256(secret: &[u8], message: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message).as_ref().to_vec()
}

pub(super) fn es256(message: &[u8]) -> Vec<u8> {
    let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key");
    key.sign(&SystemRandom::new(), message).expect("signs").as_ref().to_vec()
}

pub(super) fn rs256(message: &[u8]) -> Vec<u8> {
    let key = RsaKeyPair::generate(KeySize::Rsa2048).expect("a key");
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature).expect("signs");
    signature
}
