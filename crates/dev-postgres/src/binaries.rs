//! Finds the PostgreSQL that is installed on this machine.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::account::{Account, command};
use crate::error::{Error, NotFound};

/// The oldest major version that serves; older ones are passed over.
pub const OLDEST_MAJOR: u32 = 15;

/// Where the packages of the common systems put their versions; `*` stands for what differs between versions.
const USUAL_PLACES: [&str; 9] = [
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/usr/libexec/postgresql*",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
    "/home/linuxbrew/.linuxbrew/opt/postgresql@*/bin",
    "/Applications/Postgres.app/Contents/Versions/*/bin",
    "/opt/local/lib/postgresql*/bin",
    r"C:\Program Files\PostgreSQL\*\bin",
];

/// Where to look for PostgreSQL's programs, in this order: the path, `pg_config` on it, the places.
#[derive(Clone, Debug, Default)]
pub struct Search {
    /// A list of directories in the form of the variable `PATH`.
    pub path: OsString,
    /// Directories of programs, each with at most one `*` in it; where several match, the newest comes first.
    pub places: Vec<String>,
}

impl Search {
    /// Everywhere PostgreSQL is usually installed.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "PATH belongs to the machine; it is not a setting of the service")]
    pub fn this_machine() -> Self {
        Self { path: std::env::var_os("PATH").unwrap_or_default(), places: USUAL_PLACES.map(str::to_owned).to_vec() }
    }
}

/// One place that was examined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Looked {
    /// A directory, or how it was named.
    pub place: String,
    /// What was there.
    pub outcome: String,
}

/// An installed PostgreSQL: the directory of its programs and its version.
#[derive(Clone, Debug)]
pub struct Binaries {
    directory: PathBuf,
    version: String,
    major: u32,
}

impl Binaries {
    /// The directory that holds `postgres`, `initdb` and `pg_ctl`.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The version as the server states it, such as `15.14`.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The major version, such as 15: data belongs to one major version.
    #[must_use]
    pub fn major(&self) -> u32 {
        self.major
    }

    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.directory.join(executable(name))
    }
}

/// The outcome of a search: what can be used, best first, and every place that was examined.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// Installations that are new enough, in the order of the search.
    pub usable: Vec<Binaries>,
    /// Every place that was examined and what was there.
    pub looked_in: Vec<Looked>,
}

/// The PostgreSQL to use on this machine.
///
/// # Errors
/// [`Error::NotFound`], which names every place and the ways to mend it.
pub fn find_binaries() -> Result<Binaries, Error> {
    find_binaries_in(&Search::this_machine())
}

/// The PostgreSQL to use among those in the given places.
///
/// # Errors
/// [`Error::NotFound`], which names every place and the ways to mend it.
pub fn find_binaries_in(search: &Search) -> Result<Binaries, Error> {
    let best = look(search).into_usable()?.swap_remove(0);
    Ok(best)
}

/// Examines every place; for a report on the machine.
#[must_use]
pub fn look(search: &Search) -> Found {
    look_as(search, None)
}

/// As [`look`], with the eyes of the user that would run the server: programs below /root do not serve another user.
pub(crate) fn look_as(search: &Search, account: Option<&Account>) -> Found {
    let mut found = Found::default();
    let on_path = on_path(&search.path, "postgres");
    if on_path.is_none() {
        found.note("PATH", "no `postgres`");
    }
    if let Some(directory) = on_path {
        found.examine(&directory, account);
    }
    match pg_config(&search.path) {
        Ok(directory) => found.examine(&directory, account),
        Err(outcome) => found.note("pg_config --bindir", outcome),
    }
    for place in &search.places {
        let directories = matches(place);
        if directories.is_empty() {
            found.note(place, "nothing there");
        }
        for directory in directories {
            found.examine(&directory, account);
        }
    }
    found
}

impl Found {
    /// What can be used, best first and never empty.
    pub(crate) fn into_usable(self) -> Result<Vec<Binaries>, Error> {
        if self.usable.is_empty() {
            let looked_in = self.looked_in;
            return Err(NotFound { looked_in }.into());
        }
        Ok(self.usable)
    }

    fn note(&mut self, place: impl Into<String>, outcome: impl Into<String>) {
        let (place, outcome) = (place.into(), outcome.into());
        self.looked_in.push(Looked { place, outcome });
    }

    fn examine(&mut self, directory: &Path, account: Option<&Account>) {
        let directory = home_of(directory);
        let place = directory.display().to_string();
        if self.looked_in.iter().any(|looked| looked.place == place) {
            return;
        }
        match version_in(&directory, account) {
            Ok((version, major)) if major >= OLDEST_MAJOR => {
                self.note(place, format!("PostgreSQL {version}"));
                self.usable.push(Binaries { directory, version, major });
            }
            Ok((version, _)) => self.note(place, format!("PostgreSQL {version} is too old")),
            Err(outcome) => self.note(place, outcome),
        }
    }
}

/// Follows a link such as /usr/local/bin/postgres to the directory where all of PostgreSQL's programs are.
fn home_of(directory: &Path) -> PathBuf {
    let real = directory.join(executable("postgres")).canonicalize();
    match real.as_deref().map(Path::parent) {
        Ok(Some(home)) if !cfg!(windows) && missing_in(home).is_none() => home.to_owned(),
        _ => directory.to_owned(),
    }
}

fn missing_in(directory: &Path) -> Option<&'static str> {
    ["postgres", "initdb", "pg_ctl"].into_iter().find(|name| !directory.join(executable(name)).is_file())
}

fn version_in(directory: &Path, account: Option<&Account>) -> Result<(String, u32), String> {
    if let Some(name) = missing_in(directory) {
        return Err(format!("no `{name}`"));
    }
    let output =
        command(&directory.join(executable("postgres")), account).arg("--version").output().map_err(|error| {
            match account {
                Some(account) => format!("the user {} cannot run it: {error}", account.name),
                None => format!("cannot run it: {error}"),
            }
        })?;
    let text = String::from_utf8_lossy(&output.stdout);
    parse_version(&text).ok_or_else(|| format!("`postgres --version` says {:?}", text.trim()))
}

/// Reads `postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)`; also `18beta1` and `19devel`.
fn parse_version(text: &str) -> Option<(String, u32)> {
    let version = text.split_whitespace().find(|word| word.starts_with(|first: char| first.is_ascii_digit()))?;
    let major = leading_number(version)?;
    Some((version.to_owned(), major))
}

fn leading_number(text: &str) -> Option<u32> {
    let end = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    text[..end].parse().ok()
}

fn on_path(path: &OsString, program: &str) -> Option<PathBuf> {
    std::env::split_paths(path)
        .filter(|directory| directory.is_absolute())
        .find(|directory| directory.join(executable(program)).is_file())
}

fn pg_config(path: &OsString) -> Result<PathBuf, String> {
    let directory = on_path(path, "pg_config").ok_or("not on the path")?;
    let output = Command::new(directory.join(executable("pg_config")))
        .arg("--bindir")
        .stdin(Stdio::null())
        .output()
        .map_err(|error| error.to_string())?;
    let answer = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if output.status.success() && !answer.is_empty() {
        Ok(PathBuf::from(answer))
    } else {
        Err("gives no answer".to_owned())
    }
}

/// The directories a place stands for, the newest version first.
fn matches(place: &str) -> Vec<PathBuf> {
    let Some((before, after)) = place.split_once('*') else {
        return vec![PathBuf::from(place)];
    };
    let cut = before.rfind(['/', '\\']).map_or(0, |index| index + 1);
    let (parent, prefix) = before.split_at(cut);
    let (suffix, rest) = match after.find(['/', '\\']) {
        Some(index) => (&after[..index], after[index..].trim_start_matches(['/', '\\'])),
        None => (after, ""),
    };
    let Ok(entries) = std::fs::read_dir(parent) else {
        return Vec::new();
    };
    let mut versions: Vec<(Option<u32>, PathBuf)> = entries
        .filter_map(|entry| {
            let name = entry.ok()?.file_name().into_string().ok()?;
            let version = name.strip_prefix(prefix)?.strip_suffix(suffix)?;
            Some((leading_number(version), Path::new(parent).join(&name).join(rest)))
        })
        .filter(|(_, directory)| directory.is_dir())
        .collect();
    versions.sort_by(|one, other| other.cmp(one));
    versions.into_iter().map(|(_, directory)| directory).collect()
}

fn executable(name: &str) -> String {
    format!("{name}{}", std::env::consts::EXE_SUFFIX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_all_makers_are_read() {
        for (text, version, major) in [
            ("postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)\n", "15.14", 15),
            ("postgres (PostgreSQL) 9.6.24", "9.6.24", 9),
            ("postgres (PostgreSQL) 18beta1", "18beta1", 18),
            ("postgres (EnterpriseDB) 17.2.0", "17.2.0", 17),
        ] {
            let read = parse_version(text).expect("reads the version");
            assert_eq!(read, (version.to_owned(), major));
        }
        assert_eq!(parse_version("cannot load a library"), None);
    }

    #[test]
    fn the_newest_of_several_versions_comes_first() {
        let root = tempfile::tempdir().expect("makes a directory");
        for version in ["9.6", "16", "15", "latest", "others"] {
            std::fs::create_dir_all(root.path().join(version).join("bin")).expect("makes it");
        }
        std::fs::create_dir(root.path().join("17")).expect("makes one without programs");
        let found = matches(&format!("{}/*/bin", root.path().display()));
        let names: Vec<_> =
            found.iter().map(|directory| directory.strip_prefix(root.path()).expect("is inside")).collect();
        assert_eq!(names, ["16/bin", "15/bin", "9.6/bin", "others/bin", "latest/bin"].map(Path::new));
    }

    #[test]
    fn nothing_is_found_where_nothing_is() {
        let search = Search { path: OsString::new(), places: vec!["/no/such/place/*/bin".to_owned()] };
        let error = find_binaries_in(&search).expect_err("finds nothing");
        let message = error.to_string();
        for part in [
            "PATH: no `postgres`",
            "/no/such/place/*/bin: nothing there",
            "docker compose up -d postgres",
            "DATABASE_URL",
            "APP__DATABASE__URL",
        ] {
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    #[cfg(unix)]
    fn an_old_version_is_passed_over_with_a_reason() {
        use std::os::unix::fs::PermissionsExt;
        let root = tempfile::tempdir().expect("makes a directory");
        for (version, name) in [("14", "postgres"), ("14", "initdb"), ("14", "pg_ctl")] {
            let bin = root.path().join(version).join("bin");
            std::fs::create_dir_all(&bin).expect("makes it");
            let script = "#!/bin/sh\necho 'postgres (PostgreSQL) 14.9'\n";
            std::fs::write(bin.join(name), script).expect("writes it");
            let executable = std::fs::Permissions::from_mode(0o755);
            std::fs::set_permissions(bin.join(name), executable).expect("marks it");
        }
        let search = Search { path: OsString::new(), places: vec![format!("{}/*/bin", root.path().display())] };
        let found = look(&search);
        assert!(found.usable.is_empty());
        let outcomes: Vec<_> = found.looked_in.iter().map(|looked| &looked.outcome).collect();
        assert!(outcomes.contains(&&"PostgreSQL 14.9 is too old".to_owned()), "{outcomes:?}");
    }
}
