use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use serde::{Deserialize, Serialize};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_io_timeout::TimeoutStream;
use tower::ServiceExt;

use crate::shutdown::Shutdown;
use crate::telemetry;

/// How connections are treated. Times in milliseconds.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerConfig {
    /// A connection that has not sent a whole request head by then is closed; so is one that stays idle as long.
    pub header_timeout_ms: u64,
    /// A connection from which nothing could be read for this long is closed, whatever it is waiting for. Longer than a request
    /// may take, as a client that waits for its answer sends nothing.
    pub read_timeout_ms: u64,
    /// A connection that takes nothing of its answer for this long is closed.
    pub write_timeout_ms: u64,
    /// Open connections at once; more wait in the listen queue.
    pub max_connections: usize,
    /// How long readiness says no before the listener closes, so that load balancers look away first.
    pub readiness_grace_ms: u64,
    /// How long running requests may take to finish at shutdown.
    pub drain_ms: u64,
}

impl ServerConfig {
    /// What is wrong with the values, as `(key, complaint)`.
    #[must_use]
    pub fn complaints(&self) -> Vec<(String, String)> {
        let mut complaints = Vec::new();
        for (key, value) in [
            ("header_timeout_ms", self.header_timeout_ms),
            ("read_timeout_ms", self.read_timeout_ms),
            ("write_timeout_ms", self.write_timeout_ms),
        ] {
            if value == 0 {
                complaints.push((format!("http.server.{key}"), "must be longer than zero".to_owned()));
            }
        }
        if !(1..=100_000).contains(&self.max_connections) {
            complaints.push(("http.server.max_connections".to_owned(), "must be from 1 to 100000".to_owned()));
        }
        complaints
    }

    /// For the operators' listener, which outlives the public one: it closes at once when everything else has ended.
    #[must_use]
    pub fn without_grace(&self) -> Self {
        Self { readiness_grace_ms: 0, drain_ms: 1_000, ..self.clone() }
    }
}

/// Binds an address.
///
/// # Errors
/// When the address is taken or not ours; the message says which and how to choose another.
pub async fn bind(address: SocketAddr, key: &str) -> std::io::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        let hint = format!("cannot listen on {address}: {error}; choose another address with {key}");
        std::io::Error::new(error.kind(), hint)
    })
}

/// Serves until shutdown begins and what was running has finished, or the drain time is over.
///
/// `axum::serve` cannot time out slow request heads, hence hyper's own connection builder.
pub async fn serve(listener: TcpListener, router: Router, config: ServerConfig, shutdown: Shutdown) {
    let slots = Arc::new(Semaphore::new(config.max_connections));
    let graceful = GracefulShutdown::new();
    let builder = Arc::new(builder(&config));
    let mut closing = std::pin::pin!(close_listener(&shutdown, &config));
    loop {
        let slot = tokio::select! {
            () = &mut closing => break,
            slot = slots.clone().acquire_owned() => slot,
        };
        let accepted = tokio::select! {
            () = &mut closing => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                let io = TokioIo::new(Box::pin(bounded(stream, &config)));
                let connection = builder.serve_connection(io, service(router.clone(), peer));
                let watched = graceful.watch(connection.into_owned());
                telemetry::spawn("connection", async move {
                    let _slot = slot;
                    if let Err(error) = watched.await {
                        tracing::debug!(%error, "a connection ended early");
                    }
                });
            }
            Err(error) => {
                // Mostly out of file descriptors: give the others a moment to finish instead of spinning.
                tracing::error!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    drop(listener);
    if tokio::time::timeout(Duration::from_millis(config.drain_ms), graceful.shutdown()).await.is_err() {
        tracing::warn!("requests were still running when the drain time ended");
    }
}

async fn close_listener(shutdown: &Shutdown, config: &ServerConfig) {
    shutdown.wait().await;
    tokio::time::sleep(Duration::from_millis(config.readiness_grace_ms)).await;
}

fn builder(config: &ServerConfig) -> Builder<TokioExecutor> {
    let header_timeout = Duration::from_millis(config.header_timeout_ms);
    let mut builder = Builder::new(TokioExecutor::new());
    // 64 headers are our limit, refused with a problem; hyper's own limit lies above so that we get to answer.
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout)
        .max_headers(128)
        .max_buf_size(64 * 1024);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(Some(Duration::from_secs(20)))
        .keep_alive_timeout(header_timeout)
        .max_concurrent_streams(128)
        .max_header_list_size(64 * 1024);
    builder
}

/// Ends connections that stall: hyper's own timer does not run before it knows the protocol, nor while an answer is written.
fn bounded(stream: TcpStream, config: &ServerConfig) -> TimeoutStream<TcpStream> {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot switch off Nagle's algorithm");
    }
    let mut stream = TimeoutStream::new(stream);
    stream.set_read_timeout(Some(Duration::from_millis(config.read_timeout_ms)));
    stream.set_write_timeout(Some(Duration::from_millis(config.write_timeout_ms)));
    stream
}

/// Each request knows the peer of its connection.
fn service(
    router: Router,
    peer: SocketAddr,
) -> TowerToHyperService<
    impl tower::Service<
        Request<Incoming>,
        Response = axum::response::Response,
        Error = std::convert::Infallible,
        Future = impl Future<Output = Result<axum::response::Response, std::convert::Infallible>> + Send,
    > + Clone,
> {
    TowerToHyperService::new(router.map_request(move |request: Request<Incoming>| {
        let mut request = request.map(axum::body::Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        request
    }))
}
