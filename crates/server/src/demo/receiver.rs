//! The customer's own system: it listens for webhooks and trusts none that it cannot verify.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use platform::http::{ServerConfig, serve};
use platform::shutdown::Shutdown;
use platform::telemetry;
use standardwebhooks::{Webhook, WebhookError};
use tokio::net::TcpListener;

/// A webhook as it arrived.
#[derive(Clone, Debug)]
pub(super) struct Received {
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Received {
    /// Checks the signature as a stranger would, with a library that is not ours.
    pub(super) fn verify(&self, secret: &str) -> Result<(), WebhookError> {
        Webhook::new(secret)?.verify(&self.body, &self.headers)
    }

    /// A header as text, empty when it is missing.
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// Keeps what arrives. Clones share it.
#[derive(Clone, Default)]
pub(super) struct Receiver(Arc<Mutex<Vec<Received>>>);

impl Receiver {
    /// Listens on a free port until the end; gives the URL to register as well.
    pub(super) async fn open(config: ServerConfig, end: Shutdown) -> std::io::Result<(Self, String)> {
        let receiver = Self::default();
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
        let url = format!("http://{}/hook", listener.local_addr()?);
        let router = Router::new().route("/hook", post(receive)).with_state(receiver.clone());
        telemetry::spawn("receiver", serve(listener, router, config, end));
        Ok((receiver, url))
    }

    /// Everything so far, oldest first.
    pub(super) fn received(&self) -> Vec<Received> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Received>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn receive(State(receiver): State<Receiver>, headers: HeaderMap, body: Bytes) -> StatusCode {
    receiver.lock().push(Received { headers, body: body.to_vec() });
    StatusCode::NO_CONTENT
}
