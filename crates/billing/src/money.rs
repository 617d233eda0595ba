//! Money as integers: an amount in minor units with its currency. Nothing here rounds, wraps or mixes currencies.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The currencies prices may be in. Closed, as each needs its number of decimals known on both sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, sqlx::Type)]
#[serde(rename_all = "UPPERCASE")]
#[sqlx(type_name = "text", rename_all = "UPPERCASE")]
#[expect(missing_docs, reason = "the variants are the ISO 4217 codes")]
pub enum Currency {
    Aud,
    Bhd,
    Cad,
    Chf,
    Czk,
    Dkk,
    Eur,
    Gbp,
    Isk,
    Jpy,
    Krw,
    Kwd,
    Nok,
    Nzd,
    Pln,
    Sek,
    Usd,
}

impl Currency {
    /// Every currency, for tables and tests.
    pub const ALL: [Currency; 17] = [
        Currency::Aud,
        Currency::Bhd,
        Currency::Cad,
        Currency::Chf,
        Currency::Czk,
        Currency::Dkk,
        Currency::Eur,
        Currency::Gbp,
        Currency::Isk,
        Currency::Jpy,
        Currency::Krw,
        Currency::Kwd,
        Currency::Nok,
        Currency::Nzd,
        Currency::Pln,
        Currency::Sek,
        Currency::Usd,
    ];

    /// The ISO 4217 code.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Currency::Aud => "AUD",
            Currency::Bhd => "BHD",
            Currency::Cad => "CAD",
            Currency::Chf => "CHF",
            Currency::Czk => "CZK",
            Currency::Dkk => "DKK",
            Currency::Eur => "EUR",
            Currency::Gbp => "GBP",
            Currency::Isk => "ISK",
            Currency::Jpy => "JPY",
            Currency::Krw => "KRW",
            Currency::Kwd => "KWD",
            Currency::Nok => "NOK",
            Currency::Nzd => "NZD",
            Currency::Pln => "PLN",
            Currency::Sek => "SEK",
            Currency::Usd => "USD",
        }
    }

    /// Decimals of the minor unit (ISO 4217).
    #[must_use]
    pub fn exponent(self) -> u32 {
        match self {
            Currency::Isk | Currency::Jpy | Currency::Krw => 0,
            Currency::Bhd | Currency::Kwd => 3,
            _ => 2,
        }
    }

    /// How the provider's amounts relate to ours (<https://docs.stripe.com/currencies>): krónur lost their decimals in
    /// ISO 4217 but not at Stripe, and of three decimals Stripe wants the last to be zero.
    fn provider_scale(self) -> Scale {
        match self {
            Currency::Isk => Scale { factor: 100, step: 1 },
            Currency::Bhd | Currency::Kwd => Scale { factor: 1, step: 10 },
            _ => Scale { factor: 1, step: 1 },
        }
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// The provider's amount is ours times `factor`, and ours must be a multiple of `step`.
struct Scale {
    factor: i64,
    step: i64,
}

/// An amount of money, never negative. On the wire and in JSON: `{"amount": 1999, "currency": "EUR"}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Wire")]
pub struct Money {
    #[serde(rename = "amount")]
    minor: i64,
    currency: Currency,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    amount: i64,
    currency: Currency,
}

impl TryFrom<Wire> for Money {
    type Error = MoneyError;

    fn try_from(wire: Wire) -> Result<Self, MoneyError> {
        Self::new(wire.amount, wire.currency)
    }
}

/// Why a calculation with money has no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// Amounts are zero or more.
    #[error("an amount of money cannot be negative")]
    Negative,
    /// Larger than an amount can be.
    #[error("the amount is too large")]
    TooLarge,
    /// Euros and dollars have no sum.
    #[error("{0} and {1} cannot be calculated with each other")]
    MixedCurrencies(Currency, Currency),
    /// The provider counts this currency in coarser steps.
    #[error("{0} cannot be paid at the provider: the amount must be a multiple of {1}")]
    NotPayable(Money, i64),
    /// The provider's amount has no counterpart in the currency's minor unit.
    #[error("the provider's amount {0} is not a whole number of minor units of {1}")]
    NotWhole(i64, Currency),
}

impl Money {
    /// An amount in the currency's minor unit.
    ///
    /// # Errors
    /// When it is negative.
    pub fn new(minor: i64, currency: Currency) -> Result<Self, MoneyError> {
        if minor < 0 { Err(MoneyError::Negative) } else { Ok(Self { minor, currency }) }
    }

    /// The amount in minor units.
    #[must_use]
    pub fn minor(self) -> i64 {
        self.minor
    }

    /// The currency.
    #[must_use]
    pub fn currency(self) -> Currency {
        self.currency
    }

    /// Both together.
    ///
    /// # Errors
    /// When the currencies differ or the sum is too large.
    pub fn plus(self, other: Self) -> Result<Self, MoneyError> {
        self.require_same_currency(other)?;
        let minor = self.minor.checked_add(other.minor).ok_or(MoneyError::TooLarge)?;
        Self::new(minor, self.currency)
    }

    /// What is left.
    ///
    /// # Errors
    /// When the currencies differ or `other` is more.
    pub fn minus(self, other: Self) -> Result<Self, MoneyError> {
        self.require_same_currency(other)?;
        let minor = self.minor.checked_sub(other.minor).ok_or(MoneyError::Negative)?;
        Self::new(minor, self.currency)
    }

    /// A unit price for several.
    ///
    /// # Errors
    /// When the product is too large.
    pub fn times(self, quantity: u32) -> Result<Self, MoneyError> {
        let minor = self.minor.checked_mul(i64::from(quantity)).ok_or(MoneyError::TooLarge)?;
        Self::new(minor, self.currency)
    }

    /// The amount as the provider counts it.
    ///
    /// # Errors
    /// When the provider cannot take it: too fine a step, or too large.
    pub fn provider_amount(self) -> Result<i64, MoneyError> {
        let Scale { factor, step } = self.currency.provider_scale();
        if self.minor % step != 0 {
            return Err(MoneyError::NotPayable(self, step));
        }
        self.minor.checked_mul(factor).ok_or(MoneyError::TooLarge)
    }

    /// What the provider's amount means.
    ///
    /// # Errors
    /// When it is negative or finer than the currency's minor unit.
    pub fn from_provider(amount: i64, currency: Currency) -> Result<Self, MoneyError> {
        let Scale { factor, .. } = currency.provider_scale();
        if amount % factor != 0 {
            return Err(MoneyError::NotWhole(amount, currency));
        }
        Self::new(amount / factor, currency)
    }

    fn require_same_currency(self, other: Self) -> Result<(), MoneyError> {
        if self.currency == other.currency {
            Ok(())
        } else {
            Err(MoneyError::MixedCurrencies(self.currency, other.currency))
        }
    }
}

impl fmt::Display for Money {
    /// For people and logs, as `19.99 EUR`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decimals = self.currency.exponent();
        let unit = 10_i64.pow(decimals);
        write!(f, "{}", self.minor / unit)?;
        if decimals > 0 {
            write!(f, ".{:0width$}", self.minor % unit, width = decimals as usize)?;
        }
        write!(f, " {}", self.currency)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;

    fn money(minor: i64, currency: Currency) -> Money {
        Money::new(minor, currency).expect("not negative")
    }

    fn any_currency() -> impl Strategy<Value = Currency> {
        select(Currency::ALL.to_vec())
    }

    fn any_money() -> impl Strategy<Value = Money> {
        (prop_oneof![0..=100_000_i64, 0..=i64::MAX], any_currency())
            .prop_map(|(minor, currency)| money(minor, currency))
    }

    #[test]
    fn billing_case_24_the_provider_counts_some_currencies_differently() {
        let sent = |minor, currency| money(minor, currency).provider_amount();
        assert_eq!(sent(500, Currency::Jpy), Ok(500));
        assert_eq!(sent(1999, Currency::Eur), Ok(1999));
        assert_eq!(sent(5, Currency::Isk), Ok(500));
        assert_eq!(sent(1230, Currency::Kwd), Ok(1230));
        assert_eq!(sent(1234, Currency::Kwd), Err(MoneyError::NotPayable(money(1234, Currency::Kwd), 10)));
        assert_eq!(sent(i64::MAX, Currency::Isk), Err(MoneyError::TooLarge));
        assert_eq!(Money::from_provider(550, Currency::Isk), Err(MoneyError::NotWhole(550, Currency::Isk)));
        assert_eq!(Money::from_provider(-500, Currency::Jpy), Err(MoneyError::Negative));
    }

    #[test]
    fn billing_case_24_negative_amounts_and_overflow_are_errors() {
        assert_eq!(Money::new(-1, Currency::Eur), Err(MoneyError::Negative));
        assert_eq!(money(i64::MAX, Currency::Eur).plus(money(1, Currency::Eur)), Err(MoneyError::TooLarge));
        assert_eq!(money(i64::MAX, Currency::Eur).times(2), Err(MoneyError::TooLarge));
        assert_eq!(money(1, Currency::Eur).minus(money(2, Currency::Eur)), Err(MoneyError::Negative));
    }

    #[test]
    fn amounts_are_shown_with_the_decimals_of_their_currency() {
        let shown = |minor, currency| money(minor, currency).to_string();
        assert_eq!(shown(1905, Currency::Eur), "19.05 EUR");
        assert_eq!(shown(7, Currency::Usd), "0.07 USD");
        assert_eq!(shown(500, Currency::Jpy), "500 JPY");
        assert_eq!(shown(1230, Currency::Kwd), "1.230 KWD");
    }

    #[test]
    fn the_json_form_is_amount_and_currency_and_is_checked_when_read() {
        let json = |text: &str| serde_json::from_str::<Money>(text).ok();
        let text = r#"{"amount":1999,"currency":"EUR"}"#;
        assert_eq!(json(text), Some(money(1999, Currency::Eur)));
        assert_eq!(serde_json::to_string(&money(1999, Currency::Eur)).expect("serializes"), text);
        for bad in [
            r#"{"amount":-1,"currency":"EUR"}"#,
            r#"{"amount":19.99,"currency":"EUR"}"#,
            r#"{"amount":1999,"currency":"eur"}"#,
            r#"{"amount":1999,"currency":"XXX"}"#,
            r#"{"amount":1999,"currency":"EUR","cents":1}"#,
        ] {
            assert_eq!(json(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_list_of_currencies_is_complete_and_spelled_as_in_json() {
        for currency in Currency::ALL {
            let json = serde_json::to_string(&currency).expect("serializes");
            assert_eq!(json, format!("\"{}\"", currency.code()));
        }
        let mut sorted = Currency::ALL.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted, Currency::ALL);
    }

    proptest! {
        #[test]
        fn a_sum_is_exact_or_an_error(a in 0..=i64::MAX, b in 0..=i64::MAX, currency in any_currency()) {
            let sum = money(a, currency).plus(money(b, currency));
            let exact = i64::try_from(i128::from(a) + i128::from(b));
            prop_assert_eq!(sum, exact.map(|exact| money(exact, currency)).map_err(|_| MoneyError::TooLarge));
        }

        #[test]
        fn what_was_added_can_be_taken_away(a in any_money(), b in 0..=i64::MAX) {
            let b = money(b, a.currency());
            if let Ok(sum) = a.plus(b) {
                prop_assert_eq!(sum.minus(b), Ok(a));
                prop_assert_eq!(b.plus(a), Ok(sum));
            }
        }

        #[test]
        fn a_product_is_exact_or_an_error(unit in any_money(), quantity: u32) {
            let product = unit.times(quantity);
            let exact = i64::try_from(i128::from(unit.minor()) * i128::from(quantity));
            prop_assert_eq!(product, exact.map(|exact| money(exact, unit.currency())).map_err(|_| MoneyError::TooLarge));
        }

        #[test]
        fn two_currencies_never_mix(a in any_money(), b in any_money()) {
            prop_assume!(a.currency() != b.currency());
            let refused = Err(MoneyError::MixedCurrencies(a.currency(), b.currency()));
            prop_assert_eq!(a.plus(b), refused);
            prop_assert_eq!(a.minus(b), refused);
        }

        #[test]
        fn what_the_provider_takes_comes_back_the_same(money in any_money()) {
            if let Ok(amount) = money.provider_amount() {
                prop_assert_eq!(Money::from_provider(amount, money.currency()), Ok(money));
            }
        }

        #[test]
        fn the_json_form_comes_back_the_same(money in any_money()) {
            let json = serde_json::to_string(&money).expect("serializes");
            prop_assert_eq!(serde_json::from_str::<Money>(&json).expect("reads"), money);
        }

        #[test]
        fn any_amount_can_be_read_or_refused_without_a_panic(amount: i64, currency in any_currency()) {
            let read = Money::from_provider(amount, currency);
            prop_assert!(amount >= 0 || read.is_err());
        }
    }
}
