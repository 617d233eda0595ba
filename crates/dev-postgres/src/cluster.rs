//! A running server that this process uses.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::binaries::Search;
use crate::error::Error;
use crate::place::Place;
use crate::server::Server;
use crate::users::{Entry, close_if_empty};
use crate::{Kind, watchdog};

/// What differs from the ordinary way to start a cluster.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where to look for PostgreSQL.
    pub search: Search,
    /// How long a server runs on without users; the watchdog counts in seconds.
    pub idle_after: Duration,
}

impl Default for Settings {
    /// Everywhere on this machine, and a minute: long enough for the pauses between the programs of a test run.
    fn default() -> Self {
        Self { search: Search::this_machine(), idle_after: Duration::from_mins(1) }
    }
}

/// A running PostgreSQL that this process uses, perhaps together with others.
///
/// Dropping it leaves the cluster. A test cluster then stays warm until nobody has used it for a while; the last user
/// of any other kind stops it.
#[derive(Debug)]
pub struct Cluster {
    server: Server,
    port: u16,
    password: Option<String>,
    started_here: bool,
    entry: Option<Entry>,
}

impl Cluster {
    /// Joins the running cluster of this directory, or makes and starts one. The directory is the cluster's own.
    ///
    /// # Errors
    /// When no PostgreSQL is installed, or the server cannot be started; the message says what to do.
    pub fn start(kind: Kind, directory: &Path) -> Result<Self, Error> {
        Self::start_with(kind, directory, Settings::default())
    }

    /// Joins the cluster of this directory if it is running; makes and starts nothing.
    ///
    /// # Errors
    /// When the directory cannot be used.
    pub fn join(kind: Kind, directory: &Path) -> Result<Option<Self>, Error> {
        if !directory.exists() {
            return Ok(None);
        }
        let place = Place::prepare(directory)?;
        let _turn = place.take_turn()?;
        let server = Server { kind, place, search: Search::this_machine() };
        let Some(port) = server.running()? else { return Ok(None) };
        let users = server.place.users();
        let entered = Entry::join(&users).map_err(Error::io(format!("enter this process in {}", users.display())))?;
        // Where the list is closed, the server is on its way out.
        let Some(entry) = entered else { return Ok(None) };
        let password = read_password(&server)?;
        Ok(Some(Self { server, port, password, started_here: false, entry: Some(entry) }))
    }

    /// As [`Cluster::start`], where something differs from the ordinary.
    ///
    /// # Errors
    /// As [`Cluster::start`].
    pub fn start_with(kind: Kind, directory: &Path, settings: Settings) -> Result<Self, Error> {
        let Settings { search, idle_after } = settings;
        let place = Place::prepare(directory)?;
        let _turn = place.take_turn()?;
        let server = Server { kind, place, search };
        let entry = Some(enter(&server)?);
        let running = server.running()?;
        let port = if let Some(port) = running {
            port
        } else {
            // Before the server, so that no server is left unwatched if this process is killed now.
            watchdog::leave_behind(&server.place, idle_after)?;
            server.start()?
        };
        let password = read_password(&server)?;
        Ok(Self { server, port, password, started_here: running.is_none(), entry })
    }

    /// The address of a database of this cluster for its superuser. It holds the password of a development cluster.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        let password = self.password.as_ref().map(|password| format!(":{password}"));
        let password = password.unwrap_or_default();
        format!("postgres://postgres{password}@127.0.0.1:{}/{database}", self.port)
    }

    /// The port on 127.0.0.1 that the server listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether this value started the server, rather than joining one that ran.
    #[must_use]
    pub fn started_here(&self) -> bool {
        self.started_here
    }

    /// Where the cluster is kept: the directory asked for, or the one that stands in for it when PostgreSQL, which
    /// does not run as root, could not reach that.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.server.place.directory()
    }

    /// Leaves the cluster, and stops the server when nobody else uses it, whatever its kind.
    ///
    /// # Errors
    /// When the server does not stop.
    pub fn stop(mut self) -> Result<(), Error> {
        self.leave_and_stop()
    }

    /// Crashes the server: its processes end at once and write nothing more.
    ///
    /// # Errors
    /// [`Error::NotDurable`] for a cluster that others may share; else when the server does not end.
    pub fn kill_immediately(&self) -> Result<(), Error> {
        self.require_durable()?;
        let _turn = self.server.place.take_turn()?;
        self.server.stop("immediate")
    }

    /// Starts the server again on the same port after [`Cluster::kill_immediately`]; it recovers first.
    ///
    /// # Errors
    /// [`Error::NotDurable`] for a cluster that others may share; else when the server does not start.
    pub fn restart(&self) -> Result<(), Error> {
        self.require_durable()?;
        let _turn = self.server.place.take_turn()?;
        match self.server.running()? {
            Some(_) => Ok(()),
            None => self.server.restart_on(self.port),
        }
    }

    fn require_durable(&self) -> Result<(), Error> {
        match self.server.kind {
            Kind::Durable => Ok(()),
            Kind::Development | Kind::Test => Err(Error::NotDurable),
        }
    }

    fn leave_and_stop(&mut self) -> Result<(), Error> {
        let Some(entry) = self.entry.take() else {
            return Ok(());
        };
        let _turn = self.server.place.take_turn()?;
        drop(entry);
        if close_if_empty(&self.server.place.users()) {
            self.server.stop("fast")?;
        }
        Ok(())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if self.server.kind != Kind::Test {
            // A server that does not stop is left to the watchdog or to the next start.
            let _ = self.leave_and_stop();
        }
    }
}

/// Enters this process in the list of users. Where the list is closed, whatever still runs is on its way out.
fn enter(server: &Server) -> Result<Entry, Error> {
    let users = server.place.users();
    let doing = || format!("enter this process in {}", users.display());
    if let Some(entry) = Entry::join(&users).map_err(Error::io(doing()))? {
        return Ok(entry);
    }
    server.stop("fast")?;
    fs::create_dir(&users).map_err(Error::io(doing()))?;
    let entry = Entry::join(&users).map_err(Error::io(doing()))?;
    entry.ok_or_else(|| Error::io(doing())(std::io::ErrorKind::NotFound.into()))
}

fn read_password(server: &Server) -> Result<Option<String>, Error> {
    if server.kind != Kind::Development {
        return Ok(None);
    }
    let path = server.place.password();
    let doing = format!("read {}", path.display());
    fs::read_to_string(path).map(Some).map_err(Error::io(doing))
}
