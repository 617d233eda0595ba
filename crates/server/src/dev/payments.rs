//! The stand-in for the payment provider, started where none is configured.

use dev_stripe::{Interval, Options, PriceSpec, Running, StripeServer};
use platform::config::Secret;

use crate::check::StartError;
use crate::{Config, Listeners};

/// The source of webhooks that the stand-in plays, and the provider of the prices it sells.
const PROVIDER: &str = "stripe";

/// Starts the stand-in unless the configuration names a provider; from then on it names the stand-in. Events go to the public
/// listener.
pub(crate) async fn ensure(config: &mut Config, listeners: &Listeners) -> Result<Option<Running>, StartError> {
    let Some(public) = listeners.public.as_ref().filter(|_| config.billing.stripe.api_url.is_empty()) else {
        return Ok(None);
    };
    let mut options = options(config);
    options.webhook_url = format!("http://{}/v1/inbound/{PROVIDER}", public.local_addr()?);
    let running = StripeServer::start(options).await?;
    running.url().clone_into(&mut config.billing.stripe.api_url);
    Ok(Some(running))
}

/// A stand-in that sells what is configured, with the configured key and secret. It does not know yet where events go.
#[must_use]
pub fn options(config: &Config) -> Options {
    let source = config.webhooks.sources.get(PROVIDER);
    let secret = source.and_then(|source| source.secrets.values().next_back());
    let mut options = Options::new(
        String::new(),
        secret.map(Secret::expose).unwrap_or_default(),
        config.billing.stripe.api_key.expose(),
    );
    options.shop.clone_from(&config.service.name);
    options.prices = for_sale(config);
    options
}

fn for_sale(config: &Config) -> Vec<PriceSpec> {
    let offers = config.billing.plans.iter().flat_map(|plan| plan.prices.iter().map(move |price| (plan, price)));
    let offers = offers.filter(|(_, price)| price.provider == PROVIDER);
    // A price that cannot be paid there is complained about before anything starts.
    let payable = offers.filter_map(|(plan, price)| Some((plan, price, price.money().ok()?.provider_amount().ok()?)));
    payable
        .map(|(plan, price, unit_amount)| PriceSpec {
            id: price.id.clone(),
            product: plan.name.clone(),
            currency: price.currency.code().to_lowercase(),
            unit_amount,
            interval: if price.interval.as_str() == "year" { Interval::Year } else { Interval::Month },
            active: true,
        })
        .collect()
}
