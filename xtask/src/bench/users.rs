mod report;
mod sides;

use std::time::Duration;

use crate::database::ScratchDatabase;
use crate::failure::Failure;
use crate::load::{self, Load};
use crate::people;
use crate::progress;
use crate::release;
use crate::service::{Log, Program, Service};
use crate::statistics::{median, percentile};
use crate::usage;
use crate::workspace::Workspace;

use super::Effort;
use super::figures::{each, per_second};
use report::Report;
use sides::{Side, Sides};

/// Connections that ask at the same time, each for a person of its own.
const CONNECTIONS: usize = 16;

/// Asked before each comparison, so that statements are prepared and caches warm.
const WARM_UP: Duration = Duration::from_millis(500);

/// One round of one side.
#[derive(Clone, Copy)]
struct Round {
    per_second: u64,
    p50: Duration,
    p99: Duration,
    /// Processor time of one request.
    service: Duration,
    postgres: Duration,
}

/// Measures the service beside a bare one that does the same, and writes down how they compare.
pub(crate) fn users(workspace: &Workspace, effort: Effort) -> Result<(), Failure> {
    if !release::IS_RELEASE {
        return release::run_again(workspace);
    }
    let _turn = workspace.take_turn()?;
    let database = ScratchDatabase::create_durable(workspace, "bench_users")?;
    let mut program = Program::build(workspace, &database)?;
    program.migrate()?;
    database.run(super::bare::TABLE)?;
    program.settings = people::WITHOUT_LIMITS.to_vec();
    program.log = Log::Nowhere;
    let (_, service) = Service::start(&program)?;
    people::sign_up(&service, &database, CONNECTIONS)?;
    let bench = Bench { postgres: database.server_process()?, sides: Sides::start(service, &database)?, effort };
    let mut report = Report::begin(&database, effort)?;
    measure(&bench, &database, &mut report)?;
    report.memory(&bench.sides);
    report.finish(workspace)
}

fn measure(bench: &Bench, database: &ScratchDatabase, report: &mut Report) -> Result<(), Failure> {
    progress("reading a profile");
    let [ours, bare] = bench.compare([Side::Read, Side::BareRead], None)?;
    report.read(&ours, &bare);
    let rates: Vec<u64> = bare.iter().map(|round| round.per_second).collect();
    let half = median(&rates).unwrap_or_default() / 2;
    progress(format!("the same at {half} requests a second"));
    let [ours, bare] = bench.compare([Side::Read, Side::BareRead], Some(half))?;
    report.read_at_rate(&ours, &bare, half);
    progress("writing");
    let [change, creation, bare] = bench.compare([Side::Change, Side::Creation, Side::BareInsert], None)?;
    report.writes(&change, &creation, &bare);
    progress("listing");
    // What was created is more than a page for everybody.
    database.run("VACUUM ANALYZE")?;
    let [ours, bare] = bench.compare([Side::List, Side::BareList], None)?;
    report.list(&ours, &bare);
    Ok(())
}

struct Bench {
    sides: Sides,
    /// The server's first process.
    postgres: u32,
    effort: Effort,
}

impl Bench {
    /// Measures the sides in turn, round by round, so that whatever else the machine does meets all of them.
    fn compare<const N: usize>(&self, sides: [Side; N], rate: Option<u64>) -> Result<[Vec<Round>; N], Failure> {
        let tokens = self.sides.log_in()?;
        for side in sides {
            load::run(&self.load(side, WARM_UP, None), &self.sides.requests(side, &tokens))?;
        }
        let mut rounds = [const { Vec::new() }; N];
        for _ in 0..self.effort.rounds {
            for (side, rounds) in sides.into_iter().zip(&mut rounds) {
                rounds.push(self.round(side, &tokens, rate)?);
            }
        }
        Ok(rounds)
    }

    fn round(&self, side: Side, tokens: &[String], rate: Option<u64>) -> Result<Round, Failure> {
        let load = self.load(side, Duration::from_secs(self.effort.seconds.into()), rate);
        let before = self.used(side)?;
        let outcome = load::run(&load, &self.sides.requests(side, tokens))?;
        let after = self.used(side)?;
        let asked = outcome.latencies.len() as u64;
        let part = |share| percentile(&outcome.latencies, share).unwrap_or_default();
        Ok(Round {
            per_second: per_second(asked, outcome.elapsed),
            p50: part(50),
            p99: part(99),
            service: each(after.0.saturating_sub(before.0), asked),
            postgres: each(after.1.saturating_sub(before.1), asked),
        })
    }

    fn load(&self, side: Side, duration: Duration, rate: Option<u64>) -> Load {
        let (address, expected) = (self.sides.service(side).address, side.expected());
        Load { address, connections: CONNECTIONS, duration, rate, expected }
    }

    /// The processor time that the side's service and PostgreSQL have used so far.
    fn used(&self, side: Side) -> Result<(Duration, Duration), Failure> {
        let service = usage::cpu_time(self.sides.service(side).id());
        let postgres = usage::cpu_time_of_family(self.postgres);
        let unknown = || Failure::Finding("processor times are only known on Linux".to_owned());
        service.zip(postgres).ok_or_else(unknown)
    }
}
