//! Which passwords are acceptable (ASVS 5.0 chapter 6.2): length and not being guessable, no composition rules. They are
//! judged and hashed exactly as received.

use crate::Error;

/// Longest in bytes; a code point has up to four.
const MAX_BYTES: usize = 512;

/// Passwords that lists of leaks lead with, of the lengths we accept. One a line.
const COMMON: &str = include_str!("common.txt");

/// Words shorter than this say nothing about a person or product.
const MIN_WORD: usize = 4;

/// Passes when the password may be used for this address.
pub(crate) fn check(password: &str, canonical_email: &str, product_name: &str) -> Result<(), Error> {
    let lower = password.to_lowercase();
    let refuse = |code, message: &str| Err(Error::WeakPassword(code, message.to_owned()));
    if password.len() > MAX_BYTES {
        return refuse("too_long", "must have at most 512 bytes");
    }
    if COMMON.lines().any(|common| common == lower) || is_repetition(&lower) || is_sequence(&lower) {
        return refuse("common_password", "is too easy to guess");
    }
    let local = canonical_email.split('@').next().unwrap_or_default();
    for (word, code) in [(local, "contains_email"), (&*product_name.to_lowercase(), "contains_product_name")] {
        if word.chars().count() >= MIN_WORD && lower.contains(word) {
            return refuse(code, "must not contain your e-mail address or the product's name");
        }
    }
    Ok(())
}

/// One short piece over and over: `aaaaaaaaaaaa`, `abcabcabcabc`.
fn is_repetition(text: &str) -> bool {
    let letters: Vec<char> = text.chars().collect();
    (1..=4).any(|piece| letters.len() > piece && letters.iter().zip(letters.iter().skip(piece)).all(|(a, b)| a == b))
}

/// Neighbours all the way: `123456789012`, `abcdefghijkl`, `zyxwvutsrqpo`.
fn is_sequence(text: &str) -> bool {
    let letters: Vec<u32> = text.chars().map(u32::from).collect();
    let steps = |up: bool| {
        letters.windows(2).filter(|pair| if up { pair[0] + 1 == pair[1] } else { pair[1] + 1 == pair[0] }).count()
    };
    letters.len() > 2 && (steps(true) + 2 >= letters.len() || steps(false) + 2 >= letters.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(password: &str) -> Option<&'static str> {
        match check(password, "ada.lovelace@example.com", "Fieldstone") {
            Ok(()) => None,
            Err(Error::WeakPassword(code, _)) => Some(code),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn guessable_passwords_are_refused_with_the_reason() {
        for (password, expected) in [
            ("passwordpassword", Some("common_password")),
            ("aaaaaaaaaaaa", Some("common_password")),
            ("abcabcabcabc", Some("common_password")),
            ("123456789012", Some("common_password")),
            ("zyxwvutsrqponm", Some("common_password")),
            ("my ada.lovelace pw", Some("contains_email")),
            ("FIELDSTONE rocks!", Some("contains_product_name")),
            ("correct horse battery staple", None),
            ("            x", None),
            ("👩‍🚀👩‍🚀 to the moon", None),
        ] {
            assert_eq!(code(password), expected, "{password:?}");
        }
    }

    #[test]
    fn the_list_holds_only_what_length_would_let_through() {
        assert!(COMMON.lines().count() > 50);
        assert!(COMMON.lines().all(|line| line.chars().count() >= 12 && line == line.to_lowercase()));
    }
}
