//! What operators see of the delivery loop: what it did, and what waits.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use super::DeliveryId;
use super::store::gauges;
use super::verdict::Outcome;
use crate::{Error, Webhooks};

/// How often the gauges are sampled.
const SAMPLE_EVERY: Duration = Duration::from_secs(15);

/// When they were sampled last.
#[derive(Debug, Default)]
pub(super) struct Gauges(Mutex<Option<Instant>>);

impl Gauges {
    fn are_due(&self, now: Instant) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let due = last.is_none_or(|last| now.duration_since(last) >= SAMPLE_EVERY);
        if due {
            *last = Some(now);
        }
        due
    }
}

impl Webhooks {
    /// Sets the gauges, unless that was done a moment ago. Its cost does not grow with what waits.
    pub(super) async fn sample(&self, gauges: &Gauges) {
        if !gauges.are_due(Instant::now()) {
            return;
        }
        if let Err(error) = self.set_gauges().await {
            tracing::debug!(%error, "what waits to be sent could not be measured");
        }
    }

    async fn set_gauges(&self) -> Result<(), Error> {
        let sample = gauges::sample(&mut *self.0.db.read().await?).await?;
        metrics::gauge!("webhook_due_deliveries").set(sample.due);
        metrics::gauge!("webhook_oldest_due_seconds").set(sample.oldest_seconds);
        metrics::gauge!("webhook_endpoints", "state" => "enabled").set(sample.enabled);
        metrics::gauge!("webhook_endpoints", "state" => "paused").set(sample.paused);
        metrics::gauge!("webhook_endpoints", "state" => "disabled").set(sample.disabled);
        Ok(())
    }
}

/// Counts an attempt, the first after `failed` others.
pub(super) fn count_attempt(failed: i32, outcome: &Outcome) {
    metrics::counter!("webhook_attempts_total", "outcome" => outcome.verdict.name()).increment(1);
    let took = u64::try_from(outcome.attempt.duration_ms).unwrap_or_default();
    metrics::histogram!("webhook_attempt_duration_seconds").record(Duration::from_millis(took));
    if failed == 0 {
        metrics::histogram!("webhook_first_attempt_lag_seconds").record(lag(outcome.delivery, outcome.attempt.sent_at));
    }
}

/// How long a delivery waited until this moment. Its id says when it began.
fn lag(delivery: DeliveryId, now: DateTime<Utc>) -> Duration {
    let begun = delivery.uuid().get_timestamp().and_then(|at| {
        let (seconds, nanoseconds) = at.to_unix();
        DateTime::from_timestamp(i64::try_from(seconds).ok()?, nanoseconds)
    });
    begun.and_then(|begun| (now - begun).to_std().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use platform::ids::uuid_at;

    use super::*;

    #[test]
    fn gauges_are_sampled_every_quarter_of_a_minute() {
        let (gauges, now) = (Gauges::default(), Instant::now());
        assert!(gauges.are_due(now));
        assert!(!gauges.are_due(now + SAMPLE_EVERY / 2));
        assert!(gauges.are_due(now + SAMPLE_EVERY));
        assert!(!gauges.are_due(now + SAMPLE_EVERY));
    }

    #[test]
    fn a_delivery_lags_from_its_making_and_never_negatively() {
        let made = DateTime::from_timestamp(1_772_366_400, 0).expect("a time");
        let delivery = DeliveryId::from(uuid_at(made));
        assert_eq!(lag(delivery, made + Duration::from_millis(1_500)), Duration::from_millis(1_500));
        assert_eq!(lag(delivery, made - Duration::from_secs(1)), Duration::ZERO);
    }
}
