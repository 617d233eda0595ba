//! A real receiver of webhooks on this machine, which can misbehave.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use tokio::sync::Semaphore;
use tokio::time::{interval, timeout};

/// What a receiver that floods sends at a time, and in all.
const CHUNK: usize = 16 * 1024;
const FLOOD: usize = 1024 * 1024 * 1024;

/// What arrived.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

/// How a receiver answers.
pub(crate) enum Manner {
    /// At once.
    Answer(u16),
    /// After this time.
    Linger(Duration),
    /// When the gate is closed behind those who wait.
    Wait(Arc<Semaphore>, u16),
    /// Never.
    Hang,
    /// 200, and then a byte a second for ever.
    Drip,
    /// 200, and then a gigabyte.
    Flood,
}

/// Listens until the test ends and keeps what arrives.
#[derive(Clone)]
pub(crate) struct Receiver(Arc<Desk>);

struct Desk {
    keeps: bool,
    received: Mutex<Vec<Received>>,
    manner: Box<dyn Fn(&Received) -> Manner + Send + Sync>,
    /// Calls that are not answered to their end, by path and message.
    open: Mutex<BTreeMap<(String, String), usize>>,
    overlaps: AtomicUsize,
    arrived: AtomicUsize,
}

impl Receiver {
    /// A receiver that is content, and the URL to register; any path below it is received as well.
    pub(crate) async fn open() -> (Self, String) {
        Self::with_manner(|_| Manner::Answer(200)).await
    }

    /// One that answers as it is told.
    pub(crate) async fn with_manner(manner: impl Fn(&Received) -> Manner + Send + Sync + 'static) -> (Self, String) {
        Self::listen(true, manner).await
    }

    /// One that only counts.
    pub(crate) async fn counting(manner: impl Fn(&Received) -> Manner + Send + Sync + 'static) -> (Self, String) {
        Self::listen(false, manner).await
    }

    async fn listen(keeps: bool, manner: impl Fn(&Received) -> Manner + Send + Sync + 'static) -> (Self, String) {
        let receiver = Self(Arc::new(Desk {
            keeps,
            received: Mutex::default(),
            manner: Box::new(manner),
            open: Mutex::default(),
            overlaps: AtomicUsize::default(),
            arrived: AtomicUsize::default(),
        }));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/hook", listener.local_addr().expect("an address"));
        let router = Router::new().fallback(receive).with_state(receiver.clone());
        platform::telemetry::spawn("receiver", async move {
            axum::serve(listener, router).await.expect("serving");
        });
        (receiver, url)
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        held(&self.0.received).clone()
    }

    /// How many calls came.
    pub(crate) fn arrived(&self) -> usize {
        self.0.arrived.load(Ordering::SeqCst)
    }

    /// How many different messages came.
    pub(crate) fn messages(&self) -> usize {
        held(&self.0.received).iter().map(Received::id).collect::<BTreeSet<_>>().len()
    }

    /// How many calls are waiting for the end of their answer.
    pub(crate) fn open_calls(&self) -> usize {
        held(&self.0.open).values().sum()
    }

    /// How often a message came to a path while an earlier call with it was still open there.
    pub(crate) fn overlaps(&self) -> usize {
        self.0.overlaps.load(Ordering::SeqCst)
    }

    fn arrive(&self, received: &Received) -> Call {
        self.0.arrived.fetch_add(1, Ordering::SeqCst);
        if self.0.keeps {
            held(&self.0.received).push(received.clone());
        }
        let place = (received.path.clone(), received.id().to_owned());
        let mut open = held(&self.0.open);
        let count = open.entry(place.clone()).or_default();
        *count += 1;
        if *count > 1 {
            self.0.overlaps.fetch_add(1, Ordering::SeqCst);
        }
        Call { receiver: self.clone(), place }
    }
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A call from its arrival until it is answered or the caller has gone.
struct Call {
    receiver: Receiver,
    place: (String, String),
}

impl Drop for Call {
    fn drop(&mut self) {
        let mut open = held(&self.receiver.0.open);
        if let Some(count) = open.get_mut(&self.place) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.place);
            }
        }
    }
}

async fn receive(State(desk): State<Receiver>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let received = Received { path: uri.path().to_owned(), headers, body: body.to_vec() };
    let manner = (desk.0.manner)(&received);
    let call = desk.arrive(&received);
    let status = |status: u16| StatusCode::from_u16(status).expect("a status").into_response();
    match manner {
        Manner::Answer(answer) => status(answer),
        Manner::Linger(time) => {
            timeout(time, pending::<()>()).await.ok();
            status(200)
        }
        Manner::Wait(gate, answer) => {
            // It never has a permit; once it is closed, everybody passes.
            drop(gate.acquire().await);
            status(answer)
        }
        Manner::Hang => pending().await,
        Manner::Drip => Body::from_stream(drops(call)).into_response(),
        Manner::Flood => Body::from_stream(waves(call)).into_response(),
    }
}

fn drops(call: Call) -> impl stream::Stream<Item = Result<Bytes, Infallible>> {
    stream::unfold((call, interval(Duration::from_secs(1))), |(call, mut pause)| async move {
        pause.tick().await;
        Some((Ok(Bytes::from_static(b".")), (call, pause)))
    })
}

fn waves(call: Call) -> impl stream::Stream<Item = Result<Bytes, Infallible>> {
    stream::unfold((call, 0), |(call, sent)| async move {
        (sent < FLOOD).then(|| (Ok(Bytes::from_static(&[b'~'; CHUNK])), (call, sent + CHUNK)))
    })
}

impl Received {
    /// What is the same over all tries of a message.
    pub(crate) fn id(&self) -> &str {
        self.headers.get("webhook-id").and_then(|id| id.to_str().ok()).unwrap_or_default()
    }

    /// Checks the signature as a stranger would, with the reference library.
    pub(crate) fn verify(&self, secret: &str) {
        assert!(self.verifies(secret), "a good signature: {:?}", self.headers);
    }

    /// Whether whoever holds this secret believes it.
    pub(crate) fn verifies(&self, secret: &str) -> bool {
        let webhook = standardwebhooks::Webhook::new(secret).expect("a secret");
        let mut headers = HeaderMap::new();
        for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
            let value = self.headers.get(name).expect(name).clone();
            headers.insert(name, value);
        }
        webhook.verify(&self.body, &headers).is_ok()
    }
}
