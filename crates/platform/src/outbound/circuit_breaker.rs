use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};

use crate::clock::Clock;

/// Spares a server that keeps failing, and ourselves the waiting: after so many failures in a row it is left alone for a pause,
/// then one attempt decides whether it is back.
#[derive(Debug)]
pub struct CircuitBreaker {
    name: &'static str,
    clock: Clock,
    failures: u32,
    pause: TimeDelta,
    state: Mutex<State>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// All goes well, but for so many failures in a row.
    Closed { failed: u32 },
    /// Nobody asks.
    Open { since: DateTime<Utc> },
    /// One asks.
    HalfOpen,
}

impl CircuitBreaker {
    /// Opens after so many failures in a row, for a pause. The name goes into logs and metrics.
    #[must_use]
    pub fn new(name: &'static str, clock: Clock, failures: u32, pause: TimeDelta) -> Self {
        Self { name, clock, failures, pause, state: Mutex::new(State::Closed { failed: 0 }) }
    }

    /// Leave to ask the server, `None` while it is spared.
    pub fn attempt(&self) -> Option<Attempt<'_>> {
        let mut state = self.state();
        let is_trial = match *state {
            State::Closed { .. } => false,
            // A clock that was set back makes no pause longer.
            State::Open { since } if (self.clock.now() - since).abs() >= self.pause => true,
            State::Open { .. } | State::HalfOpen => return None,
        };
        if is_trial {
            *state = State::HalfOpen;
        }
        Some(Attempt { breaker: self, is_trial, succeeded: false })
    }

    fn settle(&self, is_trial: bool, succeeded: bool) {
        let mut state = self.state();
        let before = *state;
        *state = match before {
            State::Closed { failed } if !succeeded && failed + 1 < self.failures => {
                State::Closed { failed: failed + 1 }
            }
            State::Closed { .. } if !succeeded => State::Open { since: self.clock.now() },
            State::Closed { .. } => State::Closed { failed: 0 },
            // Attempts from before it opened decide nothing any more.
            _ if !is_trial => before,
            _ if succeeded => State::Closed { failed: 0 },
            _ => State::Open { since: self.clock.now() },
        };
        let is_open = |state| !matches!(state, State::Closed { .. });
        let (was_open, is_open) = (is_open(before), is_open(*state));
        drop(state);
        if was_open != is_open {
            metrics::gauge!("circuit_open", "name" => self.name).set(f64::from(u8::from(is_open)));
            if is_open {
                tracing::warn!(circuit = self.name, "a server keeps failing and is spared for a while");
            } else {
                tracing::info!(circuit = self.name, "a server that was spared answers again");
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One call that the breaker watches. Dropped without [`Attempt::succeed`], it failed.
#[must_use]
#[derive(Debug)]
pub struct Attempt<'a> {
    breaker: &'a CircuitBreaker,
    is_trial: bool,
    succeeded: bool,
}

impl Attempt<'_> {
    /// The server did what it should.
    pub fn succeed(mut self) {
        self.succeeded = true;
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        self.breaker.settle(self.is_trial, self.succeeded);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn breaker() -> (CircuitBreaker, Clock) {
        let clock = Clock::fixed(DateTime::from_timestamp(1_700_000_000, 0).expect("a valid time"));
        (CircuitBreaker::new("tests", clock.clone(), 3, TimeDelta::seconds(30)), clock)
    }

    fn fail(breaker: &CircuitBreaker, times: usize) {
        for _ in 0..times {
            drop(breaker.attempt().expect("closed"));
        }
    }

    #[test]
    fn failures_in_a_row_open_it_and_a_success_in_between_does_not() {
        let (breaker, _) = breaker();
        fail(&breaker, 2);
        breaker.attempt().expect("closed").succeed();
        fail(&breaker, 2);
        assert!(breaker.attempt().is_some());
        assert!(breaker.attempt().is_none(), "the third failure was the one just dropped");
    }

    #[test]
    fn after_the_pause_one_attempt_decides() {
        let (breaker, clock) = breaker();
        fail(&breaker, 3);
        clock.advance(Duration::from_secs(29));
        assert!(breaker.attempt().is_none());
        clock.advance(Duration::from_secs(1));
        let trial = breaker.attempt().expect("half open");
        assert!(breaker.attempt().is_none(), "only one may try");
        drop(trial);
        assert!(breaker.attempt().is_none(), "it failed: another pause");
        clock.advance(Duration::from_secs(30));
        breaker.attempt().expect("half open").succeed();
        fail(&breaker, 2);
        assert!(breaker.attempt().is_some(), "counting began anew");
    }

    #[test]
    fn attempts_from_before_it_opened_decide_nothing() {
        let (breaker, clock) = breaker();
        let (late_success, late_failure) = (breaker.attempt().expect("closed"), breaker.attempt().expect("closed"));
        fail(&breaker, 3);
        late_success.succeed();
        assert!(breaker.attempt().is_none());
        clock.advance(Duration::from_secs(30));
        let trial = breaker.attempt().expect("half open");
        drop(late_failure);
        trial.succeed();
        assert!(breaker.attempt().is_some());
    }
}
