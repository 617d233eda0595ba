//! The one place where access tokens are made and read (RFC 9068, RFC 8725). The library's defaults are lenient (a minute of
//! leeway; `nbf`, `iat`, `typ`, `crit` unchecked; `aud` as an intersection), so everything is said here.

use std::time::Duration;

use chrono::{DateTime, Utc};
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::signing_keys::{KeySet, SigningKey};

const TYPE: &str = "at+jwt";

/// Longer ones are not ours.
const MAX_BYTES: usize = 2048;

/// A token from the near future is a clock that runs ahead on another replica, not a forgery.
const CLOCK_SKEW: i64 = 5;

/// Who issues tokens and for whom.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Audience<'a> {
    pub(crate) issuer: &'a str,
    pub(crate) audience: &'a str,
}

/// What a token says. Times in seconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Claims {
    pub(crate) iss: String,
    pub(crate) sub: uuid::Uuid,
    pub(crate) aud: String,
    pub(crate) exp: i64,
    pub(crate) iat: i64,
    pub(crate) nbf: i64,
    pub(crate) jti: uuid::Uuid,
    pub(crate) sid: uuid::Uuid,
    pub(crate) auth_time: i64,
    pub(crate) amr: Vec<String>,
}

pub(crate) fn sign(claims: &Claims, key: &SigningKey) -> Result<String, Error> {
    let mut header = Header::new(Algorithm::EdDSA);
    header.typ = Some(TYPE.to_owned());
    header.kid = Some(key.id.clone());
    jsonwebtoken::encode(&header, claims, &key.private).map_err(|error| Error::SigningKeys(error.to_string()))
}

pub(crate) fn verify(token: &str, keys: &KeySet, audience: Audience<'_>, now: DateTime<Utc>) -> Result<Claims, Error> {
    if token.len() > MAX_BYTES {
        return Err(Error::InvalidAccessToken);
    }
    let header = jsonwebtoken::decode_header(token).map_err(|_| Error::InvalidAccessToken)?;
    let key = key_for(&header, keys).ok_or(Error::InvalidAccessToken)?;
    let claims =
        jsonwebtoken::decode::<Claims>(token, key, &signature_only()).map_err(|_| Error::InvalidAccessToken)?.claims;
    let now = now.timestamp();
    let fresh =
        claims.exp > now && claims.nbf <= now + CLOCK_SKEW && claims.iat <= now + CLOCK_SKEW && claims.iat < claims.exp;
    let ours = claims.iss == audience.issuer && claims.aud == audience.audience;
    if fresh && ours { Ok(claims) } else { Err(Error::InvalidAccessToken) }
}

/// The key the header names, provided the header is one we would write: nothing in it may lead to another key.
fn key_for<'a>(header: &Header, keys: &'a KeySet) -> Option<&'a DecodingKey> {
    let foreign = header.jku.is_some()
        || header.jwk.is_some()
        || header.x5u.is_some()
        || header.x5c.is_some()
        || header.x5t.is_some()
        || header.x5t_s256.is_some()
        || header.crit.is_some()
        || header.enc.is_some()
        || header.zip.is_some();
    if foreign || header.alg != Algorithm::EdDSA || header.typ.as_deref() != Some(TYPE) {
        return None;
    }
    keys.public(header.kid.as_deref()?)
}

/// The library checks the signature; every claim is checked above, against our own clock.
fn signature_only() -> Validation {
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    validation
}

/// How long an access token is good for.
pub(crate) const VALID_FOR: Duration = Duration::from_mins(10);

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    const AUDIENCE: Audience<'_> = Audience { issuer: "https://issuer.example", audience: "api" };
    const NOW: i64 = 1_700_000_000;

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(NOW, 0).expect("a time")
    }

    fn claims() -> Claims {
        Claims {
            iss: AUDIENCE.issuer.into(),
            sub: uuid::Uuid::nil(),
            aud: AUDIENCE.audience.into(),
            exp: NOW + 600,
            iat: NOW,
            nbf: NOW,
            jti: uuid::Uuid::nil(),
            sid: uuid::Uuid::nil(),
            auth_time: NOW,
            amr: vec!["pwd".into()],
        }
    }

    fn forge(header: &Value, claims: &Value, key: &SigningKey) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(header), part(claims));
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key.private, Algorithm::EdDSA).expect("signs");
        format!("{message}.{signature}")
    }

    fn header(key: &SigningKey) -> Value {
        json!({ "alg": "EdDSA", "typ": "at+jwt", "kid": key.id })
    }

    #[test]
    fn our_own_token_is_read_back() {
        let keys = KeySet::for_tests();
        let token = sign(&claims(), keys.current()).expect("signs");
        assert_eq!(verify(&token, &keys, AUDIENCE, now()).expect("valid"), claims());
    }

    #[test]
    fn every_wrong_claim_is_refused() {
        let keys = KeySet::for_tests();
        let wrong = [
            ("exp", json!(NOW)),
            ("exp", json!("9999999999")),
            ("exp", json!(-1)),
            ("exp", json!(1e30)),
            ("exp", Value::Null),
            ("nbf", json!(NOW + 60)),
            ("iat", json!(NOW + 60)),
            ("iss", json!("https://evil.example")),
            ("iss", Value::Null),
            ("aud", json!("other")),
            ("aud", json!(["api", "other"])),
            ("aud", Value::Null),
            ("sub", json!("root")),
        ];
        for (name, value) in wrong {
            let mut forged = serde_json::to_value(claims()).expect("JSON");
            forged[name] = value.clone();
            let token = forge(&header(keys.current()), &forged, keys.current());
            assert!(verify(&token, &keys, AUDIENCE, now()).is_err(), "{name} = {value}");
        }
    }

    #[test]
    fn every_wrong_header_is_refused() {
        let keys = KeySet::for_tests();
        let good = serde_json::to_value(claims()).expect("JSON");
        assert!(verify(&forge(&header(keys.current()), &good, keys.current()), &keys, AUDIENCE, now()).is_ok());
        let wrong = [
            ("alg", json!("none")),
            ("alg", json!("HS256")),
            ("alg", json!("ES256")),
            ("typ", json!("JWT")),
            ("typ", Value::Null),
            ("kid", json!("../../etc/passwd")),
            ("kid", json!("' OR 1=1")),
            ("kid", json!("x".repeat(10_000))),
            ("kid", json!("\0")),
            ("kid", Value::Null),
            ("jku", json!("https://evil.example")),
            ("x5u", json!("https://evil.example")),
            ("x5c", json!(["AA=="])),
            ("crit", json!(["exp"])),
        ];
        for (name, value) in wrong {
            let mut forged = header(keys.current());
            forged[name] = value.clone();
            let token = forge(&forged, &good, keys.current());
            assert!(verify(&token, &keys, AUDIENCE, now()).is_err(), "{name} = {value}");
        }
    }

    #[test]
    fn every_wrong_shape_is_refused() {
        let keys = KeySet::for_tests();
        let token = sign(&claims(), keys.current()).expect("signs");
        let (message, _) = token.rsplit_once('.').expect("three parts");
        let (head, _) = message.split_once('.').expect("three parts");
        for bad in [
            String::new(),
            head.to_owned(),
            message.to_owned(),
            format!("{message}."),
            format!("{token}.x"),
            format!("{token}="),
            format!("{token} "),
            format!("{token}AAAA"),
            "x".repeat(65_536),
        ] {
            assert!(verify(&bad, &keys, AUDIENCE, now()).is_err(), "{bad}");
        }
        let stranger = KeySet::for_tests();
        assert!(verify(&token, &stranger, AUDIENCE, now()).is_err(), "signed by a key we do not hold");
    }

    #[test]
    fn a_claim_given_twice_is_refused() {
        let keys = KeySet::for_tests();
        let twice = serde_json::to_string(&claims()).expect("JSON").replacen(
            '{',
            "{\"sub\":\"00000000-0000-0000-0000-000000000001\",",
            1,
        );
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let message = format!("{}.{}", part(&header(keys.current()).to_string()), part(&twice));
        let signature =
            jsonwebtoken::crypto::sign(message.as_bytes(), &keys.current().private, Algorithm::EdDSA).expect("signs");
        assert!(verify(&format!("{message}.{signature}"), &keys, AUDIENCE, now()).is_err());
    }

    proptest! {
        #[test]
        fn one_altered_character_is_noticed(position in 0_usize..400, replacement in "[A-Za-z0-9_-]") {
            let keys = KeySet::for_tests();
            let token = sign(&claims(), keys.current()).expect("signs");
            let position = position % token.len();
            let mut altered = token.clone();
            altered.replace_range(position..=position, &replacement);
            prop_assume!(altered != token);
            prop_assert!(verify(&altered, &keys, AUDIENCE, now()).is_err());
        }
    }
}
