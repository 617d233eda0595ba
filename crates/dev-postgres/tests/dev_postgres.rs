//! Real clusters: made, shared, left, killed and recovered.

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use dev_postgres::{Cluster, Error, Kind, Search, Settings, find_binaries};
use tempfile::TempDir;

/// What a server answers to a client that names a user: let in at once, or asked for a password (SCRAM).
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    LetIn,
    AskedForPassword,
}

#[test]
fn concurrent_starts_share_one_server_and_the_last_user_stops_it() {
    let root = directory();
    let clusters: Vec<Cluster> = std::thread::scope(|scope| {
        let starts: Vec<_> = (0..4).map(|_| scope.spawn(|| start(Kind::Development, &root))).collect();
        starts.into_iter().map(|start| start.join().expect("starts")).collect()
    });
    let port = clusters[0].port();
    assert!(clusters.iter().all(|cluster| cluster.port() == port));
    let starters = clusters.iter().filter(|cluster| cluster.started_here());
    assert_eq!(starters.count(), 1);
    for cluster in clusters {
        assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok());
        drop(cluster);
    }
    assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err());
    let again = start(Kind::Development, &root);
    assert!(again.started_here());
    assert_eq!(again.port(), port);
}

#[test]
fn joining_starts_nothing() {
    let root = directory();
    assert!(Cluster::join(Kind::Development, &root.path().join("missing")).expect("looked").is_none());
    assert!(Cluster::join(Kind::Development, root.path()).expect("looked").is_none());
    assert!(!root.path().join("data").exists());
    let cluster = start(Kind::Development, &root);
    let joined = Cluster::join(Kind::Development, root.path()).expect("looked").expect("it runs");
    assert_eq!(joined.url("postgres"), cluster.url("postgres"));
    drop(cluster);
    assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, joined.port())).is_ok(), "the last user has not left");
    drop(joined);
    assert!(Cluster::join(Kind::Development, root.path()).expect("looked").is_none());
}

#[test]
fn development_data_outlives_a_killed_user_and_a_crash() {
    let root = directory();
    let mut child = Command::new(env!("CARGO_BIN_EXE_use-until-killed"))
        .arg(root.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("runs");
    let output = child.stdout.take().expect("is piped");
    let port = BufReader::new(output)
        .lines()
        .map_while(Result::ok)
        .find_map(|line| line.split_once("port ")?.1.parse::<u16>().ok())
        .expect("the child starts a cluster");
    child.kill().expect("kills");
    child.wait().expect("ends");

    let cluster = start(Kind::Development, &root);
    assert_eq!(cluster.port(), port);
    assert!(!cluster.started_here());
    assert_eq!(knock(port), Answer::AskedForPassword);
    let url = cluster.url("some");
    let password = url.strip_prefix("postgres://postgres:").and_then(|rest| rest.split('@').next());
    assert_eq!(password.map(str::len), Some(32));
    let pid_file = pid_file(&cluster);
    drop(cluster);
    assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err());

    let data = Data::mark(&pid_file);
    leave_as_after_a_crash(&pid_file, port);
    assert!(start(Kind::Development, &root).started_here());
    // The process id of nobody, and the file as a crash of the machine can leave it.
    for content in [format!("{}\n/data\n", child.id()), String::new()] {
        fs::write(&pid_file, content).expect("writes");
        assert!(start(Kind::Development, &root).started_here());
    }
    assert!(data.is_still_there());
}

#[test]
fn test_data_is_made_anew_after_a_crash_and_for_another_version() {
    let root = directory();
    let cluster = start(Kind::Test, &root);
    let (pid_file, port) = (pid_file(&cluster), cluster.port());
    assert!(cluster.started_here());
    assert_eq!(cluster.url("some"), format!("postgres://postgres@127.0.0.1:{port}/some"));
    assert_eq!(knock(port), Answer::LetIn);
    // Others may be using it.
    assert!(matches!(cluster.kill_immediately(), Err(Error::NotDurable)));
    assert!(matches!(cluster.restart(), Err(Error::NotDurable)));
    cluster.stop().expect("stops");

    let data = Data::mark(&pid_file);
    leave_as_after_a_crash(&pid_file, port);
    start(Kind::Test, &root).stop().expect("stops");
    assert!(!data.is_still_there());

    let data = Data::mark(&pid_file);
    fs::write(pid_file.with_file_name("PG_VERSION"), "7\n").expect("writes");
    let error = Cluster::start(Kind::Durable, root.path()).expect_err("refuses");
    assert!(matches!(error, Error::OtherVersion { .. }), "{error:?}");
    assert!(error.to_string().contains("made by PostgreSQL 7"), "{error}");
    assert!(data.is_still_there());
    start(Kind::Test, &root).stop().expect("stops");
    assert!(!data.is_still_there());
}

#[test]
#[cfg(unix)]
fn a_server_that_nobody_uses_stops() {
    let root = directory();
    let settings = Settings { idle_after: Duration::from_secs(1), ..Settings::default() };
    let cluster = Cluster::start_with(Kind::Test, root.path(), settings).expect("starts");
    let pid_file = pid_file(&cluster);
    let mut connection = TcpStream::connect((Ipv4Addr::LOCALHOST, cluster.port())).expect("connects");
    // Another user, which was killed.
    let mut killed = Command::new("true").spawn().expect("runs");
    let user = format!("{}-0", killed.id());
    killed.wait().expect("ends");
    fs::write(cluster.directory().join("users").join(user), "").expect("writes");
    drop(cluster);
    assert!(pid_file.exists(), "it stays warm");
    // The server closes the connection when it stops.
    let patience = Some(Duration::from_secs(30));
    connection.set_read_timeout(patience).expect("sets it");
    // To the end, because a single read fails when a signal interrupts it.
    let closed = connection.read_to_end(&mut Vec::new()).or_else(|error| match error.kind() {
        ErrorKind::ConnectionReset => Ok(0),
        _ => Err(error),
    });
    assert_eq!(closed.expect("is closed"), 0);
    let again = start(Kind::Test, &root);
    assert!(again.started_here());
    again.stop().expect("stops");
}

#[test]
#[cfg(unix)]
fn a_directory_that_the_server_cannot_reach_does_not_matter() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    // Closed to other users, which matters to root only: its server runs as another user.
    let root = directory();
    fs::set_permissions(root.path(), fs::Permissions::from_mode(0o700)).expect("closes it");
    let is_root = root.path().metadata().expect("looks").uid() == 0;
    let wanted = root.path().join("data of the project");
    // Declared before the clusters, so that they have stopped when it is removed, also when an assertion fails.
    let used;
    let cluster = Cluster::start(Kind::Durable, &wanted).expect("starts");
    used = Removed(cluster.directory().to_owned());
    assert_eq!(used.0 != wanted.canonicalize().expect("exists"), is_root);
    assert_eq!(knock(cluster.port()), Answer::LetIn);
    drop(cluster);
    let again = Cluster::start(Kind::Durable, &wanted).expect("starts");
    assert_eq!(again.directory(), used.0);
}

#[test]
fn a_durable_cluster_is_killed_and_comes_back_on_its_port() {
    let root = directory();
    let cluster = start(Kind::Durable, &root);
    let port = cluster.port();
    let before = fs::read_to_string(pid_file(&cluster)).expect("reads");
    cluster.kill_immediately().expect("kills");
    assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err());
    cluster.restart().expect("restarts");
    assert_eq!(knock(port), Answer::LetIn);
    let after = fs::read_to_string(pid_file(&cluster)).expect("reads");
    assert_ne!(before.lines().next(), after.lines().next());
}

#[test]
fn without_postgresql_the_message_names_both_mends() {
    let root = directory();
    let settings = Settings {
        search: Search { path: OsString::new(), places: vec!["/no/such/place/*/bin".to_owned()] },
        ..Settings::default()
    };
    let error = Cluster::start_with(Kind::Development, root.path(), settings).expect_err("fails");
    let message = error.to_string();
    for part in ["/no/such/place/*/bin", "docker compose up -d postgres", "DATABASE_URL", "APP__DATABASE__URL"] {
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn this_machine_has_a_postgresql() {
    let binaries = find_binaries().expect("finds one");
    assert!(binaries.major() >= dev_postgres::OLDEST_MAJOR);
    assert!(binaries.version().starts_with(&binaries.major().to_string()));
    assert!(binaries.directory().is_absolute());
}

fn directory() -> TempDir {
    tempfile::tempdir().expect("makes a directory")
}

fn start(kind: Kind, root: &TempDir) -> Cluster {
    Cluster::start(kind, root.path()).unwrap_or_else(|error| panic!("{error}"))
}

fn pid_file(cluster: &Cluster) -> PathBuf {
    cluster.directory().join("data").join("postmaster.pid")
}

/// Removes a directory when dropped.
#[cfg(unix)]
struct Removed(PathBuf);

#[cfg(unix)]
impl Drop for Removed {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Recognises data by a file among it.
struct Data(PathBuf);

impl Data {
    fn mark(pid_file: &Path) -> Self {
        let marker = pid_file.with_file_name("marker");
        fs::write(&marker, "").expect("writes");
        Self(marker)
    }

    fn is_still_there(&self) -> bool {
        self.0.exists()
    }
}

/// Leaves a dead server's file, in the worst case: its process id belongs to a stranger now, here to this test.
fn leave_as_after_a_crash(pid_file: &Path, port: u16) {
    let stranger = std::process::id();
    let content = format!("{stranger}\n/data\n1700000000\n{port}\n\n127.0.0.1\n1 1\nready\n");
    fs::write(pid_file, content).expect("writes");
}

/// Begins a session as a client would, without a password.
fn knock(port: u16) -> Answer {
    let mut connection = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("connects");
    let parameters = b"\x00\x03\x00\x00user\0postgres\0database\0postgres\0\0";
    let length = u32::try_from(parameters.len() + 4).expect("is short");
    connection.write_all(&length.to_be_bytes()).expect("writes");
    connection.write_all(parameters).expect("writes");
    let mut message = [0; 9];
    connection.read_exact(&mut message).expect("reads");
    assert_eq!(message[0], b'R', "an answer about authentication");
    match message[5..] {
        [0, 0, 0, 0] => Answer::LetIn,
        [0, 0, 0, 10] => Answer::AskedForPassword,
        ref code => panic!("unexpected authentication request {code:?}"),
    }
}
