//! How much is accepted and delivered when as much is accepted as can be delivered, and how long one message takes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::CONNECTIONS;
use super::flow::{Announce, Flow};
use super::stage::{Crowd, Side, Stage};
use crate::bench::Effort;
use crate::bench::figures::{each, nanoseconds, per_second};
use crate::bench::floor;
use crate::bench::sink::Arrival;
use crate::failure::{Failure, io};
use crate::load::{self, Load};
use crate::people;
use crate::statistics::percentile;
use crate::usage;

/// How many deliveries may be on their way before those that accept have to wait.
const BOUND: u64 = 2_000;

/// Run before each comparison, so that statements are prepared and connections open.
const WARM_UP: Duration = Duration::from_millis(500);

/// How long it may take until as much is on its way as may be.
const FILLING: Duration = Duration::from_secs(1);

/// One round of one side at full speed.
#[derive(Clone, Copy, Default)]
pub(super) struct Round {
    /// Messages a second.
    pub(super) accepted: u64,
    /// How long 99 of 100 acceptances took.
    pub(super) accepted_p99: u64,
    /// Deliveries a second.
    pub(super) delivered: u64,
    /// Processor time of one delivery in nanoseconds, the acceptance included.
    pub(super) deliverer: u64,
    pub(super) postgres: u64,
    pub(super) kibibytes: u64,
}

/// How long messages were on their way.
#[derive(Clone, Copy, Default)]
pub(super) struct Latency {
    pub(super) p50: u64,
    pub(super) p99: u64,
}

/// Each side at full speed in turn, ours first.
pub(super) fn compare(
    stage: &Stage<'_>,
    crowd: Crowd,
    known: &[Uuid],
    effort: Effort,
) -> Result<[Vec<Round>; 2], Failure> {
    let mut rounds = [const { Vec::new() }; 2];
    for side in [Side::Ours, Side::Floor] {
        full_speed(stage, side, || Flow::new(&stage.sink, known, crowd.each).bounded(BOUND), WARM_UP)?;
    }
    for _ in 0..effort.rounds {
        for (side, rounds) in [Side::Ours, Side::Floor].into_iter().zip(&mut rounds) {
            let flow = || Flow::new(&stage.sink, known, crowd.each).bounded(BOUND);
            rounds.push(full_speed(stage, side, flow, effort.round())?);
        }
    }
    Ok(rounds)
}

/// Accepts by transactions as much as can be delivered.
pub(super) fn full_speed(
    stage: &Stage<'_>,
    side: Side,
    flow: impl FnOnce() -> Flow,
    duration: Duration,
) -> Result<Round, Failure> {
    let flow = Arc::new(flow());
    let repeating = match side {
        Side::Ours => stage.generator.repeat(&Arc::new(Announce(flow.clone()))),
        Side::Floor => stage.generator.repeat(&Arc::new(floor::Send(flow.clone()))),
    };
    let round = Meter::measure(stage, side, &flow, duration)?;
    let times = repeating.finish(&stage.generator.runtime)?.times;
    flow.drain()?;
    Ok(round.accepted_within(&times))
}

/// Accepts by requests that rename the organization, all the same one, as much as can be delivered.
pub(super) fn full_speed_http(stage: &Stage<'_>, receivers: u64, duration: Duration) -> Result<Round, Failure> {
    let flow = Flow::new(&stage.sink, &[stage.organization], receivers).bounded(BOUND);
    let renaming = stage.renaming()?;
    let ask = |_, _| {
        while !flow.has_room() {
            std::thread::sleep(Duration::from_millis(1));
        }
        let request = renaming(&flow.next().name);
        flow.accepted();
        request
    };
    let (address, connections) = (stage.api.address, CONNECTIONS as usize);
    // A little longer than it is looked at.
    let load = Load { address, connections, duration: duration + 2 * FILLING, rate: None, expected: 200 };
    let (outcome, round) = std::thread::scope(|scope| {
        let asking = scope.spawn(|| load::run(&load, &ask));
        let round = Meter::measure(stage, Side::Ours, &flow, duration);
        (asking.join(), round)
    });
    let outcome = outcome.unwrap_or_else(|_| Err(Failure::Finding("the requests failed".to_owned())))?;
    flow.drain()?;
    Ok(round?.accepted_within(&outcome.latencies))
}

/// What had been done and used when a round began.
struct Meter {
    started: Instant,
    counts: (u64, u64),
    used: [Duration; 2],
}

impl Meter {
    /// Waits until all the room is taken, then looks at what is done and used in the time.
    fn measure(stage: &Stage<'_>, side: Side, flow: &Flow, duration: Duration) -> Result<Round, Failure> {
        let begun = Instant::now();
        while flow.has_room() && begun.elapsed() < FILLING {
            std::thread::sleep(Duration::from_millis(1));
        }
        let before = Self { started: Instant::now(), counts: flow.counts(), used: stage.used(side)? };
        std::thread::sleep(duration);
        let (elapsed, counts, used) = (before.started.elapsed(), flow.counts(), stage.used(side)?);
        stage.sink.take_arrivals();
        let (accepted, delivered) = (counts.0 - before.counts.0, counts.1 - before.counts.1);
        let part = |at: usize| nanoseconds(each(used[at].saturating_sub(before.used[at]), delivered));
        Ok(Round {
            accepted: per_second(accepted, elapsed),
            accepted_p99: 0,
            delivered: per_second(delivered, elapsed),
            deliverer: part(0),
            postgres: part(1),
            kibibytes: usage::resident_kibibytes(stage.deliverer(side)).unwrap_or_default(),
        })
    }
}

impl Round {
    fn accepted_within(self, times: &[Duration]) -> Self {
        Self { accepted_p99: nanoseconds(percentile(times, 99).unwrap_or_default()), ..self }
    }
}

/// Sends so many messages a second, ours by requests, and says how long they took from the answer to their commit until they
/// arrived; only those that `counts` are looked at.
pub(super) fn at_rate(
    stage: &Stage<'_>,
    side: Side,
    flow: Flow,
    (rate, duration): (u64, Duration),
    counts: impl Fn(&Arrival) -> bool,
) -> Result<Latency, Failure> {
    let flow = Arc::new(flow);
    let send = floor::Send(flow.clone());
    let renaming = stage.renaming()?;
    let mut client = people::connect(&stage.api)?;
    let mut accept = || match side {
        Side::Floor => stage.generator.once(&send),
        Side::Ours => {
            let request = renaming(&flow.next().name);
            client.ask(&request).map_err(io("rename", "the organization".as_ref()))?.expect_status(200)?;
            flow.accepted();
            Ok(())
        }
    };
    // The first ones find everything cold.
    for _ in 0..20 {
        accept()?;
    }
    flow.drain()?;
    stage.sink.take_arrivals();
    let committed = steadily(rate, duration, accept)?;
    flow.drain()?;
    let arrivals = stage.sink.take_arrivals();
    let took = arrivals.iter().filter(|arrival| counts(arrival)).filter_map(|arrival| {
        let place = usize::try_from(arrival.number.checked_sub(20)?).ok()?;
        Some(arrival.at.saturating_duration_since(*committed.get(place)?))
    });
    let took: Vec<Duration> = took.collect();
    let part = |share| nanoseconds(percentile(&took, share).unwrap_or_default());
    Ok(Latency { p50: part(50), p99: part(99) })
}

/// Does it so many times a second; says when each was done.
fn steadily(
    rate: u64,
    duration: Duration,
    mut work: impl FnMut() -> Result<(), Failure>,
) -> Result<Vec<Instant>, Failure> {
    let (interval, started) = (Duration::from_secs(1) / u32::try_from(rate).unwrap_or(u32::MAX).max(1), Instant::now());
    let mut done = Vec::new();
    let mut due = Duration::ZERO;
    while due < duration {
        if let Some(wait) = due.checked_sub(started.elapsed()) {
            std::thread::sleep(wait);
        }
        work()?;
        done.push(Instant::now());
        due += interval;
    }
    Ok(done)
}
