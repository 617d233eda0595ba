//! Moments as people say and read them.

use chrono::{DateTime, NaiveDate, SecondsFormat, TimeDelta, Utc};

/// A moment in the past, as it is typed: `90s`, `15m`, `2h` or `3d` ago, a day (from midnight, UTC), or RFC 3339.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Since {
    Ago(TimeDelta),
    At(DateTime<Utc>),
}

impl Since {
    /// What is typed, for clap.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let complaint = || "say how long ago (90s, 15m, 2h, 3d), or when (2026-01-31, 2026-01-31T12:00:00Z)".to_owned();
        if let Ok(at) = DateTime::parse_from_rfc3339(text) {
            return Ok(Self::At(at.to_utc()));
        }
        if let Some(midnight) = text.parse().ok().and_then(|day: NaiveDate| day.and_hms_opt(0, 0, 0)) {
            return Ok(Self::At(midnight.and_utc()));
        }
        let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(complaint)?;
        let number: u32 = number.parse().map_err(|_| complaint())?;
        let seconds = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 60 * 60,
            "d" => 24 * 60 * 60,
            _ => return Err(complaint()),
        };
        TimeDelta::try_seconds(i64::from(number) * seconds).map(Self::Ago).ok_or_else(complaint)
    }

    pub(super) fn at(self, now: DateTime<Utc>) -> DateTime<Utc> {
        match self {
            Self::Ago(span) => now.checked_sub_signed(span).unwrap_or(DateTime::UNIX_EPOCH),
            Self::At(at) => at,
        }
    }
}

/// A span of time in its largest unit: `42s`, `3m`, `5h`, `12d`.
pub(super) fn span(span: TimeDelta) -> String {
    let seconds = span.num_seconds().max(0);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m", seconds / 60),
        3_600..86_400 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// `3m ago`, or `in 3m`.
pub(super) fn seen_from(now: DateTime<Utc>, at: DateTime<Utc>) -> String {
    if at > now { format!("in {}", span(at - now)) } else { format!("{} ago", span(now - at)) }
}

/// `2026-01-31T12:00:00Z (3m ago)`.
pub(super) fn in_full(now: DateTime<Utc>, at: DateTime<Utc>) -> String {
    format!("{} ({})", at.to_rfc3339_opts(SecondsFormat::Secs, true), seen_from(now, at))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        DateTime::parse_from_rfc3339(text).expect("a moment").to_utc()
    }

    #[test]
    fn moments_are_typed_as_a_span_a_day_or_in_full() {
        let now = at("2026-01-31T12:00:00Z");
        for (text, expected) in [
            ("90s", "2026-01-31T11:58:30Z"),
            ("15m", "2026-01-31T11:45:00Z"),
            ("2h", "2026-01-31T10:00:00Z"),
            ("3d", "2026-01-28T12:00:00Z"),
            ("2026-01-30", "2026-01-30T00:00:00Z"),
            ("2026-01-30T06:00:00+02:00", "2026-01-30T04:00:00Z"),
        ] {
            assert_eq!(Since::parse(text).map(|since| since.at(now)), Ok(at(expected)), "{text}");
        }
        assert_eq!(Since::parse("4294967295d").map(|since| since.at(now)), Ok(DateTime::UNIX_EPOCH));
        for text in ["", "h", "2", "-2h", "2 h", "1w", "yesterday", "ü", "2026-02-30"] {
            let complaint = Since::parse(text).expect_err(text);
            assert!(complaint.contains("how long ago"), "{text}: {complaint}");
        }
    }

    #[test]
    fn moments_are_read_by_their_largest_unit() {
        let now = at("2026-01-31T12:00:00Z");
        for (moment, expected) in [
            ("2026-01-31T12:00:00Z", "0s ago"),
            ("2026-01-31T11:59:01Z", "59s ago"),
            ("2026-01-31T11:58:59Z", "1m ago"),
            ("2026-01-31T09:59:59Z", "2h ago"),
            ("2026-01-29T11:00:00Z", "2d ago"),
            ("2026-01-31T12:04:30Z", "in 4m"),
        ] {
            assert_eq!(seen_from(now, at(moment)), expected);
        }
        assert_eq!(in_full(now, at("2026-01-31T11:57:00.5Z")), "2026-01-31T11:57:00Z (2m ago)");
    }
}
