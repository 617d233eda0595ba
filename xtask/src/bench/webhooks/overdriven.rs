//! More is accepted than can be delivered: how much waits, for how long, and how quickly it is made up for.

use std::sync::Arc;
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::flow::{Announce, Flow};
use super::stage::{Side, Stage};
use crate::bench::figures::per_second;
use crate::bench::floor;
use crate::failure::Failure;
use crate::statistics::percentile;
use crate::usage;

/// The pause between two looks.
const PAUSE: Duration = Duration::from_millis(100);

/// How long the rest may take before the measurement gives up.
const PATIENCE: Duration = Duration::from_mins(3);

/// What was seen at a moment.
#[derive(Clone, Copy)]
struct Look {
    at: Duration,
    accepted: u64,
    arrived: u64,
}

/// How it went.
pub(super) struct Story {
    looks: Vec<Look>,
    receivers: u64,
    /// Messages a second while as many as possible were accepted.
    pub(super) accepted: u64,
    pub(super) accepted_p99: Duration,
    /// Deliveries a second meanwhile.
    pub(super) delivered: u64,
    /// What waited when no more was accepted.
    pub(super) backlog: u64,
    /// Deliveries a second afterwards.
    pub(super) drained: u64,
    pub(super) peak_kibibytes: u64,
}

pub(super) fn tell(
    stage: &Stage<'_>,
    side: Side,
    (known, receivers): (&[Uuid], u64),
    duration: Duration,
) -> Result<Story, Failure> {
    let flow = Arc::new(Flow::new(&stage.sink, known, receivers));
    let started = Instant::now();
    let repeating = match side {
        Side::Ours => stage.generator.repeat(&Arc::new(Announce(flow.clone()))),
        Side::Floor => stage.generator.repeat(&Arc::new(floor::Send(flow.clone()))),
    };
    let mut looks = watch(&flow, started, |look| look.at >= duration)?;
    let repeated = repeating.finish(&stage.generator.runtime)?;
    let stopped = started.elapsed();
    let (accepted, arrived) = flow.counts();
    let backlog = flow.on_their_way();
    looks.extend(watch(&flow, started, |look| look.arrived >= look.accepted * receivers)?);
    let rest = started.elapsed().saturating_sub(stopped);
    stage.sink.take_arrivals();
    Ok(Story {
        looks,
        receivers,
        accepted: per_second(accepted, stopped),
        accepted_p99: percentile(&repeated.times, 99).unwrap_or_default(),
        delivered: per_second(arrived, stopped),
        backlog,
        drained: if backlog == 0 { 0 } else { per_second(backlog, rest) },
        peak_kibibytes: usage::peak_kibibytes(stage.deliverer(side)).unwrap_or_default(),
    })
}

/// Looks at even intervals until one look is the last.
fn watch(flow: &Flow, started: Instant, is_last: impl Fn(&Look) -> bool) -> Result<Vec<Look>, Failure> {
    let begun = Instant::now();
    let mut looks = Vec::new();
    loop {
        let (accepted, arrived) = flow.counts();
        let look = Look { at: started.elapsed(), accepted, arrived };
        looks.push(look);
        if is_last(&look) {
            return Ok(looks);
        }
        if begun.elapsed() > PATIENCE {
            return Err(Failure::Finding(format!("the backlog was not made up for within {PATIENCE:?}")));
        }
        std::thread::sleep(PAUSE);
    }
}

impl Story {
    /// What waited, over milliseconds.
    pub(super) fn backlogs(&self) -> Vec<(u64, u64)> {
        let waiting = |look: &Look| (look.accepted * self.receivers).saturating_sub(look.arrived);
        self.looks.iter().map(|look| (milliseconds(look.at), waiting(look))).collect()
    }

    /// How long ago that was accepted which arrived last, in milliseconds: deliveries keep their order by and large.
    pub(super) fn lags(&self) -> Vec<(u64, u64)> {
        let lag = |look: &Look| {
            let accepted = self.looks.iter().find(|earlier| earlier.accepted * self.receivers >= look.arrived);
            let then = accepted.map_or(look.at, |earlier| earlier.at);
            (milliseconds(look.at), milliseconds(look.at.saturating_sub(then)))
        };
        self.looks.iter().map(lag).collect()
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lag_is_the_age_of_what_arrives() {
        let look = |seconds, accepted, arrived| Look { at: Duration::from_secs(seconds), accepted, arrived };
        let story = Story {
            looks: vec![look(0, 0, 0), look(1, 100, 50), look(2, 200, 100), look(3, 200, 200)],
            receivers: 1,
            accepted: 100,
            accepted_p99: Duration::ZERO,
            delivered: 50,
            backlog: 100,
            drained: 100,
            peak_kibibytes: 0,
        };
        assert_eq!(story.backlogs(), [(0, 0), (1_000, 50), (2_000, 100), (3_000, 0)]);
        assert_eq!(story.lags(), [(0, 0), (1_000, 0), (2_000, 1_000), (3_000, 1_000)]);
    }
}
