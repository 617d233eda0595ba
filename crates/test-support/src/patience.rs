use std::time::{Duration, Instant};

/// Longer than anything takes here, and shorter than what is kept for a while takes to expire by itself.
const PATIENCE: Duration = Duration::from_secs(20);

/// Waits for what no clock of ours can step, such as the database telling another connection.
///
/// # Panics
/// When it does not happen.
pub async fn eventually(what: &str, condition: impl AsyncFn() -> bool) {
    let begun = Instant::now();
    let mut pause = tokio::time::interval(Duration::from_millis(5));
    while !condition().await {
        assert!(begun.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        pause.tick().await;
    }
}
