//! Starting and stopping.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::control::{self, Control};
use crate::delivery::Delivery;
use crate::options::Options;
use crate::shop::Shop;
use crate::{api, pages};

/// Why a stand-in does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Anybody who reaches it can do everything, so only this machine may reach it.
    #[error("the stand-in for Stripe listens on loopback only, not on {0}")]
    NotLoopback(SocketAddr),
    /// An empty secret signs nothing, an empty key protects nothing.
    #[error("{0} is empty")]
    Empty(&'static str),
    /// Real keys belong to the real Stripe.
    #[error("the API key looks like one of a real account; the stand-in wants an invented one")]
    RealKey,
    /// The address is taken, for instance.
    #[error("cannot listen on {0}")]
    Listen(SocketAddr, #[source] io::Error),
    /// The machine offers no root certificates, for instance.
    #[error("cannot prepare the sending of events")]
    Client(#[source] reqwest::Error),
}

/// The stand-in, before it runs.
pub struct StripeServer;

impl StripeServer {
    /// Starts a stand-in as a task of the current runtime.
    ///
    /// # Errors
    /// When the options are no good, or the address is taken.
    pub async fn start(options: Options) -> Result<Running, StartError> {
        check(&options)?;
        let failed = |error| StartError::Listen(options.listen, error);
        let listener = TcpListener::bind(options.listen).await.map_err(failed)?;
        let url = format!("http://{}", listener.local_addr().map_err(failed)?);
        let (stop, stopped) = watch::channel(false);
        let delivery = Delivery::start(&options, stopped.clone()).map_err(StartError::Client)?;
        let state = Shop::new(options, url.clone(), delivery.clone());
        let stripe = Stripe(Arc::new(Inner { shop: Mutex::new(state), delivery, stopped: stopped.clone() }));
        let router = router(&stripe);
        let task = spawn(async move {
            let mut stopped = stopped;
            let stop = async move {
                // An error means that the handle is gone, which is as good.
                let _ = stopped.wait_for(|stopped| *stopped).await;
            };
            if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(stop).await {
                tracing::error!(%error, "the stand-in for Stripe stopped");
            }
        });
        tracing::info!(%url, "a stand-in for Stripe is listening");
        Ok(Running { url, control: Control::new(stripe), stop, task })
    }
}

/// A running stand-in. It stops when this is dropped.
pub struct Running {
    url: String,
    control: Control,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Running {
    /// Where it listens: `http://127.0.0.1:port`, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What can be done to it from outside.
    #[must_use]
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// Stops it and waits until it answers nothing any more. Calls that hang are cut off.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the stand-in for Stripe did not stop cleanly");
        }
    }
}

/// Everything that runs, for the handlers.
#[derive(Clone)]
pub(crate) struct Stripe(Arc<Inner>);

struct Inner {
    shop: Mutex<Shop>,
    delivery: Delivery,
    stopped: watch::Receiver<bool>,
}

impl Stripe {
    /// The state, for one step. Never held across an await.
    pub(crate) fn shop(&self) -> MutexGuard<'_, Shop> {
        self.0.shop.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn delivery(&self) -> &Delivery {
        &self.0.delivery
    }

    /// Waits until the stand-in stops.
    pub(crate) async fn stopped(&self) {
        let mut stopped = self.0.stopped.clone();
        // An error means that the handle is gone, which is as good.
        let _ = stopped.wait_for(|stopped| *stopped).await;
    }
}

/// Runs a future until it ends or the runtime does.
pub(crate) fn spawn(future: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
    #[expect(clippy::disallowed_methods, reason = "the other side of the wire has no request ids to keep")]
    tokio::spawn(future)
}

fn check(options: &Options) -> Result<(), StartError> {
    if !options.listen.ip().is_loopback() {
        return Err(StartError::NotLoopback(options.listen));
    }
    if options.webhook_secret.is_empty() {
        return Err(StartError::Empty("the secret for signing events"));
    }
    if options.api_key.is_empty() {
        return Err(StartError::Empty("the API key"));
    }
    let real = ["sk_live_", "rk_live_"].iter().any(|start| options.api_key.starts_with(start));
    if real { Err(StartError::RealKey) } else { Ok(()) }
}

fn router(stripe: &Stripe) -> Router {
    Router::new()
        .route("/v1/{*rest}", any(api::answer))
        .with_state(stripe.clone())
        .merge(pages::routes(stripe))
        .nest("/_control", control::routes(stripe))
        .layer(from_fn(only_from_this_machine))
}

/// Refuses requests that name another host: a page in the developer's browser may have pointed its own name here.
async fn only_from_this_machine(request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    if name == "localhost" || address.is_ok_and(|address| address.is_loopback()) {
        return next.run(request).await;
    }
    (StatusCode::FORBIDDEN, "The stand-in for Stripe answers to names of this machine only.\n").into_response()
}
