use std::collections::BTreeMap;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::client::{Client, Request};
use crate::database::ScratchDatabase;
use crate::failure::{Failure, io};
use crate::people;
use crate::progress;
use crate::service::{Program, Service};
use crate::statistics::{median, percentile};
use crate::usage;

use super::page::Proof;

/// People with an account.
const PEOPLE: usize = 8;

/// Logins of each kind that take turns.
const TURNS: usize = 200;

/// How far apart the medians may be, in thousandths.
const TOLERANCE: u128 = 50;

/// Logins at once.
const STORM: usize = 200;

/// What memory may grow by, beside what each hashing thread works in.
const GROWTH_KIBIBYTES: u64 = 32 * 1024;

/// What a hashing thread works in.
const HASHING_KIBIBYTES: u64 = 19 * 1024;

/// How long a probe may take, but for one in a hundred.
const PROBE_LIMIT: Duration = Duration::from_millis(50);

/// The pause between two probes.
const PROBE_PAUSE: Duration = Duration::from_millis(2);

/// Case 1: whether an address has an account cannot be told from how long a failed login takes.
pub(super) fn known_and_unknown(program: &Program, database: &ScratchDatabase) -> Result<Vec<Proof>, Failure> {
    progress(format!("{} logins in turn, with a known and an unknown address", 2 * TURNS));
    let (_, service) = Service::start(program)?;
    people::sign_up(&service, database, PEOPLE)?;
    let mut client = people::connect(&service)?;
    let known = login(&people::email(0), "not-the-password-at-all");
    let unknown = login("nobody@bench.test", "not-the-password-at-all");
    let [mut known_times, mut unknown_times] = [const { Vec::new() }; 2];
    for _ in 0..TURNS {
        known_times.push(refused(&mut client, &known)?);
        unknown_times.push(refused(&mut client, &unknown)?);
    }
    let [known, unknown] = [known_times, unknown_times].map(|times| median(&times).unwrap_or_default());
    let apart = known.abs_diff(unknown).as_nanos() * 1_000 / unknown.as_nanos().max(1);
    Ok(vec![Proof {
        promise: format!(
            "of {} failed logins in turn, the medians with a known and an unknown address are within 5 %",
            2 * TURNS
        ),
        measured: format!("{known:.2?} and {unknown:.2?}, {}.{} % apart", apart / 10, apart % 10),
        holds: apart <= TOLERANCE,
    }])
}

fn refused(client: &mut Client, login: &[u8]) -> Result<Duration, Failure> {
    let started = Instant::now();
    ask(client, login)?.expect_status(401)?;
    Ok(started.elapsed())
}

/// Case 54: a storm of logins is answered, and neither memory nor the others pay for it.
pub(super) fn storm(program: &Program) -> Result<Vec<Proof>, Failure> {
    progress(format!("{STORM} logins at once"));
    // A new process: its memory does not hold yet what hashing takes.
    let (_, service) = Service::start(program)?;
    let memory = usage::resident_kibibytes(service.id());
    let stop = AtomicBool::new(false);
    let line = Barrier::new(STORM + 1);
    let (statuses, elapsed, probes) = std::thread::scope(|scope| {
        let (service, line, stop) = (&service, &line, &stop);
        let askers: Vec<_> = (0..STORM).map(|number| scope.spawn(move || one_of_many(service, line, number))).collect();
        let prober = scope.spawn(|| probe_until(service, stop));
        line.wait();
        let started = Instant::now();
        let statuses: Vec<_> = askers.into_iter().map(|asker| asker.join().unwrap_or(None)).collect();
        let elapsed = started.elapsed();
        stop.store(true, Ordering::Relaxed);
        (statuses, elapsed, prober.join().unwrap_or_else(|_| Ok(Vec::new())))
    });
    let grown = usage::peak_kibibytes(service.id()).zip(memory).map(|(peak, before)| peak.saturating_sub(before));
    let grown = grown.ok_or_else(|| Failure::Finding("memory is only known on Linux".to_owned()))?;
    Ok(vec![answered(&statuses, elapsed), bounded(grown), probed(&probes?)])
}

/// The status of one login of the storm; nothing when it was not answered. Half of them have an account and its password, a
/// quarter another password, a quarter no account.
fn one_of_many(service: &Service, line: &Barrier, number: usize) -> Option<u16> {
    let client = Client::connect(service.address);
    line.wait();
    let request = match number % 4 {
        0 | 1 => login(&people::email(number % PEOPLE), people::PASSWORD),
        2 => login(&people::email(number % PEOPLE), "not-the-password-at-all"),
        _ => login(&format!("nobody-{number}@bench.test"), people::PASSWORD),
    };
    Some(client.ok()?.ask(&request).ok()?.status)
}

/// How long each probe took, at even pauses, until it is told to stop.
fn probe_until(service: &Service, stop: &AtomicBool) -> Result<Vec<Duration>, Failure> {
    let mut client = people::connect(service)?;
    let probe = Request::new("GET", "/readyz").bytes();
    let mut times = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let started = Instant::now();
        ask(&mut client, &probe)?.expect_status(200)?;
        times.push(started.elapsed());
        std::thread::sleep(PROBE_PAUSE);
    }
    Ok(times)
}

fn answered(statuses: &[Option<u16>], elapsed: Duration) -> Proof {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for status in statuses {
        *counts.entry(status.map_or_else(|| "no answer".to_owned(), |status| status.to_string())).or_default() += 1;
    }
    let counts: Vec<String> = counts.iter().map(|(status, count)| format!("{count} × {status}")).collect();
    Proof {
        promise: format!("of {STORM} logins at once, each is answered 200, 401, 429 or 503"),
        measured: format!("{} within {elapsed:.1?}", counts.join(", ")),
        holds: statuses.iter().all(|status| status.is_some_and(|status| [200, 401, 429, 503].contains(&status))),
    }
}

fn bounded(grown: u64) -> Proof {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    // As the service decides unless it is configured.
    let threads = cores.saturating_sub(1).max(1);
    let limit = threads as u64 * HASHING_KIBIBYTES + GROWTH_KIBIBYTES;
    Proof {
        promise: format!("meanwhile memory grows by less than {threads} × 19 MiB + 32 MiB"),
        measured: format!("by {} MiB at most", grown / 1024),
        holds: grown < limit,
    }
}

fn probed(times: &[Duration]) -> Proof {
    let slow = percentile(times, 99);
    Proof {
        promise: "meanwhile 99 of 100 answers of `/readyz` take less than 50 ms".to_owned(),
        measured: format!("{:.1?} in {} probes", slow.unwrap_or_default(), times.len()),
        holds: slow.is_some_and(|slow| slow < PROBE_LIMIT),
    }
}

fn login(email: &str, password: &str) -> Vec<u8> {
    Request::new("POST", "/v1/auth/login").json(&people::credentials(email, password)).bytes()
}

fn ask<'a>(client: &'a mut Client, request: &[u8]) -> Result<crate::client::Answer<'a>, Failure> {
    client.ask(request).map_err(io("ask", "the service".as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_without_an_answer_or_with_a_failure_is_noticed() {
        let second = Duration::from_secs(1);
        let fine = answered(&[Some(200), Some(503), Some(200), Some(401), Some(429)], second);
        assert!(fine.holds);
        assert_eq!(fine.measured, "2 × 200, 1 × 401, 1 × 429, 1 × 503 within 1.0s");
        assert!(!answered(&[Some(200), Some(500)], second).holds);
        assert!(!answered(&[Some(200), None], second).holds);
    }

    #[test]
    fn too_much_memory_or_time_is_noticed() {
        assert!(bounded(10 * 1024).holds);
        assert!(!bounded(u64::MAX).holds);
        let times = |slow: u64| [vec![Duration::from_millis(1); 98], vec![Duration::from_millis(slow); 2]].concat();
        assert!(probed(&times(49)).holds);
        assert!(!probed(&times(50)).holds);
        assert!(!probed(&[]).holds);
    }
}
