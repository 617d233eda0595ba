//! The ground floor every module stands on: configuration, time, ids, database pools, HTTP, jobs, events, mail and
//! telemetry. It knows no business noun and depends on no other crate of the workspace.

pub mod cache;
pub mod caller;
pub mod clock;
pub mod config;
pub mod db;
pub mod events;
pub mod http;
pub mod ids;
pub mod jobs;
pub mod mail;
pub mod once;
pub mod outbound;
pub mod rate_limit;
pub mod secrets;
pub mod shutdown;
pub mod telemetry;

/// What the exported macros expand to; not for use by hand.
#[doc(hidden)]
pub mod __private {
    pub use garde;
    pub use serde;
    pub use sqlx;
    pub use utoipa;
    pub use uuid::{Error as UuidError, Uuid};
}

extern crate self as platform;
