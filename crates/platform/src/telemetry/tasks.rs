use std::future::Future;
use std::panic::{AssertUnwindSafe, resume_unwind};

use futures_util::FutureExt;
use tokio::task::JoinHandle;
use tracing::Instrument;

use super::panics::panic_text;
use super::{current_context, with_context};

/// Starts a task that keeps the span and the request of its maker. A panic in it is logged and counted, and reaches
/// whoever awaits the handle as a `JoinError`.
pub fn spawn<F>(name: &'static str, future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let watched = async move {
        match AssertUnwindSafe(future).catch_unwind().await {
            Ok(output) => output,
            Err(panic) => {
                tracing::error!(task = name, panic = panic_text(&*panic), "a task panicked");
                metrics::counter!("task_panics_total", "task" => name).increment(1);
                resume_unwind(panic)
            }
        }
    };
    let span = tracing::info_span!("task", task = name);
    #[expect(clippy::disallowed_methods, reason = "the one place that spawns: it keeps context and counts panics")]
    match current_context() {
        Some(context) => tokio::spawn(with_context(context, watched).instrument(span)),
        None => tokio::spawn(watched.instrument(span)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::{RequestContext, metrics_handle};

    #[tokio::test]
    async fn a_task_keeps_the_request_of_its_maker() {
        let context = RequestContext { request_id: "r-1".to_owned(), traceparent: None, client: None };
        let seen = with_context(context.clone(), async { spawn("look", async { current_context() }).await });
        assert_eq!(seen.await.expect("no panic"), Some(context));
    }

    #[tokio::test]
    async fn a_panic_is_counted_and_reaches_the_waiter() {
        let metrics = metrics_handle();
        let outcome = spawn("fall", async { panic!("on purpose") }).await;
        assert!(outcome.expect_err("panicked").is_panic());
        assert!(metrics.render().contains("task_panics_total{task=\"fall\"} 1"), "{}", metrics.render());
    }
}
