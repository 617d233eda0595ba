//! Base32 (RFC 4648 section 6): what apps read secrets in, and people copy by hand.

const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// Whole groups of five bytes need no padding.
pub(super) fn encode<const N: usize>(bytes: &[u8; N]) -> String {
    const { assert!(N.is_multiple_of(5), "groups of five bytes") };
    let mut text = String::with_capacity(N / 5 * 8);
    for group in bytes.chunks(5) {
        let bits = group.iter().fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
        for place in (0..8).rev() {
            let [.., low] = (bits >> (place * 5)).to_be_bytes();
            text.push(char::from(LETTERS[usize::from(low & 31)]));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_letters_are_those_of_rfc_4648() {
        assert_eq!(encode(b"fooba"), "MZXW6YTB");
        assert_eq!(encode(b"12345678901234567890"), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        assert_eq!(encode(&[0xff; 5]), "77777777");
    }
}
