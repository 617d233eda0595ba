//! The module alone, through its router and its jobs, with a real database and real receivers.

#[path = "webhooks/blocker.rs"]
mod blocker;
#[path = "webhooks/breaker.rs"]
mod breaker;
#[path = "webhooks/closings.rs"]
mod closings;
#[path = "webhooks/deliveries.rs"]
mod deliveries;
#[path = "webhooks/disabling.rs"]
mod disabling;
#[path = "webhooks/enabling.rs"]
mod enabling;
#[path = "webhooks/endpoints.rs"]
mod endpoints;
#[path = "webhooks/fairness.rs"]
mod fairness;
#[path = "webhooks/gauges.rs"]
mod gauges;
#[path = "webhooks/house.rs"]
mod house;
#[path = "webhooks/inbox.rs"]
mod inbox;
#[path = "webhooks/inbox_jobs.rs"]
mod inbox_jobs;
#[path = "webhooks/inbox_schemes.rs"]
mod inbox_schemes;
#[path = "webhooks/inbox_together.rs"]
mod inbox_together;
#[path = "webhooks/isolation.rs"]
mod isolation;
#[path = "webhooks/meter.rs"]
mod meter;
#[path = "webhooks/operations.rs"]
mod operations;
#[path = "webhooks/partitions.rs"]
mod partitions;
#[path = "webhooks/plans.rs"]
mod plans;
#[path = "webhooks/receiver.rs"]
mod receiver;
#[path = "webhooks/recording.rs"]
mod recording;
#[path = "webhooks/replays.rs"]
mod replays;
#[path = "webhooks/retries.rs"]
mod retries;
#[path = "webhooks/rotation.rs"]
mod rotation;
#[path = "webhooks/sender.rs"]
mod sender;
#[path = "webhooks/trials.rs"]
mod trials;
