//! The module alone, through its router and its jobs, with a real database and real receivers.

#[path = "webhooks/closings.rs"]
mod closings;
#[path = "webhooks/deliveries.rs"]
mod deliveries;
#[path = "webhooks/endpoints.rs"]
mod endpoints;
#[path = "webhooks/house.rs"]
mod house;
#[path = "webhooks/inbox.rs"]
mod inbox;
#[path = "webhooks/inbox_jobs.rs"]
mod inbox_jobs;
#[path = "webhooks/isolation.rs"]
mod isolation;
#[path = "webhooks/partitions.rs"]
mod partitions;
#[path = "webhooks/receiver.rs"]
mod receiver;
#[path = "webhooks/sender.rs"]
mod sender;
