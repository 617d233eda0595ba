//! The tests of the whole house, in one binary: what no single crate can check alone.

mod architecture;
mod authorization;
mod bad_input;
mod budgets;
mod buyer;
mod commands;
mod contract;
mod disabled_endpoints;
mod erasure;
mod faults;
mod home;
mod isolation;
mod journeys;
mod keys;
mod operator;
mod payments;
mod processes;
mod receiver;
mod replicas;
mod security;
mod tidy;
mod tree;
