//! Tokens whose signature was found right. A client shows the same one for ten minutes, and checking its signature costs more
//! than anything else in a small request, so it is checked once. What the token says is compared with clock, audience and
//! session every time. The memory belongs to one set of keys and goes with it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::{Claims, OneTimeToken, Refusal};

/// How many are remembered; when there are more, all are forgotten and it begins anew.
const MAX_TOKENS: usize = 10_000;

/// What they say, by the token's SHA-256.
#[derive(Default)]
pub(crate) struct SignedTokens(Mutex<HashMap<[u8; 32], Claims>>);

impl SignedTokens {
    /// What the token says, as remembered, or as `read` finds it with a right signature.
    pub(super) fn get_or_read(
        &self,
        token: &str,
        read: impl FnOnce() -> Result<Claims, Refusal>,
    ) -> Result<Claims, Refusal> {
        let hash = OneTimeToken::hash_of(token);
        if let Some(claims) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&hash) {
            return Ok(claims.clone());
        }
        let claims = read()?;
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_TOKENS {
            known.clear();
        }
        known.insert(hash, claims.clone());
        Ok(claims)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(number: usize) -> Claims {
        let nobody = uuid::Uuid::nil();
        let (iss, aud) = (number.to_string(), String::new());
        Claims {
            iss,
            sub: nobody,
            aud,
            exp: 0,
            iat: 0,
            nbf: 0,
            jti: nobody,
            sid: nobody,
            auth_time: 0,
            amr: Vec::new(),
        }
    }

    #[test]
    fn only_what_was_right_is_remembered() {
        let tokens = SignedTokens::default();
        assert_eq!(tokens.get_or_read("a", || Err(Refusal::Invalid)), Err(Refusal::Invalid));
        assert_eq!(tokens.get_or_read("a", || Ok(claims(1))), Ok(claims(1)));
        assert_eq!(tokens.get_or_read("a", || Err(Refusal::Invalid)), Ok(claims(1)));
        assert_eq!(tokens.get_or_read("b", || Err(Refusal::Invalid)), Err(Refusal::Invalid));
    }

    #[test]
    fn the_number_of_remembered_tokens_is_bounded() {
        let tokens = SignedTokens::default();
        for number in 0..MAX_TOKENS + 5 {
            tokens.get_or_read(&number.to_string(), || Ok(claims(number))).expect("read");
        }
        assert_eq!(tokens.0.lock().expect("not poisoned").len(), 5);
    }
}
