use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::{Instant, timeout};
use tracing::Instrument;
use uuid::Uuid;

use super::registry::Handler;
use super::store::Claimed;
use super::{BoxError, JobError, Running};
use crate::ids;
use crate::telemetry::{self, ErrorReport, RequestContext, TraceParent};

/// The shortest pause before a new try, and the first ceiling of the jitter.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_hours(1);

/// A try that is over and waits to be settled.
pub(super) struct Finished {
    pub(super) id: Uuid,
    pub(super) lease: Uuid,
    pub(super) queue: String,
    pub(super) verdict: Verdict,
}

pub(super) enum Verdict {
    Succeeded,
    Retry { error: String, after: Duration },
    Dead { error: String },
}

/// What can go wrong inside a try.
enum Failed {
    Job(JobError),
    Unreadable(serde_json::Error),
    TooSlow(Duration),
    Panicked(String),
    Abandoned,
}

/// Runs one try on behalf of the request that caused the job.
pub(super) async fn run(job: Claimed, handler: Arc<Handler>) -> Finished {
    let request_id = job.request_id.clone().unwrap_or_else(|| job.id.to_string());
    let span = tracing::info_span!("job", name = job.name, id = %job.id, attempt = job.attempts, request_id);
    if let Some(parent) = job.traceparent.as_deref().and_then(TraceParent::parse) {
        telemetry::follow(&span, &parent);
    }
    let context = RequestContext { request_id, traceparent: job.traceparent.clone(), client: None };
    telemetry::with_context(context, try_once(job, handler)).instrument(span).await
}

async fn try_once(mut job: Claimed, handler: Arc<Handler>) -> Finished {
    let started = Instant::now();
    let result = AssertUnwindSafe(call(&mut job, &handler)).catch_unwind().await;
    let result = result.unwrap_or_else(|panic| Err(Failed::Panicked(telemetry::panic_text(&*panic))));
    let verdict = match result {
        Ok(()) => Verdict::Succeeded,
        Err(failed) => judge(failed, &job),
    };
    report(&job, &verdict, started.elapsed());
    Finished { id: job.id, lease: job.lease, queue: job.queue, verdict }
}

async fn call(job: &mut Claimed, handler: &Handler) -> Result<(), Failed> {
    if job.attempts > job.max_attempts {
        return Err(Failed::Abandoned);
    }
    let running = Running { id: job.id, attempt: job.attempts, max_attempts: job.max_attempts, lease: job.lease };
    let work = (handler.start)(job.args.take(), running).map_err(Failed::Unreadable)?;
    match timeout(handler.time_limit, work).await {
        Ok(result) => result.map_err(Failed::Job),
        Err(_elapsed) => Err(Failed::TooSlow(handler.time_limit)),
    }
}

fn judge(failed: Failed, job: &Claimed) -> Verdict {
    let (error, hopeless) = match failed {
        Failed::Job(JobError::Retry(error)) => (chain(&error), false),
        Failed::Job(JobError::Discard(reason)) => (reason, true),
        Failed::Unreadable(error) => {
            (format!("the arguments cannot be read: {}", without_values(&error.to_string())), true)
        }
        Failed::TooSlow(limit) => (format!("stopped after {} ms", limit.as_millis()), false),
        Failed::Panicked(text) => {
            metrics::counter!("jobs_panicked_total", "job" => job.name.clone()).increment(1);
            (format!("panicked: {text}"), false)
        }
        Failed::Abandoned => ("its worker vanished during every try".to_owned(), true),
    };
    // PostgreSQL keeps no NUL, and a long text helps nobody.
    let error = error.chars().filter(|c| *c != '\0').take(4_000).collect();
    if hopeless || job.attempts >= job.max_attempts {
        Verdict::Dead { error }
    } else {
        Verdict::Retry { error, after: backoff(job.attempts, ids::random_fraction()) }
    }
}

/// serde quotes the values it cannot use; arguments may be personal, and this text is logged and stored.
fn without_values(text: &str) -> String {
    text.split('"').enumerate().map(|(part, text)| if part % 2 == 0 { text } else { "…" }).collect()
}

/// Exponential with full jitter: from [`FIRST_PAUSE`] up to a ceiling that doubles with every try until [`LONGEST_PAUSE`].
fn backoff(attempt: i32, fraction: f64) -> Duration {
    let doublings = u32::try_from(attempt).unwrap_or_default().min(20);
    let ceiling = FIRST_PAUSE.saturating_mul(1 << doublings).min(LONGEST_PAUSE);
    FIRST_PAUSE + ceiling.saturating_sub(FIRST_PAUSE).mul_f64(fraction)
}

fn report(job: &Claimed, verdict: &Verdict, took: Duration) {
    let milliseconds = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    let outcome = match verdict {
        Verdict::Succeeded => {
            tracing::info!(duration_ms = milliseconds, "job done");
            "succeeded"
        }
        Verdict::Retry { error, after } => {
            tracing::warn!(
                duration_ms = milliseconds,
                error,
                retry_in_ms = u64::try_from(after.as_millis()).ok(),
                "job failed"
            );
            "retried"
        }
        Verdict::Dead { error } => {
            tracing::error!(duration_ms = milliseconds, error, "job is dead");
            "dead"
        }
    };
    metrics::counter!("jobs_total", "job" => job.name.clone(), "outcome" => outcome).increment(1);
    metrics::histogram!("job_duration_seconds", "job" => job.name.clone()).record(took.as_secs_f64());
}

fn chain(error: &BoxError) -> String {
    ErrorReport::new(&**error).chain
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_of_arguments_are_not_repeated() {
        let text = without_values("invalid type: string \"ada@example.com\", expected u8 at line 1");
        assert_eq!(text, "invalid type: string …, expected u8 at line 1");
        assert_eq!(without_values("missing field `name`"), "missing field `name`");
    }

    #[test]
    fn the_ceiling_doubles_until_an_hour() {
        let ceilings: Vec<u64> = [1, 2, 3, 11, 12, 20, 1_000].map(|attempt| backoff(attempt, 1.0).as_secs()).to_vec();
        assert_eq!(ceilings, [2, 4, 8, 2_048, 3_600, 3_600, 3_600]);
    }

    proptest! {
        #[test]
        fn every_pause_is_between_a_second_and_an_hour(attempt in i32::MIN..i32::MAX, fraction in 0.0..1.0) {
            let pause = backoff(attempt, fraction);
            prop_assert!((FIRST_PAUSE..=LONGEST_PAUSE).contains(&pause), "{pause:?}");
        }
    }
}
