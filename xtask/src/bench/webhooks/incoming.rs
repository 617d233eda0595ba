//! Signed events that come in, beside the bare insert of a row.

use std::process::Command;
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use super::CONNECTIONS;
use super::stage::Stage;
use crate::bench::Effort;
use crate::bench::figures::{each, middle, nanoseconds, per_second};
use crate::client::Request;
use crate::database::ScratchDatabase;
use crate::failure::{Failure, io};
use crate::load::{self, Load};
use crate::service::SIGNING_SECRET;
use crate::statistics::percentile;
use crate::usage;

/// The table of the bare insert.
const TABLE: &str = "CREATE SCHEMA bare;
    CREATE TABLE bare.rows (id uuid PRIMARY KEY, payload text NOT NULL, created_at timestamptz NOT NULL)";

/// As much as an event brings.
const INSERT: &str =
    "INSERT INTO bare.rows (id, payload, created_at) VALUES (gen_random_uuid(), repeat('x', 800), now());\n";

/// One round.
#[derive(Clone, Copy)]
pub(super) struct Round {
    pub(super) per_second: u64,
    pub(super) p50: u64,
    pub(super) p99: u64,
    pub(super) service: u64,
    pub(super) postgres: u64,
}

/// What came of it.
pub(super) struct Incoming {
    pub(super) ours: Vec<Round>,
    /// Bare inserts a second, round by round.
    pub(super) bare: Vec<u64>,
    pub(super) rate: u64,
    /// Nobody handles the events yet.
    pub(super) at_rate: Vec<Round>,
    /// The worker handles them at the same time.
    pub(super) handled: Vec<Round>,
}

pub(super) fn measure(stage: &mut Stage<'_>, effort: Effort) -> Result<Incoming, Failure> {
    stage.database.run(TABLE)?;
    stage.rest();
    ask(stage, "warm", Duration::from_millis(500), None)?;
    let (mut ours, mut bare, mut at_rate) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..effort.rounds {
        ours.push(ask(stage, &format!("a{round}"), effort.round(), None)?);
        bare.push(pgbench(stage.database, effort)?);
    }
    let rate = middle(&ours, |round| round.per_second) / 2;
    for round in 0..effort.rounds {
        at_rate.push(ask(stage, &format!("b{round}"), effort.round(), Some(rate))?);
    }
    stage.database.run("TRUNCATE platform.jobs")?;
    stage.work()?;
    let handled = (0..effort.rounds).map(|round| ask(stage, &format!("c{round}"), effort.round(), Some(rate)));
    let handled = handled.collect::<Result<Vec<_>, _>>()?;
    Ok(Incoming { ours, bare, rate, at_rate, handled })
}

/// Sends events, each with an id of its own, and a signature.
fn ask(stage: &Stage<'_>, run: &str, duration: Duration, rate: Option<u64>) -> Result<Round, Failure> {
    let now = stage.database.ask("SELECT extract(epoch FROM now())::bigint::text")?;
    let load = Load { address: stage.api.address, connections: CONNECTIONS as usize, duration, rate, expected: 200 };
    let used = || Some((usage::cpu_time(stage.api.id())?, usage::cpu_time_of_family(stage.postgres)?));
    let before = used();
    let outcome = load::run(&load, &|number, turn| {
        let (body, request) = event(&now, &format!("evt_{run}_{number}_{turn}"));
        request.json(&body).bytes()
    })?;
    let unknown = || Failure::Finding("processor times are only known on Linux".to_owned());
    let (before, after) = before.zip(used()).ok_or_else(unknown)?;
    let count = outcome.latencies.len() as u64;
    let part = |share| nanoseconds(percentile(&outcome.latencies, share).unwrap_or_default());
    Ok(Round {
        per_second: per_second(count, outcome.elapsed),
        p50: part(50),
        p99: part(99),
        service: nanoseconds(each(after.0.saturating_sub(before.0), count)),
        postgres: nanoseconds(each(after.1.saturating_sub(before.1), count)),
    })
}

/// An event that nobody has to do anything about, as large as the small ones are, and the signed request that brings it.
pub(in crate::bench) fn event(now: &str, id: &str) -> (Value, Request) {
    let filling = "x".repeat(600);
    let body = json!({
        "id": id, "object": "event", "type": "invoice.created", "created": 1_700_000_000, "livemode": true,
        "api_version": "2026-02-25.basil", "data": { "object": { "id": "in_1", "object": "invoice", "note": filling } },
    });
    let signature = sign(now, &body.to_string());
    let header = format!("t={now},v1={signature}");
    (body, Request::new("POST", "/v1/inbound/stripe").header("stripe-signature", &header))
}

fn sign(now: &str, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(SIGNING_SECRET.as_bytes()).expect("HMAC takes a key of any length");
    mac.update(format!("{now}.{body}").as_bytes());
    let signature: [u8; 32] = mac.finalize().into_bytes().into();
    signature.map(|byte| format!("{byte:02x}")).concat()
}

/// How many rows a second PostgreSQL's own program inserts over as many connections.
fn pgbench(database: &ScratchDatabase, effort: Effort) -> Result<u64, Failure> {
    let program = dev_postgres::find_binaries()?.directory().join("pgbench");
    let script = std::env::temp_dir().join(format!("insert-{}.sql", std::process::id()));
    std::fs::write(&script, INSERT).map_err(io("write", &script))?;
    let (connections, url) = (CONNECTIONS.to_string(), database.url());
    // It does not know what sqlx adds.
    let url = url.split('?').next().unwrap_or_default();
    let output = Command::new(&program)
        .args(["--no-vacuum", "--protocol=prepared", "--client", &connections, "--jobs=2", "--time"])
        .arg(effort.seconds.to_string())
        .arg("--file")
        .arg(&script)
        .arg(url)
        .output()
        .map_err(io("run", &program))?;
    std::fs::remove_file(&script).map_err(io("delete", &script))?;
    let told = String::from_utf8_lossy(&output.stdout);
    let rate = told.lines().find_map(|line| line.strip_prefix("tps = ")?.split(['.', ' ']).next()?.parse().ok());
    rate.ok_or_else(|| Failure::Finding(format!("pgbench failed: {}", String::from_utf8_lossy(&output.stderr))))
}
