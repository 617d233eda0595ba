//! Idempotency keys: the first answer of a key is its answer for a day.

use std::collections::{HashMap, HashSet};

use super::Answer;
use super::call::Call;
use super::error::ApiError;

/// How long Stripe keeps a key, in seconds.
const KEPT: i64 = 24 * 60 * 60;

/// The keys that were used.
#[derive(Default)]
pub(crate) struct Keys {
    kept: HashMap<String, Kept>,
    /// Those whose call is being worked on.
    in_use: HashSet<String>,
}

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
    /// It belongs to another call, or its call is being worked on.
    Misused(ApiError),
}

impl Keys {
    pub(crate) fn find(&mut self, call: &Call, now: i64) -> Found {
        self.kept.retain(|_, kept| now - kept.at < KEPT);
        let Some(key) = &call.key else { return Found::New };
        if self.in_use.contains(key) {
            return Found::Misused(ApiError::key_in_use(key));
        }
        match self.kept.get(key) {
            None => Found::New,
            Some(kept) if kept.fingerprint == call.fingerprint() => Found::Kept(kept.answer.clone()),
            Some(_) => Found::Misused(ApiError::key_reused()),
        }
    }

    /// Turns others with the same key away until the answer is kept.
    pub(crate) fn hold(&mut self, call: &Call) {
        self.in_use.extend(call.key.clone());
    }

    /// Keeps an answer. Calls that were refused before anything was tried may use their key again, as with Stripe.
    pub(crate) fn keep(&mut self, call: &Call, answer: &Answer, now: i64) {
        let Some(key) = &call.key else { return };
        self.in_use.remove(key);
        if answer.status.is_success() || [402, 500].contains(&answer.status.as_u16()) {
            let answer = Answer { original: Some(call.request_id.clone()), ..answer.clone() };
            self.kept.insert(key.clone(), Kept { fingerprint: call.fingerprint(), answer, at: now });
        }
    }
}
