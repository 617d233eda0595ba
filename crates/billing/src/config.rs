//! What operators decide about billing.

mod catalogue;
mod stripe;

use platform::outbound::Url;
use serde::{Deserialize, Serialize};

#[cfg(test)]
pub(crate) use catalogue::{MAX_FEATURES, MAX_PLANS, MAX_PRICES};
pub use catalogue::{PlanConfig, PriceConfig};
pub(crate) use catalogue::{plan_key, price_key};
pub use stripe::StripeConfig;

/// The longest grace, in days.
const MAX_GRACE: i64 = 60;

/// The section `[billing]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The plan of organizations that pay for none.
    pub free_plan: String,
    /// How many days a subscription whose payment failed keeps its plan.
    pub grace_days: i64,
    /// The origins that checkout may lead back to besides the service's own, exactly as browsers write them.
    pub return_origins: Vec<String>,
    /// The plan catalogue. What is missing here stops being offered; nothing is ever deleted.
    pub plans: Vec<PlanConfig>,
    /// The account at Stripe.
    pub stripe: StripeConfig,
}

impl Config {
    /// What is wrong with the values, as `(key, complaint)`; `strict` where real money may move.
    #[must_use]
    pub fn complaints(&self, strict: bool) -> Vec<(String, String)> {
        let mut complaints = self.catalogue_complaints();
        if !self.plans.iter().any(|plan| plan.code == self.free_plan) {
            let complaint = format!("`{}` is the code of no plan", self.free_plan);
            complaints.push(("billing.free_plan".to_owned(), complaint));
        }
        if !(0..=MAX_GRACE).contains(&self.grace_days) {
            let complaint = format!("{} is not 0 to {MAX_GRACE} days", self.grace_days);
            complaints.push(("billing.grace_days".to_owned(), complaint));
        }
        for origin in self.return_origins.iter().filter(|origin| !is_origin(origin)) {
            let complaint = format!("`{origin}` is not one exact origin such as https://app.example.com");
            complaints.push(("billing.return_origins".to_owned(), complaint));
        }
        complaints.extend(self.stripe.complaints(strict));
        complaints
    }

    /// What is wrong with the plan catalogue.
    pub(crate) fn catalogue_complaints(&self) -> Vec<(String, String)> {
        catalogue::complaints(&self.plans)
    }
}

/// Whether the text is `scheme://host[:port]` as browsers write it: nothing behind it, the usual port left out.
fn is_origin(text: &str) -> bool {
    let exact = |url: Url| matches!(url.scheme(), "http" | "https") && url.origin().ascii_serialization() == text;
    !text.contains('*') && Url::parse(text).is_ok_and(exact)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn config() -> Config {
        let free = PlanConfig {
            code: "free".into(),
            name: "Free".into(),
            rank: 0,
            features: BTreeMap::new(),
            prices: Vec::new(),
        };
        Config {
            free_plan: "free".into(),
            grace_days: 7,
            return_origins: vec!["https://app.example.com".into(), "http://localhost:3000".into()],
            plans: vec![free],
            stripe: StripeConfig {
                api_url: "https://api.stripe.com".into(),
                api_key: "sk_live_51H8xYz".to_owned().into(),
            },
        }
    }

    fn keys(change: impl FnOnce(&mut Config)) -> Vec<String> {
        let mut config = config();
        change(&mut config);
        config.complaints(true).into_iter().map(|(key, _)| key).collect()
    }

    #[test]
    fn sound_values_have_no_complaints() {
        assert_eq!(keys(|_| {}), [""; 0]);
        assert_eq!(keys(|config| config.grace_days = 0), [""; 0]);
        assert_eq!(keys(|config| config.grace_days = 60), [""; 0]);
    }

    #[test]
    fn the_free_plan_must_be_in_the_catalogue() {
        assert_eq!(keys(|config| config.free_plan = "gratis".into()), ["billing.free_plan"]);
    }

    #[test]
    fn the_grace_is_at_most_two_months() {
        for days in [-1, 61, i64::MAX] {
            assert_eq!(keys(|config| config.grace_days = days), ["billing.grace_days"]);
        }
    }

    #[test]
    fn an_origin_is_written_as_browsers_write_it() {
        let wrong = [
            "",
            "*",
            "null",
            "app.example.com",
            "https://app.example.com/",
            "https://app.example.com/billing",
            "https://app.example.com:443",
            "https://APP.example.com",
            "https://*.example.com",
            "https://user@app.example.com",
            "ftp://app.example.com",
            "javascript:alert(1)",
        ];
        for origin in wrong {
            let found = keys(|config| config.return_origins = vec![origin.into()]);
            assert_eq!(found, ["billing.return_origins"], "{origin}");
        }
    }
}
