//! The ground floor against a real database and on real sockets.

#[path = "platform/bodies.rs"]
mod bodies;
#[path = "platform/caching.rs"]
mod caching;
#[path = "platform/events.rs"]
mod events;
#[path = "platform/house.rs"]
mod house;
#[path = "platform/jobs.rs"]
mod jobs;
#[path = "platform/jobs_fail.rs"]
mod jobs_fail;
#[path = "platform/jobs_operator.rs"]
mod jobs_operator;
#[path = "platform/jobs_plans.rs"]
mod jobs_plans;
#[path = "platform/jobs_shutdown.rs"]
mod jobs_shutdown;
#[path = "platform/jobs_worker.rs"]
mod jobs_worker;
#[path = "platform/listening.rs"]
mod listening;
#[path = "platform/once.rs"]
mod once;
#[path = "platform/rate_limit.rs"]
mod rate_limit;
#[path = "platform/serving.rs"]
mod serving;
#[path = "platform/site.rs"]
mod site;
