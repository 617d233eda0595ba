//! The examples for receivers of our webhooks are run, each where its interpreter is installed: they believe the known answer
//! and refuse every forgery.

use std::fs;
use std::io::{self, Write};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use standardwebhooks::Webhook;
use tempfile::TempDir;

use crate::receiver::Receiver;
use crate::tree::{Tree, markdown};

const PAGE: &str = "docs/receiving-our-webhooks.md";

/// The known answer of the specification's authors.
const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
const ID: &str = "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk";
const TIME: i64 = 1_649_367_553;
const BODY: &str = r#"{"email":"test@example.com","username":"test_user"}"#;
const SIGNATURE: &str = "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=";

/// A message, when it arrives, and whether it is to be believed.
#[derive(Clone)]
struct Case {
    why: &'static str,
    secret: String,
    id: String,
    timestamp: String,
    signature: String,
    body: String,
    now: i64,
    good: bool,
}

impl Case {
    fn good(why: &'static str) -> Self {
        let [secret, id, signature, body] = [SECRET, ID, SIGNATURE, BODY].map(ToOwned::to_owned);
        Self { why, secret, id, timestamp: TIME.to_string(), signature, body, now: TIME, good: true }
    }

    fn bad(why: &'static str) -> Self {
        Self { good: false, ..Self::good(why) }
    }

    fn signed(why: &'static str, secret: &str, body: &str) -> Self {
        let signature = Webhook::new(secret).expect("a secret").sign(ID, TIME, body.as_bytes()).expect("it signs");
        Self { secret: secret.to_owned(), body: body.to_owned(), signature, ..Self::good(why) }
    }

    fn json(&self) -> Value {
        let headers = json!({
            "webhook-id": self.id, "webhook-timestamp": self.timestamp, "webhook-signature": self.signature,
            "content-type": "application/json",
        });
        json!({ "secret": self.secret, "headers": headers, "body": self.body, "now": self.now })
    }
}

fn cases() -> Vec<Case> {
    let other = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let wrong = "v1,AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    let bare = SIGNATURE.strip_prefix("v1,").expect("a version");
    let with_signature = |case: Case, signature: &str| Case { signature: signature.to_owned(), ..case };
    vec![
        Case::good("the known answer"),
        Case { body: BODY.replace("test_user", "test-user"), ..Case::bad("another byte") },
        Case { body: format!("{BODY} "), ..Case::bad("a byte more") },
        Case { body: String::new(), ..Case::bad("no body") },
        Case { id: "msg_another".to_owned(), ..Case::bad("another id") },
        Case { timestamp: (TIME + 1).to_string(), ..Case::bad("another time") },
        Case { secret: other.to_owned(), ..Case::bad("another secret") },
        Case { now: TIME + 300, ..Case::good("five minutes later") },
        Case { now: TIME + 301, ..Case::bad("too old") },
        Case { now: TIME - 301, ..Case::bad("from the future") },
        Case { timestamp: String::new(), ..Case::bad("no time") },
        Case { timestamp: format!("-{TIME}"), ..Case::bad("a time before time") },
        Case { timestamp: "soon".to_owned(), ..Case::bad("no number") },
        Case { timestamp: "9".repeat(400), ..Case::bad("a time far beyond numbers") },
        Case { timestamp: format!("{TIME}\n"), ..Case::bad("a time and a line end") },
        with_signature(Case::good("during a rotation"), &format!("{wrong} {SIGNATURE}")),
        with_signature(Case::good("during a rotation, the old one first"), &format!("{SIGNATURE} {wrong}")),
        with_signature(Case::good("beside another kind"), &format!("v1a,MEUCIQ {SIGNATURE}")),
        with_signature(Case::bad("wrong ones only"), &format!("{wrong} {wrong}")),
        with_signature(Case::bad("none"), ""),
        with_signature(Case::bad("an empty one"), "v1,"),
        with_signature(Case::bad("a truncated one"), &SIGNATURE[..SIGNATURE.len() - 1]),
        with_signature(Case::bad("a longer one"), &format!("{SIGNATURE}=")),
        with_signature(Case::bad("one without a version"), bare),
        with_signature(Case::bad("one of another version"), &format!("v2,{bare}")),
        Case::signed("letters beyond ASCII, and a line end", other, "{\"name\":\"Zoë ☕\"}\n"),
        Case { good: false, ..Case::signed("no secret", "", "{}") },
        Case { good: false, ..Case::signed("nothing but the prefix", "whsec_", "{}") },
        Case { secret: "whsec_!!".to_owned(), good: false, ..Case::signed("garbage and no key", "", "{}") },
        Case { secret: "AAEC!".to_owned(), good: false, ..Case::signed("garbage behind a key", "AAEC", "{}") },
        Case { secret: "!AAEC".to_owned(), good: false, ..Case::signed("garbage before a key", "AAEC", "{}") },
        Case { secret: other.replace("whsec_", ""), ..Case::signed("a secret without its prefix", other, "{}") },
    ]
}

/// What an example made of the cases: whether it believed each; nothing where it cannot be run here.
type Verdicts = Option<Vec<bool>>;

/// Whether there is such a program; a program that is there may fail, and then its example does.
fn installed(program: &str) -> bool {
    let asked = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    asked.is_ok()
}

/// Runs a program in the folder, gives it the text and reads what it says: nothing unless it succeeds.
fn run(command: &mut Command, input: &str) -> (bool, String) {
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    // One that refuses at once does not read.
    child.stdin.take().expect("a pipe").write_all(input.as_bytes()).ok();
    let output = child.wait_with_output().expect("it ends");
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        fs::write(folder.path().join(name), text).expect("a file");
    }
    folder
}

/// Runs a driver that reads the cases and says yes or no to each.
fn drive(mut command: Command, files: &[(&str, &str)], cases: &[Case]) -> Vec<bool> {
    let folder = folder(files);
    let input = cases.iter().map(Case::json).collect::<Value>().to_string();
    let (succeeded, said) = run(command.current_dir(folder.path()), &input);
    assert!(succeeded, "{said}");
    said.lines().map(|line| line == "yes").collect()
}

fn shell(example: &str, cases: &[Case]) -> Verdicts {
    if !installed("openssl") {
        return None;
    }
    let folder = folder(&[("verify.sh", example)]);
    let verdict = |case: &Case| {
        let mut command = Command::new("sh");
        command.arg("verify.sh").current_dir(folder.path()).env("NOW", case.now.to_string());
        command.env("SECRET", &case.secret).env("ID", &case.id);
        command.env("TIMESTAMP", &case.timestamp).env("SIGNATURE", &case.signature);
        run(&mut command, &case.body).0
    };
    Some(cases.iter().map(verdict).collect())
}

const PYTHON_DRIVER: &str = r#"
import json, sys
from verify import verify
for case in json.load(sys.stdin):
    try:
        known = verify(case["secret"], case["headers"], case["body"].encode(), case["now"])
        print("yes" if known == case["headers"]["webhook-id"] else "another id")
    except ValueError:
        print("no")
"#;

fn python(example: &str, cases: &[Case]) -> Verdicts {
    installed("python3").then(|| {
        let mut command = Command::new("python3");
        command.args(["-B", "check.py"]);
        drive(command, &[("verify.py", example), ("check.py", PYTHON_DRIVER)], cases)
    })
}

const NODE_DRIVER: &str = r#"
import { readFileSync } from "node:fs";
import { verify } from "./FILE";
for (const { secret, headers, body, now } of JSON.parse(readFileSync(0, "utf8"))) {
  try {
    console.log(verify(secret, headers, Buffer.from(body), now) === headers["webhook-id"] ? "yes" : "another id");
  } catch (error) {
    if (error.constructor !== Error) throw error;
    console.log("no");
  }
}
"#;

/// Types as the example writes them. A node that cannot read types gets it without them, as a newer one would leave them out.
const TYPES: [&str; 5] = ["string", "number", "boolean", "Buffer", "IncomingHttpHeaders"];

fn without_types(example: &str) -> String {
    let code: Vec<&str> = example.lines().filter(|line| !line.starts_with("import type ")).collect();
    TYPES.iter().fold(code.join("\n"), |code, name| code.replace(&format!(": {name}"), ""))
}

fn node(example: &str, cases: &[Case]) -> Verdicts {
    let version = Command::new("node").arg("--version").output().ok()?;
    let version = String::from_utf8_lossy(&version.stdout).trim().trim_start_matches('v').to_owned();
    let mut numbers = version.split('.').filter_map(|number| number.parse::<u32>().ok());
    let version = (numbers.next()?, numbers.next()?);
    let mut command = Command::new("node");
    let (file, code) = if version >= (22, 6) {
        command.arg("--experimental-strip-types");
        ("verify.mts", example.to_owned())
    } else {
        ("verify.mjs", without_types(example))
    };
    command.args(["--no-warnings", "check.mjs"]);
    Some(drive(command, &[(file, &code), ("check.mjs", &NODE_DRIVER.replace("FILE", file))], cases))
}

/// How the examples in a language are run, and which of them verifies.
type Run = fn(&str, &[Case]) -> Verdicts;
const LANGUAGES: [(&str, &str, Run); 3] =
    [("sh", "# verify.sh", shell), ("python", "def verify(", python), ("typescript", "function verify(", node)];

/// The only example of a language that holds this.
fn example(language: &str, mark: &str) -> String {
    let page = Tree::house().text(PAGE).unwrap_or_else(|| panic!("{PAGE} is missing"));
    let blocks: Vec<String> = markdown::blocks(page, language).into_iter().filter(|it| it.contains(mark)).collect();
    let [block] = &blocks[..] else { panic!("{PAGE}: {} examples in {language} hold {mark}", blocks.len()) };
    block.clone()
}

/// Which cases an example judges wrongly.
fn mistakes(verdicts: &[bool], cases: &[Case]) -> Vec<&'static str> {
    assert_eq!(verdicts.len(), cases.len(), "a verdict on each case");
    cases.iter().zip(verdicts).filter(|(case, verdict)| case.good != **verdict).map(|(case, _)| case.why).collect()
}

/// Past the harness, which keeps to itself what a test prints that passes.
fn say_loudly(what: &str) {
    writeln!(io::stderr(), "\n*** {what} ***\n").ok();
}

#[test]
fn the_examples_for_receivers_believe_us_and_nobody_else() {
    let (cases, mut run) = (cases(), 0);
    for (language, mark, judge) in LANGUAGES {
        match judge(&example(language, mark), &cases) {
            Some(verdicts) => {
                assert_eq!(mistakes(&verdicts, &cases), [""; 0], "{language}");
                run += 1;
            }
            None => say_loudly(&format!("{PAGE}: the example in {language} was NOT run: its interpreter is missing")),
        }
    }
    say_loudly(&format!("{PAGE}: {run} of {} examples were run", LANGUAGES.len()));
    let page = Tree::house().text(PAGE).unwrap_or_default();
    for known in [SECRET, ID, BODY, SIGNATURE] {
        assert!(page.contains(known), "{PAGE} does not tell the known answer {known}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_example_that_sends_is_believed_by_whoever_verifies() {
    if !installed("openssl") || !installed("curl") {
        return say_loudly(&format!("{PAGE}: the example that sends was NOT run: openssl or curl is missing"));
    }
    let (receiver, url) = Receiver::open().await;
    let folder = folder(&[("send.sh", &example("sh", "# send.sh"))]);
    let mut command = Command::new("sh");
    command.args(["send.sh", &url]).current_dir(folder.path()).env("SECRET", SECRET).env("no_proxy", "127.0.0.1");
    let (succeeded, said) = run(&mut command, "");
    assert!(succeeded, "{said}");
    assert!(!run(command.env("SECRET", "whsec_"), "").0, "nobody signs with an empty key");
    let [message] = &receiver.received()[..] else { panic!("one message") };
    message.verify(SECRET);
    assert!(!message.verifies("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"));
}

mod controls {
    use super::*;

    const CREDULOUS: [(&str, Run); 3] = [
        ("exit 0\n", shell),
        ("def verify(secret, headers, body, now):\n    return headers['webhook-id']\n", python),
        (
            "export function verify(s: string, headers: IncomingHttpHeaders) {\n  return headers[\"webhook-id\"];\n}\n",
            node,
        ),
    ];

    #[test]
    fn an_example_that_believes_anybody_or_nobody_is_found() {
        let cases = cases();
        let bad = cases.iter().filter(|case| !case.good).count();
        for (example, judge) in CREDULOUS {
            if let Some(verdicts) = judge(example, &cases) {
                assert_eq!(mistakes(&verdicts, &cases).len(), bad, "{example}");
            }
        }
        let nobody = vec![false; cases.len()];
        assert_eq!(mistakes(&nobody, &cases).len(), cases.len() - bad);
        if let Some(verdicts) = shell("exit 1\n", &cases) {
            assert_eq!(verdicts, nobody);
        }
    }

    #[test]
    fn types_are_left_out_and_nothing_else() {
        let typed = "import type { A } from \"b\";\nf(a: string, b: number = 1): string { return `${a}: ${b ? \"x\" : \"y\"}`; }";
        assert_eq!(without_types(typed), "f(a, b = 1) { return `${a}: ${b ? \"x\" : \"y\"}`; }");
    }
}
