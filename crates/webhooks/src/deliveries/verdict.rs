//! What follows from an attempt.

use std::time::Duration;

use platform::ids::random_bytes;
use platform::outbound::{OutboundAnswer, OutboundError};
use uuid::Uuid;

use super::{Attempt, DeliveryId, DeliveryStatus};
use crate::endpoints::EndpointId;

/// The pauses between attempts (Standard Webhooks 1.0, "Deliverability and reliability"): about 28 hours in all.
const SCHEDULE: [Duration; 7] = [
    Duration::from_secs(5),
    Duration::from_mins(5),
    Duration::from_mins(30),
    Duration::from_hours(2),
    Duration::from_hours(5),
    Duration::from_hours(10),
    Duration::from_hours(10),
];

/// How long an endpoint may make us wait beyond the schedule.
const LONGEST_RETRY_AFTER: Duration = Duration::from_hours(1);

/// How far a pause may differ from the schedule, in thousandths either way.
const JITTER: u32 = 200;

/// How much of an answer is kept, in characters.
const ANSWER_KEPT: usize = 4096;

/// How an attempt ended.
pub(super) struct Outcome {
    pub(super) delivery: DeliveryId,
    pub(super) endpoint: EndpointId,
    pub(super) lease: Uuid,
    pub(super) attempt: Attempt,
    pub(super) verdict: Verdict,
    /// Whether the endpoint is to blame.
    pub(super) at_fault: bool,
}

/// What becomes of the delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It arrived.
    Delivered,
    /// It is tried again after this pause.
    Retry(Duration),
    /// It is given up.
    Dead,
    /// It is given up, and the endpoint wants nothing more.
    Gone,
}

impl Verdict {
    pub(super) fn status(self) -> DeliveryStatus {
        match self {
            Self::Delivered => DeliveryStatus::Delivered,
            Self::Retry(_) => DeliveryStatus::Pending,
            Self::Dead | Self::Gone => DeliveryStatus::Dead,
        }
    }

    /// For metrics.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Retry(_) => "retry",
            Self::Dead => "dead",
            Self::Gone => "gone",
        }
    }

    pub(super) fn pause_ms(self) -> Option<i64> {
        match self {
            Self::Retry(pause) => Some(i64::try_from(pause.as_millis()).unwrap_or(i64::MAX)),
            _ => None,
        }
    }

    pub(super) fn is_gone(self) -> bool {
        self == Self::Gone
    }
}

/// Why there was no answer, or none at all as nothing was sent.
#[derive(Debug)]
pub(super) enum Failure {
    /// The call failed.
    Call(OutboundError),
    /// It took longer than any call may.
    TooSlow(Duration),
    /// No key of the endpoint can be used; unsigned messages are not sent.
    Unsigned,
    /// The message is older than what is kept.
    Expired,
    /// We panicked.
    Crashed,
}

impl Failure {
    /// The stable name, kept in the database.
    fn class(&self) -> &'static str {
        match self {
            Self::Call(error) => error.class(),
            Self::TooSlow(_) => "timeout",
            Self::Unsigned => "unsigned",
            Self::Expired => "expired",
            // What went wrong with us is nothing its organization could act on.
            Self::Crashed => "other",
        }
    }

    fn duration(&self) -> Duration {
        match self {
            Self::Call(error) => error.duration(),
            Self::TooSlow(duration) => *duration,
            Self::Unsigned | Self::Expired | Self::Crashed => Duration::ZERO,
        }
    }
}

/// What an attempt brought.
pub(super) type Response = Result<OutboundAnswer, Failure>;

/// Decides what follows from an attempt, the first after `failed` others.
pub(super) fn judge(response: &Response, failed: i32) -> Verdict {
    let retry = |at_least: Duration| match usize::try_from(failed).ok().and_then(|failed| SCHEDULE.get(failed)) {
        Some(pause) => Verdict::Retry(jittered(*pause, u32::from_le_bytes(random_bytes())).max(at_least)),
        None => Verdict::Dead,
    };
    match response {
        Ok(answer) => match answer.status.as_u16() {
            200..=299 => Verdict::Delivered,
            410 => Verdict::Gone,
            429 | 503 => retry(answer.retry_after.unwrap_or_default().min(LONGEST_RETRY_AFTER)),
            _ => retry(Duration::ZERO),
        },
        Err(Failure::Expired) => Verdict::Dead,
        Err(_) => retry(Duration::ZERO),
    }
}

/// Whether an attempt failed by the endpoint's fault, also when it only asks for time. What goes wrong with us says nothing
/// about it.
pub(super) fn is_at_fault(response: &Response) -> bool {
    match response {
        Ok(answer) => !answer.status.is_success(),
        Err(Failure::Call(_) | Failure::TooSlow(_)) => true,
        Err(Failure::Unsigned | Failure::Expired | Failure::Crashed) => false,
    }
}

/// The status, how long it took, why it failed and the beginning of the answer, as they are kept.
pub(super) fn describe(response: &Response) -> (Option<i16>, i32, Option<String>, Option<String>) {
    match response {
        Ok(answer) => {
            let error = (!answer.status.is_success()).then(|| "http_status".to_owned());
            let status = i16::try_from(answer.status.as_u16()).ok();
            (status, milliseconds(answer.duration), error, Some(readable(&answer.excerpt)))
        }
        Err(failure) => (None, milliseconds(failure.duration()), Some(failure.class().to_owned()), None),
    }
}

fn milliseconds(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}

/// Text that PostgreSQL keeps, which has no NUL.
fn readable(excerpt: &[u8]) -> String {
    String::from_utf8_lossy(excerpt).chars().take(ANSWER_KEPT).map(|c| if c == '\0' { '\u{fffd}' } else { c }).collect()
}

/// The pause, shorter or longer by at most [`JITTER`], so that what failed together is not tried again together.
pub(super) fn jittered(pause: Duration, chance: u32) -> Duration {
    pause * (1_000 - JITTER + chance % (2 * JITTER + 1)) / 1_000
}

#[cfg(test)]
mod tests {
    use platform::http::StatusCode;
    use proptest::prelude::*;

    use super::*;

    #[expect(clippy::unnecessary_wraps, reason = "the tests judge responses")]
    fn answer(status: u16, retry_after: Option<u64>) -> Response {
        Ok(OutboundAnswer {
            status: StatusCode::from_u16(status).expect("a status"),
            excerpt: b"a\0\xff".to_vec(),
            retry_after: retry_after.map(Duration::from_secs),
            duration: Duration::from_millis(7),
        })
    }

    fn pause(response: &Response, failed: i32) -> Duration {
        match judge(response, failed) {
            Verdict::Retry(pause) => pause,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn only_a_2xx_has_arrived_and_410_is_the_end() {
        for status in [200, 201, 204, 299] {
            assert_eq!(judge(&answer(status, None), 0), Verdict::Delivered, "{status}");
        }
        for status in [301, 302, 307, 400, 404, 429, 500, 503] {
            assert!(matches!(judge(&answer(status, None), 0), Verdict::Retry(_)), "{status}");
        }
        assert_eq!(judge(&answer(410, None), 0), Verdict::Gone);
        assert_eq!(judge(&Err(Failure::Expired), 0), Verdict::Dead);
        assert!(matches!(judge(&Err(Failure::Unsigned), 0), Verdict::Retry(_)));
    }

    #[test]
    fn an_endpoint_is_blamed_for_what_it_answers_and_not_for_our_mistakes() {
        for status in [301, 400, 410, 429, 500, 503] {
            assert!(is_at_fault(&answer(status, Some(60))), "{status}");
        }
        assert!(is_at_fault(&Err(Failure::TooSlow(Duration::ZERO))));
        for ours in [Failure::Unsigned, Failure::Expired, Failure::Crashed] {
            assert!(!is_at_fault(&Err(ours)));
        }
        assert!(!is_at_fault(&answer(204, None)));
    }

    #[test]
    fn the_eighth_failure_is_the_last() {
        for (failed, planned) in (0..).zip(SCHEDULE) {
            let pause = pause(&answer(500, None), failed);
            assert!(pause >= planned * 8 / 10 && pause <= planned * 12 / 10, "{pause:?} instead of {planned:?}");
        }
        assert_eq!(judge(&answer(500, None), 7), Verdict::Dead);
        assert_eq!(judge(&answer(503, Some(60)), 7), Verdict::Dead);
    }

    #[test]
    fn retry_after_lengthens_a_pause_within_bounds() {
        assert_eq!(pause(&answer(429, Some(600)), 0), Duration::from_mins(10));
        assert_eq!(pause(&answer(503, Some(1_000_000)), 0), LONGEST_RETRY_AFTER);
        assert!(pause(&answer(503, Some(1)), 1) >= Duration::from_mins(4), "never sooner than planned");
        assert!(pause(&answer(500, Some(600)), 0) <= Duration::from_secs(6), "only 429 and 503 may ask");
    }

    #[test]
    fn what_is_kept_is_text() {
        let (status, duration, error, text) = describe(&answer(200, None));
        assert_eq!((status, duration, error, text.as_deref()), (Some(200), 7, None, Some("a\u{fffd}\u{fffd}")));
        assert_eq!(describe(&answer(302, None)).2.as_deref(), Some("http_status"));
        assert_eq!(
            describe(&Err(Failure::TooSlow(Duration::from_secs(1)))),
            (None, 1_000, Some("timeout".into()), None)
        );
        assert_eq!(readable(&[0xff; 5_000]).chars().count(), ANSWER_KEPT);
    }

    proptest! {
        #[test]
        fn jitter_stays_within_a_fifth(chance: u32, seconds in 1_u64..100_000) {
            let (pause, planned) = (jittered(Duration::from_secs(seconds), chance), Duration::from_secs(seconds));
            prop_assert!(pause >= planned * 8 / 10 && pause <= planned * 12 / 10);
        }
    }
}
