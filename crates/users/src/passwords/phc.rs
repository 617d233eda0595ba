//! The stored form of a password hash: a PHC string with the pepper's generation as `keyid`.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;

/// Memory in KiB, passes and lanes (OWASP ASVS 5.0 appendix C).
pub(super) const PARAMETERS: Parameters = Parameters { memory: 19_456, passes: 2, lanes: 1 };

pub(super) const SALT_BYTES: usize = 16;
pub(super) const HASH_BYTES: usize = 32;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Parameters {
    pub(super) memory: u32,
    pub(super) passes: u32,
    pub(super) lanes: u32,
}

/// `$argon2id$v=19$m=…,t=…,p=…,keyid=…$salt$hash`
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hash {
    pub(super) parameters: Parameters,
    pub(super) pepper: u8,
    pub(super) salt: [u8; SALT_BYTES],
    pub(super) output: [u8; HASH_BYTES],
}

impl Hash {
    /// Random bytes in place of a hash.
    pub(super) fn unmatchable(pepper: u8) -> Self {
        let (salt, output) = (platform::ids::random_bytes(), platform::ids::random_bytes());
        Self { parameters: PARAMETERS, pepper, salt, output }
    }

    pub(super) fn is_current(&self, pepper: u8) -> bool {
        self.parameters == PARAMETERS && self.pepper == pepper
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Parameters { memory, passes, lanes } = self.parameters;
        let (salt, hash) = (STANDARD_NO_PAD.encode(self.salt), STANDARD_NO_PAD.encode(self.output));
        write!(f, "$argon2id$v=19$m={memory},t={passes},p={lanes},keyid={}${salt}${hash}", self.pepper)
    }
}

/// The stored text is not a hash of ours.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotAHash;

impl FromStr for Hash {
    type Err = NotAHash;

    fn from_str(text: &str) -> Result<Self, NotAHash> {
        let rest = text.strip_prefix("$argon2id$v=19$").ok_or(NotAHash)?;
        let [numbers, salt, hash] = rest.split('$').collect::<Vec<_>>()[..] else { return Err(NotAHash) };
        let [memory, passes, lanes, pepper] = numbers.split(',').collect::<Vec<_>>()[..] else { return Err(NotAHash) };
        Ok(Self {
            parameters: Parameters {
                memory: number(memory, "m=")?,
                passes: number(passes, "t=")?,
                lanes: number(lanes, "p=")?,
            },
            pepper: number(pepper, "keyid=")?,
            salt: bytes(salt)?,
            output: bytes(hash)?,
        })
    }
}

fn number<T: FromStr>(text: &str, name: &str) -> Result<T, NotAHash> {
    text.strip_prefix(name).and_then(|digits| digits.parse().ok()).ok_or(NotAHash)
}

fn bytes<const N: usize>(text: &str) -> Result<[u8; N], NotAHash> {
    STANDARD_NO_PAD.decode(text).ok().and_then(|bytes| bytes.try_into().ok()).ok_or(NotAHash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stored_form_reads_back_and_nonsense_does_not() {
        let hash = Hash::unmatchable(3);
        assert_eq!(hash.to_string().parse(), Ok(hash.clone()));
        assert!(hash.is_current(3) && !hash.is_current(4));
        for bad in ["", "$argon2i$v=19$m=1,t=1,p=1,keyid=1$a$b", "$argon2id$v=19$m=1,t=1,p=1$a$b", "plain"] {
            assert_eq!(bad.parse::<Hash>(), Err(NotAHash), "{bad}");
        }
    }
}
