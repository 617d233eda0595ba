//! Sessions of the page on which customers manage their subscriptions.

use serde_json::{Value, json};

use super::call::Call;
use super::error::ApiError;
use super::{checkout, customers};
use crate::objects::new_id;
use crate::shop::Shop;

pub(crate) fn create(shop: &mut Shop, call: &Call) -> Result<Value, ApiError> {
    call.params.only(&["customer", "return_url", "configuration", "locale"])?;
    let customer = call.params.required("customer")?;
    customers::living(shop, customer, "customer")?;
    let return_url = call.params.text("return_url").map(|given| checkout::url(given, "return_url")).transpose()?;
    let id = new_id("bps");
    let session = json!({
        "id": id, "object": "billing_portal.session", "configuration": "bpc_dev", "created": shop.now(),
        "customer": customer, "flow": null, "livemode": shop.options.livemode, "locale": null,
        "return_url": return_url, "url": format!("{}/portal/{id}", shop.url),
    });
    shop.objects.insert(session.clone());
    Ok(session)
}
