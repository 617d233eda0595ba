pub(crate) mod bare;
mod figures;
pub(crate) mod floor;
mod generator;
mod jobs;
mod page;
mod plot;
mod sink;
mod users;
mod webhooks;

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::database::ScratchDatabase;
use crate::failure::{Failure, io};
use crate::progress;
use crate::service::{Program, Service};
use crate::statistics::{median, percentile};
use crate::usage;
use crate::workspace::Workspace;

pub(crate) use jobs::jobs;
pub(crate) use users::users;
pub(crate) use webhooks::{Part, webhooks};

/// How long is measured.
#[derive(Clone, Copy)]
pub(crate) struct Effort {
    pub(crate) rounds: u32,
    pub(crate) seconds: u32,
}

impl Effort {
    fn round(self) -> Duration {
        Duration::from_secs(self.seconds.into())
    }
}

/// How long a service is left alone before its memory counts as that of an idle one.
const SETTLING: Duration = Duration::from_secs(2);

/// Measures how quickly the release build is ready, and how little it takes.
pub(crate) fn startup(workspace: &Workspace, runs: u32) -> Result<(), Failure> {
    let _turn = workspace.take_turn()?;
    let database = ScratchDatabase::create(workspace, "bench")?;
    let program = Program::build(workspace, &database)?;
    progress("migrating");
    program.migrate()?;
    progress(format!("starting it {} times", runs + 1));
    // The first start reads the file from the disk; the others find it in memory.
    let (first, _) = Service::start(&program)?;
    let times = (0..runs).map(|_| Ok(Service::start(&program)?.0)).collect::<Result<Vec<_>, Failure>>()?;
    let (_, service) = Service::start(&program)?;
    std::thread::sleep(SETTLING);
    let memory = usage::resident_kibibytes(service.id());
    if let (Some(median), Some(high)) = (median(&times), percentile(&times, 95)) {
        println!("ready in: median {median:.1?}, p95 {high:.1?} of {runs} starts; the very first {first:.1?}");
    }
    match memory {
        Some(kibibytes) => println!("memory when idle (resident): {}", one_decimal(kibibytes, 1024, "MiB")),
        None => println!("memory when idle: not known on this system"),
    }
    println!("binary: {}", one_decimal(size_of(&program.file)?, 1_000_000, "MB"));
    Ok(())
}

fn size_of(file: &Path) -> Result<u64, Failure> {
    Ok(fs::metadata(file).map_err(io("look at", file))?.len())
}

fn one_decimal(amount: u64, per_unit: u64, unit: &str) -> String {
    let tenths = (amount * 10 + per_unit / 2) / per_unit;
    format!("{}.{} {unit}", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_rounded() {
        assert_eq!(one_decimal(1536, 1024, "MiB"), "1.5 MiB");
        assert_eq!(one_decimal(1_960_000, 1_000_000, "MB"), "2.0 MB");
        assert_eq!(one_decimal(40_000, 1_000_000, "MB"), "0.0 MB");
    }
}
