//! The account at Stripe as configured.

use std::sync::Arc;

use platform::config::Secret;
use platform::outbound::Outbound;
use serde::{Deserialize, Serialize};

use super::is_origin;
use crate::ports::PaymentProvider;
use crate::stripe::Stripe;

/// The section `[billing.stripe]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StripeConfig {
    /// Where Stripe answers: `https://api.stripe.com`, or a stand-in. Empty: nobody answers, and nothing can be bought.
    pub api_url: String,
    /// A secret or restricted key of the account; `sk_live_` and `rk_live_` move real money.
    pub api_key: Secret,
}

impl StripeConfig {
    /// What is wrong with the values, as `(key, complaint)`.
    pub(super) fn complaints(&self, strict: bool) -> Vec<(String, String)> {
        let mut complaints = Vec::new();
        let mut complain = |key: &str, complaint: &str| {
            complaints.push((format!("billing.stripe.{key}"), complaint.to_owned()));
        };
        let encrypted = self.api_url.starts_with("https://");
        if !self.api_url.is_empty() && !is_origin(&self.api_url) {
            complain("api_url", "must look like https://api.stripe.com, without a slash at the end");
        } else if !encrypted && (strict || (self.livemode() && !self.api_url.is_empty())) {
            complain("api_url", "must be an https:// address: money moves there");
        }
        let key = self.api_key.expose();
        if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            complain("api_key", "must be printable ASCII without spaces");
        } else if strict && key.is_empty() {
            complain("api_key", "is missing: nobody could pay");
        } else if strict && self.api_key.is_placeholder() {
            complain("api_key", "is a placeholder; the account's dashboard shows a real one");
        }
        complaints
    }

    /// Whether the key moves real money.
    pub(crate) fn livemode(&self) -> bool {
        ["sk_live_", "rk_live_"].iter().any(|start| self.api_key.expose().starts_with(start))
    }

    /// Stripe behind the port, called through this client.
    #[must_use]
    pub fn provider(&self, outbound: Outbound) -> Arc<dyn PaymentProvider> {
        Arc::new(Stripe::new(self, outbound))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "https://api.stripe.com";

    fn config(api_url: &str, api_key: &str) -> StripeConfig {
        StripeConfig { api_url: api_url.to_owned(), api_key: api_key.to_owned().into() }
    }

    fn keys(config: &StripeConfig, strict: bool) -> Vec<String> {
        config.complaints(strict).into_iter().map(|(key, _)| key).collect()
    }

    #[test]
    fn production_wants_an_encrypted_address_and_a_real_key() {
        assert_eq!(keys(&config(URL, "rk_live_51H8xYz"), true), [""; 0]);
        assert_eq!(keys(&config(URL, "sk_test_51H8xYz"), true), [""; 0]);
        for url in ["", "http://127.0.0.1:12111", "https://api.stripe.com/", "api.stripe.com"] {
            assert_eq!(keys(&config(url, "sk_live_51H8xYz"), true), ["billing.stripe.api_url"], "{url}");
        }
        for key in ["", "sk_test_development", "sk_live_51H8xYz\n"] {
            assert_eq!(keys(&config(URL, key), true), ["billing.stripe.api_key"], "{key:?}");
        }
    }

    #[test]
    fn elsewhere_nobody_need_be_there_but_a_real_key_never_travels_readable() {
        for url in ["", "http://127.0.0.1:12111", URL] {
            assert_eq!(keys(&config(url, "sk_test_development"), false), [""; 0], "{url}");
        }
        assert_eq!(keys(&config("", ""), false), [""; 0]);
        assert_eq!(keys(&config("http://127.0.0.1:12111", "sk_live_51H8xYz"), false), ["billing.stripe.api_url"]);
        assert_eq!(keys(&config("127.0.0.1:12111", "sk_test_x"), false), ["billing.stripe.api_url"]);
    }

    #[test]
    fn the_key_is_never_shown_and_tells_whether_money_is_real() {
        let live = config("http://x", "sk_live_51H8xYz ");
        let shown =
            format!("{live:?} {:?} {}", live.complaints(true), serde_json::to_string(&live).expect("serializes"));
        assert!(!shown.contains("51H8xYz"), "{shown}");
        assert!(live.livemode() && config("", "rk_live_1").livemode());
        assert!(!config("", "sk_test_1").livemode() && !config("", "").livemode());
    }
}
