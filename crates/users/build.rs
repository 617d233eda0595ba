//! Rebuilds the crate when a migration is added; the macro that embeds them only watches those it knows.

fn main() {
    println!("cargo:rerun-if-changed=../../migrations/users");
}
