//! The tests of the whole house, in one binary: what no single crate can check alone.

mod architecture;
mod tidy;
mod tree;
