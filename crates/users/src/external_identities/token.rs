//! Reads an issuer's access tokens, as strictly as our own (RFC 9068, RFC 8725).

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;

use super::IssuerConfig;
use super::issuer::Issuer;
use crate::Error;
use crate::tokens::{read_header, signature_only};

/// Issuers write longer tokens than we do; more does not fit beside other headers.
const MAX_BYTES: usize = 8 * 1024;

/// How far the issuer's clock may be ahead of ours.
const CLOCK_SKEW: i64 = 30;

/// Nobody can end such a token before its time, so that must not be far: a day.
const LONGEST_LIFE: i64 = 86_400;

const MAX_SUBJECT: usize = 255;
const MAX_NAME: usize = 100;

/// What a token says, as far as we listen. Times in seconds since 1970.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Claims {
    iss: String,
    /// Names the person within the issuer.
    pub(super) sub: String,
    aud: Audiences,
    exp: i64,
    iat: i64,
    nbf: Option<i64>,
    /// When the person logged in.
    pub(super) auth_time: Option<i64>,
    email: Option<String>,
    email_verified: Option<Value>,
    name: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Audiences {
    One(String),
    Many(Vec<String>),
}

impl Audiences {
    fn all(&self) -> &[String] {
        match self {
            Audiences::One(audience) => std::slice::from_ref(audience),
            Audiences::Many(audiences) => audiences,
        }
    }
}

impl Claims {
    /// The address, if the issuer checked that it is the person's. Only `true` is a yes.
    pub(super) fn proven_email(&self) -> Option<&str> {
        self.email.as_deref().filter(|_| self.email_verified == Some(Value::Bool(true)))
    }

    /// What to call the person: as the issuer does, else by the first part of the address.
    pub(super) fn display_name(&self, email: &str) -> String {
        let named = self.name.as_deref().unwrap_or_default();
        let named: String = named.chars().filter(|letter| !letter.is_control()).take(MAX_NAME).collect();
        let named = named.trim();
        if named.is_empty() { email.split('@').next().unwrap_or(email).to_owned() } else { named.to_owned() }
    }

    fn hold(&self, config: &IssuerConfig, now: i64) -> bool {
        let fresh = self.exp > now
            && self.iat <= now + CLOCK_SKEW
            && self.nbf.is_none_or(|nbf| nbf <= now + CLOCK_SKEW)
            && self.auth_time.is_none_or(|auth_time| auth_time <= now + CLOCK_SKEW)
            && self.iat < self.exp
            && self.exp.saturating_sub(self.iat) <= LONGEST_LIFE;
        let known = |audience: &String| *audience == config.audience || config.other_audiences.contains(audience);
        let ours =
            self.iss == config.url && self.aud.all().contains(&config.audience) && self.aud.all().iter().all(known);
        let named = !self.sub.is_empty() && self.sub.chars().count() <= MAX_SUBJECT && !self.sub.contains('\0');
        fresh && ours && named
    }
}

/// What the token says, if the issuer signed it for us and it is good now. At most, a key is looked for at the one place that is
/// configured.
pub(super) async fn verify(token: &str, issuer: &Issuer, now: DateTime<Utc>) -> Result<Claims, Error> {
    let header = read_header(token, MAX_BYTES).map_err(|_| Error::InvalidAccessToken)?;
    let config = issuer.config();
    let is_access_token = header.typ.as_deref().is_some_and(|typ| typ.eq_ignore_ascii_case(&config.token_type));
    if !is_access_token || !issuer.accepts(header.alg) {
        return Err(Error::InvalidAccessToken);
    }
    let kid = header.kid.as_deref().ok_or(Error::InvalidAccessToken)?;
    let keys = issuer.keys_with(kid).await?;
    let key = keys.get(kid).ok_or(Error::InvalidAccessToken)?;
    if key.algorithm != header.alg {
        return Err(Error::InvalidAccessToken);
    }
    let read = jsonwebtoken::decode::<Claims>(token, &key.public, &signature_only(key.algorithm));
    let claims = read.map_err(|_| Error::InvalidAccessToken)?.claims;
    if claims.hold(config, now.timestamp()) { Ok(claims) } else { Err(Error::InvalidAccessToken) }
}
