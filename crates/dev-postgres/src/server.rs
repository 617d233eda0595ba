//! Starts, recognises and stops the server of one place. Whoever starts or stops holds the place's turn.

use std::fs::{self, OpenOptions};
use std::process::Command;
use std::time::Duration;

use crate::account::{command, run};
use crate::binaries::{Binaries, Search, look_as};
use crate::error::Error;
use crate::place::Place;
use crate::process::{process_exists, serves};
use crate::{Kind, data, port};

/// How long a server may take to start, which includes recovering from a crash.
const PATIENCE: Duration = Duration::from_mins(1);

/// How often a server that is starting or stopping is looked at.
const PAUSE: Duration = Duration::from_millis(20);

/// Settings of every cluster. Access is by TCP on this machine only: socket paths have a length limit.
const SETTINGS: [&str; 4] =
    ["listen_addresses=127.0.0.1", "unix_socket_directories=", "timezone=UTC", "log_timezone=UTC"];

/// Settings that trade the data's safety for speed, and leave out what would make tests vary. Many tests connect at
/// once.
const TEST_SETTINGS: [&str; 8] = [
    "max_connections=300",
    "fsync=off",
    "full_page_writes=off",
    "synchronous_commit=off",
    "wal_level=minimal",
    "max_wal_senders=0",
    "checkpoint_timeout=1h",
    "autovacuum=off",
];

/// What PostgreSQL's own file says about the server of a data directory.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Observed {
    /// No server.
    Absent,
    /// The file of a server that died.
    Stale,
    /// A server that is starting or stopping.
    Busy { process: u32 },
    /// A server that accepts connections.
    Ready { port: u16 },
}

/// The server of one place.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) kind: Kind,
    pub(crate) place: Place,
    pub(crate) search: Search,
}

impl Server {
    /// The port of the server that runs, once it is ready; nothing when none runs.
    pub(crate) fn running(&self) -> Result<Option<u16>, Error> {
        let mut waited = Duration::ZERO;
        loop {
            let process = match self.observe() {
                Observed::Absent | Observed::Stale => return Ok(None),
                Observed::Ready { port } => return Ok(Some(port)),
                Observed::Busy { process } => process,
            };
            if waited >= PATIENCE {
                let (data, log) = (self.place.data(), self.place.log());
                return Err(Error::NotReady { data, process, log });
            }
            std::thread::sleep(PAUSE);
            waited += PAUSE;
        }
    }

    fn observe(&self) -> Observed {
        let data = self.place.data();
        let Ok(content) = fs::read_to_string(data.join("postmaster.pid")) else {
            return Observed::Absent;
        };
        match parse_pid_file(&content) {
            Some((process, _)) if !serves(process, &data) => Observed::Stale,
            Some((_, Some(port))) if port::answers(port) => Observed::Ready { port },
            Some((process, _)) => Observed::Busy { process },
            None => Observed::Stale,
        }
    }

    fn pid_in_file(&self) -> Option<u32> {
        let content = fs::read_to_string(self.place.data().join("postmaster.pid")).ok()?;
        parse_pid_file(&content).map(|(process, _)| process)
    }

    fn is_stopped(&self) -> bool {
        matches!(self.observe(), Observed::Absent | Observed::Stale)
    }

    /// Makes the data where it is missing and starts a server, on the port it had before where that is free.
    pub(crate) fn start(&self) -> Result<u16, Error> {
        let installed = self.installed()?;
        if self.kind == Kind::Test && !self.is_sound(&installed[0]) {
            data::discard(&self.place)?;
        }
        let binaries = self.fitting(installed)?;
        let is_old = self.place.data().exists();
        if !is_old {
            data::initialize(&self.place, self.kind, &binaries)?;
        }
        match self.start_anywhere(&binaries) {
            // Whatever is wrong with throw-away data, new data is the answer.
            Err(Error::Program { .. }) if is_old && self.kind == Kind::Test => {
                data::discard(&self.place)?;
                data::initialize(&self.place, self.kind, &binaries)?;
                self.start_anywhere(&binaries)
            }
            outcome => outcome,
        }
    }

    fn start_anywhere(&self, binaries: &Binaries) -> Result<u16, Error> {
        let before = fs::read_to_string(self.place.port()).ok();
        let before = before.and_then(|port| port.trim().parse().ok());
        let mut port = before.map_or_else(port::free, Ok)?;
        for _ in 0..5 {
            match self.start_on(binaries, port) {
                // Somebody else has it now.
                Err(Error::PortTaken(_)) => port = port::free()?,
                outcome => return outcome.map(|()| port),
            }
        }
        Err(Error::PortTaken(port))
    }

    /// Starts the server again on the port its clients know.
    pub(crate) fn restart_on(&self, port: u16) -> Result<(), Error> {
        self.start_on(&self.fitting(self.installed()?)?, port)
    }

    fn start_on(&self, binaries: &Binaries, port: u16) -> Result<(), Error> {
        let (data, log) = (self.place.data(), self.place.log());
        if self.observe() == Observed::Stale && self.pid_in_file().is_none_or(process_exists) {
            // PostgreSQL would take a stranger that now has the dead server's process id for that server, and refuses
            // a file without one. Any other file stays: it tells PostgreSQL about the dead server's last processes.
            fs::remove_file(data.join("postmaster.pid")).map_err(Error::io("remove the file of a dead server"))?;
        }
        self.place.write_private(&log, "")?;
        let output = OpenOptions::new().append(true).open(&log);
        let output = output.map_err(Error::io("open the server's log"))?;
        // Not through pipes, which the server could keep open.
        let status = self
            .pg_ctl(binaries, "start")
            .arg("-l")
            .arg(&log)
            .args(["-o", &self.options(port)])
            .stdout(output.try_clone().map_err(Error::io("open the server's log"))?)
            .stderr(output)
            .status()
            .map_err(Error::io("run pg_ctl"))?;
        if status.success() {
            return fs::write(self.place.port(), port.to_string()).map_err(Error::io("remember the server's port"));
        }
        if !port::is_free(port) {
            return Err(Error::PortTaken(port));
        }
        let output = fs::read_to_string(&log).unwrap_or_default();
        let program = "pg_ctl start";
        Err(Error::Program { program, output })
    }

    /// The server's command line. No value needs quoting, because `pg_ctl` hands it to a shell.
    fn options(&self, port: u16) -> String {
        let is_test = self.kind == Kind::Test;
        let more: &[&str] = if is_test { &TEST_SETTINGS } else { &[] };
        let mut options = format!("-p {port}");
        for setting in SETTINGS.iter().chain(more) {
            options.push_str(" -c ");
            options.push_str(setting);
        }
        options
    }

    /// Stops the server if one runs: `fast` closes it properly, `immediate` is a crash.
    pub(crate) fn stop(&self, mode: &str) -> Result<(), Error> {
        if self.is_stopped() {
            return Ok(());
        }
        let binaries = self.fitting(self.installed()?)?;
        let outcome = run("pg_ctl stop", self.pg_ctl(&binaries, "stop").args(["-m", mode]));
        // It may have stopped by itself meanwhile.
        if self.is_stopped() { Ok(()) } else { outcome }
    }

    fn pg_ctl(&self, binaries: &Binaries, action: &str) -> Command {
        let mut pg_ctl = command(&binaries.program("pg_ctl"), self.place.account.as_ref());
        pg_ctl.args([action, "--silent", "--wait", "--timeout"]);
        pg_ctl.arg(PATIENCE.as_secs().to_string());
        pg_ctl.arg("-D").arg(self.place.data());
        pg_ctl
    }

    /// What the server's user can run, best first; never empty.
    fn installed(&self) -> Result<Vec<Binaries>, Error> {
        look_as(&self.search, self.place.account.as_ref()).into_usable()
    }

    /// Whether throw-away data can be used: made by the preferred version, and its server did not crash. (Without
    /// `fsync` a crash of the machine can damage data in ways that show only later.)
    fn is_sound(&self, preferred: &Binaries) -> bool {
        self.observe() == Observed::Absent && data::made_by(&self.place) == Some(preferred.major().to_string())
    }

    /// The first installation that can read the data.
    fn fitting(&self, installed: Vec<Binaries>) -> Result<Binaries, Error> {
        let made_by = data::made_by(&self.place);
        let versions: Vec<_> = installed.iter().map(|it| it.version().to_owned()).collect();
        let mut fitting = installed.into_iter().filter(|binaries| {
            let major = binaries.major().to_string();
            made_by.as_ref().is_none_or(|made_by| *made_by == major)
        });
        fitting.next().ok_or_else(|| Error::OtherVersion {
            data: self.place.data(),
            made_by: made_by.clone().unwrap_or_default(),
            installed: versions.join(", "),
        })
    }
}

/// Reads the process id (line 1) and, once the server is ready (line 8), its port (line 4).
fn parse_pid_file(content: &str) -> Option<(u32, Option<u16>)> {
    let mut lines = content.lines();
    // A server without a postmaster, such as initdb's, writes a negative number.
    let process: i64 = lines.next()?.trim().parse().ok()?;
    let process = u32::try_from(process.unsigned_abs()).ok()?;
    let port = lines.nth(2).and_then(|port| port.trim().parse().ok());
    let is_ready = lines.nth(3).is_some_and(|status| status.trim() == "ready");
    Some((process, port.filter(|_| is_ready)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pid_file_gives_the_port_once_the_server_is_ready() {
        let content = "4711\n/data\n1700000000\n20123\n\n127.0.0.1\n  1234 5\nready   \n";
        assert_eq!(parse_pid_file(content), Some((4711, Some(20123))));
        let starting = content.replace("ready", "starting");
        assert_eq!(parse_pid_file(&starting), Some((4711, None)));
        assert_eq!(parse_pid_file("-4711\n/data\n"), Some((4711, None)));
        assert_eq!(parse_pid_file(""), None);
    }
}
