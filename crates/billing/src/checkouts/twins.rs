//! Waiting for a twin: the provider is serving the same call, so whoever made it is about to write down how it ends.

use std::time::Duration;

use platform::http::Answer;
use tokio::time::interval;

use super::{Checkout, Order, answer, page};
use crate::operations::{self, State};
use crate::ports::ProviderError;
use crate::{Billing, Error};

/// How often the operation is looked at: for a second, which is longer than opening a page usually takes.
const LOOKS: usize = 11;

/// The time between two looks.
const PAUSE: Duration = Duration::from_millis(100);

impl Billing {
    /// The page that a twin of the request is opening.
    ///
    /// # Errors
    /// [`ProviderError::InProgress`] when the twin has none in time, or failed; else as the request itself.
    pub(super) async fn await_twin(&self, order: &Order, repeated: bool) -> Result<Answer<Checkout>, Error> {
        let mut pause = interval(PAUSE);
        for _ in 0..LOOKS {
            pause.tick().await;
            let mut connection = self.0.db.read().await?;
            // By the key, as the twin may have put another operation in the place of the one that both began with.
            let known = operations::store::find_by_key(&mut connection, order.organization, &order.key).await?;
            let Some((operation, _)) = known else { break };
            if let Some(page) = page(&operation, self.0.clock.now())? {
                return Ok(answer(operation.id, page, repeated));
            }
            if operation.state != State::InFlight {
                break;
            }
        }
        Err(ProviderError::InProgress.into())
    }
}
