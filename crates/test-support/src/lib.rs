//! What tests of every module need and nothing of any module: databases, an API client, people with roles, a house without
//! a server.

mod client;
pub mod database;
mod fixtures;
mod patience;
mod people;
mod statements;

pub use client::{Answer, ApiClient, Ask};
pub use fixtures::{database_config, jobs_config, mailer, secrets, service_config, stack, start_of_time, unlimited};
pub use patience::eventually;
pub use people::People;
pub use statements::Statements;
