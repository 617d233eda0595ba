//! How much a test does: little in every test run, all of it in `cargo xtask proofs webhooks`, which runs the same tests.

use std::fmt::Display;
use std::sync::LazyLock;
use std::time::Duration;

/// Set to anything by `cargo xtask proofs webhooks`.
const FULL_COUNTS: &str = "FULL_COUNTS";

/// Whether the full counts are wanted, and a release build on a machine that does nothing else.
pub(super) fn is_full() -> bool {
    #[expect(clippy::disallowed_methods, reason = "a setting of the tests, which the service never sees")]
    static FULL: LazyLock<bool> = LazyLock::new(|| std::env::var_os(FULL_COUNTS).is_some());
    *FULL
}

/// One of the two.
pub(super) fn at_scale<T>(small: T, full: T) -> T {
    if is_full() { full } else { small }
}

/// How long something may take that grows with the counts.
pub(super) fn patience() -> Duration {
    at_scale(Duration::from_mins(1), Duration::from_mins(20))
}

/// Tells what was found, on a line of its own, to `cargo xtask proofs webhooks` or whoever else asks with `--nocapture`.
#[expect(clippy::print_stdout, reason = "the program that runs the proofs reads it there")]
pub(super) fn found(invariant: u32, what: impl Display) {
    println!("\nfound {invariant:02}: {what}");
}
