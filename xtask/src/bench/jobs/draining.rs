//! How many waiting jobs a second are worked on, beside a loop that deletes rows in batches.

use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use super::Stage;
use crate::bench::figures::{each, microseconds, middle, nanoseconds, per_second, ratio, thousands};
use crate::bench::page::Page;
use crate::bench::plot;
use crate::failure::{Failure, io};
use crate::progress;
use crate::service::Service;
use crate::usage;

/// Jobs for each second that a round may take.
const A_SECOND: u64 = 10_000;

/// Jobs that are done before a round, so that statements are prepared.
const WARM_UP: u64 = 500;

/// Jobs that were done before the queue counts as one with a past.
const FINISHED: u64 = 1_000_000;

const PAUSE: Duration = Duration::from_millis(5);

/// How long a round may take before the measurement gives up.
const PATIENCE: Duration = Duration::from_mins(2);

/// Who drains what.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    /// A worker whose jobs do nothing, with so many at a time.
    Idle(Option<u32>),
    /// The service: an event that nobody subscribed to is heard.
    Heard,
    /// `DELETE … SKIP LOCKED LIMIT 200`, on one connection.
    Bare,
}

const SIDES: [(Side, &str); 4] = [
    (Side::Idle(None), "ours: jobs that do nothing, concurrency as shipped"),
    (Side::Idle(Some(8)), "ours: jobs that do nothing, 8 at a time"),
    (Side::Heard, "ours: the service hears `organization_updated`, which reads, settles and commits"),
    (Side::Bare, "bare: `DELETE … SKIP LOCKED LIMIT 200`"),
];

/// One round.
struct Round {
    per_second: u64,
    worker: u64,
    postgres: u64,
    kibibytes: u64,
}

pub(super) fn measure(stage: &Stage<'_>, page: &mut Page) -> Result<(), Failure> {
    let mut all = [const { Vec::new() }; 4];
    for round in 0..stage.effort.rounds {
        progress(format!("draining, round {}", round + 1));
        for ((side, _), rounds) in SIDES.into_iter().zip(&mut all) {
            rounds.push(measure_side(stage, side)?);
        }
    }
    let count = thousands(A_SECOND * u64::from(stage.effort.seconds));
    page.section("Draining", &format!("{count} jobs wait; timed from their commit until none is left."));
    page.table(&["what", "per second", "worker CPU µs", "PostgreSQL CPU µs", "MiB"]);
    let mut bars = Vec::new();
    for ((_, name), rounds) in SIDES.into_iter().zip(&all) {
        write(page, name, rounds);
        bars.push((name.split(',').next().unwrap_or(name).to_owned(), middle(rounds, |round| round.per_second)));
    }
    let [shipped, eight, _, least] = &all;
    for (name, rounds) in [("as shipped", shipped), ("8 at a time", eight)] {
        let name = format!("drain, of a bare `DELETE … SKIP LOCKED` ({name})");
        page.at_least(&name, 35, ratio(rounds, least, |round| round.per_second));
    }
    with_a_past(stage, page, shipped)?;
    page.plot("draining", "Jobs a second", plot::bars("Jobs a second", &bars));
    Ok(())
}

/// The same queue after a million jobs.
fn with_a_past(stage: &Stage<'_>, page: &mut Page, small: &[Round]) -> Result<(), Failure> {
    progress(format!("draining after {FINISHED} jobs"));
    for _ in 0..FINISHED / 10_000 {
        stage.database.run(&fill("platform.jobs", "bench.gone", "bench", 10_000, "{}"))?;
        stage.database.run("DELETE FROM platform.jobs")?;
    }
    // As PostgreSQL does by itself within a minute.
    stage.database.run("VACUUM ANALYZE platform.jobs")?;
    let rounds = (0..stage.effort.rounds).map(|_| measure_side(stage, Side::Idle(None)));
    let rounds = rounds.collect::<Result<Vec<_>, _>>()?;
    write(page, "ours: jobs that do nothing, after a million jobs", &rounds);
    let cost = ratio(&rounds, small, |round| round.worker + round.postgres);
    page.at_most("CPU of a job after a million jobs", 120, cost);
    Ok(())
}

fn write(page: &mut Page, name: &str, rounds: &[Round]) {
    let kibibytes = middle(rounds, |round| round.kibibytes);
    page.row(&[
        name.to_owned(),
        thousands(middle(rounds, |round| round.per_second)),
        microseconds(middle(rounds, |round| round.worker)),
        microseconds(middle(rounds, |round| round.postgres)),
        if kibibytes == 0 { String::new() } else { crate::bench::figures::mebibytes(kibibytes) },
    ]);
}

fn measure_side(stage: &Stage<'_>, side: Side) -> Result<Round, Failure> {
    match side {
        Side::Idle(concurrency) => {
            let worker = Idle::start(stage, concurrency)?;
            round(stage, worker.0.id(), ("bench.idle", "bench", "{}"))
        }
        Side::Heard => {
            let worker = Service::start_working(&stage.program)?;
            let args =
                r#"{"organization":"0197a3f1-5c4e-7d2a-9b1f-3e8c6a4d2b10","name":"Bench","at":"2026-03-01T12:00:00Z"}"#;
            round(stage, worker.id(), ("webhooks hears users.organization_updated.v1", "events.webhooks", args))
        }
        Side::Bare => bare(stage),
    }
}

/// Has a process that runs work on jobs of one name.
fn round(stage: &Stage<'_>, worker: u32, (name, queue, args): (&str, &str, &str)) -> Result<Round, Failure> {
    drain(stage, WARM_UP, (name, queue, args))?;
    let count = A_SECOND * u64::from(stage.effort.seconds);
    let before = (usage::cpu_time(worker).unwrap_or_default(), stage.used_by_postgres()?);
    let elapsed = drain(stage, count, (name, queue, args))?;
    let after = (usage::cpu_time(worker).unwrap_or_default(), stage.used_by_postgres()?);
    Ok(Round {
        per_second: per_second(count, elapsed),
        worker: nanoseconds(each(after.0.saturating_sub(before.0), count)),
        postgres: nanoseconds(each(after.1.saturating_sub(before.1), count)),
        kibibytes: usage::resident_kibibytes(worker).unwrap_or_default(),
    })
}

/// Enqueues so many jobs at once; says how long it took until none was left.
fn drain(stage: &Stage<'_>, count: u64, (name, queue, args): (&str, &str, &str)) -> Result<Duration, Failure> {
    stage.database.run(&fill("platform.jobs", name, queue, count, args))?;
    let started = Instant::now();
    stage.generator.runtime.block_on(async {
        let mut connection = stage.generator.pool.acquire().await?;
        sqlx::query("SELECT pg_notify('wake', 'jobs')").execute(&mut *connection).await?;
        let left = "SELECT EXISTS (SELECT FROM platform.jobs WHERE queue = $1)";
        while sqlx::query_scalar::<_, bool>(left).bind(queue).fetch_one(&mut *connection).await? {
            if started.elapsed() > PATIENCE {
                return Err(Failure::Finding(format!("jobs were left after {PATIENCE:?}")));
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(started.elapsed())
    })
}

/// Jobs that are due now, with ids in their order.
fn fill(table: &str, name: &str, queue: &str, count: u64, args: &str) -> String {
    let more = if table == "bare.jobs" { ["", ""] } else { [", max_attempts", ", 20"] };
    format!(
        "INSERT INTO {table} (id, queue, name, args, priority, run_at{})
         SELECT (left(webhooks.first_id(now())::text, 14) || '7000-8000-' || lpad(to_hex(number), 12, '0'))::uuid,
                '{queue}', '{name}', '{args}', 1, now(){}
         FROM generate_series(1, {count}) AS number",
        more[0], more[1]
    )
}

/// The least that takes jobs from a table.
fn bare(stage: &Stage<'_>) -> Result<Round, Failure> {
    let count = A_SECOND * u64::from(stage.effort.seconds);
    stage.database.run(&fill("bare.jobs", "bench.idle", "bench", count, "{}"))?;
    let before = stage.used_by_postgres()?;
    let started = Instant::now();
    stage.generator.runtime.block_on(async {
        let mut connection = stage.generator.pool.acquire().await?;
        loop {
            let taken = sqlx::query(
                "DELETE FROM bare.jobs WHERE id = ANY (ARRAY(
                     SELECT id FROM bare.jobs
                     WHERE queue = $1 AND priority = 1 AND run_at <= now()
                     ORDER BY run_at, id LIMIT 200 FOR UPDATE SKIP LOCKED))
                 RETURNING id, name, args",
            );
            if taken.bind("bench").fetch_all(&mut *connection).await?.is_empty() {
                return Ok::<_, Failure>(());
            }
        }
    })?;
    let elapsed = started.elapsed();
    let postgres = nanoseconds(each(stage.used_by_postgres()?.saturating_sub(before), count));
    Ok(Round { per_second: per_second(count, elapsed), worker: 0, postgres, kibibytes: 0 })
}

/// The worker whose jobs do nothing; dropping it kills it.
struct Idle(Child);

impl Idle {
    fn start(stage: &Stage<'_>, concurrency: Option<u32>) -> Result<Self, Failure> {
        let mut command = Command::new(&stage.idle);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut process = command.spawn().map_err(io("run", &stage.idle))?;
        if let Some(mut input) = process.stdin.take() {
            let settings = json!({ "database": stage.database.url(), "concurrency": concurrency });
            input.write_all(settings.to_string().as_bytes()).map_err(io("tell", &stage.idle))?;
        }
        Ok(Self(process))
    }
}

impl Drop for Idle {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
