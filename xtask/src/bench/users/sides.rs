use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use jsonwebtoken::decode_header;
use serde_json::{Value, json};

use super::CONNECTIONS;
use crate::bench::bare::Settings;
use crate::client::Request;
use crate::database::ScratchDatabase;
use crate::failure::Failure;
use crate::people;
use crate::service::{Service, free_addresses};
use crate::usage;

/// What is asked, and of whom.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// `GET /v1/me`.
    Read,
    /// `PATCH /v1/me`: validated, a row locked and saved, an audit row.
    Change,
    /// `POST /v1/organizations`: validated, two rows, idempotency key, event and audit row.
    Creation,
    /// A page of 50 organizations.
    List,
    BareRead,
    BareInsert,
    BareList,
}

impl Side {
    pub(super) fn expected(self) -> u16 {
        match self {
            Side::Creation | Side::BareInsert => 201,
            Side::Read | Side::Change | Side::List | Side::BareRead | Side::BareList => 200,
        }
    }

    fn is_bare(self) -> bool {
        matches!(self, Side::BareRead | Side::BareInsert | Side::BareList)
    }

    fn request(self) -> Request {
        match self {
            Side::Read => Request::new("GET", "/v1/me"),
            Side::Change => Request::new("PATCH", "/v1/me"),
            Side::Creation => Request::new("POST", "/v1/organizations"),
            Side::List => Request::new("GET", "/v1/organizations?limit=50"),
            Side::BareRead => Request::new("GET", "/me"),
            Side::BareInsert => Request::new("POST", "/rows"),
            Side::BareList => Request::new("GET", "/organizations?limit=50"),
        }
    }
}

/// The service and the bare one, both running.
pub(super) struct Sides {
    ours: Service,
    bare: Service,
    runs: AtomicU64,
}

impl Sides {
    /// Starts the bare service beside the other one, on the same database and for the same tokens.
    pub(super) fn start(ours: Service, database: &ScratchDatabase) -> Result<Self, Failure> {
        let [address, _] = free_addresses()?;
        let settings = Settings { address, database: database.url(), key: signing_key(&ours)?, audience: "api".into() };
        let failed = |source| Failure::Io { doing: "start the bare service".to_owned(), source };
        let program = std::env::current_exe().map_err(failed)?;
        let mut process = Command::new(program).arg("bare-service").stdin(Stdio::piped()).spawn().map_err(failed)?;
        if let Some(mut input) = process.stdin.take() {
            input.write_all(json!(settings).to_string().as_bytes()).map_err(failed)?;
        }
        let bare = Service::adopt(process, address)?;
        Ok(Self { ours, bare, runs: AtomicU64::new(0) })
    }

    pub(super) fn service(&self, side: Side) -> &Service {
        if side.is_bare() { &self.bare } else { &self.ours }
    }

    /// A token for each connection; they are good for ten minutes.
    pub(super) fn log_in(&self) -> Result<Vec<String>, Failure> {
        (0..CONNECTIONS).map(|number| people::log_in(&self.ours, number)).collect()
    }

    /// Makes the requests of a side.
    pub(super) fn requests(&self, side: Side, tokens: &[String]) -> impl Fn(usize, u64) -> Vec<u8> + Sync + use<> {
        let run = self.runs.fetch_add(1, Ordering::Relaxed);
        let requests: Vec<Request> = tokens.iter().map(|token| side.request().bearer(token)).collect();
        move |number, turn| {
            let request = requests[number].clone();
            let request = match side {
                Side::Read | Side::List | Side::BareRead | Side::BareList => request,
                Side::Change | Side::BareInsert => request.json(&named(turn)),
                Side::Creation => {
                    request.header("idempotency-key", &format!("{run}-{number}-{turn}")).json(&named(turn))
                }
            };
            request.bytes()
        }
    }

    /// The memory that both hold, ours first.
    pub(super) fn memory(&self) -> [Option<u64>; 2] {
        [&self.ours, &self.bare].map(|service| usage::resident_kibibytes(service.id()))
    }
}

fn named(turn: u64) -> Value {
    json!({ "name": format!("Number {turn}") })
}

/// The public key of the pair that the service signs tokens with now.
fn signing_key(service: &Service) -> Result<String, Failure> {
    let id = decode_header(people::log_in(service, 0)?).ok().and_then(|header| header.kid);
    let request = Request::new("GET", "/.well-known/jwks.json").bytes();
    let mut client = people::connect(service)?;
    let asked =
        client.ask(&request).map_err(|source| Failure::Io { doing: "read the signing keys".to_owned(), source });
    let document = asked?.expect(200)?;
    let mut keys = document["keys"].as_array().into_iter().flatten();
    let key = keys.find(|key| key["kid"].as_str() == id.as_deref()).and_then(|key| key["x"].as_str());
    let missing = || Failure::Finding("the service does not publish the key it signs with".to_owned());
    key.map(str::to_owned).ok_or_else(missing)
}
