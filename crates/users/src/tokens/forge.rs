//! Signs whatever a test wants signed, right or wrong.

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// Whoever signs, and how.
pub(crate) enum Signer {
    EdDsa(Box<Ed25519KeyPair>),
    Es256(Box<EcdsaKeyPair>),
    Rs256(Box<RsaKeyPair>),
    Hs256(Vec<u8>),
    Nobody,
}

impl Signer {
    pub(crate) fn ed_dsa() -> Self {
        Self::EdDsa(Box::new(Ed25519KeyPair::generate().expect("a key")))
    }

    pub(crate) fn es256() -> Self {
        Self::Es256(Box::new(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key")))
    }

    pub(crate) fn rs256() -> Self {
        Self::Rs256(Box::new(RsaKeyPair::generate(KeySize::Rsa2048).expect("a key")))
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::EdDsa(key) => key.sign(message).as_ref().to_vec(),
            Self::Es256(key) => key.sign(&SystemRandom::new(), message).expect("signs").as_ref().to_vec(),
            Self::Rs256(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature).expect("signs");
                signature
            }
            Self::Hs256(secret) => hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message).as_ref().to_vec(),
            Self::Nobody => Vec::new(),
        }
    }

    /// The public half as key sets show it.
    pub(crate) fn jwk(&self, kid: &str) -> Value {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match self {
            Self::EdDsa(key) => {
                json!({ "kty": "OKP", "crv": "Ed25519", "kid": kid, "x": text(key.public_key().as_ref()) })
            }
            Self::Es256(key) => {
                // 4, then the coordinates of the point.
                let (x, y) = key.public_key().as_ref()[1..].split_at(32);
                json!({ "kty": "EC", "crv": "P-256", "kid": kid, "x": text(x), "y": text(y) })
            }
            Self::Rs256(key) => {
                // PKCS#1 in DER: a sequence of two integers, of which 256 and 3 bytes count.
                let der = key.public_key().as_ref();
                assert_eq!((&der[4..9], &der[265..267]), (&[2, 0x82, 1, 1, 0][..], &[2, 3][..]));
                json!({ "kty": "RSA", "kid": kid, "n": text(&der[9..265]), "e": text(&der[267..]) })
            }
            Self::Hs256(secret) => json!({ "kty": "oct", "kid": kid, "k": text(secret) }),
            Self::Nobody => json!({ "kty": "none", "kid": kid }),
        }
    }
}

/// A token of exactly these parts.
pub(crate) fn forge(header: &Value, claims: &Value, signer: &Signer) -> String {
    forge_text(&header.to_string(), &claims.to_string(), signer)
}

/// A token of parts that need not be JSON.
pub(crate) fn forge_text(header: &str, claims: &str, signer: &Signer) -> String {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let signature = URL_SAFE_NO_PAD.encode(signer.sign(message.as_bytes()));
    format!("{message}.{signature}")
}
