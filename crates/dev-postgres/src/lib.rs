//! Finds, starts and shares a real PostgreSQL for development and tests, so that `cargo run` and `cargo test` need
//! no setup.
//!
//! [`Cluster::start`] gives a running server: it joins the one that already serves the directory, or makes and
//! starts one. Every process that uses a cluster is entered in a list of users; a small watchdog stops the server
//! when that list has been empty for a while, also when the users were killed.
//!
//! Nothing in here belongs in production.

mod account;
mod binaries;
mod cluster;
mod data;
mod error;
mod place;
mod port;
mod process;
mod server;
mod users;
mod watchdog;

pub use binaries::{Binaries, Found, Looked, OLDEST_MAJOR, Search, find_binaries, find_binaries_in, look};
pub use cluster::{Cluster, Settings};
pub use error::{Error, NotFound};
pub use process::process_exists;

/// What a cluster is for, which decides how careful it is with its data and when it stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A developer's data: durable, behind a password, stopped by the last process that leaves.
    Development,
    /// Throw-away data: quick, loses data when the machine crashes, stays warm for a while after the last test.
    Test,
    /// For tests that kill the server and look at what survived: durable, and one caller owns it alone.
    Durable,
}
