//! `server jobs`, `inbox` and `deliveries` as operators run them: processes of their own, beside those that serve.

use std::process::{Command, Output, Stdio};

use platform::caller::OrgId;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;

use crate::buyer::inbound;
use crate::home::{Home, Person, send};
use crate::receiver::{Manner, Receiver};

/// An id that leads nowhere.
const NOWHERE: &str = "0197a3f1-5c4e-7d2a-9b1f-3e8c6a4d2b10";

/// What a command came to.
struct Ran {
    code: i32,
    told: String,
    complained: String,
}

impl Ran {
    #[track_caller]
    fn well(self) -> Self {
        assert_eq!(self.code, 0, "{}{}", self.told, self.complained);
        self
    }

    #[track_caller]
    fn badly(self, code: i32, why: &str) -> Self {
        assert_eq!(self.code, code, "{}{}", self.told, self.complained);
        assert!(self.complained.contains(why), "{why}: {}", self.complained);
        self
    }

    /// One JSON object a line.
    #[track_caller]
    fn objects(&self) -> Vec<Value> {
        self.told
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
            .collect()
    }

    /// What stands in a column of the table, by its head.
    #[track_caller]
    fn column(&self, head: &str) -> Vec<String> {
        let mut lines = self.told.lines();
        let heads = lines.next().expect("a line of heads");
        let starts = heads.find(head).unwrap_or_else(|| panic!("{head}: {heads}"));
        let ends = heads[starts..].find("  ").map(|length| {
            let gap = &heads[starts + length..];
            starts + length + gap.len() - gap.trim_start().len()
        });
        let cell = |line: &str| {
            let letters = line.chars().skip(starts);
            let cell: String =
                ends.map_or_else(|| letters.clone().collect(), |ends| letters.clone().take(ends - starts).collect());
            cell.trim_end().to_owned()
        };
        lines.map(cell).collect()
    }
}

/// Runs a command to its end, with nobody at the keyboard.
fn run(home: &Home, arguments: &[&str]) -> Ran {
    let mut binary = Command::new(env!("CARGO_BIN_EXE_server-under-test"));
    binary.args(arguments).env("DATABASE_URL", home.database.url()).stdin(Stdio::null());
    let output = binary.env("APP__DATABASE__ROLE_PREFIX", home.database.role_prefix()).output().expect("it runs");
    let Output { status, stdout, stderr } = output;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let (told, complained) = (text(stdout), text(stderr));
    assert!(!told.contains('\u{1b}') && !complained.contains('\u{1b}'), "no colours where nobody looks");
    Ran { code: status.code().expect("it ended by itself"), told, complained }
}

async fn sql(home: &Home, statement: &str) {
    let statement = AssertSqlSafe(statement.to_owned());
    sqlx::raw_sql(statement).execute(&mut home.owner().await).await.expect("it runs");
}

async fn count(home: &Home, query: &str) -> i64 {
    let query = sqlx::query_scalar(AssertSqlSafe(query.to_owned()));
    query.fetch_one(&mut home.owner().await).await.expect("a number")
}

/// Jobs that died, of a name that nobody here runs.
async fn bury(home: &Home, queue: &str, number: usize) {
    let bury = format!(
        "INSERT INTO platform.dead_jobs (id, queue, name, args, priority, attempts, max_attempts, error, created_at)
         SELECT gen_random_uuid(), '{queue}', 'sample.work', '{{}}', 1, 3, 3,
                E'the other side is away\\n\\x1b[31mand stays away, however long one waits for it to come back again',
                now() - interval '3 hours'
         FROM generate_series(1, {number})"
    );
    sql(home, &bury).await;
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

#[tokio::test]
async fn operators_list_and_show_jobs_and_read_no_address_in_them() {
    let home = Home::open().await;
    run(&home, &["jobs", "list"]).well().badly(0, "nothing to list");
    bury(&home, "samples", 3).await;
    let somebody = json!({ "email": "carol@example.com", "password": "another-walk-by-the-sea", "name": "Carol" });
    assert_eq!(send(home.ask(Method::POST, "/v1/auth/register").json(&somebody)).await.status, 202);

    let listed = run(&home, &["jobs", "list"]).well();
    let mut states = listed.column("state");
    states.sort();
    assert_eq!(states, ["dead", "dead", "dead", "waiting"], "{}", listed.told);
    let dead = run(&home, &["jobs", "list", "--state", "dead", "--limit", "2", "--since", "1h"]).well();
    assert_eq!((dead.column("age"), dead.column("tries")), (vec!["3h".to_owned(); 2], vec!["3/3".to_owned(); 2]));
    assert!(
        dead.column("when").iter().all(|when| when.starts_with("died ") && when.ends_with("s ago")),
        "{}",
        dead.told
    );
    let error = "the other side is away [31mand stays away, however long one…";
    assert_eq!(dead.column("last error"), [error; 2], "{}", dead.told);
    let last = dead.column("id").pop().expect("an id");
    assert!(dead.complained.contains(&format!("--before {last}")), "{}", dead.complained);
    let rest = run(&home, &["jobs", "list", "--state", "dead", "--before", &last, "--json"]).well();
    assert_eq!((rest.objects().len(), rest.complained.as_str()), (1, ""));
    assert!(text(&rest.objects()[0]["error"]).ends_with("come back again"), "nothing is cut");
    assert_eq!(run(&home, &["jobs", "list", "--state", "running,scheduled"]).well().told, "");

    let mail = run(&home, &["jobs", "list", "--name", "platform.send_mail", "--json"]).well();
    let shown = run(&home, &["jobs", "show", &text(&mail.objects()[0]["id"])]).well();
    for fact in ["platform.send_mail", "waiting", "0 of 20", "s ago)", "\"sealed\": \""] {
        assert!(shown.told.contains(fact), "{fact}: {}", shown.told);
    }
    for whole in [&listed.told, &mail.told, &shown.told] {
        assert!(!whole.contains("carol") && !whole.contains("Carol") && !whole.contains("by-the-sea"), "{whole}");
    }
    run(&home, &["jobs", "show", NOWHERE])
        .badly(1, &format!("there is no job {NOWHERE}; `server jobs list --state dead`"));
    run(&home, &["jobs", "show", "7"]).badly(2, "'7'");
    run(&home, &["jobs", "list", "--since", "yesterday"]).badly(2, "15m");
    run(&home, &["jobs", "list", "--limit", "1001"]).badly(2, "1..=1000");
}

#[tokio::test]
async fn operators_retry_and_discard_jobs_one_by_one_and_many_at_once_but_not_by_accident() {
    let home = Home::open().await;
    bury(&home, "samples", 1_203).await;
    bury(&home, "others", 1).await;
    let waiting = "SELECT count(*) FROM platform.jobs";
    let dead = "SELECT count(*) FROM platform.dead_jobs";

    run(&home, &["jobs", "retry"]).badly(1, "say which jobs");
    run(&home, &["jobs", "retry", NOWHERE, "--all"]).badly(1, "not both");
    run(&home, &["jobs", "retry", "--queue", "samples"]).badly(1, "lets through 1203 jobs; add --all to retry all");
    run(&home, &["jobs", "discard", "--queue", "samples", "--all"])
        .badly(1, "discarding 1203 jobs cannot be undone; add --yes");
    assert_eq!((count(&home, waiting).await, count(&home, dead).await), (0, 1_204), "nothing happened so far");

    let one = text(&run(&home, &["jobs", "list", "--limit", "1", "--queue", "samples", "--json"]).objects()[0]["id"]);
    assert_eq!(run(&home, &["jobs", "retry", &one]).well().told, "1 job retried\n");
    let both = run(&home, &["jobs", "retry", &one, NOWHERE]).badly(1, &format!("there is no job {NOWHERE}"));
    assert_eq!(both.told, "1 job retried\n", "the other one is due, which is what was wanted");
    assert_eq!(
        run(&home, &["jobs", "retry", "--queue", "others"]).well().told,
        "1 job retried\n",
        "one needs no --all"
    );
    let rest = run(&home, &["jobs", "retry", "--name", "sample.work", "--all", "--json"]).well();
    assert_eq!(rest.objects(), [json!({ "done": 1_202, "refused_count": 0, "refused": [] })]);
    assert_eq!((count(&home, waiting).await, count(&home, dead).await), (1_204, 0));
    assert_eq!(run(&home, &["jobs", "retry", "--all"]).well().told, "0 jobs retried\n");

    sql(
        &home,
        "UPDATE platform.jobs SET lease = gen_random_uuid(), run_at = now() + interval '1 minute'
                WHERE queue = 'others'",
    )
    .await;
    let running = text(&run(&home, &["jobs", "list", "--state", "running", "--json"]).objects()[0]["id"]);
    for verb in [&["jobs", "retry"][..], &["jobs", "discard", "--yes"]] {
        run(&home, &[verb, &[running.as_str()]].concat()).badly(1, &format!("{running}: a worker has it"));
    }
    let refused = run(&home, &["jobs", "discard", &running, "--yes", "--json"]).badly(1, "");
    let why = json!([{ "id": running, "why": "a worker has it at the moment" }]);
    assert_eq!(refused.objects(), [json!({ "done": 0, "refused_count": 1, "refused": why })]);
    let gone = run(&home, &["jobs", "discard", "--state", "waiting", "--all", "--yes"]).well();
    assert_eq!((gone.told.as_str(), count(&home, waiting).await), ("1203 jobs discarded\n", 1));
}

/// Something that the payment provider tells, and that nobody has a use for.
async fn tell(home: &Home, id: &str, event_type: &str) {
    let body = json!({
        "id": id, "object": "event", "type": event_type, "created": home.clock.now().timestamp(), "livemode": false,
        "api_version": "2025-03-31.basil", "data": { "object": { "id": "pm_1", "object": "payment_method" } },
    })
    .to_string();
    let secrets = ["whsec_development".to_owned()];
    let signature = dev_stripe::signature(&secrets, home.clock.now().timestamp(), body.as_bytes());
    let ask = home.client.post(inbound(&home.api)).header("stripe-signature", signature);
    assert_eq!(send(ask.body(body)).await.status, 200);
}

#[tokio::test]
async fn operators_see_what_came_in_and_have_it_handled_again() {
    let home = Home::open().await;
    for (id, kind) in [("evt_1", "sample.a"), ("evt_2", "sample.b"), ("evt_3", "sample.a"), ("evt_4", "sample.b")] {
        tell(&home, id, kind).await;
    }
    // The first two kill every worker, the third is handled, the fourth waits.
    sql(
        &home,
        "UPDATE platform.jobs SET attempts = max_attempts WHERE args->>'id' IN ('evt_1', 'evt_2');
                UPDATE platform.jobs SET run_at = now() + interval '1 hour' WHERE args->>'id' = 'evt_4'",
    )
    .await;
    home.work().await;
    let listed = run(&home, &["inbox", "list"]).well();
    assert_eq!(listed.column("state"), ["pending", "handled", "dead", "dead"], "{}", listed.told);
    assert_eq!(listed.column("about"), ["pm_1"; 4]);
    let externals = |arguments: &[&str]| {
        let objects = run(&home, &[&["inbox", "list", "--json"], arguments].concat()).well().objects();
        objects.iter().map(|receipt| text(&receipt["external_id"])).collect::<Vec<_>>()
    };
    assert_eq!(externals(&["--state", "dead"]), ["evt_2", "evt_1"]);
    assert_eq!(externals(&["--state", "pending"]), ["evt_4"]);
    assert_eq!(externals(&["--state", "handled"]), ["evt_3"]);
    assert_eq!(externals(&["--state", "dead", "--type", "sample.a"]), ["evt_1"]);
    assert_eq!(externals(&["--type", "sample.b", "--source", "stripe", "--since", "1h"]), ["evt_4", "evt_2"]);
    assert_eq!(externals(&["--source", "github"]), [""; 0]);
    assert_eq!(externals(&["--state", "dead", "--before", &listed.column("id")[2]]), ["evt_1"]);
    assert_eq!(externals(&["--state", "dead", "--limit", "1"]), ["evt_2"]);

    let ids = listed.column("id");
    let shown = run(&home, &["inbox", "show", &ids[3]]).well();
    for fact in ["evt_1", "dead", "sample.a", "no, a test", "its worker vanished during every try", "21 of 20"] {
        assert!(shown.told.contains(fact), "{fact}: {}", shown.told);
    }
    let payload = run(&home, &["inbox", "show", &ids[3], "--payload"]).well();
    assert_eq!(payload.objects()[0]["id"], "evt_1");
    assert!(shown.told.contains(&format!("{} bytes", payload.told.len())), "the exact bytes");
    run(&home, &["inbox", "show", NOWHERE]).badly(1, &format!("there is no receipt {NOWHERE}; `server inbox list`"));

    // A dead one, one that waits, one that was handled, and one that never was.
    let retried = run(&home, &["inbox", "retry", &ids[3], &ids[0], &ids[1], NOWHERE]).badly(1, NOWHERE);
    assert_eq!(retried.told, "3 receipts retried\n");
    assert_eq!(count(&home, "SELECT count(*) FROM platform.jobs WHERE run_at <= now()").await, 3);
    assert_eq!(run(&home, &["inbox", "discard", "--state", "dead", "--yes"]).well().told, "1 receipt discarded\n");
    run(&home, &["inbox", "discard", &ids[2], "--yes"]).badly(1, "no job is left");
    home.work().await;
    assert_eq!(run(&home, &["inbox", "list"]).well().column("state"), ["handled"; 4], "no receipt is ever deleted");
    let again = run(&home, &["inbox", "retry", "--state", "handled", "--all"]).well();
    assert_eq!(
        (again.told.as_str(), count(&home, "SELECT count(*) FROM platform.jobs").await),
        ("4 receipts retried\n", 4)
    );
}

/// Somebody with an endpoint at which nobody listens, to which so many deliveries failed once.
async fn unreachable(home: &Home, deliveries: usize) -> (Person, OrgId, String) {
    let ada = home.person("ada@example.com").await;
    let org = home.organization(&ada).await;
    let ask = |method: Method, path: &str| home.ask(method, path).bearer_auth(&ada.token);
    let wish = json!({ "url": "http://127.0.0.1:9/s3cret?token=s3cret", "event_types": ["organization.updated"] });
    let made =
        send(ask(Method::POST, &format!("/v1/organizations/{org}/webhook-endpoints")).json(&wish)).await.expect(201);
    for number in 0..deliveries {
        let rename =
            ask(Method::PATCH, &format!("/v1/organizations/{org}")).json(&json!({ "name": format!("Acme {number}") }));
        assert_eq!(send(rename).await.status, 200);
    }
    home.work().await;
    // The next tries come when a test asks for them, however long it takes.
    sql(home, "UPDATE webhooks.due_deliveries SET next_at = now() + interval '1 hour'").await;
    (ada, org, text(&made["id"]))
}

#[tokio::test]
async fn operators_see_what_goes_out_send_it_again_and_give_it_up() {
    let home = Home::open().await;
    let (_, org, endpoint) = unreachable(&home, 3).await;
    let listed = run(&home, &["deliveries", "list", "--status", "pending", "--organization", &org.to_string()]).well();
    assert_eq!(listed.column("status"), ["pending"; 3], "{}", listed.told);
    assert_eq!(
        (listed.column("last"), listed.column("tries")),
        (vec!["connect".to_owned(); 3], vec!["1".to_owned(); 3])
    );
    assert!(listed.column("when").iter().all(|when| when.starts_with("due in ")), "{}", listed.told);
    let ids = listed.column("id");
    let whole = run(&home, &["deliveries", "show", &ids[0], "--json"]).well();
    assert_eq!(
        (&whole.objects()[0]["attempts_made"][0]["error"], &whole.objects()[0]["endpoint_origin"]),
        (&json!("connect"), &json!("http://127.0.0.1:9"))
    );
    let shown = run(&home, &["deliveries", "show", &ids[0]]).well();
    for fact in ["pending, due in ", "organization.updated", &endpoint, "http://127.0.0.1:9\n", "connect"] {
        assert!(shown.told.contains(fact), "{fact}: {}", shown.told);
    }
    assert!([&listed, &whole, &shown].iter().all(|ran| !ran.told.contains("s3cret")), "{}", whole.told);
    run(&home, &["deliveries", "show", NOWHERE])
        .badly(1, &format!("there is no delivery {NOWHERE}; `server deliveries list`"));

    assert_eq!(run(&home, &["deliveries", "retry", &ids[0]]).well().told, "1 delivery retried\n");
    home.work().await;
    let tries = run(&home, &["deliveries", "list", "--endpoint", &endpoint]).well().column("tries");
    assert_eq!(tries, ["2", "1", "1"], "it was sent once more");

    run(&home, &["deliveries", "discard", "--endpoint", &endpoint, "--all"])
        .badly(1, "discarding 3 deliveries cannot be undone");
    let given_up = run(&home, &["deliveries", "discard", "--endpoint", &endpoint, "--all", "--yes"]).well();
    assert_eq!(given_up.told, "3 deliveries discarded\n");
    run(&home, &["deliveries", "discard", &ids[0], "--yes"]).badly(1, &format!("{}: it does not wait", ids[0]));
    let dead = run(&home, &["deliveries", "list", "--status", "dead"]).well();
    assert_eq!(dead.column("id"), ids);
    assert!(dead.column("when").iter().all(|when| when.starts_with("given up ")), "{}", dead.told);

    run(&home, &["deliveries", "retry", "--since", "1h"]).badly(1, "lets through 3 deliveries; add --all");
    assert_eq!(run(&home, &["deliveries", "retry", "--since", "1h", "--all"]).well().told, "3 deliveries retried\n");
    home.work().await;
    let tries = run(&home, &["deliveries", "list", "--status", "pending"]).well().column("tries");
    assert_eq!(tries, ["3", "2", "2"]);
    sql(&home, "UPDATE webhooks.endpoints SET disabled_at = now(), disabled_reason = 'gone'").await;
    run(&home, &["deliveries", "retry", &ids[0]]).badly(1, "its endpoint is disabled");
}

/// Jobs of this kind wait for an operator.
const PUT_OFF: &str = "CREATE FUNCTION platform.put_off() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN NEW.run_at := now() + interval '1 hour'; RETURN NEW; END $$;
    CREATE TRIGGER put_off BEFORE INSERT ON platform.jobs FOR EACH ROW
        WHEN (NEW.name LIKE '% hears webhooks.endpoint_disabled.v1') EXECUTE FUNCTION platform.put_off()";

#[tokio::test]
async fn that_an_endpoint_is_disabled_is_told_without_the_secrets_of_its_url() {
    let home = Home::open().await;
    let ada = home.person("ada@example.com").await;
    let path = format!("/v1/organizations/{}", home.organization(&ada).await);
    let ask = |method: Method, below: &str| home.ask(method, &format!("{path}{below}")).bearer_auth(&ada.token);
    let (_, gone) = Receiver::with_manner(|_| Manner::Answer(410)).await;
    let (other, url) = Receiver::open().await;
    for (url, event_type) in
        [(format!("{gone}/s3cret?token=s3cret"), "organization.updated"), (url, "webhook_endpoint.disabled")]
    {
        let wish = json!({ "url": url, "event_types": [event_type] });
        send(ask(Method::POST, "/webhook-endpoints").json(&wish)).await.expect(201);
    }
    sql(&home, PUT_OFF).await;
    send(ask(Method::PATCH, "").json(&json!({ "name": "Acme & Sons" }))).await.expect(200);
    home.work().await;

    let listed = run(&home, &["jobs", "list", "--state", "scheduled", "--json"]).well();
    let origin = gone.strip_suffix("/hook").expect("a path");
    let told = listed.objects().iter().filter(|job| job["args"]["url"] == origin).count();
    assert_eq!((told, listed.told.contains("s3cret")), (2, false), "{}", listed.told);
    run(&home, &["jobs", "retry", "--state", "scheduled", "--all"]).well();
    home.work().await;
    let [received] = &other.received()[..] else { panic!("{} messages", other.received().len()) };
    let message: Value = serde_json::from_slice(&received.body).expect("JSON");
    assert_eq!((&message["type"], &message["data"]["url"]), (&json!("webhook_endpoint.disabled"), &json!(origin)));
    assert!(!message.to_string().contains("s3cret"), "{message}");
}

#[tokio::test]
async fn a_command_whose_reader_or_database_is_away_says_so_or_nothing() {
    let home = Home::open().await;
    bury(&home, "samples", 1_000).await;
    let mut binary = Command::new(env!("CARGO_BIN_EXE_server-under-test"));
    binary.args(["jobs", "list", "--limit", "1000", "--json"]).env("DATABASE_URL", home.database.url());
    binary.env("APP__DATABASE__ROLE_PREFIX", home.database.role_prefix()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut reading = binary.spawn().expect("it starts");
    drop(reading.stdout.take());
    let ended = reading.wait_with_output().expect("it ends");
    assert!(ended.status.success() && ended.stderr.is_empty(), "{}", String::from_utf8_lossy(&ended.stderr));

    let nowhere = |variables: &[(&str, &str)]| {
        let mut binary = Command::new(env!("CARGO_BIN_EXE_server-under-test"));
        binary.args(["jobs", "list"]).env_remove("DATABASE_URL").envs(variables.iter().copied());
        let output = binary.output().expect("it runs");
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    assert!(nowhere(&[("APP_ENVIRONMENT", "test")]).contains("set DATABASE_URL"));
    assert!(nowhere(&[("DATABASE_URL", "postgres://postgres@127.0.0.1:9/nothing")]).contains("cannot be used"));
}
