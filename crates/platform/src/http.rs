//! The wire: what a handler may take and give, the middleware stack, the API document and the serving loop.

mod callers;
mod client_address;
mod etag;
mod health;
mod json;
mod once;
mod openapi;
mod page;
mod problem;
mod rate_limit;
mod raw_body;
mod request_id;
mod secret_text;
mod server;
mod stack;
mod text;
mod versions;

pub use axum::http::{Method, StatusCode};
pub use etag::{ETag, IfMatch};
pub use health::{Health, ReadinessCheck};
pub use json::{Json, Path, Query};
pub use openapi::{Document, Routes};
pub use page::{MAX_LIMIT, Page, PageRequest};
pub use problem::{FieldError, Problem, invalid};
pub use rate_limit::TakenTurn;
pub use raw_body::RawBody;
pub use secret_text::SecretText;
pub use server::{ServerConfig, bind, serve};
pub use stack::{Stack, StackConfig};
pub use text::check_text;
pub use versions::Deprecation;

pub use crate::once::{Answer, Once};
