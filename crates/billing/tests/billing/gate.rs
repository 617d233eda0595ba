//! The way to the payment provider, on which a test can stop what passes, lose it, or count it.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use billing::ports::{
    Checkout, CheckoutPage, CheckoutWish, Contact, NewCustomer, OperationId, PaymentProvider, ProviderError,
    ProviderSubscription,
};
use tokio::sync::oneshot;

/// What happens to one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// It does not arrive.
    Away,
    /// It arrives, and the answer gets lost.
    AnswerLost,
    /// The provider says that there is no such thing.
    NotFound,
    /// The provider refuses.
    Refused,
}

/// The calls that can be troubled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    CreateCustomer,
    UpdateCustomer,
    OpenCheckout,
    FetchSubscription,
    CancelSubscription,
}

/// A call that stands still after the provider answered it.
pub(crate) struct Stalled {
    /// Ends when the call has its answer.
    pub(crate) arrived: oneshot::Receiver<()>,
    /// Lets it go on.
    pub(crate) go_on: oneshot::Sender<()>,
}

struct Stall {
    call: Call,
    arrived: oneshot::Sender<()>,
    go_on: oneshot::Receiver<()>,
}

#[derive(Clone)]
pub(crate) struct Gate(Arc<Inner>);

struct Inner {
    provider: Arc<dyn PaymentProvider>,
    troubles: Mutex<Vec<(Call, Trouble)>>,
    stall: Mutex<Option<Stall>>,
    calls: Mutex<Vec<Call>>,
}

impl Gate {
    pub(crate) fn before(provider: Arc<dyn PaymentProvider>) -> Self {
        Self(Arc::new(Inner { provider, troubles: Mutex::default(), stall: Mutex::default(), calls: Mutex::default() }))
    }

    /// What is behind the gate.
    pub(crate) fn provider(&self) -> &dyn PaymentProvider {
        self.0.provider.as_ref()
    }

    /// Troubles the next call of this kind.
    pub(crate) fn trouble(&self, call: Call, trouble: Trouble) {
        lock(&self.0.troubles).push((call, trouble));
    }

    /// Stops the next call of this kind that is answered.
    pub(crate) fn stall(&self, call: Call) -> Stalled {
        let ((tell, arrived), (go_on, wait)) = (oneshot::channel(), oneshot::channel());
        *lock(&self.0.stall) = Some(Stall { call, arrived: tell, go_on: wait });
        Stalled { arrived, go_on }
    }

    /// How often this was called.
    pub(crate) fn calls(&self, call: Call) -> usize {
        lock(&self.0.calls).iter().filter(|it| **it == call).count()
    }

    async fn pass<T>(
        &self,
        call: Call,
        made: impl Future<Output = Result<T, ProviderError>> + Send,
    ) -> Result<T, ProviderError> {
        lock(&self.0.calls).push(call);
        let trouble = {
            let mut troubles = lock(&self.0.troubles);
            let at = troubles.iter().position(|(troubled, _)| *troubled == call);
            at.map(|at| troubles.remove(at).1)
        };
        let answer = match trouble {
            None => made.await,
            Some(Trouble::Away) => Err(ProviderError::Unavailable("on purpose".into())),
            Some(Trouble::NotFound) => Err(ProviderError::NotFound),
            Some(Trouble::Refused) => Err(ProviderError::Rejected { code: "insufficient_funds".to_owned() }),
            Some(Trouble::AnswerLost) => made.await.and(Err(ProviderError::Unknown("on purpose".into()))),
        };
        let stall = lock(&self.0.stall).take_if(|stall| stall.call == call);
        if let Some(Stall { arrived, go_on, .. }) = stall {
            arrived.send(()).expect("somebody waits for it");
            go_on.await.expect("somebody lets it go on");
        }
        answer
    }
}

#[async_trait]
impl PaymentProvider for Gate {
    fn name(&self) -> &'static str {
        self.provider().name()
    }

    fn livemode(&self) -> bool {
        self.provider().livemode()
    }

    async fn create_customer(&self, operation: OperationId, customer: NewCustomer) -> Result<String, ProviderError> {
        self.pass(Call::CreateCustomer, self.provider().create_customer(operation, customer)).await
    }

    async fn update_customer(&self, operation: OperationId, id: &str, contact: Contact) -> Result<(), ProviderError> {
        self.pass(Call::UpdateCustomer, self.provider().update_customer(operation, id, contact)).await
    }

    async fn open_checkout(&self, operation: OperationId, wish: CheckoutWish) -> Result<CheckoutPage, ProviderError> {
        self.pass(Call::OpenCheckout, self.provider().open_checkout(operation, wish)).await
    }

    async fn fetch_checkout(&self, id: &str) -> Result<Checkout, ProviderError> {
        self.provider().fetch_checkout(id).await
    }

    async fn fetch_subscription(&self, id: &str) -> Result<ProviderSubscription, ProviderError> {
        self.pass(Call::FetchSubscription, self.provider().fetch_subscription(id)).await
    }

    async fn cancel_subscription(
        &self,
        operation: OperationId,
        id: &str,
    ) -> Result<ProviderSubscription, ProviderError> {
        self.pass(Call::CancelSubscription, self.provider().cancel_subscription(operation, id)).await
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
