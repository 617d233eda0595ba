//! The published keys of an issuer (RFC 7517), as far as we can use them.

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;

/// Issuers have a handful.
const MAX_KEYS: usize = 100;

/// Shorter RSA moduli are no protection: 2048 bits.
const MIN_RSA_BYTES: usize = 256;

/// A key, and the one algorithm that it is for: a token cannot choose another.
pub(super) struct ForeignKey {
    pub(super) algorithm: Algorithm,
    pub(super) public: DecodingKey,
}

/// The usable keys of a document, by their `kid`.
pub(super) struct ForeignKeys(HashMap<String, ForeignKey>);

#[derive(Deserialize)]
struct Document {
    keys: Vec<Value>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: String,
    #[serde(rename = "use")]
    usage: Option<String>,
    alg: Option<String>,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
    n: Option<String>,
    e: Option<String>,
}

impl ForeignKeys {
    /// `None` when this is no key set or none of its keys is of use. What we do not understand is passed over, as the RFC wants.
    pub(super) fn parse(document: &[u8]) -> Option<Self> {
        let document: Document = serde_json::from_slice(document).ok()?;
        let mut keys = HashMap::new();
        for member in document.keys.into_iter().take(MAX_KEYS) {
            let Ok(jwk) = serde_json::from_value::<Jwk>(member) else { continue };
            if let Some(key) = usable(&jwk) {
                // Of two with one name the first counts.
                keys.entry(jwk.kid).or_insert(key);
            }
        }
        (!keys.is_empty()).then_some(Self(keys))
    }

    pub(super) fn get(&self, kid: &str) -> Option<&ForeignKey> {
        self.0.get(kid)
    }
}

fn usable(jwk: &Jwk) -> Option<ForeignKey> {
    let (algorithm, name, public) = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
        ("OKP", Some("Ed25519")) => {
            (Algorithm::EdDSA, "EdDSA", DecodingKey::from_ed_components(jwk.x.as_deref()?).ok()?)
        }
        ("EC", Some("P-256")) => {
            let public = DecodingKey::from_ec_components(jwk.x.as_deref()?, jwk.y.as_deref()?).ok()?;
            (Algorithm::ES256, "ES256", public)
        }
        ("RSA", None) => {
            let modulus = jwk.n.as_deref()?;
            if URL_SAFE_NO_PAD.decode(modulus).ok()?.len() < MIN_RSA_BYTES {
                return None;
            }
            (Algorithm::RS256, "RS256", DecodingKey::from_rsa_components(modulus, jwk.e.as_deref()?).ok()?)
        }
        _ => return None,
    };
    let fits = jwk.usage.as_deref().is_none_or(|usage| usage == "sig");
    let fits = fits && jwk.alg.as_deref().is_none_or(|alg| alg == name);
    fits.then_some(ForeignKey { algorithm, public })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::tokens::forge::Signer;

    fn parse(keys: &Value) -> Option<ForeignKeys> {
        ForeignKeys::parse(json!({ "keys": keys }).to_string().as_bytes())
    }

    fn with(mut jwk: Value, name: &str, value: &str) -> Value {
        jwk[name] = value.into();
        jwk
    }

    #[test]
    fn each_kind_of_key_is_for_one_algorithm() {
        let keys = parse(&json!([
            Signer::ed_dsa().jwk("a"),
            with(Signer::es256().jwk("b"), "use", "sig"),
            with(Signer::rs256().jwk("c"), "alg", "RS256")
        ]));
        let keys = keys.expect("keys");
        for (kid, algorithm) in [("a", Algorithm::EdDSA), ("b", Algorithm::ES256), ("c", Algorithm::RS256)] {
            assert_eq!(keys.get(kid).expect(kid).algorithm, algorithm);
        }
        assert!(keys.get("d").is_none());
    }

    #[test]
    fn what_is_of_no_use_is_passed_over() {
        let weak = json!({ "kty": "RSA", "kid": "a", "n": URL_SAFE_NO_PAD.encode([0xff; 128]), "e": "AQAB" });
        let mut nameless = Signer::ed_dsa().jwk("a");
        nameless.as_object_mut().expect("an object").remove("kid");
        for useless in [
            weak,
            nameless,
            Signer::Hs256(b"secret".to_vec()).jwk("a"),
            Signer::Nobody.jwk("a"),
            with(Signer::rs256().jwk("a"), "use", "enc"),
            with(Signer::rs256().jwk("a"), "alg", "RSA-OAEP"),
            with(Signer::rs256().jwk("a"), "alg", "PS256"),
            with(Signer::es256().jwk("a"), "crv", "P-384"),
            with(Signer::ed_dsa().jwk("a"), "crv", "X25519"),
            json!({ "kty": "EC", "crv": "P-256", "kid": "a", "x": "!", "y": "!" }),
            json!("not an object"),
        ] {
            assert!(parse(&json!([useless])).is_none(), "{useless}");
            assert!(parse(&json!([useless, Signer::es256().jwk("b")])).is_some_and(|keys| keys.get("b").is_some()));
        }
        for document in ["", "[]", "{}", "<html>", r#"{"keys": {}}"#, r#"{"keys": []}"#] {
            assert!(ForeignKeys::parse(document.as_bytes()).is_none(), "{document}");
        }
    }
}
