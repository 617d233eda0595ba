use std::future::Future;
use std::net::IpAddr;

tokio::task_local! {
    static CONTEXT: RequestContext;
}

/// What ties log lines, jobs, events and outgoing calls to the request that caused them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestContext {
    /// The `x-request-id`.
    pub request_id: String,
    /// Our own position in the trace, as a W3C `traceparent`.
    pub traceparent: Option<String>,
    /// Where the request came from; unknown to the jobs it causes.
    pub client: Option<IpAddr>,
}

/// The request on whose behalf this code runs, if any.
#[must_use]
pub fn current_context() -> Option<RequestContext> {
    peek(Clone::clone)
}

/// Runs a future on behalf of a request; everything it awaits sees the context.
pub fn with_context<F: Future>(context: RequestContext, future: F) -> impl Future<Output = F::Output> + use<F> {
    CONTEXT.scope(context, future)
}

/// Looks at the context without cloning it.
pub(super) fn peek<T>(look: impl FnOnce(&RequestContext) -> T) -> Option<T> {
    CONTEXT.try_with(look).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_context_is_seen_inside_and_only_inside() {
        let context = RequestContext { request_id: "r-1".to_owned(), traceparent: None, client: None };
        assert_eq!(current_context(), None);
        let inside = with_context(context.clone(), async {
            tokio::task::yield_now().await;
            current_context()
        });
        assert_eq!(inside.await, Some(context));
        assert_eq!(current_context(), None);
    }
}
