//! The plan catalogue: the configured one, copied into the database.

use billing::{Billing, Error};
use platform::clock::Clock;
use platform::db::Databases;
use platform::http::Routes;
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use test_support::database::TestDatabase;
use test_support::{ApiClient, People, Statements, stack, start_of_time};

use crate::house::{config, databases, needs};

/// A database, and as many openings of the module over it as a test likes.
struct Shelf {
    databases: Databases,
    database: TestDatabase,
}

impl Shelf {
    async fn build() -> Self {
        let database = TestDatabase::create(&[platform::db::MIGRATIONS, billing::MIGRATIONS]).await;
        Self { databases: databases(&database), database }
    }

    fn billing(&self, plans: &Value) -> Billing {
        Billing::new(needs(&self.databases, &Clock::fixed(start_of_time()), config(plans, "")))
    }

    async fn seeded(&self, plans: &Value) -> ApiClient {
        let billing = self.billing(plans);
        billing.seed_plans().await.expect("the catalogue is sound");
        client(&billing)
    }
}

fn client(billing: &Billing) -> ApiClient {
    let (router, _) = Routes::new().nest("/v1", billing.routes()).split("billing", "1");
    ApiClient::new(stack(People::default()).wrap(router))
}

async fn catalogue(client: &ApiClient) -> Value {
    client.get("/v1/plans").send().await.expect(200)
}

fn codes(catalogue: &Value) -> Vec<&str> {
    let plans = catalogue["data"].as_array().expect("a list");
    plans.iter().map(|plan| plan["code"].as_str().expect("a code")).collect()
}

fn price(id: &str, amount: i64, interval: &str) -> Value {
    json!({ "id": id, "provider": "stripe", "currency": "EUR", "amount": amount, "interval": interval })
}

fn free() -> Value {
    json!({ "code": "free", "name": "Free", "rank": 0, "features": { "seats": 3 } })
}

fn team() -> Value {
    json!({
        "code": "team",
        "name": "Team",
        "rank": 10,
        "features": { "seats": 25, "audit_log": true },
        "prices": [price("price_year", 19_000, "year"), price("price_month", 1_900, "month")],
    })
}

#[tokio::test]
async fn the_catalogue_is_the_configured_one_in_the_order_of_ranks() {
    let shelf = Shelf::build().await;
    let client = shelf.seeded(&json!([team(), free()])).await;
    let mut catalogue = catalogue(&client).await;
    for price in catalogue["data"][1]["prices"].as_array_mut().expect("prices") {
        let id = price.as_object_mut().and_then(|price| price.remove("id")).expect("an id");
        assert_eq!(id.as_str().expect("text").len(), 36);
    }
    let free = json!({ "code": "free", "name": "Free", "rank": 0, "features": { "seats": 3 }, "prices": [] });
    let prices = json!([
        { "interval": "month", "money": { "amount": 1_900, "currency": "EUR" } },
        { "interval": "year", "money": { "amount": 19_000, "currency": "EUR" } },
    ]);
    let features = json!({ "audit_log": true, "seats": 25 });
    let team = json!({ "code": "team", "name": "Team", "rank": 10, "features": features, "prices": prices });
    assert_eq!(catalogue, json!({ "data": [free, team] }));
}

#[tokio::test]
async fn seeding_the_same_catalogue_again_changes_nothing() {
    let shelf = Shelf::build().await;
    let billing = shelf.billing(&json!([free(), team()]));
    assert_eq!(billing.seed_plans().await.expect("seeds"), 2 + 3 + 2);
    let before = catalogue(&client(&billing)).await;
    assert_eq!(billing.seed_plans().await.expect("seeds"), 0);
    assert_eq!(catalogue(&client(&billing)).await, before);
}

#[tokio::test]
async fn two_processes_may_seed_at_once() {
    let shelf = Shelf::build().await;
    let (one, other) = (shelf.billing(&json!([free(), team()])), shelf.billing(&json!([free(), team()])));
    let (one, other) = tokio::join!(one.seed_plans(), other.seed_plans());
    assert_eq!(one.expect("seeds") + other.expect("seeds"), 2 + 3 + 2);
}

#[tokio::test]
async fn a_plan_that_left_the_configuration_is_no_longer_offered_but_kept() {
    let shelf = Shelf::build().await;
    let before = catalogue(&shelf.seeded(&json!([free(), team()])).await).await;
    let without = catalogue(&shelf.seeded(&json!([free()])).await).await;
    assert_eq!(codes(&without), ["free"]);
    // The ids of its prices are the old ones: they were on record all the time.
    assert_eq!(catalogue(&shelf.seeded(&json!([free(), team()])).await).await, before);
}

#[tokio::test]
async fn names_ranks_and_features_follow_the_configuration_and_prices_are_replaced() {
    let shelf = Shelf::build().await;
    shelf.seeded(&json!([free(), team()])).await;
    let mut crew = team();
    crew["name"] = json!("Crew");
    crew["rank"] = json!(5);
    crew["features"] = json!({ "seats": true });
    crew["prices"] = json!([price("price_month_2", 2_900, "month")]);
    let mut paid = free();
    paid["rank"] = json!(10);
    let catalogue = catalogue(&shelf.seeded(&json!([paid, crew])).await).await;
    assert_eq!(codes(&catalogue), ["team", "free"]);
    let team = &catalogue["data"][0];
    assert_eq!((&team["name"], &team["features"]), (&json!("Crew"), &json!({ "seats": true })));
    assert_eq!(team["prices"].as_array().map(Vec::len), Some(1));
    assert_eq!(team["prices"][0]["money"], json!({ "amount": 2_900, "currency": "EUR" }));
}

#[tokio::test]
async fn a_seeded_price_never_changes() {
    let shelf = Shelf::build().await;
    let client = shelf.seeded(&json!([free(), team()])).await;
    let before = catalogue(&client).await;
    let mut dearer = team();
    dearer["name"] = json!("Dearer");
    dearer["prices"][1]["amount"] = json!(2_900);
    match shelf.billing(&json!([free(), dearer])).seed_plans().await {
        Err(Error::PriceChanged { key, price, recorded }) => {
            assert_eq!(key, "billing.plans[1].prices[1].amount");
            assert_eq!((price.as_str(), recorded.as_str()), ("price_month", "1900"));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(catalogue(&client).await, before);
    // Nor does the database let anybody else change it.
    let mut connection = PgConnection::connect(&shelf.database.url()).await.expect("connects");
    let changing = sqlx::query("UPDATE billing.prices SET unit_amount = 1").execute(&mut connection).await;
    assert!(changing.expect_err("refused").to_string().contains("cannot be changed"));
}

#[tokio::test]
async fn a_catalogue_that_breaks_a_rule_is_refused_by_its_key() {
    let shelf = Shelf::build().await;
    let client = shelf.seeded(&json!([free()])).await;
    let mut fraction = team();
    fraction["prices"][0]["currency"] = json!("KWD");
    fraction["prices"][0]["amount"] = json!(1_234);
    let refused = shelf.billing(&json!([free(), fraction])).seed_plans().await;
    assert!(
        matches!(&refused, Err(Error::InvalidCatalogue { key, .. }) if key == "billing.plans[1].prices[0].amount"),
        "{refused:?}"
    );
    assert_eq!(codes(&catalogue(&client).await), ["free"]);
}

#[tokio::test]
async fn caches_may_keep_the_catalogue_and_ask_whether_it_changed() {
    let shelf = Shelf::build().await;
    let client = shelf.seeded(&json!([free()])).await;
    let fresh = client.get("/v1/plans").send().await;
    assert_eq!((fresh.status.as_u16(), fresh.header("cache-control")), (200, "public, max-age=300"));
    assert_eq!(fresh.header("content-type"), "application/json");

    let held = client.get("/v1/plans").header("if-none-match", fresh.header("etag")).send().await;
    assert_eq!((held.status.as_u16(), held.text.as_str()), (304, ""));
    assert_eq!((held.header("etag"), held.header("cache-control")), (fresh.header("etag"), "public, max-age=300"));

    shelf.seeded(&json!([free(), team()])).await;
    let changed = client.get("/v1/plans").header("if-none-match", fresh.header("etag")).send().await;
    assert_eq!(codes(&changed.expect(200)), ["free", "team"]);
    assert_ne!(changed.header("etag"), fresh.header("etag"));
}

#[tokio::test]
async fn the_whole_catalogue_costs_one_statement() {
    let shelf = Shelf::build().await;
    let business =
        json!({ "code": "business", "name": "Business", "rank": 20, "prices": [price("price_b", 1, "month")] });
    let client = shelf.seeded(&json!([free(), team(), business])).await;
    let before = Statements::sent();
    assert_eq!(codes(&catalogue(&client).await), ["free", "team", "business"]);
    assert_eq!(Statements::sent() - before, 1);
}
