//! Limits that hold over replicas, against a real database, and the one that every request meets.

use std::net::IpAddr;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use futures_util::future::join_all;
use platform::caller::{Caller, ClientAddress, OrgId, Role};
use platform::db::Databases;
use platform::http::{StatusCode, TakenTurn};
use platform::jobs::Jobs;
use platform::rate_limit::{RateLimit, RateLimitError, RateLimits, Turn, register_pruning};
use platform::telemetry;
use test_support::{Answer, ApiClient, People, Statements};
use tower::ServiceExt;

use crate::house::{House, SAMPLE};
use crate::site::{Site, request};

fn limits() -> RateLimits {
    RateLimits::new(&test_support::secrets())
}

fn turn<'a>(name: &'static str, burst: u32, of: &'a str) -> Turn<'a> {
    Turn { name, limit: RateLimit { count: 1, seconds: 3_600, burst }, of: of.as_bytes() }
}

/// Whether the turns were taken, or after how many minutes to come back; a busy machine may take some seconds of them.
async fn take(house: &House, turns: &[Turn<'_>]) -> Result<(), u64> {
    let mut connection = house.db.read().await.expect("a connection");
    match limits().take(&mut connection, turns).await {
        Ok(()) => Ok(()),
        Err(RateLimitError::Exceeded(exceeded)) => Err(minutes(exceeded.retry_after().as_secs())),
        Err(error) => panic!("{error}"),
    }
}

fn minutes(seconds: u64) -> u64 {
    (seconds + 30) / 60
}

/// Lets time pass for every limit.
async fn hours_pass(house: &House, hours: i32) {
    let mut owner = house.databases.platform().read().await.expect("a connection");
    let statement = sqlx::query("UPDATE platform.rate_limits SET tat = tat - make_interval(hours => $1)").bind(hours);
    statement.execute(&mut *owner).await.expect("moved");
}

#[tokio::test]
async fn a_burst_passes_and_turns_come_back_with_database_time() {
    let house = House::build().await;
    for _ in 0..3 {
        assert_eq!(take(&house, &[turn("a", 3, "ann")]).await, Ok(()));
    }
    assert_eq!(take(&house, &[turn("a", 3, "ann")]).await, Err(60));
    assert_eq!(take(&house, &[turn("a", 3, "bob")]).await, Ok(()), "others are not affected");
    assert_eq!(take(&house, &[turn("b", 3, "ann")]).await, Ok(()), "nor are other limits");
    house.sql("UPDATE platform.rate_limits SET tat = tat - interval '45 minutes'").await;
    assert_eq!(take(&house, &[turn("a", 3, "ann")]).await, Err(15), "being refused costs nothing");
}

#[tokio::test]
async fn nobody_gets_more_than_the_burst_and_what_came_back_whatever_the_rhythm() {
    let house = House::build().await;
    let mut tokens = 5;
    for step in 0..120 {
        // Hours between attempts, in no order: mostly none.
        let pause = [0, 0, 1, 0, 3, 0, 0, 0, 2, 0, 9, 0, 0][step * 7 % 13];
        hours_pass(&house, pause).await;
        tokens = (tokens + pause).min(5);
        let taken = take(&house, &[turn("a", 5, "ann")]).await;
        assert_eq!(taken.is_ok(), tokens > 0, "step {step}, {tokens} left, {taken:?}");
        tokens = (tokens - 1).max(0);
    }
}

#[tokio::test]
async fn a_limit_holds_over_processes_that_share_a_database() {
    let house = House::build().await;
    let other = Databases::open(&house.config).expect("a valid address").module(SAMPLE);
    let limits = limits();
    let tries = (0..60).map(|number| {
        let db = if number % 2 == 0 { house.db.clone() } else { other.clone() };
        let limits = limits.clone();
        async move {
            let mut connection = db.read().await.expect("a connection");
            limits.take(&mut connection, &[turn("a", 10, "ann")]).await.is_ok()
        }
    });
    assert_eq!(join_all(tries).await.into_iter().filter(|passed| *passed).count(), 10);
}

#[tokio::test]
async fn a_limit_that_refuses_spares_those_behind_it() {
    let house = House::build().await;
    let both = [turn("by_address", 2, "192.0.2.1"), turn("by_person", 3, "ann")];
    assert_eq!(take(&house, &both).await, Ok(()));
    assert_eq!(take(&house, &both).await, Ok(()));
    for _ in 0..5 {
        assert_eq!(take(&house, &both).await, Err(60));
    }
    let elsewhere = [turn("by_address", 2, "192.0.2.2"), turn("by_person", 3, "ann")];
    assert_eq!(take(&house, &elsewhere).await, Ok(()), "the third of ann's turns is still there");
    assert_eq!(take(&house, &elsewhere).await, Err(60), "and was the last");
    assert_eq!(take(&house, &[turn("by_address", 2, "192.0.2.2")]).await, Err(60), "an address pays for each try");
}

#[tokio::test]
async fn a_limit_that_is_off_asks_nothing() {
    let house = House::build().await;
    let mut connection = house.db.read().await.expect("a connection");
    let off = Turn { limit: RateLimit { count: 0, seconds: 60, burst: 1 }, ..turn("off", 1, "ann") };
    let before = Statements::sent();
    for _ in 0..5 {
        limits().take(&mut connection, &[off]).await.expect("no limit");
    }
    assert_eq!(Statements::sent(), before);
    limits().take(&mut connection, &[off, turn("on", 1, "ann")]).await.expect("the first turn");
    assert_eq!(Statements::sent() - before, 1);
}

#[tokio::test]
async fn the_table_tells_nobody_who_was_counted_and_full_buckets_leave_it() {
    let house = House::build().await;
    for who in ["ann", "bob"] {
        take(&house, &[turn("a", 1, who)]).await.expect("a turn");
    }
    assert_eq!(house.ask("SELECT min(octet_length(key))::text FROM platform.rate_limits").await, "32");
    let mut connection = house.db.read().await.expect("a connection");
    let refused = sqlx::raw_sql("SELECT * FROM platform.rate_limits").execute(&mut *connection).await;
    let refused = refused.expect_err("modules only call the function").to_string();
    assert!(refused.contains("permission denied"), "{refused}");

    house
        .sql("UPDATE platform.rate_limits SET tat = now() WHERE tat = (SELECT min(tat) FROM platform.rate_limits)")
        .await;
    let mut jobs = Jobs::new();
    register_pruning(&mut jobs, house.databases.platform());
    let worker = house.worker(jobs);
    worker.run_due().await;
    house.sql("UPDATE platform.schedules SET next_at = now()").await;
    assert_eq!(worker.run_due().await, 1);
    assert_eq!(house.count("platform.rate_limits").await, "1");
}

#[tokio::test]
async fn refusals_are_counted_under_the_name_of_their_limit() {
    let house = House::build().await;
    let metrics = telemetry::metrics_handle();
    take(&house, &[turn("counted_limit", 1, "ann")]).await.expect("a turn");
    take(&house, &[turn("counted_limit", 1, "ann")]).await.expect_err("no turn");
    assert!(metrics.render().contains("rate_limited_total{limit=\"counted_limit\"} 1"), "{}", metrics.render());
}

/// A site with a page for everybody and one for people, where everyone may ask three times an hour.
fn hall(people: &People, burst: u32) -> ApiClient {
    let mut stack = test_support::stack(people.clone());
    stack.config.rate_limit = RateLimit { count: 1, seconds: 3_600, burst };
    let routes = Router::new()
        .route("/open", get(async || "open"))
        .route("/mine", get(async |caller: Caller| caller.user.to_string()))
        .route("/proven", get(async |turn: TakenTurn| turn.give_back()))
        .route("/livez", get(async || "ok"));
    ApiClient::new(stack.wrap(routes))
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// The status, and what is left of the limit: turns, and minutes until there is one more.
fn left(answer: &Answer) -> (u16, Option<(u32, u64)>) {
    let told = answer.header("ratelimit").strip_prefix("\"requests\";r=").and_then(|rest| rest.split_once(";t="));
    let told = told.map(|(turns, more_in)| (turns.parse().expect("turns"), minutes(more_in.parse().expect("seconds"))));
    (answer.status.as_u16(), told)
}

#[tokio::test]
async fn who_asks_too_often_is_refused_with_the_time_to_come_back() {
    let hall = hall(&People::default(), 3);
    for turns in [2, 1, 0] {
        let answer = hall.get("/open").send().await;
        assert_eq!(left(&answer), (200, Some((turns, 60))));
        assert_eq!(answer.header("ratelimit-policy"), "\"requests\";q=3;w=10800");
    }
    let refused = hall.get("/open").send().await;
    refused.expect_problem(429, "rate_limited");
    assert_eq!(left(&refused), (429, Some((0, 60))));
    assert_eq!(refused.header("ratelimit-policy"), "\"requests\";q=3;w=10800");
    assert!(refused.header("ratelimit").ends_with(&format!(";t={}", refused.header("retry-after"))), "the same time");
    assert_eq!(left(&hall.get("/nowhere").send().await).0, 429, "whatever is asked for");
    assert_eq!(left(&hall.get("/livez").send().await), (200, None), "probes are not counted");
    assert_eq!(left(&hall.get("/open").from_peer(ip("192.0.2.1")).send().await).0, 200, "others are not affected");
}

#[tokio::test]
async fn people_are_counted_by_who_they_are_and_not_by_their_address() {
    let people = People::default();
    let (ann, bob) = (people.member(OrgId::new(), Role::Owner), people.stranger());
    let hall = hall(&people, 3);
    for _ in 0..3 {
        assert_eq!(hall.get("/mine").bearer(&ann).send().await.status, StatusCode::OK);
    }
    hall.get("/mine").bearer(&ann).send().await.expect_problem(429, "rate_limited");
    let elsewhere = hall.get("/mine").bearer(&ann).from_peer(ip("192.0.2.1")).send().await;
    elsewhere.expect_problem(429, "rate_limited");
    assert_eq!(left(&hall.get("/mine").bearer(&bob).send().await), (200, Some((2, 60))));
    let anonymous = hall.get("/open").send().await;
    assert_eq!(left(&anonymous), (200, Some((2, 60))), "the address has paid for none of these");
}

#[tokio::test]
async fn who_proves_to_be_somebody_in_another_way_gets_the_turn_back() {
    let people = People::default();
    let ann = people.member(OrgId::new(), Role::Owner);
    let hall = hall(&people, 2);
    for _ in 0..5 {
        assert_eq!(left(&hall.get("/proven").send().await), (200, None), "what is not counted says nothing");
    }
    assert_eq!(left(&hall.get("/open").send().await), (200, Some((1, 60))), "the others are counted as ever");
    assert_eq!(left(&hall.get("/proven").send().await), (200, None));
    assert_eq!(left(&hall.get("/open").send().await), (200, Some((0, 60))), "a turn comes back once");
    hall.get("/proven").send().await.expect_problem(429, "rate_limited");
    // An address without turns lets nobody but people in.
    assert_eq!(hall.get("/mine").bearer(&ann).send().await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_used_up_address_locks_out_no_person_and_a_made_up_token_opens_nothing() {
    let people = People::default();
    let ann = people.stranger();
    let hall = hall(&people, 2);
    // A token that nobody looks at, and one that is refused, count for the address.
    assert_eq!(hall.get("/open").bearer("made-up").send().await.status, StatusCode::OK);
    hall.get("/mine").bearer("made-up").send().await.expect_problem(401, "invalid_token");
    for path in ["/open", "/mine"] {
        hall.get(path).bearer("made-up").send().await.expect_problem(429, "rate_limited");
        hall.get(path).send().await.expect_problem(429, "rate_limited");
    }
    assert_eq!(hall.get("/mine").bearer(&ann).send().await.status, StatusCode::OK);
    assert_eq!(hall.get("/open").bearer(&ann).send().await.status, StatusCode::OK);
    hall.get("/open").bearer(&ann).send().await.expect_problem(429, "rate_limited");
}

#[tokio::test]
async fn forwarded_addresses_and_a_subscribers_other_addresses_evade_nothing() {
    let hall = hall(&People::default(), 2);
    let mut statuses = Vec::new();
    for number in 1..=4 {
        let ask = hall.get("/open").from_peer(ip(&format!("2001:db8::{number}:1")));
        let spoofed = ask.header("x-forwarded-for", &format!("198.51.100.{number}")).send().await;
        statuses.push(spoofed.status.as_u16());
    }
    assert_eq!(statuses, [200, 200, 429, 429]);
    assert_eq!(left(&hall.get("/open").from_peer(ip("2001:db8:0:1::1")).send().await).0, 200);
}

#[tokio::test]
async fn a_limit_of_zero_is_off_and_says_nothing() {
    let mut stack = test_support::stack(People::default());
    stack.config.rate_limit.count = 0;
    let hall = ApiClient::new(stack.wrap(Router::new().route("/open", get(async || "open"))));
    for _ in 0..20 {
        assert_eq!(left(&hall.get("/open").send().await), (200, None));
    }
}

#[tokio::test]
async fn requests_without_a_socket_are_one_caller() {
    let mut stack = test_support::stack(People::default());
    stack.config.rate_limit = RateLimit { count: 1, seconds: 3_600, burst: 2 };
    stack.config.trusted_proxies = vec!["127.0.0.0/8".to_owned()];
    let router = stack.wrap(Router::new().route("/open", get(async || "open")));
    let mut statuses = Vec::new();
    for forwarded in ["192.0.2.1", "192.0.2.2", "192.0.2.3"] {
        let mut request = request("GET", "/open");
        request.headers_mut().insert("x-forwarded-for", forwarded.parse().expect("a header"));
        statuses.push(router.clone().oneshot(request).await.expect("an answer").status().as_u16());
    }
    assert_eq!(statuses, [200, 200, 429]);
}

#[tokio::test]
async fn the_serving_loop_tells_the_peer_and_trusted_proxies_are_believed() {
    let who = async |client: ClientAddress| client.ip().map(|ip| ip.to_string()).unwrap_or_default();
    let seen = async |trusted: &[&str]| {
        let routes = Router::new().route("/who", get(who));
        let site = Site::open_with(routes, |_, stack| {
            stack.trusted_proxies = trusted.iter().map(ToString::to_string).collect();
        });
        let mut request = request("GET", "/who");
        request.headers_mut().insert("x-forwarded-for", "198.51.100.7".parse().expect("a header"));
        site.await.ask(request).await.text
    };
    assert_eq!(seen(&[]).await, "127.0.0.1");
    assert_eq!(seen(&["127.0.0.0/8"]).await, "198.51.100.7");
}

#[tokio::test]
async fn a_wait_is_told_in_whole_seconds_rounded_up() {
    let problem = platform::http::Problem::rate_limited(Duration::from_millis(1_001));
    let router = Router::new().route("/", get(async move || problem.clone()));
    let client = ApiClient::new(test_support::stack(People::default()).wrap(router));
    assert_eq!(client.get("/").send().await.header("retry-after"), "2");
}
