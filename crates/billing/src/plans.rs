//! What can be bought: plans, the features they grant and the prices they are offered at.

pub(crate) mod http;
pub(crate) mod store;

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserializer, Unexpected, Visitor};
use serde::{Deserialize, Serialize, Serializer};

use crate::config::{PlanConfig, PriceConfig, plan_key, price_key};
use crate::money::{Currency, Money};
use crate::{Billing, Error};

platform::id! {
    /// Names a price; what a checkout is started with.
    pub struct PriceId;
}

/// Something an organization can be on: what it grants and what it costs.
#[derive(Debug)]
pub(crate) struct Plan {
    code: String,
    name: String,
    rank: i32,
    features: BTreeMap<String, Limit>,
    prices: Vec<Price>,
}

/// What a plan costs, for one seat and one interval.
#[derive(Debug, Deserialize)]
pub(crate) struct Price {
    id: PriceId,
    interval: Interval,
    money: Money,
}

/// A price as a checkout needs it.
#[derive(Debug)]
pub(crate) struct PriceTag {
    pub(crate) provider: String,
    /// The provider's id.
    pub(crate) provider_id: String,
    pub(crate) currency: Currency,
    /// Whether it is on offer.
    pub(crate) active: bool,
}

/// How often a price is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, sqlx::Type)]
#[serde(rename_all = "lowercase")]
#[sqlx(type_name = "text", rename_all = "lowercase")]
pub enum Interval {
    /// Every month.
    Month,
    /// Every year.
    Year,
}

impl Interval {
    /// The stored and spoken name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Interval::Month => "month",
            Interval::Year => "year",
        }
    }
}

/// How much of a feature a plan grants. In JSON and TOML: `true`, or a number of zero or more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// As much as one likes.
    Unlimited,
    /// No more than this.
    AtMost(i64),
}

impl Limit {
    /// The number, where there is one.
    #[must_use]
    pub fn number(self) -> Option<i64> {
        match self {
            Limit::Unlimited => None,
            Limit::AtMost(number) => Some(number),
        }
    }
}

impl Serialize for Limit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Limit::Unlimited => serializer.serialize_bool(true),
            Limit::AtMost(number) => serializer.serialize_i64(*number),
        }
    }
}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LimitVisitor)
    }
}

struct LimitVisitor;

impl Visitor<'_> for LimitVisitor {
    type Value = Limit;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("true or a limit of zero or more")
    }

    fn visit_bool<E: serde::de::Error>(self, granted: bool) -> Result<Limit, E> {
        if granted { Ok(Limit::Unlimited) } else { Err(E::invalid_value(Unexpected::Bool(granted), &self)) }
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Limit, E> {
        if number < 0 { Err(E::invalid_value(Unexpected::Signed(number), &self)) } else { Ok(Limit::AtMost(number)) }
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Limit, E> {
        i64::try_from(number).map(Limit::AtMost).map_err(|_| E::invalid_value(Unexpected::Unsigned(number), &self))
    }
}

impl Billing {
    /// The catalogue as offered now, lowest rank first.
    pub(crate) async fn list_plans(&self) -> Result<Vec<Plan>, Error> {
        let mut connection = self.0.db.read().await?;
        Ok(store::list_plans(&mut connection).await?)
    }

    /// Makes the stored catalogue the configured one and returns how many rows that changed: none when it already was.
    /// Plans and prices that left the configuration are no longer offered, but kept for those who are on them.
    ///
    /// # Errors
    /// When the configuration breaks a rule or changes a price that was seeded before; nothing is changed then. When
    /// the database is away.
    pub async fn seed_plans(&self) -> Result<u64, Error> {
        let config = &self.0.config;
        if let Some((key, complaint)) = config.catalogue_complaints().into_iter().next() {
            return Err(Error::InvalidCatalogue { key, complaint });
        }
        let now = self.0.clock.now();
        let mut tx = self.0.db.begin().await?;
        store::lock_catalogue(&mut tx).await?;
        let recorded = store::list_recorded_prices(&mut tx, &config.plans).await?;
        refuse_changed_prices(&config.plans, &recorded)?;
        let mut changed = store::save_plans(&mut tx, &config.plans, now).await?;
        changed += store::save_features(&mut tx, &config.plans).await?;
        changed += store::save_prices(&mut tx, &config.plans, now).await?;
        tx.commit().await?;
        tracing::info!(plans = config.plans.len(), changed, "plan catalogue seeded");
        Ok(changed)
    }
}

/// A price as it was first seeded.
struct RecordedPrice {
    plan: String,
    price: PriceConfig,
}

/// Customers pay what they agreed to: a seeded price keeps its plan, currency, amount and interval.
fn refuse_changed_prices(plans: &[PlanConfig], recorded: &[RecordedPrice]) -> Result<(), Error> {
    for (position, plan) in plans.iter().enumerate() {
        let plan_key = plan_key(position);
        for (position, price) in plan.prices.iter().enumerate() {
            let same =
                |known: &&RecordedPrice| (&known.price.provider, &known.price.id) == (&price.provider, &price.id);
            let Some(known) = recorded.iter().find(same) else { continue };
            if let Some((field, recorded)) = difference(plan, price, known) {
                let key = price_key(&plan_key, position) + field;
                return Err(Error::PriceChanged { key, price: price.id.clone(), recorded });
            }
        }
    }
    Ok(())
}

/// The first field that differs, and what it was.
fn difference(plan: &PlanConfig, price: &PriceConfig, known: &RecordedPrice) -> Option<(&'static str, String)> {
    if plan.code != known.plan {
        Some(("", format!("the plan `{}`", known.plan)))
    } else if price.currency != known.price.currency {
        Some((".currency", known.price.currency.to_string()))
    } else if price.amount != known.price.amount {
        Some((".amount", known.price.amount.to_string()))
    } else if price.interval != known.price.interval {
        Some((".interval", known.price.interval.as_str().to_owned()))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_true_or_a_number_of_zero_or_more() {
        let read = |json: &str| serde_json::from_str::<Limit>(json);
        for (json, limit) in [("true", Limit::Unlimited), ("0", Limit::AtMost(0)), ("25", Limit::AtMost(25))] {
            assert_eq!(read(json).ok(), Some(limit));
            assert_eq!(serde_json::to_string(&limit).expect("serializes"), json);
        }
        for bad in ["false", "-1", "1.5", "\"25\"", "null", "18446744073709551615"] {
            let error = read(bad).expect_err(bad).to_string();
            assert!(error.contains("expected true or a limit of zero or more"), "{error}");
        }
    }

    #[test]
    fn a_seeded_price_cannot_be_changed_in_any_field() {
        let price = |currency, amount, interval| PriceConfig {
            id: "price_1".into(),
            provider: "stripe".into(),
            currency,
            amount,
            interval,
        };
        let original = price(Currency::Eur, 1900, Interval::Month);
        let refused = |code: &str, price: &PriceConfig| {
            let prices = vec![price.clone()];
            let plan =
                PlanConfig { code: code.into(), name: "Team".into(), rank: 1, features: BTreeMap::new(), prices };
            let recorded = [RecordedPrice { plan: "team".into(), price: original.clone() }];
            refuse_changed_prices(&[plan], &recorded).err().map(|error| match error {
                Error::PriceChanged { key, recorded, .. } => (key, recorded),
                other => panic!("{other}"),
            })
        };
        let changed = |field: &str, was: &str| Some((format!("billing.plans[0].prices[0]{field}"), was.to_owned()));
        assert_eq!(refused("team", &original), None);
        assert_eq!(refused("business", &original), changed("", "the plan `team`"));
        assert_eq!(refused("team", &price(Currency::Usd, 1900, Interval::Month)), changed(".currency", "EUR"));
        assert_eq!(refused("team", &price(Currency::Eur, 2900, Interval::Month)), changed(".amount", "1900"));
        assert_eq!(refused("team", &price(Currency::Eur, 1900, Interval::Year)), changed(".interval", "month"));
    }
}
