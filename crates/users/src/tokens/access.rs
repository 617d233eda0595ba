//! The one place where access tokens are made and read (RFC 9068, RFC 8725). The library's defaults are lenient (a minute of
//! leeway; `nbf`, `iat`, `typ`, `crit` unchecked; `aud` as an intersection), so everything is said here.

use std::time::Duration;

use chrono::{DateTime, Utc};
use jsonwebtoken::{Algorithm, DecodingKey, Header};
use serde::{Deserialize, Serialize};

use super::header::{Refusal, read_header, signature_only};
use crate::Error;
use crate::signing_keys::{KeySet, SigningKey, is_key_id};

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

pub(crate) fn verify(
    token: &str,
    keys: &KeySet,
    audience: Audience<'_>,
    now: DateTime<Utc>,
) -> Result<Claims, Refusal> {
    if token.len() > MAX_BYTES {
        return Err(Refusal::Invalid);
    }
    let claims = keys.signed().get_or_read(token, || read_signed(token, keys))?;
    let now = now.timestamp();
    let fresh =
        claims.exp > now && claims.nbf <= now + CLOCK_SKEW && claims.iat <= now + CLOCK_SKEW && claims.iat < claims.exp;
    let ours = claims.iss == audience.issuer && claims.aud == audience.audience;
    if fresh && ours { Ok(claims) } else { Err(Refusal::Invalid) }
}

/// What the token says, provided one of our keys signed it.
fn read_signed(token: &str, keys: &KeySet) -> Result<Claims, Refusal> {
    let header = read_header(token, MAX_BYTES)?;
    let key = key_for(&header, keys)?;
    let read = jsonwebtoken::decode::<Claims>(token, key, &signature_only(Algorithm::EdDSA));
    Ok(read.map_err(|_| Refusal::Invalid)?.claims)
}

/// The key the header names, provided the header is one we would write.
fn key_for<'a>(header: &Header, keys: &'a KeySet) -> Result<&'a DecodingKey, Refusal> {
    let id = header.kid.as_deref().filter(|id| is_key_id(id)).ok_or(Refusal::Invalid)?;
    if header.alg != Algorithm::EdDSA || header.typ.as_deref() != Some(TYPE) {
        return Err(Refusal::Invalid);
    }
    keys.public(id).ok_or(Refusal::UnknownKey)
}

/// How long an access token is good for.
pub(crate) const VALID_FOR: Duration = Duration::from_mins(10);

#[cfg(test)]
mod tests;
