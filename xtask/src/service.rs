use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::cargo::Cargo;
use crate::database::ScratchDatabase;
use crate::failure::{Failure, io};
use crate::progress;
use crate::workspace::Workspace;

/// How long a start may take before the measurement gives up.
const PATIENCE: Duration = Duration::from_secs(30);

/// The pause between two questions: short against what is measured, long enough to leave the processor to the service.
const PAUSE: Duration = Duration::from_micros(200);

/// What production insists on beside a database. Nothing is sent anywhere by a service that works on no jobs.
const SETTINGS: [(&str, &str); 7] = [
    ("APP_ENVIRONMENT", "production"),
    ("APP__BILLING__STRIPE__API_KEY", "sk_live_of_nobody"),
    ("APP__MAIL__FROM", "Bench <bench@bench.test>"),
    ("APP__MAIL__SMTP_URL", "smtps://bench:bench@127.0.0.1"),
    ("APP__SECRETS__ROOTS__1", "known to everybody and used by measurements only"),
    ("APP__SERVICE__PUBLIC_URL", "https://bench.test"),
    ("APP__WEBHOOKS__SOURCES__STRIPE__SECRETS__1", SIGNING_SECRET),
];

/// What signs the events of the payment provider.
pub(crate) const SIGNING_SECRET: &str = "whsec_of_nobody";

/// The built service and what it is started with.
#[derive(Clone)]
pub(crate) struct Program {
    pub(crate) file: PathBuf,
    pub(crate) database: String,
    /// Variables beside those that production insists on.
    pub(crate) settings: Vec<(&'static str, &'static str)>,
    /// Where its output goes.
    pub(crate) log: Log,
}

/// Where a service's output goes.
#[derive(Clone)]
pub(crate) enum Log {
    /// Into a file.
    File(PathBuf),
    /// Nowhere, though every line is made and written: what a disk makes of gigabytes of lines is not what is measured.
    Nowhere,
}

impl Program {
    /// Builds the release as it is deployed, without what only development needs.
    pub(crate) fn build(workspace: &Workspace, database: &ScratchDatabase) -> Result<Self, Failure> {
        progress("building the release as it is deployed, without what only development needs");
        Cargo::new(workspace, &["build", "--release", "--package", "server", "--no-default-features"]).run()?;
        let file = workspace.target.join("release").join(format!("server{}", std::env::consts::EXE_SUFFIX));
        let log = Log::File(workspace.scratch()?.join("server.log"));
        Ok(Self { file, database: database.url(), settings: Vec::new(), log })
    }

    /// Brings the database up to date, as a deployment does before it starts the service.
    pub(crate) fn migrate(&self) -> Result<(), Failure> {
        let status = self.command("migrate")?.status().map_err(io("run", &self.file))?;
        if status.success() { Ok(()) } else { Err(self.failed("`server migrate` failed")) }
    }

    fn command(&self, subcommand: &str) -> Result<Command, Failure> {
        let mut command = Command::new(&self.file);
        command
            .arg(subcommand)
            .envs(SETTINGS)
            .envs(self.settings.iter().copied())
            .env("APP__DATABASE__URL", &self.database)
            .env_remove("DATABASE_URL")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        if let Log::File(path) = &self.log {
            let log = File::create(path).map_err(io("create", path))?;
            let errors = log.try_clone().map_err(io("open", path))?;
            command.stdout(log).stderr(errors);
        }
        Ok(command)
    }

    /// What went wrong, with the last lines that the service wrote.
    fn failed(&self, what: &str) -> Failure {
        let Log::File(path) = &self.log else { return Failure::Finding(what.to_owned()) };
        let written = fs::read_to_string(path).unwrap_or_default();
        let lines: Vec<&str> = written.lines().collect();
        let last = lines[lines.len().saturating_sub(5)..].join("\n  ");
        Failure::Finding(format!("{what}; the end of {}:\n  {last}", path.display()))
    }
}

/// A running service; dropping it kills it.
pub(crate) struct Service {
    process: Child,
    /// Where it listens.
    pub(crate) address: SocketAddr,
}

impl Service {
    /// Starts the service, and returns it with the time it took until it said that it is ready.
    pub(crate) fn start(program: &Program) -> Result<(Duration, Self), Failure> {
        let [address, operations] = free_addresses()?;
        Self::launch(program, "serve", address, operations)
    }

    /// Starts a process that works on jobs and deliveries. Its address is the one for operators.
    pub(crate) fn start_working(program: &Program) -> Result<Self, Failure> {
        let [_, operations] = free_addresses()?;
        Ok(Self::launch(program, "work", operations, operations)?.1)
    }

    fn launch(
        program: &Program,
        subcommand: &str,
        address: SocketAddr,
        operations: SocketAddr,
    ) -> Result<(Duration, Self), Failure> {
        let mut command = program.command(subcommand)?;
        command.env("APP__HTTP__ADDRESS", address.to_string());
        command.env("APP__HTTP__OPERATIONS_ADDRESS", operations.to_string());
        let started = Instant::now();
        let process = command.spawn().map_err(io("run", &program.file))?;
        let mut service = Self { process, address };
        match service.become_ready() {
            Ok(()) => Ok((started.elapsed(), service)),
            Err(what) => Err(program.failed(what)),
        }
    }

    /// Takes a process that is about to listen on the address, and waits until it is ready.
    pub(crate) fn adopt(process: Child, address: SocketAddr) -> Result<Self, Failure> {
        let mut service = Self { process, address };
        service.become_ready().map_err(|what| Failure::Finding(what.to_owned()))?;
        Ok(service)
    }

    fn become_ready(&mut self) -> Result<(), &'static str> {
        let started = Instant::now();
        while !is_ready(self.address).unwrap_or(false) {
            if !matches!(self.process.try_wait(), Ok(None)) {
                return Err("the service ended before it was ready");
            }
            if started.elapsed() > PATIENCE {
                return Err("the service did not become ready");
            }
            std::thread::sleep(PAUSE);
        }
        Ok(())
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
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
pub(crate) fn free_addresses() -> Result<[SocketAddr; 2], Failure> {
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
