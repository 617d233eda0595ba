use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::failure::{Failure, io};

/// How long a start may take before the measurement gives up.
const PATIENCE: Duration = Duration::from_secs(30);

/// The pause between two questions: short against what is measured, long enough to leave the processor to the service.
const PAUSE: Duration = Duration::from_micros(200);

/// What production insists on beside a database. Nothing is sent anywhere: no measured service has a job to do.
const SETTINGS: [(&str, &str); 5] = [
    ("APP_ENVIRONMENT", "production"),
    ("APP__MAIL__FROM", "Bench <bench@bench.test>"),
    ("APP__MAIL__SMTP_URL", "smtps://bench:bench@127.0.0.1"),
    ("APP__SECRETS__ROOTS__1", "known to everybody and used by measurements only"),
    ("APP__SERVICE__PUBLIC_URL", "https://bench.test"),
];

/// The built service and what it is started with.
pub(super) struct Program<'a> {
    pub(super) file: &'a Path,
    pub(super) database: String,
    /// Where its output goes.
    pub(super) log: PathBuf,
}

impl Program<'_> {
    /// Brings the database up to date, as a deployment does before it starts the service.
    pub(super) fn migrate(&self) -> Result<(), Failure> {
        let status = self.command("migrate")?.status().map_err(io("run", self.file))?;
        if status.success() { Ok(()) } else { Err(self.failed("`server migrate` failed")) }
    }

    fn command(&self, subcommand: &str) -> Result<Command, Failure> {
        let log = File::create(&self.log).map_err(io("create", &self.log))?;
        let errors = log.try_clone().map_err(io("open", &self.log))?;
        let mut command = Command::new(self.file);
        command
            .arg(subcommand)
            .envs(SETTINGS)
            .env("APP__DATABASE__URL", &self.database)
            .env_remove("DATABASE_URL")
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors);
        Ok(command)
    }

    /// What went wrong, with the last lines that the service wrote.
    fn failed(&self, what: &str) -> Failure {
        let written = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = written.lines().collect();
        let last = lines[lines.len().saturating_sub(5)..].join("\n  ");
        Failure::Finding(format!("{what}; the end of {}:\n  {last}", self.log.display()))
    }
}

/// A running service; dropping it kills it.
pub(super) struct Service(Child);

impl Service {
    /// Starts the service, and returns it with the time it took until it said that it is ready.
    pub(super) fn start(program: &Program<'_>) -> Result<(Duration, Self), Failure> {
        let [address, operations] = free_addresses()?;
        let mut command = program.command("serve")?;
        command.env("APP__HTTP__ADDRESS", address.to_string());
        command.env("APP__HTTP__OPERATIONS_ADDRESS", operations.to_string());
        let started = Instant::now();
        let mut service = Self(command.spawn().map_err(io("run", program.file))?);
        while !is_ready(address).unwrap_or(false) {
            if !matches!(service.0.try_wait(), Ok(None)) {
                return Err(program.failed("the service ended before it was ready"));
            }
            if started.elapsed() > PATIENCE {
                return Err(program.failed("the service did not become ready"));
            }
            std::thread::sleep(PAUSE);
        }
        Ok((started.elapsed(), service))
    }

    /// The memory it holds, where the system tells.
    pub(super) fn resident_kibibytes(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.trim().strip_suffix("kB")?.trim().parse().ok()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn is_ready(address: SocketAddr) -> io::Result<bool> {
    let mut connection = TcpStream::connect(address)?;
    connection.set_read_timeout(Some(PATIENCE))?;
    connection.write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer)?;
    Ok(answer.starts_with("HTTP/1.1 200 "))
}

/// Two addresses that were free a moment ago.
fn free_addresses() -> Result<[SocketAddr; 2], Failure> {
    let bind = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let found = bind().and_then(|one| Ok([one.local_addr()?, bind()?.local_addr()?]));
    found.map_err(|source| Failure::Io { doing: "find a free port".to_owned(), source })
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};

    use super::*;

    #[test]
    fn only_a_yes_counts_as_ready() {
        for (answer, expected) in
            [("HTTP/1.1 200 OK\r\n\r\n", true), ("HTTP/1.1 503 Service Unavailable\r\n\r\n", false)]
        {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("listens");
            let address = listener.local_addr().expect("has an address");
            let serving = std::thread::spawn(move || {
                let (mut connection, _) = listener.accept().expect("accepts");
                let lines = BufReader::new(connection.try_clone().expect("clones")).lines();
                let request: Vec<_> = lines.map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
                assert_eq!(request[0], "GET /readyz HTTP/1.1");
                connection.write_all(answer.as_bytes()).expect("writes");
            });
            assert_eq!(is_ready(address).expect("asks"), expected);
            serving.join().expect("serves");
        }
        let [free, _] = free_addresses().expect("finds");
        assert!(is_ready(free).is_err());
    }
}
