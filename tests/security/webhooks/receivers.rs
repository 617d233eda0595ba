//! Case 48: receivers that mean us harm, and those beside them.

use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use platform::shutdown::Shutdown;
use platform::telemetry::spawn;
use serde_json::{Value, json};
use test_support::eventually;
use tokio::io::{AsyncWriteExt, copy, sink};
use tokio::sync::Semaphore;
use tokio::time::{interval, timeout};

use super::{Hooks, answering, read_request, rogue};
use crate::home::Home;
use crate::receiver::{Manner, Receiver};

/// How long a call may take here.
const TIMEOUT_MS: u64 = 1_000;

/// Longer than everything may take together on a busy machine; a call that nothing ends would take for ever.
const PATIENCE: Duration = Duration::from_mins(1);

/// What fits into the buffers of both ends of a connection, and much less than a gigabyte.
const BUFFERS: usize = 32 * 1024 * 1024;

/// A house that is not patient.
async fn house() -> Hooks {
    Hooks::of(Home::open_with(|config| config.outbound.total_timeout_ms = TIMEOUT_MS).await).await
}

/// How the one attempt at an endpoint ended: status, error, what became of the delivery.
async fn attempt(hooks: &Hooks, endpoint: &str) -> (Value, Value, Value) {
    let delivery = hooks.delivery(endpoint).await;
    assert_eq!(delivery["attempts"].as_array().map(Vec::len), Some(1), "{delivery}");
    let attempt = &delivery["attempts"][0];
    let kept = attempt["answer"].as_str().unwrap_or_default();
    assert!(kept.chars().count() <= 4_096, "{} characters are kept", kept.chars().count());
    (attempt["status"].clone(), attempt["error"].clone(), delivery["status"].clone())
}

#[tokio::test]
async fn case_48_receivers_that_hang_or_drip_are_given_up_in_time() {
    let hooks = house().await;
    let mute = rogue(|mut stream| async move {
        copy(&mut stream, &mut sink()).await.ok();
    });
    let deaf = rogue(|stream| async move {
        pending::<()>().await;
        drop(stream);
    });
    let mut slow = vec![("mute", mute.await), ("deaf", deaf.await)];
    for (name, begin) in [
        ("dripping in the status line", "HTTP/1.1 200 "),
        ("dripping in the head", "HTTP/1.1 200 x\r\nx-drip: "),
        ("dripping in the body", "HTTP/1.1 200 x\r\ncontent-length: 1000000\r\n\r\n"),
        ("dripping in chunks", "HTTP/1.1 200 x\r\ntransfer-encoding: chunked\r\n\r\nfffff\r\n"),
        ("dripping in an error", "HTTP/1.1 503 x\r\nretry-after: 1\r\ncontent-length: 1000000\r\n\r\n"),
    ] {
        let dripping = rogue(move |mut stream| async move {
            read_request(&mut stream).await;
            stream.write_all(begin.as_bytes()).await.ok();
            // Often enough that no pause between two bytes is what ends it.
            let mut drip = interval(Duration::from_millis(20));
            while stream.write_all(b"a").await.is_ok() {
                drip.tick().await;
            }
        });
        slow.push((name, dripping.await));
    }
    let mut endpoints = Vec::new();
    for (name, url) in &slow {
        endpoints.push((name, hooks.register(url).await));
    }
    let (good, url) = Receiver::open().await;
    hooks.register(&url).await;
    hooks.happen(1).await;
    timeout(PATIENCE, hooks.home.work()).await.expect("every call ends");
    for (name, endpoint) in &endpoints {
        assert_eq!(attempt(&hooks, endpoint).await, (Value::Null, json!("timeout"), json!("pending")), "{name}");
        let lasted = &hooks.delivery(endpoint).await["attempts"][0]["duration_ms"];
        assert!(lasted.as_u64() >= Some(TIMEOUT_MS - 10), "{name}: {lasted} ms");
    }
    assert_eq!(good.messages(), 1);
}

#[tokio::test]
async fn case_48_b_an_answer_without_end_is_read_to_the_cap_and_no_further() {
    let hooks = Hooks::of(Home::open().await).await;
    let sent = Arc::new(AtomicUsize::new(0));
    let counted = sent.clone();
    let gigabyte = rogue(move |mut stream| {
        let sent = counted.clone();
        async move {
            read_request(&mut stream).await;
            stream.write_all(b"HTTP/1.1 200 x\r\ncontent-length: 1073741824\r\n\r\n").await.ok();
            while stream.write_all(&[b'a'; 8_192]).await.is_ok() {
                sent.fetch_add(8_192, Ordering::SeqCst);
            }
        }
    });
    let gigabyte = hooks.register(&gigabyte.await).await;
    // A head never ends either.
    let head = rogue(|mut stream| async move {
        read_request(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 x\r\n").await.ok();
        while stream
            .write_all(b"x-more: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n")
            .await
            .is_ok()
        {}
    });
    let head = hooks.register(&head.await).await;
    hooks.happen(1).await;
    timeout(PATIENCE, hooks.home.work()).await.expect("every call ends");
    assert_eq!(attempt(&hooks, &gigabyte).await, (json!(200), Value::Null, json!("delivered")));
    let sent = sent.load(Ordering::SeqCst);
    assert!(sent < BUFFERS, "{sent} bytes went out before the connection was closed");
    assert_eq!(attempt(&hooks, &head).await, (Value::Null, json!("other"), json!("pending")));
}

/// A gzip stream of 6 MB of the letter a in 40 KB: the letter, and then "258 more of it" over and over (RFC 1951, 3.2.6).
fn bomb() -> Vec<u8> {
    let mut bits = vec![true, true, false];
    let mut code = |text: &str| bits.extend(text.bytes().map(|bit| bit == b'1'));
    code("10010001");
    for _ in 0..25_000 {
        code("11000101");
        code("00000");
    }
    code("0000000");
    let byte = |bits: &[bool]| bits.iter().rev().fold(0, |byte, bit| byte << 1 | u8::from(*bit));
    let mut bytes = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    bytes.extend(bits.chunks(8).map(byte));
    bytes
}

#[tokio::test]
async fn case_48_c_a_compressed_answer_is_not_asked_for_and_not_unpacked() {
    let hooks = Hooks::of(Home::open().await).await;
    let heads = Arc::new(Mutex::new(Vec::new()));
    let (seen, bomb) = (heads.clone(), bomb());
    assert!(bomb.len() < 64 * 1_024, "all of it is read: {}", bomb.len());
    let hidden = bomb.clone();
    let url = rogue(move |mut stream| {
        let (seen, bomb) = (seen.clone(), hidden.clone());
        async move {
            let head = read_request(&mut stream).await;
            seen.lock().unwrap_or_else(PoisonError::into_inner).push(head);
            let answer = format!("HTTP/1.1 200 x\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n", bomb.len());
            stream.write_all(answer.as_bytes()).await.ok();
            stream.write_all(&bomb).await.ok();
        }
    });
    let endpoint = hooks.register(&url.await).await;
    hooks.happen(1).await;
    timeout(PATIENCE, hooks.home.work()).await.expect("every call ends");
    assert_eq!(attempt(&hooks, &endpoint).await, (json!(200), Value::Null, json!("delivered")));
    let kept = hooks.delivery(&endpoint).await["attempts"][0]["answer"].as_str().expect("an answer").to_owned();
    assert!(kept.starts_with('\u{1f}') && !kept.contains("aaaa"), "{:?}", kept.chars().take(20).collect::<String>());
    let [head] = &heads.lock().unwrap_or_else(PoisonError::into_inner)[..] else { panic!("one request") };
    assert!(head.contains("\r\naccept-encoding: identity"), "{head}");
}

#[tokio::test]
async fn case_48_d_whatever_is_no_proper_answer_is_a_failure_and_is_tried_again() {
    let hooks = Hooks::of(Home::open().await).await;
    let mut endpoints = Vec::new();
    for (answer, status, error) in [
        ("", Value::Null, "other"),
        ("SSH-2.0-OpenSSH\r\n\r\n", Value::Null, "other"),
        ("HTTP/1.1 200 x\r\ncontent-length: 10\r\n\r\nfive.", Value::Null, "other"),
        ("HTTP/1.1 200 x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", Value::Null, "other"),
        ("HTTP/1.1 204\u{0}x\r\n\r\n", Value::Null, "other"),
        ("HTTP/1.1 302 x\r\nlocation: /hook\r\ncontent-length: 0\r\n\r\n", json!(302), "http_status"),
        ("HTTP/1.1 304 x\r\n\r\n", json!(304), "http_status"),
    ] {
        let endpoint = hooks.register(&answering(answer.as_bytes().to_vec()).await).await;
        endpoints.push((answer, endpoint, (status, json!(error), json!("pending"))));
    }
    hooks.happen(1).await;
    timeout(PATIENCE, hooks.home.work()).await.expect("every call ends");
    for (answer, endpoint, expected) in endpoints {
        assert_eq!(attempt(&hooks, &endpoint).await, expected, "{answer:?}");
    }
}

/// Nobody is helped by a deadline: the hanging calls outlast the test, unless it lets them go.
#[tokio::test]
async fn case_48_e_while_some_receivers_hang_the_others_are_told_everything() {
    const MESSAGES: usize = 25;
    let hooks = Hooks::of(Home::open_with(|config| config.outbound.total_timeout_ms = 29_000).await).await;
    let gate = Arc::new(Semaphore::new(0));
    let mut hanging = Vec::new();
    for _ in 0..3 {
        let gate = gate.clone();
        let (receiver, url) = Receiver::with_manner(move |_| Manner::Wait(gate.clone(), 200)).await;
        hanging.push((receiver, hooks.register(&url).await));
    }
    let (good, url) = Receiver::open().await;
    let unhurried = hooks.register(&url).await;
    hooks.happen(MESSAGES).await;
    let (worker, shutdown) = (hooks.home.house.worker.clone(), Shutdown::new());
    let until = shutdown.clone();
    let working = spawn("worker", async move { worker.run(until).await });
    eventually("the others are told", async || good.messages() == MESSAGES).await;
    for (receiver, endpoint) in &hanging {
        assert!((1..=10).contains(&receiver.open_calls()), "{} calls wait", receiver.open_calls());
        assert_eq!(hooks.deliveries(endpoint).await.len(), MESSAGES, "the rest waits for a slot");
    }
    gate.close();
    eventually("those who hung are told, too", async || hanging.iter().all(|(it, _)| it.messages() == MESSAGES)).await;
    eventually("it is written down", async || {
        hooks.deliveries(&unhurried).await.iter().all(|delivery| delivery["status"] == "delivered")
    })
    .await;
    shutdown.begin();
    working.await.expect("the worker ends");
}
