//! Idempotency keys: the first answer of a key is its answer for a day.

use std::collections::HashMap;

use super::Answer;
use super::call::Call;
use super::error::ApiError;

/// How long Stripe keeps a key, in seconds.
const KEPT: i64 = 24 * 60 * 60;

/// The keys that were used.
#[derive(Default)]
pub(crate) struct Keys(HashMap<String, Kept>);

struct Kept {
    fingerprint: String,
    answer: Answer,
    at: i64,
}

/// What is known of the key of a call.
pub(crate) enum Found {
    /// Nothing, or there is no key.
    New,
    /// It was answered like this.
    Kept(Answer),
    /// It belongs to another call.
    Misused(ApiError),
}

impl Keys {
    pub(crate) fn find(&mut self, call: &Call, now: i64) -> Found {
        self.0.retain(|_, kept| now - kept.at < KEPT);
        match call.key.as_ref().and_then(|key| self.0.get(key)) {
            None => Found::New,
            Some(kept) if kept.fingerprint == call.fingerprint() => Found::Kept(kept.answer.clone()),
            Some(_) => Found::Misused(ApiError::key_reused()),
        }
    }

    /// Keeps an answer. Calls that were refused before anything was tried may use their key again, as with Stripe.
    pub(crate) fn keep(&mut self, call: &Call, answer: &Answer, now: i64) {
        let tried = answer.status.is_success() || answer.status.as_u16() == 402;
        if let (Some(key), true) = (&call.key, tried) {
            let answer = Answer { original: Some(call.request_id.clone()), ..answer.clone() };
            self.0.insert(key.clone(), Kept { fingerprint: call.fingerprint(), answer, at: now });
        }
    }
}
