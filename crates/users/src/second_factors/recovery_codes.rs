use super::base32;
use crate::tokens::OneTimeToken;

/// How many somebody gets.
pub(super) const COUNT: usize = 10;

/// Opens the account once when the app is gone: 120 random bits. Only the SHA-256 is stored; guessing is hopeless, so no salt
/// (OWASP ASVS 5.0, 6.5.2).
pub(crate) struct RecoveryCode(String);

impl RecoveryCode {
    pub(super) fn new() -> Self {
        let letters: Vec<char> =
            base32::encode(&platform::ids::random_bytes::<15>()).to_ascii_lowercase().chars().collect();
        let groups: Vec<String> = letters.chunks(4).map(|group| group.iter().collect()).collect();
        Self(groups.join("-"))
    }

    /// The code itself, for the answer that shows it.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }

    pub(super) fn hash(&self) -> [u8; 32] {
        hash_of(&self.0)
    }
}

/// However somebody copied it: hyphens, spaces and capitals make no difference.
pub(super) fn hash_of(typed: &str) -> [u8; 32] {
    let letters: String = typed.chars().filter(|letter| *letter != '-' && !letter.is_whitespace()).collect();
    OneTimeToken::hash_of(&letters.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_the_same_however_it_is_typed() {
        let code = RecoveryCode::new();
        let typed = code.reveal();
        assert_eq!((typed.len(), typed.matches('-').count()), (29, 5), "{typed}");
        for spelling in [typed.to_owned(), typed.to_uppercase(), typed.replace('-', ""), typed.replace('-', " ")] {
            assert_eq!(hash_of(&spelling), code.hash(), "{spelling}");
        }
        assert_ne!(RecoveryCode::new().hash(), code.hash());
    }
}
