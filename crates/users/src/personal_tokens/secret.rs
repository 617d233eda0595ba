use crate::tokens::OneTimeToken;

/// What every token begins with, for people and for programs that look for secrets in the wrong places.
pub(crate) const PREFIX: &str = "pat_";

const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// As many letters as 256 bits need, and 32 bits.
const RANDOM_LETTERS: usize = 43;
const CHECK_LETTERS: usize = 6;
const LENGTH: usize = PREFIX.len() + RANDOM_LETTERS + CHECK_LETTERS;

/// A personal token as its owner sees it once: `pat_`, 256 random bits, and a checksum over both, so that a typing error or a
/// made up token costs no query. Not `Debug`.
pub(crate) struct TokenSecret(String);

impl TokenSecret {
    pub(super) fn new() -> Self {
        let text = format!("{PREFIX}{}", letters::<RANDOM_LETTERS>(&mut platform::ids::random_bytes::<32>()));
        let check = checksum(&text);
        Self(text + &check)
    }

    /// The token itself, for the answer that shows it.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }

    /// By what its owner recognises it later. It says nothing about the random bits that the checksum does not say.
    pub(super) fn ends_with(&self) -> &str {
        &self.0[LENGTH - 4..]
    }

    pub(super) fn hash(&self) -> [u8; 32] {
        OneTimeToken::hash_of(&self.0)
    }
}

/// The hash of what may be a token; nothing for what none of ours can be.
pub(super) fn hash_of(presented: &str) -> Option<[u8; 32]> {
    let (text, check) = presented.split_at_checked(LENGTH - CHECK_LETTERS)?;
    let ours = text.starts_with(PREFIX) && check == checksum(text);
    ours.then(|| OneTimeToken::hash_of(presented))
}

fn checksum(text: &str) -> String {
    letters::<CHECK_LETTERS>(&mut crc32(text.as_bytes()).to_be_bytes())
}

/// CRC-32 as in zip and Ethernet (ISO 3309), bit by bit: tokens are short.
fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            let carry = crc & 1;
            crc = (crc >> 1) ^ (0xedb8_8320 * carry);
        }
    }
    !crc
}

/// A big-endian number in base 62 with leading zeros; leaves what `N` letters cannot hold behind in `number`.
fn letters<const N: usize>(number: &mut [u8]) -> String {
    let mut text = [b'0'; N];
    for place in text.iter_mut().rev() {
        let mut remainder = 0_u16;
        for digit in number.iter_mut() {
            let value = remainder << 8 | u16::from(*digit);
            let [_, quotient] = (value / 62).to_be_bytes();
            *digit = quotient;
            remainder = value % 62;
        }
        *place = LETTERS[usize::from(remainder)];
    }
    text.iter().copied().map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_checksum_is_the_usual_crc_32() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(crc32(b""), 0);
    }

    #[test]
    fn numbers_are_written_in_full() {
        assert_eq!(letters::<6>(&mut [0; 4]), "000000");
        assert_eq!(letters::<6>(&mut 61_u32.to_be_bytes()), "00000z");
        assert_eq!(letters::<6>(&mut 62_u32.to_be_bytes()), "000010");
        assert_eq!(letters::<6>(&mut u32::MAX.to_be_bytes()), "4gfFC3");
        let mut most = [0xff; 32];
        assert_eq!((letters::<RANDOM_LETTERS>(&mut most).len(), most), (43, [0; 32]), "nothing is lost");
    }

    #[test]
    fn only_whole_tokens_of_ours_have_a_hash() {
        let token = TokenSecret::new();
        let text = token.reveal();
        assert_eq!((text.len(), hash_of(text)), (LENGTH, Some(token.hash())));
        assert!(text.ends_with(token.ends_with()) && token.ends_with().len() == 4);
        let foreign = text.replacen("pat_", "pbt_", 1);
        for other in ["", "pat_", &text[..LENGTH - 1], &format!("{text}0"), &foreign, &"é".repeat(LENGTH)] {
            assert_eq!(hash_of(other), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn one_altered_letter_is_noticed(place in 0..LENGTH, letter in "[0-9A-Za-z]") {
            let token = TokenSecret::new();
            let mut altered = token.reveal().to_owned();
            altered.replace_range(place..=place, &letter);
            prop_assume!(altered != token.reveal());
            prop_assert_eq!(hash_of(&altered), None);
        }
    }
}
