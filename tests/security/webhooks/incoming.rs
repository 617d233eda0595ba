//! Case 47: what is posted to us in the name of somebody we listen to, in each way to sign.

use std::collections::BTreeMap;

use aws_lc_rs::hmac::{HMAC_SHA256, Key, sign};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use platform::config::Secret;
use platform::rate_limit::RateLimit;
use reqwest::{Method, RequestBuilder};
use serde_json::json;
use server::Config;
use webhooks::Scheme;

use crate::home::{Home, send};
use crate::security::asking::{behind_a_proxy, count, is_problem, problem};

/// What the source signs with, what it signed with before, and what somebody else does.
const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
const OLD: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const FOREIGN: &str = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

const RECEIPTS: &str = "SELECT count(*) FROM webhooks.inbox";
const JOBS: &str = "SELECT count(*) FROM platform.jobs WHERE name LIKE 'webhooks handles %'";

const SCHEMES: [Scheme; 3] = [Scheme::Stripe, Scheme::StandardWebhooks, Scheme::Github];

/// A source and a house that listens to it.
struct Sender {
    home: Home,
    scheme: Scheme,
}

/// What is posted: the headers that carry id, time and signature, and the body.
#[derive(Clone)]
struct Letter {
    id: String,
    time: String,
    /// As they stand in the header, without what the scheme puts in front of each.
    signatures: Vec<String>,
    body: String,
}

impl Sender {
    async fn with(scheme: Scheme, change: impl FnOnce(&mut Config)) -> Self {
        let home = Home::open_with(|config| {
            let source = config.webhooks.sources.get_mut("stripe").expect("the source that the house has");
            source.scheme = scheme;
            let named = [("1", OLD), ("2", SECRET)];
            source.secrets = BTreeMap::from(named.map(|(id, text)| (id.to_owned(), Secret::from(text.to_owned()))));
            change(config);
        });
        Self { home: home.await, scheme }
    }

    async fn of(scheme: Scheme) -> Self {
        Self::with(scheme, |_| {}).await
    }

    fn now(&self) -> i64 {
        self.home.clock.now().timestamp()
    }

    /// An event, signed so many seconds from now with this secret.
    fn letter(&self, id: &str, apart: i64, secret: &str) -> Letter {
        let body = json!({ "id": id, "type": "sample", "created": self.now() }).to_string();
        let letter = Letter { id: id.to_owned(), time: (self.now() + apart).to_string(), signatures: Vec::new(), body };
        Letter { signatures: vec![self.sign(&letter, secret)], ..letter }
    }

    fn sign(&self, letter: &Letter, secret: &str) -> String {
        let Letter { id, time, body, .. } = letter;
        let hex = |tag: &[u8]| tag.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
        let tag = |key: &[u8], text: String| sign(&Key::new(HMAC_SHA256, key), text.as_bytes());
        match self.scheme {
            Scheme::Stripe => hex(tag(secret.as_bytes(), format!("{time}.{body}")).as_ref()),
            Scheme::Github => hex(tag(secret.as_bytes(), body.clone()).as_ref()),
            Scheme::StandardWebhooks => {
                let key = STANDARD.decode(secret.strip_prefix("whsec_").expect("the prefix")).expect("base64");
                STANDARD.encode(tag(&key, format!("{id}.{time}.{body}")))
            }
        }
    }

    fn post(&self, letter: &Letter) -> RequestBuilder {
        let Letter { id, time, signatures, body } = letter;
        let each = |front: &str| signatures.iter().map(|signature| format!("{front}{signature}")).collect::<Vec<_>>();
        let ask = self.home.ask(Method::POST, "/v1/inbound/stripe").body(body.clone());
        match self.scheme {
            Scheme::Stripe => ask.header("stripe-signature", format!("t={time},{}", each("v1=").join(","))),
            Scheme::Github => {
                let ask = ask.header("x-hub-signature-256", each("sha256=").join(","));
                ask.header("x-github-delivery", id).header("x-github-event", "sample")
            }
            Scheme::StandardWebhooks => {
                let ask = ask.header("webhook-signature", each("v1,").join(" "));
                ask.header("webhook-id", id).header("webhook-timestamp", time)
            }
        }
    }

    async fn is_taken(&self, letter: &Letter) {
        send(self.post(letter)).await.expect(200);
    }

    async fn is_refused(&self, letter: &Letter, code: &str, why: &str) {
        let found = problem(self.post(letter)).await;
        assert_eq!((found.0, found.1.as_str()), (400, code), "{:?}: {why}", self.scheme);
    }

    /// How many receipts there are, and jobs for them.
    async fn stored(&self) -> (i64, i64) {
        (count(&self.home, RECEIPTS).await, count(&self.home, JOBS).await)
    }
}

#[tokio::test]
async fn case_47_what_is_not_signed_by_the_source_or_not_as_it_stands_is_refused() {
    for scheme in SCHEMES {
        let sender = Sender::of(scheme).await;
        let good = sender.letter("evt_1", 0, SECRET);
        let [signature] = &good.signatures[..] else { panic!("one signature") };
        let (half, rest) = signature.split_at(signature.len() / 2);
        for (why, signatures) in [
            ("made by somebody else", vec![sender.sign(&good, FOREIGN)]),
            ("made by somebody else, twice", vec![sender.sign(&good, FOREIGN), sender.sign(&good, "whsec_AAAA")]),
            ("truncated", vec![signature[..signature.len() - 1].to_owned()]),
            ("half of it", vec![half.to_owned()]),
            ("in two halves", vec![half.to_owned(), rest.to_owned()]),
            ("longer", vec![format!("{signature}0")]),
            ("in the other case", vec![flip(signature)]),
            ("blank", vec![String::new()]),
            ("of another body", sender.letter("evt_2", 0, SECRET).signatures),
        ] {
            sender.is_refused(&Letter { signatures, ..good.clone() }, "invalid_signature", why).await;
        }
        for at in 0..good.body.len() {
            let mut body = good.body.clone().into_bytes();
            body[at] ^= 1;
            let body = String::from_utf8(body).expect("still ASCII");
            sender.is_refused(&Letter { body, ..good.clone() }, "invalid_signature", &format!("byte {at}")).await;
        }
        for body in [format!("{} ", good.body), format!("\n{}", good.body), String::new()] {
            sender.is_refused(&Letter { body, ..good.clone() }, "invalid_signature", "a byte more or none").await;
        }
        let bare = sender.home.ask(Method::POST, "/v1/inbound/stripe").body(good.body.clone());
        is_problem(&problem(bare).await, 400, "invalid_signature");
        assert_eq!(sender.stored().await, (0, 0));
        sender.is_taken(&good).await;
        assert_eq!(sender.stored().await, (1, 1), "the control");
    }
}

/// The letters of a text in their other case.
fn flip(text: &str) -> String {
    let other =
        |letter: char| if letter.is_lowercase() { letter.to_ascii_uppercase() } else { letter.to_ascii_lowercase() };
    text.chars().map(other).collect()
}

#[tokio::test]
async fn case_47_b_what_was_signed_long_ago_or_in_the_future_is_refused_where_a_time_is_signed() {
    for scheme in [Scheme::Stripe, Scheme::StandardWebhooks] {
        let sender = Sender::of(scheme).await;
        for apart in [-301, 301, -86_400, 86_400, -sender.now()] {
            let stale = sender.letter("evt_1", apart, SECRET);
            sender.is_refused(&stale, "invalid_timestamp", &format!("{apart} s")).await;
            // Somebody who makes it look fresh breaks the signature.
            let painted = Letter { time: sender.now().to_string(), ..stale };
            sender.is_refused(&painted, "invalid_signature", "another time").await;
        }
        for nonsense in ["", "-1", "soon", "99999999999999999999", "1e9"] {
            let mut odd = Letter { time: nonsense.to_owned(), ..sender.letter("evt_1", 0, SECRET) };
            odd.signatures = vec![sender.sign(&odd, SECRET)];
            sender.is_refused(&odd, "invalid_signature", nonsense).await;
        }
        assert_eq!(sender.stored().await, (0, 0));
        for (id, apart) in [("evt_1", -300), ("evt_2", 300)] {
            sender.is_taken(&sender.letter(id, apart, SECRET)).await;
        }
        assert_eq!(sender.stored().await, (2, 2));
        // What was fresh once is old when somebody repeats it later.
        let overheard = sender.letter("evt_3", 0, SECRET);
        sender.home.clock.advance(std::time::Duration::from_secs(301));
        sender.is_refused(&overheard, "invalid_timestamp", "repeated after five minutes").await;
    }
}

#[tokio::test]
async fn case_47_c_what_is_repeated_is_answered_alike_and_happens_once() {
    for scheme in SCHEMES {
        let sender = Sender::of(scheme).await;
        let letter = sender.letter("evt_1", 0, SECRET);
        for _ in 0..3 {
            sender.is_taken(&letter).await;
        }
        assert_eq!(sender.stored().await, (1, 1));
        sender.home.work().await;
        sender.is_taken(&letter).await;
        assert_eq!(sender.stored().await, (1, 0), "{scheme:?}: it was handled, and is known still");
        // Under another name it is refused, but where the name is not signed (docs/adding-a-webhook-source.md).
        let renamed = Letter { id: "evt_2".to_owned(), ..letter };
        match scheme {
            // Stripe's stands in the body, GitHub's in a header that nobody signed.
            Scheme::Stripe | Scheme::Github => sender.is_taken(&renamed).await,
            Scheme::StandardWebhooks => sender.is_refused(&renamed, "invalid_signature", "another id").await,
        }
        let receipts = if scheme == Scheme::Github { 2 } else { 1 };
        assert_eq!(sender.stored().await.0, receipts, "{scheme:?}");
    }
}

#[tokio::test]
async fn case_47_d_while_a_secret_is_rotated_one_good_signature_among_several_is_enough() {
    for scheme in SCHEMES {
        let sender = Sender::of(scheme).await;
        sender.is_taken(&sender.letter("evt_1", 0, OLD)).await;
        sender.is_taken(&sender.letter("evt_2", 0, SECRET)).await;
        let [by_old, by_new, by_foreign] =
            [OLD, SECRET, FOREIGN].map(|secret| move |sender: &Sender, letter: &Letter| sender.sign(letter, secret));
        for (number, several) in (3..).zip([[by_foreign, by_new], [by_old, by_foreign], [by_old, by_new]]) {
            let mut letter = sender.letter(&format!("evt_{number}"), 0, FOREIGN);
            letter.signatures = several.map(|by| by(&sender, &letter)).to_vec();
            match scheme {
                // It signs once; two are no signature.
                Scheme::Github => sender.is_refused(&letter, "invalid_signature", "two").await,
                Scheme::Stripe | Scheme::StandardWebhooks => sender.is_taken(&letter).await,
            }
        }
        let taken = if scheme == Scheme::Github { 2 } else { 5 };
        assert_eq!(sender.stored().await, (taken, taken), "{scheme:?}");
    }
}

#[tokio::test]
async fn case_47_e_forgers_are_limited_by_their_address_and_the_source_is_not() {
    let sender = Sender::with(Scheme::StandardWebhooks, |config| {
        behind_a_proxy(config);
        config.http.stack.rate_limit = RateLimit { count: 1, seconds: 3_600, burst: 3 };
    })
    .await;
    let from = |address: &str, letter: &Letter| sender.post(letter).header("x-forwarded-for", address.to_owned());
    for number in 0..10 {
        let letter = sender.letter(&format!("evt_{number}"), 0, SECRET);
        for _ in 0..2 {
            let answer = send(from("198.51.100.1", &letter)).await;
            answer.expect(200);
            assert!(!answer.headers.contains_key("ratelimit"), "it is not counted");
        }
    }
    let forged = sender.letter("evt_forged", 0, FOREIGN);
    for _ in 0..3 {
        is_problem(&problem(from("198.51.100.2", &forged)).await, 400, "invalid_signature");
    }
    let refused = send(from("198.51.100.2", &forged)).await;
    is_problem(&(refused.problem().0, refused.problem().1), 429, "rate_limited");
    assert!(refused.headers.contains_key("retry-after"), "{refused:?}");
    send(from("198.51.100.1", &sender.letter("evt_10", 0, SECRET))).await.expect(200);
    assert_eq!(sender.stored().await, (11, 11));
}

/// Its signature proves no time: whoever got hold of one delivery could fill the inbox under ever other ids.
#[tokio::test]
async fn case_47_f_what_may_be_repeated_for_ever_counts_against_the_limit() {
    let sender = Sender::with(Scheme::Github, |config| {
        config.http.stack.rate_limit = RateLimit { count: 1, seconds: 3_600, burst: 3 };
    })
    .await;
    let overheard = sender.letter("evt_1", 0, SECRET);
    for number in 1..=3 {
        sender.is_taken(&Letter { id: format!("evt_{number}"), ..overheard.clone() }).await;
    }
    let again = Letter { id: "evt_4".to_owned(), ..overheard };
    is_problem(&problem(sender.post(&again)).await, 429, "rate_limited");
    assert_eq!(sender.stored().await, (3, 3));
}
