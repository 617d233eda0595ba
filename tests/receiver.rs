//! A real receiver of webhooks on this machine.

use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;

/// What arrived.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

/// Listens until the test ends and keeps what arrives.
#[derive(Clone, Default)]
pub(crate) struct Receiver(Arc<Mutex<Vec<Received>>>);

impl Receiver {
    /// A receiver, and the URL to register.
    pub(crate) async fn open() -> (Self, String) {
        let receiver = Self::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/hook", listener.local_addr().expect("an address"));
        let router = Router::new().route("/hook", post(receive)).with_state(receiver.clone());
        platform::telemetry::spawn("receiver", async move {
            axum::serve(listener, router).await.expect("serving");
        });
        (receiver, url)
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn receive(State(receiver): State<Receiver>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let message = Received { headers, body: body.to_vec() };
    receiver.0.lock().unwrap_or_else(PoisonError::into_inner).push(message);
    StatusCode::OK
}

impl Received {
    /// Checks the signature as a stranger would, with the reference library.
    pub(crate) fn verify(&self, secret: &str) {
        let webhook = standardwebhooks::Webhook::new(secret).expect("a secret");
        let mut headers = HeaderMap::new();
        for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
            let value = self.headers.get(name).expect(name).clone();
            headers.insert(name, value);
        }
        webhook.verify(&self.body, &headers).expect("a good signature");
    }
}
