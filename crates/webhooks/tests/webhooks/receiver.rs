//! Somebody who receives webhooks: a server on this machine that keeps what it is sent and answers as it is told.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use platform::telemetry::spawn;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// A request as it came.
#[derive(Clone)]
pub(crate) struct Seen {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// What to answer.
#[derive(Clone, Default)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) header: Option<(HeaderName, String)>,
}

impl Reply {
    pub(crate) fn status(status: u16) -> Self {
        Self { status: StatusCode::from_u16(status).expect("a status"), header: None }
    }
}

pub(crate) struct Receiver {
    pub(crate) url: String,
    desk: Arc<Desk>,
    arrivals: UnboundedReceiver<()>,
}

struct Desk {
    seen: Mutex<Vec<Seen>>,
    /// Answers for the next requests; the last one stays.
    replies: Mutex<VecDeque<Reply>>,
    /// While it is open, nobody is answered.
    gate: Semaphore,
    arrivals: UnboundedSender<()>,
}

impl Receiver {
    /// Answers every request with 200, at once.
    pub(crate) async fn open() -> Self {
        Self::replying([Reply::default()]).await
    }

    /// Answers with each of these in turn, and with the last one from then on.
    pub(crate) async fn replying(replies: impl IntoIterator<Item = Reply>) -> Self {
        let receiver = Self::hesitating(replies).await;
        receiver.desk.gate.close();
        receiver
    }

    /// Answers only when told to, by [`Receiver::answer_all`].
    pub(crate) async fn hesitating(replies: impl IntoIterator<Item = Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/hook", listener.local_addr().expect("bound"));
        let (sender, arrivals) = unbounded_channel();
        let replies = Mutex::new(replies.into_iter().collect());
        let desk = Desk { seen: Mutex::default(), replies, gate: Semaphore::new(0), arrivals: sender };
        let desk = Arc::new(desk);
        let router = Router::new().route("/hook", post(receive)).with_state(desk.clone());
        spawn("receiver", async move { axum::serve(listener, router).await });
        Self { url, desk, arrivals }
    }

    /// Answers everything at once from now on.
    pub(crate) fn answer_all(&self) {
        self.desk.gate.close();
    }

    /// Waits until so many more requests have come.
    pub(crate) async fn wait_for(&mut self, count: usize) {
        for _ in 0..count {
            self.arrivals.recv().await.expect("the receiver runs");
        }
    }

    /// Everything that came, the oldest first.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.desk.seen.lock().expect("not poisoned").clone()
    }
}

async fn receive(State(desk): State<Arc<Desk>>, headers: HeaderMap, body: Bytes) -> Response {
    let reply = {
        let mut replies = desk.replies.lock().expect("not poisoned");
        let next = if replies.len() > 1 { replies.pop_front() } else { replies.front().cloned() };
        next.expect("at least one reply")
    };
    desk.seen.lock().expect("not poisoned").push(Seen { headers, body });
    desk.arrivals.send(()).ok();
    // It never has a permit; once it is closed, everybody passes.
    drop(desk.gate.acquire().await);
    let headers: HeaderMap =
        reply.header.into_iter().map(|(name, value)| (name, value.parse().expect("a header value"))).collect();
    (reply.status, headers, "thank you").into_response()
}
