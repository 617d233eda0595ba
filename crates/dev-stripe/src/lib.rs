//! A stand-in for Stripe, for development and tests: it speaks Stripe's HTTP dialect for the calls a thin adapter
//! makes, hosts the checkout page, has a clock that can be moved and failures that can be asked for, and sends signed
//! events.
//!
//! [`StripeServer::start`] gives a [`Running`] server on loopback; [`Control`] does what a person could do in Stripe's
//! dashboard, and what only time and bad luck can do to the real one. Everything is in memory and gone when it stops.
//!
//! Nothing in here belongs in production.

mod api;
mod control;
mod delivery;
mod objects;
mod options;
mod pages;
mod server;
mod shop;
mod trade;

pub use control::{Control, ControlError, Failure, Release};
pub use delivery::{Attempt, signature};
pub use options::{Interval, Options, PriceSpec, Time};
pub use server::{Running, StartError, StripeServer};
