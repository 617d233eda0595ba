mod flow;
mod growth;
mod incoming;
mod isolation;
mod outgoing;
mod overdriven;
mod report;
mod stage;

use crate::database::ScratchDatabase;
use crate::failure::Failure;
use crate::people;
use crate::progress;
use crate::release;
use crate::service::{Log, Program};
use crate::workspace::Workspace;

use super::Effort;
pub(super) use flow::Flow;
pub(super) use incoming::event;
use outgoing::{Latency, Round};
use report::Report;
use stage::{Crowd, Side, Stage};

/// Connections that accept at the same time.
const CONNECTIONS: u32 = 16;

/// As in production, but for calls to this machine, which production refuses.
pub(super) const LIKE_PRODUCTION: &[(&str, &str)] = &[
    ("APP_ENVIRONMENT", "development"),
    ("APP__BILLING__STRIPE__API_URL", "https://api.stripe.com"),
    ("APP__TELEMETRY__FILTER", "info,sqlx::query=warn"),
    ("APP__TELEMETRY__FORMAT", "json"),
];

/// Who is told, in the order of the page.
const CROWDS: [(&str, Crowd); 4] = [
    ("1 endpoint", Crowd { organizations: 1, each: 1, in_flight: 100 }),
    ("1 endpoint, 10 in flight as shipped", Crowd { organizations: 1, each: 1, in_flight: 10 }),
    ("10 endpoints", Crowd { organizations: 1, each: 10, in_flight: 100 }),
    ("1 000 endpoints of 100 organizations", Crowd { organizations: 100, each: 10, in_flight: 100 }),
];

/// Messages a second at which the time on the way is looked at, for each of the crowds.
const RATES: [Option<u64>; 4] = [Some(100), None, Some(50), None];

/// A part of the measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Part {
    /// How much is accepted and delivered, and how long it takes.
    Outgoing,
    /// What the others notice of one that misbehaves.
    Isolation,
    /// More is accepted than can be delivered.
    Overdriven,
    /// Events that come in.
    Incoming,
    /// Much that waits, many endpoints, much that is done.
    Growth,
}

/// Measures webhooks beside the least that sends any, and writes down how they compare. A single part is only shown.
pub(crate) fn webhooks(workspace: &Workspace, effort: Effort, only: Option<Part>) -> Result<(), Failure> {
    if !release::IS_RELEASE {
        return release::run_again(workspace);
    }
    let _turn = workspace.take_turn()?;
    let database = ScratchDatabase::create_durable(workspace, "bench_webhooks")?;
    let mut program = Program::build(workspace, &database)?;
    program.settings = people::WITHOUT_LIMITS.into_iter().chain(LIKE_PRODUCTION.iter().copied()).collect();
    program.migrate()?;
    program.log = Log::Nowhere;
    let mut stage = Stage::set(program, &database)?;
    let mut report = Report::begin(&database, effort)?;
    for part in [Part::Outgoing, Part::Isolation, Part::Overdriven, Part::Incoming, Part::Growth] {
        if only.is_none_or(|only| only == part) {
            measure(part, &mut stage, effort, &mut report)?;
        }
    }
    if only.is_some() {
        report.show();
        return Ok(());
    }
    report.finish(workspace)
}

fn measure(part: Part, stage: &mut Stage<'_>, effort: Effort, report: &mut Report) -> Result<(), Failure> {
    match part {
        Part::Outgoing => outgoing(stage, effort, report)?,
        Part::Isolation => report.isolation(&isolation::measure(stage, effort)?),
        Part::Overdriven => {
            let (_, crowd) = CROWDS[0];
            progress("accepting more than can be delivered");
            let known = stage.invite(crowd)?;
            let tell = |side| overdriven::tell(stage, side, (&known, crowd.each), effort.round() * 2);
            report.overdriven(&tell(Side::Ours)?, &tell(Side::Floor)?);
        }
        Part::Incoming => {
            progress("events that come in");
            stage.invite(CROWDS[0].1)?;
            report.incoming(&incoming::measure(stage, effort)?);
        }
        Part::Growth => {
            let [small, grown] = growth::small_and_grown(stage, effort)?;
            report.growth(&growth::backlogs(stage, effort)?, [&small, &grown]);
        }
    }
    Ok(())
}

fn outgoing(stage: &mut Stage<'_>, effort: Effort, report: &mut Report) -> Result<(), Failure> {
    report.begin_outgoing();
    let mut latencies = Vec::new();
    for ((name, crowd), rate) in CROWDS.into_iter().zip(RATES) {
        progress(format!("{name}: as much as can be delivered"));
        let known = stage.invite(crowd)?;
        let [ours, floor] = outgoing::compare(stage, crowd, &known, effort)?;
        report.outgoing(name, &ours, &floor);
        if let Some(rate) = rate {
            let by_requests = (0..effort.rounds).map(|_| outgoing::full_speed_http(stage, crowd.each, effort.round()));
            report.outgoing_by_requests(name, &by_requests.collect::<Result<Vec<_>, _>>()?);
            progress(format!("{name}: {rate} messages a second"));
            latencies.push((format!("{name}, {rate}/s"), at_rate(stage, crowd, rate, effort)?));
        }
    }
    report.latencies(&latencies);
    Ok(())
}

/// The time on the way, ours and the other one's in turn.
fn at_rate(stage: &Stage<'_>, crowd: Crowd, rate: u64, effort: Effort) -> Result<[Vec<Latency>; 2], Failure> {
    let mut all = [const { Vec::new() }; 2];
    for _ in 0..effort.rounds {
        for (side, latencies) in [Side::Ours, Side::Floor].into_iter().zip(&mut all) {
            let flow = Flow::new(&stage.sink, &[stage.organization], crowd.each);
            latencies.push(outgoing::at_rate(stage, side, flow, (rate, effort.round()), |_| true)?);
        }
    }
    Ok(all)
}
