//! How many jobs a second are committed, beside rows of a table that is nothing but a table.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use sqlx::PgConnection;

use super::{CONNECTIONS, Stage};
use crate::bench::figures::{each, microseconds, middle, milliseconds, nanoseconds, per_second, ratio, thousands};
use crate::bench::generator::{Deed, new_id, now};
use crate::bench::page::Page;
use crate::failure::Failure;
use crate::progress;
use crate::statistics::percentile;

const WARM_UP: Duration = Duration::from_millis(500);

/// A job that nobody works on.
const JOB: &str = "bench.waiting";

/// What is written, and whether in a transaction of its own statements.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Target {
    Job,
    Row,
}

struct Write {
    target: Target,
    in_transaction: bool,
}

impl Deed for Write {
    async fn once(&self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        if self.in_transaction {
            sqlx::query("BEGIN").execute(&mut *connection).await?;
        }
        let args = json!({ "organization": "0197a3f1-5c4e-7d2a-9b1f-3e8c6a4d2b10", "name": "Analytical Engines" });
        match self.target {
            Target::Job => {
                sqlx::query("SELECT platform.enqueue_job($1, $2, $3, $4, 1::smallint, NULL, 20, NULL, $5, NULL)")
                    .bind(new_id())
                    .bind("bench")
                    .bind(JOB)
                    .bind(args)
                    .bind("bench")
                    .execute(&mut *connection)
                    .await?
            }
            Target::Row => {
                sqlx::query("INSERT INTO bare.rows (id, queue, name, args, created_at) VALUES ($1, $2, $3, $4, $5)")
                    .bind(new_id())
                    .bind("bench")
                    .bind(JOB)
                    .bind(args)
                    .bind(now())
                    .execute(&mut *connection)
                    .await?
            }
        };
        if self.in_transaction {
            sqlx::query("COMMIT").execute(connection).await?;
        }
        Ok(())
    }
}

/// One round.
struct Round {
    per_second: u64,
    p50: u64,
    p99: u64,
    postgres: u64,
}

pub(super) fn measure(stage: &Stage<'_>, page: &mut Page) -> Result<(), Failure> {
    progress("enqueueing");
    page.section("Enqueueing", &format!("Over {CONNECTIONS} connections; nobody works on the jobs meanwhile."));
    page.table(&["what", "per second", "p50 ms", "p99 ms", "PostgreSQL CPU µs"]);
    for in_transaction in [true, false] {
        let how = if in_transaction { "`BEGIN`, one statement, `COMMIT`" } else { "one statement" };
        let [jobs, rows] = compare(stage, in_transaction)?;
        for (name, rounds) in [("job", &jobs), ("bare row", &rows)] {
            page.row(&[
                format!("{name}: {how}"),
                thousands(middle(rounds, |round| round.per_second)),
                milliseconds(middle(rounds, |round| round.p50)),
                milliseconds(middle(rounds, |round| round.p99)),
                microseconds(middle(rounds, |round| round.postgres)),
            ]);
        }
        let name = format!("enqueue, of a bare insert ({how})");
        page.at_least(&name, 80, ratio(&jobs, &rows, |round| round.per_second));
    }
    Ok(())
}

fn compare(stage: &Stage<'_>, in_transaction: bool) -> Result<[Vec<Round>; 2], Failure> {
    let mut rounds = [const { Vec::new() }; 2];
    for _ in 0..stage.effort.rounds {
        for (target, rounds) in [Target::Job, Target::Row].into_iter().zip(&mut rounds) {
            rounds.push(round(stage, &Arc::new(Write { target, in_transaction }))?);
        }
    }
    Ok(rounds)
}

fn round(stage: &Stage<'_>, write: &Arc<Write>) -> Result<Round, Failure> {
    stage.database.run("TRUNCATE platform.jobs, bare.rows")?;
    stage.generator.repeat_for(write, WARM_UP)?;
    let before = stage.used_by_postgres()?;
    let repeated = stage.generator.repeat_for(write, stage.effort.round())?;
    let count = repeated.times.len() as u64;
    let part = |share| nanoseconds(percentile(&repeated.times, share).unwrap_or_default());
    Ok(Round {
        per_second: per_second(count, repeated.elapsed),
        p50: part(50),
        p99: part(99),
        postgres: nanoseconds(each(stage.used_by_postgres()?.saturating_sub(before), count)),
    })
}
