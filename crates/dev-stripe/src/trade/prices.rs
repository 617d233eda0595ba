//! Prices: found, multiplied, and counted into periods.

use chrono::{DateTime, Months};
use serde_json::Value;

use crate::api::error::ApiError;
use crate::objects::{number, text};
use crate::shop::Shop;

/// A price that can be bought.
pub(crate) fn priced(shop: &Shop, id: &str, param: &str) -> Result<Value, ApiError> {
    let price = shop.objects.of("price", id).cloned().ok_or_else(|| ApiError::no_such("price", id, param))?;
    if price["active"] == true {
        return Ok(price);
    }
    Err(ApiError::bad(param, format!("The price specified is inactive. This field only accepts active prices. ({id})")))
}

/// What a quantity costs for one period.
pub(crate) fn total(price: &Value, quantity: i64) -> Result<i64, ApiError> {
    let total =
        number(price, "/unit_amount").checked_mul(quantity).filter(|total| (0..=99_999_999_999).contains(total));
    total.ok_or_else(|| ApiError::coded("amount_too_large", "quantity", "The amount is too large."))
}

/// The end of the period that starts at `start`, counted from the anchor so that the 31st comes back after February.
pub(crate) fn period_end(price: &Value, anchor: i64, start: i64) -> i64 {
    let months = if text(price, "/recurring/interval") == "year" { 12 } else { 1 };
    let Some(anchor) = DateTime::from_timestamp(anchor, 0) else { return start };
    let ends = (1..).map_while(|count| anchor.checked_add_months(Months::new(months * count)));
    ends.map(|end| end.timestamp()).find(|end| *end > start).unwrap_or(start)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn at(date: &str) -> i64 {
        DateTime::parse_from_rfc3339(&format!("{date}T12:00:00Z")).unwrap().timestamp()
    }

    #[test]
    fn the_last_of_the_month_comes_back_after_a_short_one() {
        let monthly = json!({ "recurring": { "interval": "month" } });
        let anchor = at("2025-01-31");
        assert_eq!(period_end(&monthly, anchor, anchor), at("2025-02-28"));
        assert_eq!(period_end(&monthly, anchor, at("2025-02-28")), at("2025-03-31"));
        let yearly = json!({ "recurring": { "interval": "year" } });
        assert_eq!(period_end(&yearly, anchor, anchor), at("2026-01-31"));
    }
}
