//! The adapter over real sockets: against the stand-in, and against servers that answer what no Stripe would.

use std::collections::BTreeSet;
use std::sync::Arc;

use billing::StripeConfig;
use billing::ports::{
    Checkout, CheckoutStatus, CheckoutWish, Contact, NewCustomer, OperationId, PaymentProvider, ProviderError,
};
use dev_stripe::{Failure, Interval, Options, PriceSpec, Running, StripeServer};
use http::Method;
use http::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use platform::caller::OrgId;
use platform::outbound::{AddressRules, Outbound, OutboundConfig};
use platform::telemetry::{metrics_handle, render};
use serde_json::{Value, json};
use tokio::join;
use tokio::net::TcpListener;

use crate::strange_server::{answering, ok};

const KEY: &str = "sk_test_sesame";

/// Long enough for every answer that comes.
const PATIENT: u64 = 10_000;
/// For answers that never come.
const IMPATIENT: u64 = 500;

fn outbound(total_timeout_ms: u64) -> Outbound {
    let config = OutboundConfig {
        connect_timeout_ms: 3_000,
        total_timeout_ms,
        answer_cap_bytes: 64 * 1024,
        addresses: AddressRules::Any,
        user_agent: "tests".to_owned(),
    };
    Outbound::new(&config).expect("a valid configuration")
}

fn provider(url: &str, key: &str, total_timeout_ms: u64) -> Arc<dyn PaymentProvider> {
    let config = StripeConfig { api_url: url.to_owned(), api_key: key.to_owned().into() };
    config.provider(outbound(total_timeout_ms))
}

/// The stand-in and the adapter.
struct Street {
    stripe: Running,
    provider: Arc<dyn PaymentProvider>,
    impatient: Arc<dyn PaymentProvider>,
}

impl Street {
    async fn build() -> Self {
        let mut options = Options::new("", "whsec_test", KEY);
        options.prices = vec![PriceSpec {
            id: "price_team".to_owned(),
            product: "Team".to_owned(),
            currency: "eur".to_owned(),
            unit_amount: 1_900,
            interval: Interval::Month,
            active: true,
        }];
        let stripe = StripeServer::start(options).await.expect("a stand-in");
        let provider = |timeout| provider(stripe.url(), KEY, timeout);
        Self { provider: provider(PATIENT), impatient: provider(IMPATIENT), stripe }
    }

    async fn customer(&self) -> String {
        self.provider.create_customer(OperationId::new(), customer(OrgId::new())).await.expect("a customer")
    }

    /// Buys a subscription for a new customer and gives its id.
    async fn subscribed(&self) -> String {
        let wish = wish(OrgId::new(), &self.customer().await);
        let page = self.provider.open_checkout(OperationId::new(), wish).await.expect("a page");
        self.stripe.control().pay(&page.id).expect("an open page");
        let checkout = self.provider.fetch_checkout(&page.id).await.expect("known");
        checkout.subscription.expect("bought")
    }

    /// How many customers the stand-in has.
    async fn customers(&self) -> usize {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::try_from(format!("Bearer {KEY}")).expect("a header"));
        let url = format!("{}/v1/customers?limit=100", self.stripe.url());
        let answer = outbound(PATIENT).send(Method::GET, &url, headers, "").await.expect("answered");
        let list: Value = serde_json::from_slice(&answer.body).expect("JSON");
        list["data"].as_array().expect("a list").len()
    }
}

fn customer(organization: OrgId) -> NewCustomer {
    let contact = Contact { name: "Müller & Söhne".to_owned(), email: "office@example.com".to_owned() };
    NewCustomer { organization, contact }
}

fn wish(organization: OrgId, customer: &str) -> CheckoutWish {
    CheckoutWish {
        organization,
        customer: customer.to_owned(),
        price: "price_team".to_owned(),
        quantity: 3,
        success_url: "https://app.example.com/done?session={CHECKOUT_SESSION_ID}".to_owned(),
        cancel_url: "https://app.example.com/back".to_owned(),
    }
}

/// The name of an error, with the code of a refusal.
fn kind<T>(result: Result<T, ProviderError>) -> String {
    match result {
        Ok(_) => "done".to_owned(),
        Err(ProviderError::Rejected { code }) => format!("rejected: {code}"),
        Err(ProviderError::Unavailable(_)) => "unavailable".to_owned(),
        Err(ProviderError::Unknown(_)) => "unknown".to_owned(),
        Err(ProviderError::InProgress) => "in progress".to_owned(),
        Err(ProviderError::NotFound) => "not found".to_owned(),
        Err(ProviderError::KeyReused) => "key reused".to_owned(),
        Err(ProviderError::KeySpent) => "key spent".to_owned(),
        Err(ProviderError::BadCall { code, param }) => format!("bad call: {code} {param}"),
        Err(ProviderError::Malformed(_)) => "malformed".to_owned(),
    }
}

#[tokio::test]
async fn a_customer_has_name_mail_and_organization() {
    let street = Street::build().await;
    let organization = OrgId::new();
    let id = street.provider.create_customer(OperationId::new(), customer(organization)).await.expect("a customer");
    let made = street.stripe.control().object(&id).expect("a customer");
    assert_eq!((&made["name"], &made["email"]), (&json!("Müller & Söhne"), &json!("office@example.com")));
    assert_eq!(made["metadata"], json!({ "organization_id": organization.to_string() }));
    assert_eq!((street.provider.name(), street.provider.livemode()), ("stripe", false));
    assert!(provider("", "rk_live_1", PATIENT).livemode());
}

#[tokio::test]
async fn what_is_paid_on_the_page_becomes_a_subscription_of_the_organization() {
    let street = Street::build().await;
    let (organization, operation, customer) = (OrgId::new(), OperationId::new(), street.customer().await);
    let page = street.provider.open_checkout(operation, wish(organization, &customer)).await.expect("a page");
    assert!(page.url.starts_with(street.stripe.url()));
    let opened = street.provider.fetch_checkout(&page.id).await.expect("known");
    let expected = Checkout {
        id: page.id.clone(),
        status: CheckoutStatus::Open,
        organization: Some(organization),
        operation: Some(operation),
        customer: Some(customer.clone()),
        subscription: None,
    };
    assert_eq!(opened, expected);

    street.stripe.control().pay(&page.id).expect("an open page");
    let paid = street.provider.fetch_checkout(&page.id).await.expect("known");
    assert_eq!(paid.status, CheckoutStatus::Complete);
    let id = paid.subscription.expect("bought");
    let bought = street.provider.fetch_subscription(&id).await.expect("known");
    assert_eq!((&bought.id, &bought.customer, bought.organization), (&id, &customer, Some(organization)));
    assert_eq!((bought.status.as_str(), bought.price.as_deref(), bought.quantity), ("active", Some("price_team"), 3));
    let end = bought.current_period_end.expect("a period").timestamp();
    assert!(end > street.stripe.control().now());
    assert_eq!((bought.trial_end, bought.cancel_at, bought.ended_at, bought.livemode), (None, None, None, false));
}

#[tokio::test]
async fn a_planned_end_and_a_real_one_are_told() {
    let street = Street::build().await;
    let id = street.subscribed().await;
    let control = street.stripe.control();
    control.change_subscription(&id, &json!({ "cancel_at_period_end": true })).expect("a subscription");
    let ending = street.provider.fetch_subscription(&id).await.expect("known");
    assert!(ending.cancel_at.is_some() && ending.cancel_at == ending.current_period_end);
    control.delete_customer(&ending.customer).expect("a customer");
    let ended = street.provider.fetch_subscription(&id).await.expect("known");
    assert_eq!((ended.status.as_str(), ended.ended_at.is_some()), ("canceled", true));
}

#[tokio::test]
async fn a_canceled_subscription_says_when_it_ended_and_is_not_found_by_a_second_cancellation() {
    let street = Street::build().await;
    let (id, operation) = (street.subscribed().await, OperationId::new());
    let ended = street.provider.cancel_subscription(operation, &id).await.expect("it was running");
    assert_eq!((ended.id.as_str(), ended.status.as_str(), ended.ended_at.is_some()), (id.as_str(), "canceled", true));
    assert_eq!(kind(street.provider.cancel_subscription(operation, &id).await), "not found");
    let other = street.subscribed().await;
    street.stripe.control().fail_next(Failure::Timeout, 1);
    assert_eq!(kind(street.impatient.cancel_subscription(operation, &other).await), "unknown");
    assert_eq!(street.provider.fetch_subscription(&other).await.expect("known").status, "canceled", "it was done");
    assert_eq!(kind(street.provider.cancel_subscription(operation, "../customers").await), "not found");
}

#[tokio::test]
async fn the_same_operation_has_its_effect_once() {
    let street = Street::build().await;
    let (operation, organization) = (OperationId::new(), OrgId::new());
    let mut customers = BTreeSet::new();
    let mut pages = BTreeSet::new();
    for _ in 0..3 {
        let id = street.provider.create_customer(operation, customer(organization)).await.expect("a customer");
        let page = street.provider.open_checkout(operation, wish(organization, &id)).await.expect("a page");
        customers.insert(id);
        pages.insert(page.id);
    }
    assert_eq!((customers.len(), pages.len(), street.customers().await), (1, 1, 1));
    let other = CheckoutWish { quantity: 4, ..wish(organization, customers.first().expect("one")) };
    assert_eq!(kind(street.provider.open_checkout(operation, other).await), "key reused");
}

#[tokio::test]
async fn what_was_done_without_an_answer_is_unknown_and_found_by_the_same_call() {
    let street = Street::build().await;
    let (operation, organization) = (OperationId::new(), OrgId::new());
    street.stripe.control().fail_next(Failure::Timeout, 1);
    assert_eq!(kind(street.impatient.create_customer(operation, customer(organization)).await), "unknown");
    assert_eq!(street.customers().await, 1, "it was done");
    let id = street.provider.create_customer(operation, customer(organization)).await.expect("a customer");
    assert_eq!(street.customers().await, 1, "it was not done again");

    street.stripe.control().fail_next(Failure::Timeout, 1);
    let lost = street.impatient.open_checkout(operation, wish(organization, &id)).await;
    assert_eq!(kind(lost), "unknown");
    let first = street.provider.open_checkout(operation, wish(organization, &id)).await.expect("a page");
    let again = street.provider.open_checkout(operation, wish(organization, &id)).await.expect("a page");
    assert_eq!(first, again);
}

#[tokio::test]
async fn what_changes_something_may_have_happened_and_what_reads_has_not() {
    let street = Street::build().await;
    let (id, control) = (street.subscribed().await, street.stripe.control());
    for (failure, changing, reading) in [
        (Failure::Hang, "unknown", "unavailable"),
        (Failure::ServerError, "unknown", "unavailable"),
        (Failure::Outage, "unknown", "unavailable"),
        (Failure::RateLimited, "unavailable", "unavailable"),
    ] {
        control.fail_next(failure, 2);
        let changed = street.impatient.create_customer(OperationId::new(), customer(OrgId::new())).await;
        let read = street.impatient.fetch_subscription(&id).await;
        assert_eq!((kind(changed).as_str(), kind(read).as_str()), (changing, reading), "{failure:?}");
    }
    assert_eq!(street.customers().await, 1, "nothing was done");
}

#[tokio::test]
async fn a_failure_that_the_key_remembers_is_told_from_one_that_may_pass() {
    let street = Street::build().await;
    let organization = OrgId::new();
    for (failure, again) in [(Failure::ServerError, "key spent"), (Failure::Outage, "done")] {
        let operation = OperationId::new();
        street.stripe.control().fail_next(failure, 1);
        let call = || street.provider.create_customer(operation, customer(organization));
        assert_eq!((kind(call().await).as_str(), kind(call().await).as_str()), ("unknown", again), "{failure:?}");
    }
    assert_eq!(street.customers().await, 1, "only the second one was made");
}

#[tokio::test]
async fn a_twin_of_a_call_that_is_being_served_is_known_as_one() {
    let street = Street::build().await;
    let (operation, organization) = (OperationId::new(), OrgId::new());
    street.stripe.control().fail_next(Failure::Slow, 1);
    let call = || street.provider.create_customer(operation, customer(organization));
    let (first, ()) = join!(call(), async {
        street.stripe.control().slow_calls(1).await;
        assert_eq!(kind(call().await), "in progress");
        street.stripe.control().finish_slow_calls();
    });
    assert_eq!(first.expect("a customer"), call().await.expect("a customer"));
    assert_eq!(street.customers().await, 1);
}

#[tokio::test]
async fn where_nobody_listens_nothing_happened() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let closed = format!("http://{}", listener.local_addr().expect("bound"));
    drop(listener);
    for url in [closed.as_str(), ""] {
        let provider = provider(url, KEY, PATIENT);
        let changed = provider.create_customer(OperationId::new(), customer(OrgId::new())).await;
        let read = provider.fetch_checkout("cs_test_1").await;
        assert_eq!((kind(changed).as_str(), kind(read).as_str()), ("unavailable", "unavailable"), "{url}");
    }
}

#[tokio::test]
async fn a_key_that_is_not_accepted_is_not_the_customers_fault() {
    let street = Street::build().await;
    for key in ["sk_test_other", "", "sk_test\n"] {
        let stranger = provider(street.stripe.url(), key, PATIENT);
        let refused = stranger.create_customer(OperationId::new(), customer(OrgId::new())).await;
        assert_eq!(kind(refused), "unavailable", "{key:?}");
    }
}

#[tokio::test]
async fn what_does_not_exist_is_not_found() {
    let street = Street::build().await;
    let (id, organization) = (street.customer().await, OrgId::new());
    let long = "x".repeat(256);
    for unknown in ["sub_1", "", "../customers", "sub_1/cancel", "sub_1?expand[]=customer", "sub 1", long.as_str()] {
        assert_eq!(kind(street.provider.fetch_subscription(unknown).await), "not found", "{unknown}");
        assert_eq!(kind(street.provider.fetch_checkout(unknown).await), "not found", "{unknown}");
    }
    // Nor does a path lead anywhere else than to what was asked for.
    assert_eq!(kind(street.provider.fetch_subscription(&format!("../customers/{id}")).await), "not found");
    let unknown_price = CheckoutWish { price: "price_gone".to_owned(), ..wish(organization, &id) };
    let refused = street.provider.open_checkout(OperationId::new(), unknown_price).await;
    assert_eq!(kind(refused), "bad call: resource_missing line_items[0][price]");
    street.stripe.control().delete_customer(&id).expect("a customer");
    let gone = street.provider.open_checkout(OperationId::new(), wish(organization, &id)).await;
    assert_eq!(kind(gone), "not found");
}

#[tokio::test]
async fn a_call_says_who_calls_in_which_version_and_the_same_bytes_again() {
    let (url, mut questions) =
        answering(ok(r#"{"id":"cs_1","url":"https://checkout.stripe.com/c/pay/cs_1","status":"open"}"#)).await;
    let (provider, operation, organization) = (provider(&url, KEY, PATIENT), OperationId::new(), OrgId::new());
    let mut asked = Vec::new();
    for _ in 0..2 {
        provider.open_checkout(operation, wish(organization, "cus_1")).await.expect("a page");
        asked.push(questions.recv().await.expect("a question"));
    }
    let (head, form) = asked[0].split_once("\r\n\r\n").expect("head and body");
    assert!(head.starts_with("POST /v1/checkout/sessions HTTP/1.1\r\n"), "{head}");
    for line in [
        format!("authorization: Bearer {KEY}"),
        "stripe-version: 2025-09-30.clover".to_owned(),
        format!("idempotency-key: op:{operation}"),
        "content-type: application/x-www-form-urlencoded".to_owned(),
    ] {
        assert!(head.lines().any(|found| found == line), "{line} is missing in\n{head}");
    }
    assert!(form.starts_with("mode=subscription&customer=cus_1&client_reference_id="), "{form}");
    assert!(form.contains("done%3Fsession%3D%7BCHECKOUT_SESSION_ID%7D&"), "{form}");
    assert_eq!(asked[1].split_once("\r\n\r\n").expect("head and body").1, form);

    provider.create_customer(operation, customer(organization)).await.expect("a customer");
    let asked = questions.recv().await.expect("a question");
    assert!(asked.contains(&format!("\r\nidempotency-key: op:{operation}:customer\r\n")), "{asked}");
    provider.fetch_checkout("cs_1").await.expect("known");
    let asked = questions.recv().await.expect("a question");
    assert!(asked.starts_with("GET /v1/checkout/sessions/cs_1 HTTP/1.1\r\n"), "{asked}");
    assert!(!asked.contains("idempotency-key") && asked.ends_with("\r\n\r\n"), "{asked}");
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_is_malformed() {
    let long = format!(r#"{{"id":"sub_1","customer":"cus_1","x":"{}"}}"#, "x".repeat(64 * 1024));
    let other = json!({ "id": "sub_2", "customer": "cus_1", "status": "active", "livemode": false,
        "items": { "data": [] } });
    let deep = "[".repeat(10_000);
    for body in ["", "{}", "[]", "null", "<html>", r#"{"id":"sub_1""#, &deep, &long, &other.to_string()] {
        let (url, _) = answering(ok(body)).await;
        let provider = provider(&url, KEY, PATIENT);
        let start: String = body.chars().take(40).collect();
        assert_eq!(kind(provider.fetch_subscription("sub_1").await), "malformed", "{start}");
        assert_eq!(kind(provider.fetch_checkout("sub_1").await), "malformed", "{start}");
        assert_eq!(kind(provider.open_checkout(OperationId::new(), wish(OrgId::new(), "cus_1")).await), "malformed");
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (inner, mut questions) = answering(ok(r#"{"id":"cus_1"}"#)).await;
    let redirect = format!("HTTP/1.1 307 Moved\r\nconnection: close\r\nlocation: {inner}/v1/customers\r\n\r\n");
    let (url, _) = answering(redirect).await;
    let provider = provider(&url, KEY, PATIENT);
    let redirected = provider.create_customer(OperationId::new(), customer(OrgId::new())).await;
    assert_eq!(kind(redirected), "malformed");
    assert!(questions.try_recv().is_err(), "the key went somewhere else");
}

#[tokio::test]
async fn calls_are_counted_by_how_they_ended() {
    metrics_handle();
    let provider = provider("", KEY, PATIENT);
    assert_eq!(kind(provider.fetch_checkout("cs_1").await), "unavailable");
    let page = render();
    let counted = page.lines().any(|line| {
        line.starts_with("payment_provider_requests_total{")
            && line.contains(r#"call="fetch_checkout""#)
            && line.contains(r#"outcome="unavailable""#)
    });
    assert!(counted && page.contains("payment_provider_request_duration_seconds_bucket{"), "{page}");
}
