//! Case 37: endpoints that would have us call our own network.

use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use platform::outbound::AddressRules;
use serde_json::{Value, json};
use server::Config;

use super::{Hooks, answering};
use crate::home::{Home, send};
use crate::receiver::Receiver;

fn public_only(config: &mut Config) {
    config.outbound.addresses = AddressRules::PublicOnly;
}

/// Our own machine, private, link-local and shared networks, and where clouds keep their metadata, in every spelling.
const INNER_HOSTS: &str = "\
    127.0.0.1 127.1 127.0.1 127.255.255.254 2130706433 0x7f000001 0x7F.1 0x7f.0.0.0x1 0177.0.0.1 0177.1 017700000001 \
    127.0.0.1. 127%2e0.0.1 %31%32%37.1 ①②⑦.0.0.1 127。0。0。1 １２７.0.0.1 0 0.0.0.0 00000000000 \
    10.0.0.1 10.1 0xa000001 172.16.0.1 172.31.255.254 192.168.0.1 192.168.257 3232235777 \
    169.254.169.254 2852039166 0xa9fea9fe 0251.0376.0251.0376 169.254.43518 169.254.170.2 \
    100.64.0.1 100.127.255.254 100.100.100.200 192.0.0.192 192.0.0.1 \
    224.0.0.1 255.255.255.255 198.18.0.1 192.0.2.1 198.51.100.1 203.0.113.1 240.0.0.1 \
    [::1] [::] [0:0:0:0:0:0:0:1] [::127.0.0.1] [::ffff:127.0.0.1] [::ffff:7f00:1] [::ffff:169.254.169.254] \
    [0:0:0:0:0:ffff:10.0.0.1] [64:ff9b::127.0.0.1] [64:ff9b::7f00:1] [64:ff9b::a9fe:a9fe] [2002:7f00::] \
    [2002:7f00:1::] [2002:a9fe:a9fe::] [2001:0:7f00:1::] [fd00:ec2::254] [fc00::1] [fe80::1] [fec0::1] [ff02::1] \
    localhost LOCALHOST localhost. a.localhost printer.local metadata.google.internal metadata intranet router.home.arpa \
    db.lan ｌocalhost";

/// Whatever else is no address of somebody's public HTTPS server.
const OTHERS: &str = "\
    http://hooks.example.com/ http://127.0.0.1/ ftp://hooks.example.com/ file:///etc/passwd gopher://127.0.0.1:6379/_x \
    data:text/plain,x javascript:alert(1) unix:/run/docker.sock //hooks.example.com/ hooks.example.com hooks.example.com:443 \
    https:// https:///hook https://:443/ https://hooks.example.com:22/ https://hooks.example.com:80/ \
    https://hooks.example.com:8080/ https://hooks.example.com:5432/ https://hooks.example.com:65536/ \
    https://user@hooks.example.com/ https://user:word@hooks.example.com/ https://hooks.example.com@127.0.0.1/ \
    https://hooks.example.com:443@127.0.0.1/ https://127.0.0.1#@hooks.example.com/ https://hooks.example.com/#x \
    https://127.0.0.1\\@hooks.example.com/ https:\\\\hooks.example.com https://[::1%25lo]/ https://[::1 https://256.256.256.256/";

const GOOD: &str = "https://hooks.example.com/hook";

#[tokio::test]
async fn case_37_an_endpoint_inside_our_network_is_refused_in_every_spelling_when_made_and_when_changed() {
    let hooks = Hooks::of(Home::open_with(public_only).await).await;
    let endpoint = hooks.register(GOOD).await;
    let inner = INNER_HOSTS.split_whitespace().map(|host| format!("https://{host}/hook"));
    let urls: Vec<String> = inner.chain(OTHERS.split_whitespace().map(ToOwned::to_owned)).collect();
    assert!(urls.len() > 100, "{}", urls.len());
    let expected = (422, "invalid_request".to_owned(), vec![("url".to_owned(), "invalid_url".to_owned())]);
    for url in urls {
        for (doing, ask) in [("making", hooks.create(&url)), ("changing", hooks.change(&endpoint, &url))] {
            assert_eq!(send(ask).await.problem(), expected, "{doing} {url}");
        }
    }
    let kept = hooks.look("webhook-endpoints").await;
    assert_eq!(kept["data"].as_array().map(Vec::len), Some(1), "{kept}");
    assert_eq!(kept["data"][0]["url"], GOOD);
    for fine in ["https://hooks.example.com:8443/hook?a=b", "https://8.8.8.8/hook", "https://[2606:4700:4700::1111]/"] {
        send(hooks.change(&endpoint, fine)).await.expect(200);
    }
}

/// Where a name leads, which its owner may change at any time.
#[derive(Clone, Default)]
struct NameServer {
    answer: Arc<Mutex<Vec<IpAddr>>>,
    asked: Arc<AtomicUsize>,
}

impl NameServer {
    fn say(&self, addresses: &[&str]) {
        let parsed = addresses.iter().map(|address| address.parse().expect("an address")).collect();
        *self.answer.lock().unwrap_or_else(PoisonError::into_inner) = parsed;
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// A house that asks it.
    async fn house(&self, change: impl FnOnce(&mut Config)) -> Hooks {
        let this = self.clone();
        let look_up = move |_: &str| {
            this.asked.fetch_add(1, Ordering::SeqCst);
            this.answer.lock().unwrap_or_else(PoisonError::into_inner).clone()
        };
        Hooks::of(Home::open_with_names(change, look_up).await).await
    }
}

#[tokio::test]
async fn case_37_b_a_name_that_leads_inside_after_it_was_registered_is_refused_at_the_connection() {
    let names = NameServer::default();
    names.say(&["8.8.8.8"]);
    let hooks = names.house(public_only).await;
    let endpoint = hooks.register("https://hooks.example.com:8443/hook").await;
    hooks.happen(1).await;
    let turns: [&[&str]; 7] = [
        &["127.0.0.1"],
        &["169.254.169.254"],
        &["::ffff:10.0.0.1", "fd00:ec2::254"],
        &["64:ff9b::7f00:1"],
        &["2002:7f00:1::", "::1"],
        &["100.100.100.200"],
        &["192.0.0.192", "192.168.0.1", "0.0.0.0"],
    ];
    for (attempt, inside) in (1..).zip(turns) {
        names.say(inside);
        hooks.home.work().await;
        let delivery = hooks.delivery(&endpoint).await;
        let attempts = delivery["attempts"].as_array().expect("attempts");
        assert_eq!((attempts.len(), names.asked()), (attempt, attempt), "the name is looked up at each attempt");
        let said = (&attempts[0]["error"], &attempts[0]["status"], &delivery["status"]);
        assert_eq!(said, (&json!("address_refused"), &Value::Null, &json!("pending")), "{inside:?}");
        hooks.hurry().await;
    }
}

/// The control of the case before: it is the rule that keeps us out, not the name.
#[tokio::test]
async fn case_37_c_without_the_rule_the_same_name_leads_inside() {
    let names = NameServer::default();
    names.say(&["127.0.0.1"]);
    let hooks = names.house(|_| {}).await;
    let (receiver, url) = Receiver::open().await;
    hooks.register(&url.replace("127.0.0.1", "hooks.example.com")).await;
    hooks.happen(1).await;
    hooks.home.work().await;
    assert_eq!((receiver.messages(), names.asked()), (1, 1));
}

#[tokio::test]
async fn case_37_d_a_redirect_into_our_network_is_not_followed_and_counts_as_a_failure() {
    let hooks = Hooks::of(Home::open().await).await;
    let (inner, inside) = Receiver::open().await;
    let mut endpoints = Vec::new();
    for status in [301, 302, 303, 307, 308] {
        let answer =
            format!("HTTP/1.1 {status} x\r\nlocation: {inside}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        endpoints.push((status, hooks.register(&answering(answer.into_bytes()).await).await));
    }
    hooks.happen(1).await;
    for attempts in 1..=2 {
        hooks.home.work().await;
        for (status, endpoint) in &endpoints {
            let delivery = hooks.delivery(endpoint).await;
            assert_eq!(delivery["attempts"].as_array().map(Vec::len), Some(attempts), "{delivery}");
            let attempt = &delivery["attempts"][0];
            assert_eq!((&attempt["status"], &attempt["error"]), (&json!(status), &json!("http_status")));
            assert_eq!(delivery["status"], "pending", "it is tried again");
            assert!(delivery["next_attempt_at"].is_string(), "{delivery}");
        }
        hooks.hurry().await;
    }
    assert_eq!(inner.arrived(), 0, "a redirect was followed");
    // The control: what the redirects lead to does answer.
    let direct = hooks.register(&inside).await;
    hooks.happen(1).await;
    hooks.home.work().await;
    assert_eq!((inner.messages(), &hooks.delivery(&direct).await["status"]), (1, &json!("delivered")));
}
