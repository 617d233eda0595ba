//! Everybody who is told: one listener that answers as cheaply as can be, and notes when what arrived.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Handle, Runtime};

use crate::failure::Failure;

/// What comes before the number of a message in its body.
const NUMBER: &[u8] = b"\"name\":\"n";

const FINE: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
const FAILED: &[u8] = b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n";

/// How the receiver with the number 0 behaves; the others are always well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Manner {
    Well,
    /// It takes the message and never answers.
    Hanging,
    /// It answers 500 at once.
    Failing,
}

/// A message that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Arrival {
    pub(super) receiver: u64,
    /// Which message it was.
    pub(super) number: u64,
    pub(super) at: Instant,
}

/// The receivers; `http://{address}/{number}` is one of them.
#[derive(Clone)]
pub(super) struct Sink {
    pub(super) address: SocketAddr,
    taken: Arc<Taken>,
}

#[derive(Default)]
struct Taken {
    all: AtomicU64,
    first: AtomicU64,
    manner: AtomicU8,
    arrivals: Mutex<Vec<Arrival>>,
}

impl Sink {
    pub(super) fn listen(runtime: &Runtime) -> Result<Self, Failure> {
        let failed = |source| Failure::Io { doing: "listen as the receiver".to_owned(), source };
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).map_err(failed)?;
        let sink = Self { address: listener.local_addr().map_err(failed)?, taken: Arc::default() };
        let taken = sink.taken.clone();
        runtime.spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let taken = taken.clone();
                // A connection may end at any time.
                Handle::current().spawn(async move { serve(connection, &taken).await.ok() });
            }
        });
        Ok(sink)
    }

    pub(super) fn behave(&self, manner: Manner) {
        self.taken.manner.store(manner as u8, Ordering::Relaxed);
    }

    /// How much has arrived everywhere.
    pub(super) fn arrived(&self) -> u64 {
        self.taken.all.load(Ordering::Relaxed)
    }

    /// How much has arrived at all but the receiver with the number 0.
    pub(super) fn arrived_at_others(&self) -> u64 {
        self.arrived().saturating_sub(self.taken.first.load(Ordering::Relaxed))
    }

    /// What arrived since the last call.
    pub(super) fn take_arrivals(&self) -> Vec<Arrival> {
        std::mem::take(&mut *self.taken.arrivals.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Taken {
    /// Notes a message; says what is answered, if anything is.
    fn take(&self, receiver: u64, body: &[u8]) -> Option<&'static [u8]> {
        let manner = if receiver == 0 { self.manner.load(Ordering::Relaxed) } else { Manner::Well as u8 };
        if manner == Manner::Hanging as u8 {
            return None;
        }
        if manner == Manner::Failing as u8 {
            return Some(FAILED);
        }
        let arrival = Arrival { receiver, number: number_in(body).unwrap_or_default(), at: Instant::now() };
        self.arrivals.lock().unwrap_or_else(PoisonError::into_inner).push(arrival);
        self.first.fetch_add(u64::from(receiver == 0), Ordering::Relaxed);
        self.all.fetch_add(1, Ordering::Relaxed);
        Some(FINE)
    }
}

async fn serve(mut connection: TcpStream, taken: &Taken) -> io::Result<()> {
    connection.set_nodelay(true)?;
    let mut received = Vec::with_capacity(4096);
    loop {
        let (number, body, length) = loop {
            if let Some(found) = read_request(&received) {
                break found;
            }
            if connection.read_buf(&mut received).await? == 0 {
                return Ok(());
            }
        };
        let answer = taken.take(number, &received[body..length]);
        received.drain(..length);
        match answer {
            Some(answer) => connection.write_all(answer).await?,
            // Until the other side has had enough.
            None => while connection.read_buf(&mut received).await? > 0 {},
        }
    }
}

/// The receiver's number, where the body begins and where it ends; nothing until all of it is there.
fn read_request(received: &[u8]) -> Option<(u64, usize, usize)> {
    let body = received.windows(4).position(|bytes| bytes == b"\r\n\r\n")? + 4;
    let mut lines = std::str::from_utf8(&received[..body]).ok()?.split("\r\n");
    let number = lines.next()?.split(' ').nth(1)?.strip_prefix('/')?.parse().ok()?;
    let length = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    })?;
    (received.len() >= body + length).then_some((number, body, body + length))
}

fn number_in(body: &[u8]) -> Option<u64> {
    let begin = body.windows(NUMBER.len()).position(|bytes| bytes == NUMBER)? + NUMBER.len();
    let digits = body[begin..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    std::str::from_utf8(&body[begin..begin + digits]).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: &[u8] = b"POST /7 HTTP/1.1\r\nHost: x\r\nContent-Length: 14\r\n\r\n{\"name\":\"n42\"}";

    #[test]
    fn a_request_is_read_when_all_of_it_is_there() {
        let (receiver, body, end) = read_request(REQUEST).expect("complete");
        assert_eq!((receiver, end), (7, REQUEST.len()));
        assert_eq!(number_in(&REQUEST[body..end]), Some(42));
        for length in 0..REQUEST.len() {
            assert_eq!(read_request(&REQUEST[..length]), None);
        }
        assert_eq!(number_in(b"{}"), None);
    }

    #[test]
    fn only_the_first_receiver_misbehaves() {
        let taken = Taken::default();
        taken.manner.store(Manner::Hanging as u8, Ordering::Relaxed);
        assert_eq!(taken.take(0, b""), None);
        taken.manner.store(Manner::Failing as u8, Ordering::Relaxed);
        assert_eq!(taken.take(0, b""), Some(FAILED));
        assert_eq!(taken.take(1, b""), Some(FINE));
        assert_eq!(taken.all.load(Ordering::Relaxed), 1);
    }
}
