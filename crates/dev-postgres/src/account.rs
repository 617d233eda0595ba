//! The operating system's user that the server runs as: PostgreSQL refuses to run as root.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::error::Error;

/// Another user to run PostgreSQL's programs as.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    pub(crate) name: String,
    #[cfg(unix)]
    uid: u32,
    #[cfg(unix)]
    gid: u32,
}

/// Variables that would lead PostgreSQL's programs to another server than ours.
const MISLEADING: [&str; 6] = ["PGDATA", "PGDATABASE", "PGHOST", "PGOPTIONS", "PGPORT", "PGUSER"];

/// Prepares a program to run as the account, away from the caller's terminal: Ctrl-C there must not stop a server
/// that others use.
pub(crate) fn command(program: &Path, account: Option<&Account>) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).env("LC_ALL", "C");
    for variable in MISLEADING {
        command.env_remove(variable);
    }
    #[cfg(unix)]
    {
        use std::os::unix::process::CommandExt;
        // The caller's directory may be closed to the account.
        command.process_group(0).current_dir("/");
        if let Some(account) = account {
            command.uid(account.uid).gid(account.gid);
        }
    }
    #[cfg(not(unix))]
    let _ = account;
    command
}

/// Runs a prepared program to its end; what it printed becomes the error.
pub(crate) fn run(name: &'static str, prepared: &mut Command) -> Result<(), Error> {
    let output = prepared.output().map_err(Error::io(format!("run {name}")))?;
    if output.status.success() {
        return Ok(());
    }
    let mut printed = String::from_utf8_lossy(&output.stdout).into_owned();
    printed.push_str(&String::from_utf8_lossy(&output.stderr));
    Err(Error::Program { program: name, output: printed })
}

#[cfg(unix)]
impl Account {
    /// Whom to run as: nobody else for an ordinary user, for root the owner of the data that is there already, else
    /// `postgres`, else `nobody`.
    pub(crate) fn needed_for(data: &Path) -> Result<Option<Self>, Error> {
        use std::os::unix::fs::MetadataExt;
        if !is_root()? {
            return Ok(None);
        }
        if let Ok(metadata) = data.metadata()
            && metadata.uid() != 0
        {
            let (uid, gid) = (metadata.uid(), metadata.gid());
            let name = uid.to_string();
            return Ok(Some(Self { name, uid, gid }));
        }
        let passwd = std::fs::read_to_string("/etc/passwd").map_err(Error::io("read /etc/passwd"))?;
        Self::from_passwd(&passwd).map(Some).ok_or(Error::NoAccount)
    }

    fn from_passwd(passwd: &str) -> Option<Self> {
        let entry = |wanted: &str| {
            passwd.lines().find_map(|line| {
                let fields: Vec<&str> = line.split(':').collect();
                let [name, _, uid, gid, ..] = fields[..] else {
                    return None;
                };
                (name == wanted).then_some(Self {
                    name: name.to_owned(),
                    uid: uid.parse().ok()?,
                    gid: gid.parse().ok()?,
                })
            })
        };
        entry("postgres").or_else(|| entry("nobody"))
    }

    /// Whether this user may enter the directory; asked of the system, because mode bits are not the whole story.
    pub(crate) fn can_enter(&self, directory: &Path) -> Result<bool, Error> {
        command(Path::new("/bin/sh"), Some(self))
            .args(["-c", "cd \"$1\"", "sh"])
            .arg(directory)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .map(|status| status.success())
            .map_err(Error::io(format!("run a program as the user {}", self.name)))
    }

    /// Gives a file or directory to this user.
    pub(crate) fn take_over(&self, path: &Path) -> Result<(), Error> {
        std::os::unix::fs::chown(path, Some(self.uid), Some(self.gid)).map_err(Error::io(format!(
            "give {} to {}",
            path.display(),
            self.name
        )))
    }
}

#[cfg(not(unix))]
impl Account {
    /// Elsewhere than on Unix the server runs as whoever starts it.
    pub(crate) fn needed_for(_data: &Path) -> Result<Option<Self>, Error> {
        Ok(None)
    }

    pub(crate) fn take_over(&self, _path: &Path) -> Result<(), Error> {
        Ok(())
    }
}

#[cfg(unix)]
fn is_root() -> Result<bool, Error> {
    let output = Command::new("id").arg("-u").stdin(Stdio::null()).output().map_err(Error::io("run `id -u`"))?;
    Ok(output.stdout.trim_ascii() == b"0")
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn postgres_is_preferred_to_nobody() {
        let both = "root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n\
                    postgres:x:101:104:,,,:/var/lib/postgresql:/bin/bash\n";
        let account = Account::from_passwd(both).expect("finds an account");
        assert_eq!((account.name.as_str(), account.uid, account.gid), ("postgres", 101, 104));
        let account = Account::from_passwd("nobody:x:65534:65533::/:/bin/false").expect("finds it");
        assert_eq!((account.name.as_str(), account.uid, account.gid), ("nobody", 65534, 65533));
        assert!(Account::from_passwd("root:x:0:0::/root:/bin/sh").is_none());
    }
}
