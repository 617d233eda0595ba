//! What every token has to look like before a key is looked for, be it ours or that of an issuer we trust.

use jsonwebtoken::{Algorithm, Header, Validation};

/// Why a token is refused. Clients are not told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It is well-formed and names a key that could be one of ours, but is not known here.
    UnknownKey,
    /// Anything else.
    Invalid,
}

/// Reads the header, provided it is short enough and nothing in it may lead to another key than the one it names.
pub(crate) fn read_header(token: &str, max_bytes: usize) -> Result<Header, Refusal> {
    if token.len() > max_bytes {
        return Err(Refusal::Invalid);
    }
    let header = jsonwebtoken::decode_header(token).map_err(|_| Refusal::Invalid)?;
    let leads_elsewhere = header.jku.is_some()
        || header.jwk.is_some()
        || header.x5u.is_some()
        || header.x5c.is_some()
        || header.x5t.is_some()
        || header.x5t_s256.is_some();
    let is_more_than_signed = header.crit.is_some() || header.enc.is_some() || header.zip.is_some();
    if leads_elsewhere || is_more_than_signed { Err(Refusal::Invalid) } else { Ok(header) }
}

/// The library checks the signature; every claim is checked by us, against our own clock.
pub(crate) fn signature_only(algorithm: Algorithm) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    validation
}
