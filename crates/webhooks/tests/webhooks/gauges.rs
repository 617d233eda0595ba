//! What operators see.

use metrics::set_default_local_recorder;

use crate::house::House;
use crate::meter::Meter;
use crate::receiver::{Receiver, Reply};

#[tokio::test]
async fn what_waits_and_how_endpoints_are_doing_is_measured() {
    let (house, meter) = (House::open().await, Meter::default());
    let _recording = set_default_local_recorder(&meter);
    house
        .run_sql(
            "INSERT INTO webhooks.endpoints (id, organization_id, url, description, event_types, max_in_flight, version,
                                             created_at, updated_at, next_ready_at, paused_until, disabled_at)
             SELECT gen_random_uuid(), gen_random_uuid(), 'http://idle.test/', '', ARRAY['organization.created'], 10, 1,
                    now(), now(), now() + interval '1 hour',
                    CASE WHEN number IN (1, 2) THEN now() + interval '1 hour' END, CASE WHEN number IN (2, 3, 4) THEN now() END
             FROM generate_series(1, 10) number;
             INSERT INTO webhooks.due_deliveries (delivery_id, endpoint_id, message_id, next_at)
             SELECT gen_random_uuid(), id, gen_random_uuid(),
                    now() - CASE WHEN paused_until IS NULL AND disabled_at IS NULL THEN interval '100 seconds' ELSE interval '1 day' END
             FROM webhooks.endpoints, generate_series(1, 3)",
        )
        .await;
    house.worker.run_due().await;
    assert_eq!(meter.gauge("webhook_due_deliveries"), 30);
    let oldest = meter.gauge("webhook_oldest_due_seconds");
    assert!((100..200).contains(&oldest), "{oldest}: those of paused and disabled endpoints do not count");
    let endpoints =
        ["enabled", "paused", "disabled"].map(|state| meter.gauge(&format!("webhook_endpoints{{state={state}}}")));
    assert_eq!(endpoints, [6, 1, 3]);
}

#[tokio::test]
async fn attempts_pauses_and_lags_are_counted() {
    let (house, meter) = (House::open().await, Meter::default());
    let _recording = set_default_local_recorder(&meter);
    let receiver = Receiver::replying([Reply::status(500)]).await;
    house.register(&receiver.url).await;
    house.happen(10).await;
    house.worker.run_due().await;
    house.run_sql("UPDATE webhooks.endpoints SET paused_until = now()").await;
    house.hurry().await;
    house.worker.run_due().await;
    assert_eq!(meter.count("webhook_attempts_total{outcome=retry}"), 11);
    assert_eq!(meter.count("webhook_attempt_duration_seconds"), 11);
    assert_eq!(meter.count("webhook_first_attempt_lag_seconds"), 10, "a retry is no first attempt");
    assert_eq!(meter.count("webhook_breaker_openings_total"), 2);
}
