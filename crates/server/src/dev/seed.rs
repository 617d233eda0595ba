//! What there is to play with after the first start: an account, and its organization on a paid plan.

use dev_stripe::Control;
use serde_json::json;

use super::client::{Call, Client, Failure, eventually, text};
use crate::Config;

/// An account to play with. Its password is public, so it exists on developers' machines only.
pub(crate) const ACCOUNT: Account =
    Account { email: "ada@example.com", password: "a-long-walk-by-the-sea", name: "Ada" };

/// The name of the organization that is made where Ada has none.
const ORGANIZATION: &str = "Analytical Engines";

/// How many seats it buys. A page that was opened before a restart stays the one for that number, but the stand-in that forgot
/// everything does not know it: then another number is asked for.
const SEATS: std::ops::RangeInclusive<i32> = 3..=5;

/// Somebody who can log in.
pub(crate) struct Account {
    pub(crate) email: &'static str,
    pub(crate) password: &'static str,
    pub(crate) name: &'static str,
}

/// The organization, and the plan it is on.
pub(super) struct PayingOrganization {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) plan: String,
}

/// Sees to it that Ada has an organization on a paid plan, the way she would do it herself. Where it is so already, nothing is
/// changed. `origin` is where the API answers.
pub(super) async fn paid_organization(
    config: &Config,
    origin: &str,
    payments: &Control,
) -> Result<PayingOrganization, Failure> {
    let client = Client::new(origin)?;
    let free = &config.billing.free_plan;
    let credentials = json!({ "email": ACCOUNT.email, "password": ACCOUNT.password });
    let tokens = client.send(&Call::post("/v1/auth/login", credentials)).await?.expect(200)?;
    let token = text(&tokens, "/access_token")?;
    let (id, name) = organization(&client, &token).await?;
    let entitlements = Call::get(format!("/v1/organizations/{id}/entitlements")).by(&token);
    let plan = text(&client.send(&entitlements).await?.expect(200)?, "/plan")?;
    if plan != *free {
        return Ok(PayingOrganization { id, name, plan });
    }
    buy(&client, &token, &id, (&config.service.public_url, payments)).await?;
    let plan = eventually("a paid plan", async || {
        let plan = text(&client.send(&entitlements).await?.expect(200)?, "/plan")?;
        Ok(if plan == *free { Err(format!("the plan is still {plan}")) } else { Ok(plan) })
    })
    .await?;
    Ok(PayingOrganization { id, name, plan })
}

/// Id and name of Ada's oldest organization of the first hundred, or of a new one.
async fn organization(client: &Client, token: &str) -> Result<(String, String), Failure> {
    let list = client.send(&Call::get("/v1/organizations?limit=100").by(token)).await?.expect(200)?;
    let oldest = list["data"].as_array().and_then(|page| page.last()).cloned();
    let organization = if let Some(organization) = oldest {
        organization
    } else {
        let create = Call::post("/v1/organizations", json!({ "name": ORGANIZATION })).by(token);
        client.send(&create).await?.expect(201)?
    };
    Ok((text(&organization, "/id")?, text(&organization, "/name")?))
}

/// Subscribes to the least plan that costs something. Who pays here has no browser, so where it is sent `back` to only has to be
/// allowed.
async fn buy(
    client: &Client,
    token: &str,
    organization: &str,
    (back, payments): (&str, &Control),
) -> Result<(), Failure> {
    let price = price(client).await?;
    let mut paid = Ok(());
    for seats in SEATS {
        let wish = json!({ "price_id": price, "quantity": seats, "success_url": back, "cancel_url": back });
        let checkout = Call::post(format!("/v1/organizations/{organization}/billing/checkout"), wish).by(token).once();
        let page = text(&client.send(&checkout).await?.expect(201)?, "/url")?;
        paid = payments.pay(page.rsplit('/').next().unwrap_or_default());
        if paid.is_ok() {
            break;
        }
    }
    Ok(paid?)
}

/// The first price of the least plan that costs something.
async fn price(client: &Client) -> Result<String, Failure> {
    let plans = client.send(&Call::get("/v1/plans")).await?.expect(200)?;
    let offers = plans["data"].as_array().map(Vec::as_slice).unwrap_or_default();
    let price = offers.iter().find_map(|plan| plan.pointer("/prices/0/id")?.as_str());
    price.map(str::to_owned).ok_or_else(|| Failure::otherwise("a plan with a price", "none is offered"))
}
