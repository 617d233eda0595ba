//! How an endpoint is doing: when it is left alone for a while, and when for good.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::verdict::jittered;
use crate::endpoints::DisabledReason;

/// After so many failed attempts, and none that arrived, nothing is sent for a while.
const PATIENCE: i32 = 10;

/// The first pause. Each is twice as long as the one before, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(30);
const LONGEST_PAUSE: Duration = Duration::from_mins(10);

/// An endpoint at which nothing arrived for so long is disabled.
const GIVEN_UP_AFTER: TimeDelta = TimeDelta::days(5);

/// How many deliveries are on their way to an endpoint that failed and was left alone: one, to see whether it works again.
pub(super) const PROBES: i32 = 1;

/// What is known of how an endpoint is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Health {
    /// Failed attempts since the last success.
    pub(super) consecutive_failures: i32,
    /// Nothing is sent before. It stays when it has passed, until something arrives.
    pub(super) paused_until: Option<DateTime<Utc>>,
    /// How often it was left alone since the last success.
    pub(super) pauses: i32,
    /// The first failure since the last success.
    pub(super) failing_since: Option<DateTime<Utc>>,
    /// Nothing is sent at all.
    pub(super) disabled: bool,
}

/// What some attempts said about an endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Signs {
    /// Something arrived.
    pub(super) delivered: bool,
    /// How many attempts failed by its fault.
    pub(super) failed: i32,
    /// It said that it wants no more.
    pub(super) gone: bool,
}

/// What follows from them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Turn {
    pub(super) health: Health,
    /// It is left alone from now on, or once more.
    pub(super) paused: bool,
    /// It is disabled from now on.
    pub(super) disabled: Option<DisabledReason>,
}

impl Turn {
    /// Why it is disabled, as it is stored.
    pub(super) fn reason(&self) -> Option<&'static str> {
        self.disabled.map(|reason| match reason {
            DisabledReason::Gone => "gone",
            DisabledReason::Failing => "failing",
        })
    }
}

impl Health {
    /// How it is doing after these attempts; none when nothing changes. Among attempts that end together one that arrived
    /// counts more than those that failed. `chance` makes pauses differ.
    pub(super) fn after(self, signs: Signs, now: DateTime<Utc>, chance: u32) -> Option<Turn> {
        let Signs { delivered, failed, gone } = signs;
        let mut next = self;
        if delivered {
            next = Self { disabled: self.disabled, ..Self::default() };
        } else if failed > 0 {
            next.consecutive_failures = self.consecutive_failures.saturating_add(failed);
            next.failing_since = self.failing_since.or(Some(now));
        }
        // What was on its way when the pause began says nothing new.
        let paused = next.consecutive_failures >= PATIENCE && failed > 0 && self.paused_until <= Some(now);
        if paused {
            next.paused_until = Some(now + jittered(pause_after(self.pauses), chance));
            next.pauses = self.pauses.saturating_add(1);
        }
        let given_up = failed > 0 && next.failing_since.is_some_and(|since| since <= now - GIVEN_UP_AFTER);
        let reason = match (gone, given_up) {
            (true, _) => Some(DisabledReason::Gone),
            (false, true) => Some(DisabledReason::Failing),
            (false, false) => None,
        };
        let disabled = reason.filter(|_| !self.disabled);
        next.disabled |= disabled.is_some();
        (next != self).then_some(Turn { health: next, paused, disabled })
    }
}

/// The pause after so many others.
fn pause_after(pauses: i32) -> Duration {
    let doubled = 2_u32.saturating_pow(u32::try_from(pauses).unwrap_or_default());
    FIRST_PAUSE.saturating_mul(doubled).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FAILED: Signs = Signs { delivered: false, failed: 1, gone: false };
    const ARRIVED: Signs = Signs { delivered: true, failed: 0, gone: false };

    /// No jitter.
    const EVEN: u32 = 200;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_772_366_400 + seconds, 0).expect("a time")
    }

    fn after(health: Health, signs: Signs, seconds: i64) -> Health {
        health.after(signs, at(seconds), EVEN).map_or(health, |turn| turn.health)
    }

    fn failing(times: i32) -> Health {
        (0..times).fold(Health::default(), |health, _| after(health, FAILED, 0))
    }

    #[test]
    fn the_tenth_failure_in_a_row_begins_a_pause() {
        let nine = failing(9);
        assert_eq!((nine.consecutive_failures, nine.paused_until), (9, None));
        let ten = nine.after(FAILED, at(0), EVEN).expect("a turn");
        assert_eq!((ten.paused, ten.health.paused_until, ten.health.pauses), (true, Some(at(30)), 1));
        assert_eq!(after(nine, ARRIVED, 0), Health::default());
        let several = Health::default().after(Signs { failed: 12, ..FAILED }, at(0), EVEN).expect("a turn");
        assert!(several.paused, "attempts that end together count each");
        let mixed = nine.after(Signs { delivered: true, failed: 5, gone: false }, at(0), EVEN).expect("a turn");
        assert_eq!((mixed.paused, mixed.health), (false, Health::default()), "one that arrived counts more");
    }

    #[test]
    fn each_probe_that_fails_doubles_the_pause_up_to_ten_minutes() {
        let mut health = failing(10);
        let mut now = 30;
        for expected in [60, 120, 240, 480, 600, 600] {
            health = after(health, FAILED, now);
            assert_eq!(health.paused_until, Some(at(now + expected)));
            now += expected;
        }
        assert_eq!(after(health, ARRIVED, now), Health::default());
    }

    #[test]
    fn what_was_on_its_way_when_the_pause_began_does_not_lengthen_it() {
        let late = failing(10).after(FAILED, at(29), EVEN).expect("a turn");
        assert_eq!((late.paused, late.health.paused_until, late.health.pauses), (false, Some(at(30)), 1));
        assert_eq!(late.health.consecutive_failures, 11);
        assert_eq!(after(late.health, ARRIVED, 29), Health::default(), "it may end it");
    }

    #[test]
    fn five_days_without_a_success_are_enough() {
        let since = failing(1);
        let days = 5 * 24 * 60 * 60;
        assert_eq!(since.after(FAILED, at(days - 1), EVEN).expect("a turn").disabled, None);
        let turn = since.after(FAILED, at(days), EVEN).expect("a turn");
        assert_eq!((turn.disabled, turn.health.disabled), (Some(DisabledReason::Failing), true));
        assert_eq!(since.after(ARRIVED, at(days), EVEN).expect("a turn").disabled, None);
        assert_eq!(since.after(Signs::default(), at(days), EVEN), None, "time alone disables nothing");
        assert_eq!(turn.health.after(FAILED, at(days), EVEN).expect("a turn").disabled, None, "said once");
    }

    #[test]
    fn an_endpoint_that_is_gone_is_disabled_once() {
        let gone = Signs { delivered: true, failed: 3, gone: true };
        let turn = Health::default().after(gone, at(0), EVEN).expect("a turn");
        assert_eq!((turn.disabled, turn.health.disabled), (Some(DisabledReason::Gone), true));
        assert_eq!(turn.health.after(gone, at(0), EVEN), None, "nothing changes any more");
    }

    #[test]
    fn what_says_nothing_changes_nothing() {
        for health in [Health::default(), failing(3), failing(10)] {
            assert_eq!(health.after(Signs::default(), at(10_000), EVEN), None);
        }
        assert_eq!(Health::default().after(ARRIVED, at(0), EVEN), None, "a healthy endpoint costs no write");
    }

    proptest! {
        #[test]
        fn pauses_stay_within_a_fifth_of_their_plan(pauses in 0..1_000_i32, chance: u32) {
            let known = Health { consecutive_failures: PATIENCE, pauses, ..Health::default() };
            let turn = known.after(FAILED, at(0), chance).expect("a turn");
            let pause = (turn.health.paused_until.expect("a pause") - at(0)).to_std().expect("ahead");
            let planned = pause_after(pauses);
            prop_assert!((FIRST_PAUSE..=LONGEST_PAUSE).contains(&planned));
            prop_assert!(pause >= planned * 8 / 10 && pause <= planned * 12 / 10, "{pause:?} instead of {planned:?}");
        }

        #[test]
        fn only_a_success_ends_a_pause(times in 0..60_i32, steps in prop::collection::vec((0..700_i64, 0..3_i32), 0..50)) {
            let (mut health, mut now) = (failing(times), 0);
            for (step, failed) in steps {
                now += step;
                let next = after(health, Signs { failed, ..Signs::default() }, now);
                prop_assert!(next.paused_until >= health.paused_until);
                health = next;
            }
            prop_assert_eq!(after(health, ARRIVED, now).paused_until, None);
        }
    }
}
