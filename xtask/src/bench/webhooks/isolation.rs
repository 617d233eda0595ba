//! One of ten receivers misbehaves: what the other nine notice.

use super::flow::Flow;
use super::outgoing::{self, Latency, Round};
use super::stage::{Crowd, Side, Stage};
use crate::bench::Effort;
use crate::bench::sink::{Arrival, Manner};
use crate::failure::Failure;
use crate::progress;

pub(super) const CROWD: Crowd = Crowd { organizations: 1, each: 10, in_flight: 100 };

/// Messages a second, each to ten receivers, when the time on the way is looked at.
const RATE: u64 = 50;

/// How many deliveries to the nine may be on their way.
const BOUND: u64 = 2_000;

/// What the nine got while the tenth behaved in one way.
pub(super) struct Nine {
    pub(super) manner: Manner,
    pub(super) rounds: Vec<Round>,
    pub(super) latencies: Vec<Latency>,
}

pub(super) fn measure(stage: &mut Stage<'_>, effort: Effort) -> Result<[Nine; 3], Failure> {
    let mut all = [Manner::Well, Manner::Hanging, Manner::Failing].map(|manner| Nine {
        manner,
        rounds: Vec::new(),
        latencies: Vec::new(),
    });
    for round in 0..effort.rounds {
        for nine in &mut all {
            progress(format!("round {}: nine receivers, and one that is {:?}", round + 1, nine.manner));
            let known = stage.invite(CROWD)?;
            stage.sink.behave(nine.manner);
            let flow = || Flow::new(&stage.sink, &known, CROWD.each).bounded(BOUND).without_first();
            outgoing::full_speed(stage, Side::Ours, flow, effort.round() / 4)?;
            nine.rounds.push(outgoing::full_speed(stage, Side::Ours, flow, effort.round())?);
            let to_others = |arrival: &Arrival| arrival.receiver != 0;
            let pace = (RATE, effort.round());
            nine.latencies.push(outgoing::at_rate(stage, Side::Ours, flow(), pace, to_others)?);
        }
    }
    Ok(all)
}
