//! The one binary: reads the configuration, wires the modules together and serves them.
//!
//! Start reading at [`wiring`]: it is the only place where two modules are named in one file.

mod check;
mod cli;
mod config;
#[cfg(feature = "dev")]
mod demo;
#[cfg(feature = "dev")]
mod dev;
mod doctor;
mod keys;
mod operator;
mod process;
pub mod wiring;

pub use cli::{Cli, run};
pub use config::{Config, Environment};
#[cfg(feature = "dev")]
pub use dev::payments::options as stand_in_options;
pub use process::{Listeners, Parts, Running, start};
pub use wiring::{House, migrations};
