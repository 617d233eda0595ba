//! A small site behind the serving loop and the stack, on a real socket and without a database; and clients for it.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::Request;
use axum::routing::{get, post};
use futures_util::stream;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use platform::caller::{Authority, Caller, OrgId, Role};
use platform::http::{Health, Problem, ServerConfig, StackConfig, bind, serve};
use platform::shutdown::Shutdown;
use platform::telemetry;
use test_support::Answer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;

/// How long a test waits for what must happen; a busy machine must not fail it.
const PATIENCE: Duration = Duration::from_secs(30);

/// Longer than any test.
const LONG_MS: u64 = 120_000;

pub(crate) struct Site {
    pub(crate) shutdown: Shutdown,
    /// Lets one request to `/wait` go on.
    pub(crate) release: Arc<Notify>,
    address: SocketAddr,
    entered: mpsc::UnboundedReceiver<()>,
    serving: JoinHandle<()>,
}

impl Site {
    /// With patience for everything but what `change` says.
    pub(crate) async fn open(change: impl FnOnce(&mut ServerConfig, &mut StackConfig)) -> Self {
        Self::open_with(Router::new(), change).await
    }

    /// With more routes.
    pub(crate) async fn open_with(more: Router, change: impl FnOnce(&mut ServerConfig, &mut StackConfig)) -> Self {
        let mut stack = test_support::stack(Nobody);
        stack.config.request_timeout_ms = LONG_MS;
        let mut server = patient();
        change(&mut server, &mut stack.config);
        let (shutdown, release) = (Shutdown::new(), Arc::new(Notify::new()));
        let (enter, entered) = mpsc::unbounded_channel();
        let router = stack.wrap(routes(&shutdown, release.clone(), enter).merge(more));
        let listener = bind(([127, 0, 0, 1], 0).into(), "http.address").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let serving = telemetry::spawn("serving", serve(listener, router, server, shutdown.clone()));
        Self { shutdown, release, address, entered, serving }
    }

    /// Returns when a request has arrived at `/wait`.
    pub(crate) async fn entered(&mut self) {
        within(self.entered.recv()).await.expect("the site is open");
    }

    /// Returns when the serving loop is over.
    pub(crate) async fn ended(self) {
        within(self.serving).await.expect("no panic");
    }

    /// Returns when nobody can connect any more.
    pub(crate) async fn refuses(&self) {
        let refused = async {
            while TcpStream::connect(self.address).await.is_ok() {
                tokio::task::yield_now().await;
            }
        };
        within(refused).await;
    }

    /// A connection on which these bytes were sent.
    pub(crate) async fn send(&self, bytes: impl AsRef<[u8]>) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.expect("the site is open");
        stream.write_all(bytes.as_ref()).await.expect("sent");
        stream
    }

    /// Answers over HTTP/1.1, on a connection of its own.
    pub(crate) async fn ask(&self, request: Request<Body>) -> Answer {
        let stream = self.send("").await;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.expect("a connection");
        telemetry::spawn("client", connection);
        let response = within(sender.send_request(request)).await.expect("an answer");
        read(response).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask(request("GET", path)).await
    }

    /// Answers over HTTP/2 without TLS, on one connection, asked at once.
    pub(crate) async fn get_twice_over_http2(&self, path: &str) -> (Answer, Answer) {
        let stream = self.send("").await;
        let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
        let (sender, connection) = within(handshake).await.expect("a connection");
        telemetry::spawn("client", connection);
        let ask = async |mut sender: http2::SendRequest<Body>| {
            let mut request = request("GET", path);
            *request.uri_mut() = format!("http://localhost{path}").parse().expect("an address");
            read(sender.send_request(request).await.expect("an answer")).await
        };
        within(async { tokio::join!(ask(sender.clone()), ask(sender)) }).await
    }
}

/// A request without a body.
pub(crate) fn request(method: &str, path: &str) -> Request<Body> {
    let request = Request::builder().method(method).uri(path).header("host", "localhost");
    request.body(Body::empty()).expect("a well-formed request")
}

async fn read(response: axum::http::Response<Incoming>) -> Answer {
    let (parts, body) = response.into_parts();
    let bytes = within(body.collect()).await.expect("a whole body").to_bytes();
    Answer { status: parts.status, headers: parts.headers, text: String::from_utf8_lossy(&bytes).into_owned() }
}

/// Everything that still comes on a connection, until the other side closes it.
pub(crate) async fn until_closed(mut stream: TcpStream) -> String {
    let mut bytes = Vec::new();
    // A reset closes it, too.
    let _ = within(stream.read_to_end(&mut bytes)).await;
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What the future gives, which must not take for ever.
#[track_caller]
pub(crate) fn within<F: Future>(future: F) -> impl Future<Output = F::Output> {
    let place = std::panic::Location::caller();
    async move {
        let outcome = tokio::time::timeout(PATIENCE, future).await;
        outcome.unwrap_or_else(|_| panic!("what {place} waits for does not happen"))
    }
}

fn patient() -> ServerConfig {
    ServerConfig {
        header_timeout_ms: LONG_MS,
        read_timeout_ms: LONG_MS,
        write_timeout_ms: LONG_MS,
        max_connections: 64,
        readiness_grace_ms: 0,
        drain_ms: LONG_MS,
    }
}

fn routes(shutdown: &Shutdown, release: Arc<Notify>, enter: mpsc::UnboundedSender<()>) -> Router {
    let wait = async move || {
        let released = release.notified();
        enter.send(()).expect("the test looks");
        released.await;
        "released"
    };
    Router::new()
        .route("/", get(async || "here"))
        .route("/echo", post(async |body: String| body))
        .route("/endless", get(endless))
        .route("/wait", get(wait))
        .merge(Health::new(Vec::new(), shutdown.clone()).public_routes())
}

async fn endless() -> Body {
    Body::from_stream(stream::repeat_with(|| Ok::<_, Infallible>(Bytes::from_static(&[b'x'; 8 * 1024]))))
}

/// Knows nobody: the site is open to all.
struct Nobody;

#[async_trait]
impl Authority for Nobody {
    async fn authenticate(&self, _: &str) -> Result<Caller, Problem> {
        Err(Problem::invalid_token("Nobody is known here."))
    }

    async fn role_in(&self, _: &Caller, _: OrgId) -> Result<Option<Role>, Problem> {
        Ok(None)
    }
}
