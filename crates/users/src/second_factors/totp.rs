//! Time-based one-time passwords (RFC 6238) as every authenticator app makes them: HMAC-SHA-1, six digits, another code every
//! 30 seconds. SHA-1 is what the apps can do; its collisions do not matter to an HMAC.

use aws_lc_rs::hmac::{HMAC_SHA1_FOR_LEGACY_USE_ONLY, Key, sign};
use chrono::{DateTime, Utc};
use subtle::ConstantTimeEq;

/// 160 bits, as RFC 4226 section 4 recommends.
pub(super) const SECRET_BYTES: usize = 20;

const SECONDS: i64 = 30;

/// The step whose code this is. The one before and the one after the current count as well, for clocks that differ a little
/// (RFC 6238 section 5.2); those up to `spent` do not any more.
pub(super) fn accepted_step(secret: &[u8], code: &str, now: DateTime<Utc>, spent: Option<i64>) -> Option<i64> {
    let current = now.timestamp().div_euclid(SECONDS);
    let is_fresh = |step: &i64| spent.is_none_or(|spent| *step > spent);
    let is_its_code = |step: &i64| bool::from(code_of(secret, *step).as_bytes().ct_eq(code.as_bytes()));
    (current - 1..=current + 1).filter(is_fresh).find(is_its_code)
}

fn code_of(secret: &[u8], step: i64) -> String {
    format!("{:06}", truncated(secret, step) % 1_000_000)
}

/// Four of the bytes, chosen by the last one, without the sign (RFC 4226 section 5.3).
fn truncated(secret: &[u8], step: i64) -> u32 {
    let tag = sign(&Key::new(HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret), &step.to_be_bytes());
    let bytes = tag.as_ref();
    let offset = usize::from(bytes[bytes.len() - 1] & 0xf);
    let four = [bytes[offset], bytes[offset + 1], bytes[offset + 2], bytes[offset + 3]];
    u32::from_be_bytes(four) & 0x7fff_ffff
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6238 appendix B, for SHA-1; the codes there have eight digits.
    const SECRET: &[u8] = b"12345678901234567890";
    const VECTORS: [(i64, u32); 6] = [
        (59, 94_287_082),
        (1_111_111_109, 7_081_804),
        (1_111_111_111, 14_050_471),
        (1_234_567_890, 89_005_924),
        (2_000_000_000, 69_279_037),
        (20_000_000_000, 65_353_130),
    ];

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).expect("a time")
    }

    #[test]
    fn the_codes_are_those_of_rfc_6238() {
        for (seconds, code) in VECTORS {
            assert_eq!(truncated(SECRET, seconds / SECONDS) % 100_000_000, code, "at {seconds}");
            let six = format!("{:06}", code % 1_000_000);
            assert_eq!(accepted_step(SECRET, &six, at(seconds), None), Some(seconds / SECONDS), "at {seconds}");
        }
    }

    #[test]
    fn the_truncation_is_that_of_rfc_4226() {
        // Appendix D: the first ten values of the counter.
        let codes =
            ["755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489"];
        for (step, code) in (0..).zip(codes) {
            assert_eq!(code_of(SECRET, step), code, "{step}");
        }
    }

    #[test]
    fn neighbours_count_and_steps_further_away_or_spent_do_not() {
        let now = at(1_234_567_890);
        let current = 1_234_567_890 / SECONDS;
        for (step, spent, accepted) in [
            (current - 2, None, false),
            (current - 1, None, true),
            (current, None, true),
            (current + 1, None, true),
            (current + 2, None, false),
            (current, Some(current), false),
            (current - 1, Some(current), false),
            (current, Some(current - 1), true),
            (current + 1, Some(current), true),
        ] {
            let found = accepted_step(SECRET, &code_of(SECRET, step), now, spent);
            assert_eq!(found, accepted.then_some(step), "{step} with {spent:?} spent");
        }
    }

    #[test]
    fn what_is_no_code_is_refused() {
        for code in ["", "0", "00000a", "9005924", "005924 ", "0059240", "٠٠٥٩٢٤"] {
            assert_eq!(accepted_step(SECRET, code, at(1_234_567_890), None), None, "{code}");
        }
    }
}
