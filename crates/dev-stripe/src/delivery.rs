//! Getting events to the receiver: signed, one after the other, again after a failure.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use serde::Serialize;
use sha2::Sha256;
use tokio::sync::{mpsc, watch};

use crate::options::Options;
use crate::server::spawn;

/// How long a receiver may take.
const DEADLINE: Duration = Duration::from_secs(10);

/// How many attempts are remembered.
const REMEMBERED: usize = 2_000;

/// An event on its way.
#[derive(Clone)]
pub(crate) struct Parcel {
    pub(crate) event: String,
    pub(crate) body: Vec<u8>,
}

/// One attempt to deliver an event.
#[derive(Clone, Debug, Serialize)]
pub struct Attempt {
    /// `evt_…`; empty for bytes that were no event.
    pub event: String,
    /// What the receiver answered.
    pub status: Option<u16>,
    /// Why there was no answer.
    pub error: Option<String>,
}

impl Attempt {
    /// Whether the receiver took it.
    #[must_use]
    pub fn succeeded(&self) -> bool {
        self.status.is_some_and(|status| (200..300).contains(&status))
    }
}

/// The way to the receiver.
#[derive(Clone)]
pub(crate) struct Delivery(Arc<Inner>);

struct Inner {
    client: reqwest::Client,
    receiver: Mutex<Receiver>,
    attempts: Mutex<Vec<Attempt>>,
    queue: mpsc::UnboundedSender<Parcel>,
    /// How many events are neither taken nor given up.
    open: watch::Sender<usize>,
    stopped: watch::Receiver<bool>,
    options: Options,
}

struct Receiver {
    url: String,
    secrets: Vec<String>,
}

impl Delivery {
    /// Starts delivering until `stopped` says so.
    pub(crate) fn start(options: &Options, stopped: watch::Receiver<bool>) -> Result<Self, reqwest::Error> {
        #[expect(clippy::disallowed_methods, reason = "the other side of the wire calls with a client of its own")]
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(DEADLINE)
            .user_agent("Stripe/1.0 (dev-stripe)")
            .build()?;
        let receiver = Receiver { url: options.webhook_url.clone(), secrets: vec![options.webhook_secret.clone()] };
        let (queue, parcels) = mpsc::unbounded_channel();
        let delivery = Self(Arc::new(Inner {
            client,
            receiver: Mutex::new(receiver),
            attempts: Mutex::default(),
            queue,
            open: watch::Sender::new(0),
            stopped,
            options: options.clone(),
        }));
        spawn(delivery.clone().deliver_all(parcels));
        Ok(delivery)
    }

    /// Puts an event behind those that wait.
    pub(crate) fn queue(&self, parcel: Parcel) {
        self.0.open.send_modify(|open| *open += 1);
        if self.0.queue.send(parcel).is_err() {
            self.close();
        }
    }

    /// One attempt, now.
    pub(crate) async fn attempt(&self, parcel: &Parcel) -> Attempt {
        let (url, header) = {
            let receiver = lock(&self.0.receiver);
            (receiver.url.clone(), signature(&receiver.secrets, self.0.options.time.now(), &parcel.body))
        };
        let call = self.0.client.post(url).header("stripe-signature", header);
        let call = call.header("content-type", "application/json; charset=utf-8").body(parcel.body.clone());
        let (status, error) = match call.send().await {
            Ok(answer) => (Some(answer.status().as_u16()), None),
            Err(error) => (None, Some(error.to_string())),
        };
        let attempt = Attempt { event: parcel.event.clone(), status, error };
        tracing::debug!(event = attempt.event, status = attempt.status, error = attempt.error, "sent an event");
        let mut attempts = lock(&self.0.attempts);
        if attempts.len() == REMEMBERED {
            attempts.remove(0);
        }
        attempts.push(attempt.clone());
        attempt
    }

    /// Every attempt so far, oldest first.
    pub(crate) fn attempts(&self) -> Vec<Attempt> {
        lock(&self.0.attempts).clone()
    }

    /// Waits until every queued event was taken or given up.
    pub(crate) async fn settled(&self) {
        let mut open = self.0.open.subscribe();
        // The sender lives as long as `self`, so this ends with nothing open.
        let _ = open.wait_for(|open| *open == 0).await;
    }

    /// Events go to another address from now on.
    pub(crate) fn redirect(&self, url: String) {
        lock(&self.0.receiver).url = url;
    }

    /// Signs with a new secret as well as with the newest old one.
    pub(crate) fn rotate(&self, secret: String) {
        let mut receiver = lock(&self.0.receiver);
        receiver.secrets.insert(0, secret);
        receiver.secrets.truncate(2);
    }

    /// Signs with the newest secret only.
    pub(crate) fn retire(&self) {
        lock(&self.0.receiver).secrets.truncate(1);
    }

    async fn deliver_all(self, mut parcels: mpsc::UnboundedReceiver<Parcel>) {
        let mut stopped = self.0.stopped.clone();
        loop {
            let parcel = tokio::select! {
                _ = stopped.wait_for(|stopped| *stopped) => return,
                parcel = parcels.recv() => parcel,
            };
            let Some(parcel) = parcel else { return };
            if lock(&self.0.receiver).url.is_empty() || self.attempt(&parcel).await.succeeded() {
                self.close();
            } else {
                spawn(self.clone().try_again(parcel));
            }
        }
    }

    async fn try_again(self, parcel: Parcel) {
        let mut stopped = self.0.stopped.clone();
        for delay in &self.0.options.retry_delays {
            tokio::select! {
                _ = stopped.wait_for(|stopped| *stopped) => break,
                () = tokio::time::sleep(*delay) => {}
            }
            if self.attempt(&parcel).await.succeeded() {
                break;
            }
        }
        self.close();
    }

    fn close(&self) {
        self.0.open.send_modify(|open| *open -= 1);
    }
}

/// The header `Stripe-Signature` for a body: one `v1` for each secret, over `timestamp.body`.
///
/// # Panics
/// Never: HMAC takes keys of any length.
#[must_use]
pub fn signature(secrets: &[String], timestamp: i64, body: &[u8]) -> String {
    let mut header = format!("t={timestamp}");
    for secret in secrets {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length");
        mac.update(format!("{timestamp}.").as_bytes());
        mac.update(body);
        header.push_str(",v1=");
        for byte in mac.finalize().into_bytes() {
            // Writing to a string cannot fail.
            let _ = write!(header, "{byte:02x}");
        }
    }
    header
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
