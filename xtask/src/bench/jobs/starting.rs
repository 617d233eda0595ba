//! How long a job waits for its start when nothing else is to be done: an event comes in, and the first line that the worker
//! writes about it says when its handling began.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use super::Stage;
use crate::bench::figures::{milliseconds, nanoseconds};
use crate::bench::generator::now;
use crate::bench::page::Page;
use crate::bench::webhooks::event;
use crate::failure::{Failure, io};
use crate::people;
use crate::progress;
use crate::service::{Log, Program, Service};
use crate::statistics::percentile;
use crate::workspace::Workspace;

/// Events a second: one by one, and so many that wake-ups of other processes are gathered.
const RATES: [u32; 2] = [14, 100];

/// Events before the measurement begins.
const WARM_UP: u32 = 20;

pub(super) fn measure(stage: &Stage<'_>, page: &mut Page, workspace: &Workspace) -> Result<(), Failure> {
    let log = workspace.scratch()?.join("worker.log");
    let program = Program { log: Log::File(log.clone()), ..stage.program.clone() };
    let (_, api) = Service::start(&stage.program)?;
    let worker = Service::start_working(&program)?;
    let text = "From the answer to `POST /v1/inbound/stripe` at the process `serve`, which commits the job before, to the first line \
                that the process `work` writes about that job. Nothing else is to be done.";
    page.section("Starting", text);
    page.table(&["jobs a second", "jobs", "p50 ms", "p99 ms"]);
    for rate in RATES {
        progress(format!("{rate} events a second"));
        let answered = send(stage, &api, rate)?;
        // The last ones are being worked on.
        std::thread::sleep(Duration::from_secs(1));
        let begun = starts(&fs::read_to_string(&log).map_err(io("read", &log))?);
        let waits = answered.iter().skip(WARM_UP as usize).filter_map(|(id, at)| Some(since(*at, *begun.get(id)?)));
        let waits: Vec<Duration> = waits.collect();
        let expected = answered.len() - WARM_UP as usize;
        if waits.len() < expected {
            return Err(Failure::Finding(format!("of {expected} jobs only {} began", waits.len())));
        }
        let part = |share| nanoseconds(percentile(&waits, share).unwrap_or_default());
        let (p50, p99) = (part(50), part(99));
        page.row(&[rate.to_string(), waits.len().to_string(), milliseconds(p50), milliseconds(p99)]);
        for (name, limit, measured) in [("p50", 5, p50), ("p99", 15, p99)] {
            let texts = (&*format!("< {limit} ms"), &*format!("{} ms", milliseconds(measured)));
            page.goal(&format!("commit to start, {rate} jobs/s: {name}"), texts, measured < limit * 1_000_000);
        }
    }
    drop(worker);
    Ok(())
}

/// Sends events at even intervals; says when each was answered, by the id of its request.
fn send(stage: &Stage<'_>, api: &Service, rate: u32) -> Result<Vec<(String, DateTime<Utc>)>, Failure> {
    let signed_at = stage.database.ask("SELECT extract(epoch FROM now())::bigint::text")?;
    let mut client = people::connect(api)?;
    let mut answered = Vec::new();
    let count = WARM_UP + rate * stage.effort.rounds * stage.effort.seconds;
    let (started, interval) = (Instant::now(), Duration::from_secs(1) / rate);
    for number in 0..count {
        if let Some(wait) = (interval * number).checked_sub(started.elapsed()) {
            std::thread::sleep(wait);
        }
        let id = format!("start-{rate}-{number}");
        let (body, request) = event(&signed_at, &format!("evt_{id}"));
        let request = request.header("x-request-id", &id).json(&body).bytes();
        client.ask(&request).map_err(io("tell", "the service".as_ref()))?.expect_status(200)?;
        answered.push((id, now()));
    }
    Ok(answered)
}

/// When something was first written about each request.
fn starts(log: &str) -> BTreeMap<String, DateTime<Utc>> {
    let mut first = BTreeMap::new();
    for line in log.lines() {
        let Ok(line) = serde_json::from_str::<Value>(line) else { continue };
        let (Some(id), Some(at)) = (line["request_id"].as_str(), line["timestamp"].as_str()) else { continue };
        if let Ok(at) = DateTime::parse_from_rfc3339(at) {
            first.entry(id.to_owned()).or_insert(at.to_utc());
        }
    }
    first
}

/// A job may begin before the answer is read.
fn since(answered: DateTime<Utc>, begun: DateTime<Utc>) -> Duration {
    (begun - answered).max(TimeDelta::zero()).to_std().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_about_a_request_counts() {
        let log = "not JSON\n\
                   {\"timestamp\":\"2026-03-01T12:00:00.000500Z\",\"request_id\":\"a\"}\n\
                   {\"timestamp\":\"2026-03-01T12:00:01Z\",\"request_id\":\"a\"}\n\
                   {\"timestamp\":\"2026-03-01T12:00:01Z\"}\n";
        let starts = starts(log);
        assert_eq!(starts.len(), 1);
        let answered = DateTime::parse_from_rfc3339("2026-03-01T12:00:00Z").expect("a time").to_utc();
        assert_eq!(since(answered, starts["a"]), Duration::from_micros(500));
        assert_eq!(since(starts["a"], answered), Duration::ZERO);
    }
}
