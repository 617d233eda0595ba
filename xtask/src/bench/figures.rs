//! Amounts that were measured, as people read them. Everything is counted in whole numbers.

use std::time::Duration;

use crate::statistics::median;

pub(super) fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// The median over rounds.
pub(super) fn middle<T>(rounds: &[T], of: impl Fn(&T) -> u64) -> u64 {
    median(&rounds.iter().map(of).collect::<Vec<_>>()).unwrap_or_default()
}

/// In hundredths. Rounds that stood side by side are compared, as a machine has better and worse moments.
pub(super) fn ratio<T>(ours: &[T], other: &[T], of: impl Fn(&T) -> u64) -> u64 {
    let ratios = ours.iter().zip(other).map(|(ours, other)| share(of(ours), of(other)));
    median(&ratios.collect::<Vec<_>>()).unwrap_or_default()
}

/// What part of another amount this one is, in hundredths.
pub(super) fn share(amount: u64, of: u64) -> u64 {
    (amount * 100 + of / 2) / of.max(1)
}

/// How often something happened in a second.
pub(super) fn per_second(count: u64, elapsed: Duration) -> u64 {
    let nanoseconds = u128::from(nanoseconds(elapsed).max(1));
    u64::try_from(u128::from(count) * 1_000_000_000 / nanoseconds).unwrap_or(u64::MAX)
}

/// What each of so many took.
pub(super) fn each(time: Duration, count: u64) -> Duration {
    time / u32::try_from(count).unwrap_or(u32::MAX).max(1)
}

pub(super) fn hundredths(amount: u64) -> String {
    format!("{}.{:02}", amount / 100, amount % 100)
}

pub(super) fn milliseconds(nanoseconds: u64) -> String {
    hundredths((nanoseconds + 5_000) / 10_000)
}

pub(super) fn microseconds(nanoseconds: u64) -> String {
    let tenths = (nanoseconds + 50) / 100;
    format!("{}.{}", tenths / 10, tenths % 10)
}

pub(super) fn mebibytes(kibibytes: u64) -> String {
    ((kibibytes + 512) / 1024).to_string()
}

/// With spaces between the thousands.
pub(super) fn thousands(amount: u64) -> String {
    let digits = amount.to_string();
    let from_right = |(at, digit): (usize, char)| {
        let gap = at > 0 && (digits.len() - at).is_multiple_of(3);
        if gap { vec![' ', digit] } else { vec![digit] }
    };
    digits.chars().enumerate().flat_map(from_right).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_are_compared_side_by_side() {
        assert_eq!(ratio(&[80, 900, 9], &[100, 1000, 10], |rate| *rate), 90);
        assert_eq!(middle(&[80, 900, 9], |rate| *rate), 80);
        assert_eq!(ratio::<u64>(&[], &[], |rate| *rate), 0);
    }

    #[test]
    fn amounts_are_rounded() {
        assert_eq!(milliseconds(1_234_999), "1.23");
        assert_eq!(milliseconds(1_235_000), "1.24");
        assert_eq!(microseconds(56_789), "56.8");
        assert_eq!(hundredths(85), "0.85");
        assert_eq!(mebibytes(1_536), "2");
        assert_eq!(share(1, 0), 100);
    }

    #[test]
    fn rates_and_parts_survive_nothing() {
        assert_eq!(per_second(500, Duration::from_millis(250)), 2_000);
        assert_eq!(per_second(0, Duration::ZERO), 0);
        assert_eq!(each(Duration::from_secs(1), 0), Duration::from_secs(1));
    }

    #[test]
    fn thousands_are_set_apart() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(thousands), ["0", "999", "1 000", "1 234 567"]);
    }
}
