//! What a newcomer starts: `dev` with what it seeds, and `demo`, as processes of the real binary.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Output, Stdio};

use reqwest::Method;
use serde_json::json;
use sqlx::{Connection, PgConnection};
use test_support::database::TestDatabase;

use crate::buyer::{Buyer, Records, stand_in};
use crate::home::{client, send};
use crate::processes::{Durable, Process, binary, eventually};

/// Steps of the demo.
const STEPS: usize = 15;

/// A server for a demo to make its database on.
async fn database() -> TestDatabase {
    TestDatabase::create(&[]).await
}

/// Starts a demo; its output can be read.
fn demo(database: &TestDatabase, variables: &[(&str, &str)]) -> Child {
    let mut demo = binary("demo", &database.url());
    demo.envs(variables.iter().copied()).stdout(Stdio::piped()).stderr(Stdio::piped());
    demo.spawn().expect("the demo starts")
}

/// What it said, checked for what it left behind.
async fn end(demo: Child, database: &TestDatabase) -> (Output, String, String) {
    let process = demo.id();
    let output = demo.wait_with_output().expect("the demo ends");
    let mut owner = PgConnection::connect(&database.url()).await.expect("a connection");
    let left: Vec<String> = sqlx::query_scalar(
        "SELECT datname FROM pg_database WHERE starts_with(datname, $1)
         UNION ALL SELECT rolname FROM pg_roles WHERE starts_with(rolname, $1)",
    )
    .bind(format!("demo_of_process_{process}_"))
    .fetch_all(&mut owner)
    .await
    .expect("names");
    assert_eq!(left, [""; 0], "the demo left something behind");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (told, complained) = (text(&output.stdout), text(&output.stderr));
    (output, told, complained)
}

#[tokio::test]
async fn the_demo_ends_well_and_leaves_nothing_behind() {
    let database = database().await;
    let (output, told, complained) = end(demo(&database, &[]), &database).await;
    assert!(output.status.success(), "{told}{complained}");
    assert_eq!(complained, "", "nothing to complain about");
    assert_eq!(told.matches("✓").count(), STEPS, "{told}");
    assert!(!told.contains('\u{1b}'), "no colours where nobody looks");
    assert!(told.lines().all(|line| line.chars().count() <= 100), "{told}");
    for secret in ["a-long-walk-by-the-sea", "whsec_", "eyJ"] {
        let shown = told.split(secret).skip(1).any(|rest| rest.chars().take(12).all(|letter| letter != '…'));
        assert!(!shown, "{secret} is shown whole: {told}");
    }
}

#[tokio::test]
async fn a_demo_that_cannot_end_well_says_where_and_why_and_leaves_nothing_behind() {
    let database = database().await;
    let nowhere = [("APP__BILLING__STRIPE__API_URL", "http://127.0.0.1:9")];
    let (output, _, complained) = end(demo(&database, &nowhere), &database).await;
    assert!(!output.status.success());
    assert!(complained.contains("billing.stripe.api_url"), "{complained}");

    // A receiver on this machine is none of the public addresses.
    let public = [("APP__OUTBOUND__ADDRESSES", "public_only")];
    let (output, told, complained) = end(demo(&database, &public), &database).await;
    assert!(!output.status.success());
    assert_eq!((told.matches("✓").count(), told.matches("✗").count()), (5, 1), "{told}");
    for part in ["step 6", "expected 201", "422"] {
        assert!(complained.contains(part), "{part}: {complained}");
    }
}

#[tokio::test]
async fn a_demo_that_is_interrupted_leaves_nothing_behind() {
    let database = database().await;
    let mut demo = demo(&database, &[]);
    let mut told = BufReader::new(demo.stdout.take().expect("its output"));
    let mut line = String::new();
    while !line.contains("Ada signs up") {
        line.clear();
        assert!(told.read_line(&mut line).expect("a line") > 0, "it ended before it began");
    }
    let interrupt = std::process::Command::new("kill").args(["-INT", &demo.id().to_string()]).status();
    assert!(interrupt.expect("kill is there").success());
    let mut rest = String::new();
    told.read_to_string(&mut rest).expect("the rest");
    let (output, _, complained) = end(demo, &database).await;
    assert!(!output.status.success() && rest.matches("✓").count() < STEPS, "{rest}");
    assert!(complained.contains("interrupted"), "{complained}");
}

/// A `dev` that has said its piece, and so has seeded; killed when the test ends.
struct Dev {
    process: Child,
    /// Kept open, or it could say nothing more.
    _told: BufReader<ChildStdout>,
    /// Where the API answers.
    api: String,
    /// The line about the organization to play with.
    customer: String,
}

impl Dev {
    fn start(database: &str) -> Self {
        let mut dev = binary("dev", database);
        let anywhere = "127.0.0.1:0";
        dev.env("APP__HTTP__ADDRESS", anywhere).env("APP__HTTP__OPERATIONS_ADDRESS", anywhere).stdout(Stdio::piped());
        let mut process = dev.spawn().expect("dev starts");
        let mut told = BufReader::new(process.stdout.take().expect("its output"));
        let (mut banner, mut line) = (String::new(), String::new());
        while !line.starts_with("Try it:") {
            banner.push_str(&line);
            line.clear();
            assert!(told.read_line(&mut line).expect("a line") > 0, "it ended after saying {banner:?}");
        }
        let fact = |name: &str| {
            let fact = banner.lines().find_map(|line| line.trim_start().strip_prefix(name));
            fact.unwrap_or_default().trim().to_owned()
        };
        let api = fact("API ").trim_end_matches("/v1").to_owned();
        Self { process, _told: told, api, customer: fact("Customer ") }
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        // It may have ended already.
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

#[tokio::test]
async fn dev_seeds_a_paying_organization_and_its_next_start_finds_it_paid() {
    let durable = Durable::create().await;
    for _ in 0..2 {
        let dev = Dev::start(&durable.url);
        assert!(dev.customer.ends_with("on the plan team"), "{}", dev.customer);
        let ask = |method: Method, path: &str| client().request(method, format!("{}{path}", dev.api));
        let credentials = json!({ "email": "ada@example.com", "password": "a-long-walk-by-the-sea" });
        let tokens = send(ask(Method::POST, "/v1/auth/login").json(&credentials)).await.expect(200);
        let token = tokens["access_token"].as_str().expect("a token");
        let get = async |path: &str| send(ask(Method::GET, path).bearer_auth(token)).await.expect(200);
        let list = get("/v1/organizations").await;
        assert_eq!(list["data"].as_array().map(Vec::len), Some(1), "{list}");
        let id = list["data"][0]["id"].as_str().expect("an id");
        assert_eq!(get(&format!("/v1/organizations/{id}/entitlements")).await["plan"], "team");
        // Who bought again would have asked for another page, whose events may still be on their way.
        let asked = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM billing.operations");
        assert_eq!(asked.fetch_one(&mut durable.owner().await).await.expect("a number"), 1);
        eventually("all is applied", async || {
            let records = Records::of(&mut durable.owner().await).await;
            (records.inbox, records.jobs, records.dead, records.subscriptions.len()) == (3, 0, 0, 1)
        })
        .await;
    }
}

#[tokio::test]
async fn dev_seeds_beside_what_a_stand_in_that_is_gone_has_left() {
    let durable = Durable::create().await;
    let gone = stand_in(dev_stripe::Time::machine()).await;
    let provider = [("APP__BILLING__STRIPE__API_URL", gone.url())];
    let dev = Process::start_with("dev", &durable.url, &provider).await;
    let buyer = Buyer::of_seeded_account(&dev.api).await;
    buyer.open_checkout("never paid").await.expect(201);
    dev.kill();
    gone.stop().await;

    // The customer and the open page are unknown to the stand-in that `dev` starts now.
    let dev = Process::start_with("dev", &durable.url, &[]).await;
    let buyer = buyer.at(&dev.api);
    eventually("the organization is on a paid plan", async || buyer.plan().await == "team").await;
}
