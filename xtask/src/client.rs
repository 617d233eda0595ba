use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

use crate::failure::Failure;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// One connection to a service on this machine, which asks one thing at a time. It is no more than measuring needs: it costs two
/// system calls a request, so that what is measured has the processor to itself.
pub(crate) struct Client {
    stream: TcpStream,
    received: Vec<u8>,
}

/// What a service answered.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer<'a> {
    pub(crate) status: u16,
    pub(crate) body: &'a [u8],
}

impl Answer<'_> {
    /// The body as JSON, provided the status is the expected one.
    pub(crate) fn expect(&self, status: u16) -> Result<Value, Failure> {
        self.expect_status(status)?;
        Ok(serde_json::from_slice(self.body).unwrap_or_default())
    }

    /// Passes when the status is the expected one.
    pub(crate) fn expect_status(&self, status: u16) -> Result<(), Failure> {
        if self.status == status {
            return Ok(());
        }
        let text = String::from_utf8_lossy(self.body);
        Err(Failure::Finding(format!("the service answered {} instead of {status}: {text}", self.status)))
    }
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { stream, received: Vec::new() })
    }

    /// Sends a request and waits for its answer.
    pub(crate) fn ask(&mut self, request: &[u8]) -> io::Result<Answer<'_>> {
        self.stream.write_all(request)?;
        self.received.clear();
        let head = loop {
            if let Some(end) = self.received.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break end + 4;
            }
            self.receive()?;
        };
        let (status, length) = read_head(&self.received[..head]).ok_or_else(not_understood)?;
        while self.received.len() < head + length {
            self.receive()?;
        }
        Ok(Answer { status, body: &self.received[head..head + length] })
    }

    fn receive(&mut self) -> io::Result<()> {
        const AT_ONCE: usize = 16 * 1024;
        let known = self.received.len();
        self.received.resize(known + AT_ONCE, 0);
        let more = self.stream.read(&mut self.received[known..])?;
        self.received.truncate(known + more);
        if more == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }
}

/// The status, and how long the body is.
fn read_head(head: &[u8]) -> Option<(u16, usize)> {
    let mut lines = std::str::from_utf8(head).ok()?.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let named = |line: &'_ str| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    };
    Some((status, lines.find_map(named).unwrap_or(0)))
}

fn not_understood() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "an answer that is no HTTP")
}

/// A request, ready to be sent as often as needed.
#[derive(Clone)]
pub(crate) struct Request {
    head: String,
    body: String,
}

impl Request {
    pub(crate) fn new(method: &str, path: &str) -> Self {
        Self { head: format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\n"), body: String::new() }
    }

    pub(crate) fn bearer(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        let _ = write!(self.head, "{name}: {value}\r\n");
        self
    }

    pub(crate) fn json(mut self, body: &Value) -> Self {
        self.body = body.to_string();
        self.header("content-type", "application/json")
    }

    pub(crate) fn bytes(self) -> Vec<u8> {
        let Self { head, body } = self;
        format!("{head}content-length: {}\r\n\r\n{body}", body.len()).into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};

    use serde_json::json;

    use super::*;

    #[test]
    fn requests_and_answers_follow_one_another_on_a_connection() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("listens");
        let address = listener.local_addr().expect("has an address");
        let request = Request::new("POST", "/rows").bearer("t").json(&json!({ "name": "x" })).bytes();
        let expected = "POST /rows HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer t\r\n\
                        content-type: application/json\r\ncontent-length: 12\r\n\r\n{\"name\":\"x\"}";
        assert_eq!(String::from_utf8_lossy(&request), expected);
        let length = request.len();
        let serving = std::thread::spawn(move || {
            let (mut connection, _) = listener.accept().expect("accepts");
            for answer in [&["HTTP/1.1 201 Created\r\nContent-Length: 4\r\n\r\n", "true"][..], &[NOTHING]] {
                connection.read_exact(&mut vec![0; length]).expect("reads");
                for part in answer {
                    connection.write_all(part.as_bytes()).expect("writes");
                }
            }
        });
        let mut client = Client::connect(address).expect("connects");
        let answer = client.ask(&request).expect("answers");
        assert_eq!(answer.expect(201).expect("as expected"), json!(true));
        assert!(answer.expect(200).expect_err("another").to_string().contains("201 instead of 200: true"));
        assert_eq!(client.ask(&request).expect("answers"), Answer { status: 204, body: b"" });
        serving.join().expect("serves");
        assert!(client.ask(&request).is_err());
    }

    const NOTHING: &str = "HTTP/1.1 204 No Content\r\n\r\n";
}
