//! The plan catalogue as configured.

use std::collections::{BTreeMap, BTreeSet};

use platform::http::check_text;
use serde::{Deserialize, Serialize};

use crate::money::{Currency, Money, MoneyError};
use crate::plans::{Interval, Limit};

/// The most plans a catalogue may hold: it is shown whole, never in pages.
pub(crate) const MAX_PLANS: usize = 100;
/// The most features one plan may grant.
pub(crate) const MAX_FEATURES: usize = 50;
/// The most prices one plan may be offered at.
pub(crate) const MAX_PRICES: usize = 20;

/// A plan as configured.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanConfig {
    /// Its stable name for programs.
    pub code: String,
    /// Its name for people.
    pub name: String,
    /// Higher is better; no two plans share one.
    pub rank: i32,
    /// What it grants: `true`, or how much of it.
    #[serde(default)]
    pub features: BTreeMap<String, Limit>,
    /// What it is offered at; none for a plan that cannot be bought.
    #[serde(default)]
    pub prices: Vec<PriceConfig>,
}

/// A price as configured. It never changes once seeded: a new amount is a new price with a new id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PriceConfig {
    /// The provider's id of the price.
    pub id: String,
    /// Who takes the money.
    pub provider: String,
    /// ISO 4217 code.
    pub currency: Currency,
    /// For one seat and one interval, in the currency's minor unit.
    pub amount: i64,
    /// How often it is due.
    pub interval: Interval,
}

impl PriceConfig {
    /// Amount and currency together.
    ///
    /// # Errors
    /// When the amount is negative.
    pub fn money(&self) -> Result<Money, MoneyError> {
        Money::new(self.amount, self.currency)
    }
}

/// What is wrong with a catalogue, as `(key, complaint)`.
pub(crate) fn complaints(plans: &[PlanConfig]) -> Vec<(String, String)> {
    let mut complaints = Complaints::default();
    let count = plans.len();
    complaints.require((1..=MAX_PLANS).contains(&count), "billing.plans", || {
        format!("has {count} plans, not 1 to {MAX_PLANS}")
    });
    let (mut codes, mut ranks, mut price_ids) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for (position, plan) in plans.iter().enumerate() {
        let key = plan_key(position);
        complaints.about_plan(&key, plan);
        let PlanConfig { code, rank, .. } = plan;
        complaints.require(codes.insert(code), &format!("{key}.code"), || format!("`{code}` is taken by another plan"));
        complaints.require(ranks.insert(rank), &format!("{key}.rank"), || format!("{rank} is taken by another plan"));
        for (position, price) in plan.prices.iter().enumerate() {
            let key = price_key(&key, position);
            complaints.about_price(&key, price);
            let PriceConfig { id, provider, .. } = price;
            let unique = price_ids.insert((provider, id));
            complaints.require(unique, &format!("{key}.id"), || format!("`{id}` is taken by another price"));
        }
    }
    complaints.0
}

/// How a plan is named in complaints.
pub(crate) fn plan_key(position: usize) -> String {
    format!("billing.plans[{position}]")
}

/// How a price is named in complaints.
pub(crate) fn price_key(plan_key: &str, position: usize) -> String {
    format!("{plan_key}.prices[{position}]")
}

#[derive(Default)]
struct Complaints(Vec<(String, String)>);

impl Complaints {
    fn require(&mut self, holds: bool, key: &str, complaint: impl FnOnce() -> String) {
        if !holds {
            self.0.push((key.to_owned(), complaint()));
        }
    }

    fn about_plan(&mut self, key: &str, plan: &PlanConfig) {
        let PlanConfig { code, name, rank, features, prices } = plan;
        self.require(is_code(code, 64), &format!("{key}.code"), || not_a_code(code, 64));
        self.require(check_text(name, 1, 100).is_ok(), &format!("{key}.name"), || {
            "is not 1 to 100 characters of text".to_owned()
        });
        self.require(*rank >= 0, &format!("{key}.rank"), || format!("{rank} is below zero"));
        let many = |count: usize, limit: usize| format!("has {count} entries, more than {limit}");
        self.require(features.len() <= MAX_FEATURES, &format!("{key}.features"), || many(features.len(), MAX_FEATURES));
        self.require(prices.len() <= MAX_PRICES, &format!("{key}.prices"), || many(prices.len(), MAX_PRICES));
        for feature in features.keys() {
            self.require(is_code(feature, 64), &format!("{key}.features.{feature}"), || not_a_code(feature, 64));
        }
    }

    fn about_price(&mut self, key: &str, price: &PriceConfig) {
        let PriceConfig { id, provider, .. } = price;
        let printable = (1..=255).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic());
        self.require(printable, &format!("{key}.id"), || "is not 1 to 255 printable ASCII characters".to_owned());
        self.require(is_code(provider, 32), &format!("{key}.provider"), || not_a_code(provider, 32));
        if let Err(error) = price.money().and_then(Money::provider_amount) {
            self.0.push((format!("{key}.amount"), error.to_string()));
        }
    }
}

/// Names for programs: lower-case letters, digits and underscores, a letter first.
fn is_code(text: &str, longest: usize) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    text.len() <= longest && text.starts_with(|first: char| first.is_ascii_lowercase()) && text.bytes().all(plain)
}

fn not_a_code(text: &str, longest: usize) -> String {
    format!("`{text}` is not 1 to {longest} of a-z, 0-9 and _, starting with a letter")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn price(id: &str, currency: Currency, amount: i64) -> PriceConfig {
        PriceConfig { id: id.into(), provider: "stripe".into(), currency, amount, interval: Interval::Month }
    }

    fn plan(code: &str, rank: i32, prices: Vec<PriceConfig>) -> PlanConfig {
        PlanConfig { code: code.into(), name: "A plan".into(), rank, features: BTreeMap::new(), prices }
    }

    fn keys(plans: &[PlanConfig]) -> Vec<String> {
        complaints(plans).into_iter().map(|(key, _)| key).collect()
    }

    #[test]
    fn a_sound_catalogue_has_no_complaints() {
        let prices = vec![price("price_1", Currency::Eur, 1900), price("price_2", Currency::Jpy, 3000)];
        assert_eq!(keys(&[plan("free", 0, vec![]), plan("team", 10, prices)]), Vec::<String>::new());
    }

    #[test]
    fn every_mistake_is_named_by_its_key() {
        assert_eq!(keys(&[]), ["billing.plans"]);
        assert_eq!(keys(&[plan("Free", -1, vec![])]), ["billing.plans[0].code", "billing.plans[0].rank"]);
        let twins = [plan("free", 0, vec![]), plan("free", 0, vec![])];
        assert_eq!(keys(&twins), ["billing.plans[1].code", "billing.plans[1].rank"]);
        let mut unnamed = plan("free", 0, vec![]);
        unnamed.name = " ".into();
        unnamed.features.insert("API access".into(), Limit::Unlimited);
        assert_eq!(keys(&[unnamed]), ["billing.plans[0].name", "billing.plans[0].features.API access"]);
        let prices =
            vec![price("a b", Currency::Eur, -1), price("p", Currency::Kwd, 1234), price("p", Currency::Eur, 1)];
        let expected = ["prices[0].id", "prices[0].amount", "prices[1].amount", "prices[2].id"];
        assert_eq!(keys(&[plan("team", 1, prices)]), expected.map(|key| format!("billing.plans[0].{key}")));
        let many = (0..=MAX_PRICES).map(|number| price(&format!("price_{number}"), Currency::Eur, 1)).collect();
        assert_eq!(keys(&[plan("team", 1, many)]), ["billing.plans[0].prices"]);
    }
}
