//! Where a cluster keeps its files, and whose turn it is to change them.

use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};

use crate::account::Account;
use crate::error::Error;

/// One cluster's directory and the user its server runs as.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    directory: PathBuf,
    pub(crate) account: Option<Account>,
}

impl Place {
    /// Makes the directory ready. When root asks for one that the server's user cannot reach (below /root, say),
    /// another below the system's directory for temporary files stands in for it.
    pub(crate) fn prepare(directory: &Path) -> Result<Self, Error> {
        let directory = create(directory)?;
        let place = Self::at(directory.clone())?;
        if place.is_reachable()? {
            return Ok(place);
        }
        let stand_in = stand_in_for(&directory);
        let place = Self::at(create(&stand_in)?)?;
        // A link of this name among the temporary files is somebody's trap.
        if !stand_in.is_symlink() && place.is_reachable()? {
            return Ok(place);
        }
        Err(Error::Unreachable {
            account: place.account.map(|account| account.name).unwrap_or_default(),
            directory,
            fallback: place.directory,
        })
    }

    fn at(directory: PathBuf) -> Result<Self, Error> {
        let account = Account::needed_for(&directory.join("data"))?;
        Ok(Self { directory, account })
    }

    #[cfg(unix)]
    fn is_reachable(&self) -> Result<bool, Error> {
        use std::os::unix::fs::{MetadataExt, PermissionsExt};
        let Some(account) = &self.account else {
            return Ok(true);
        };
        if self.data().exists() {
            return Ok(true);
        }
        let doing = || format!("open {} to {}", self.directory.display(), account.name);
        let metadata = fs::symlink_metadata(&self.directory).map_err(Error::io(doing()))?;
        // Somebody else may have put a directory of this name among the temporary files.
        if metadata.uid() != 0 {
            return Ok(false);
        }
        let mut permissions = metadata.permissions();
        permissions.set_mode(0o755);
        fs::set_permissions(&self.directory, permissions).map_err(Error::io(doing()))?;
        account.can_enter(&self.directory)
    }

    #[cfg(not(unix))]
    fn is_reachable(&self) -> Result<bool, Error> {
        Ok(true)
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// PostgreSQL's own directory; it exists only when it is complete.
    pub(crate) fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    /// The list of the processes that use the cluster.
    pub(crate) fn users(&self) -> PathBuf {
        self.directory.join("users")
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.directory.join("server.log")
    }

    pub(crate) fn password(&self) -> PathBuf {
        self.directory.join("password")
    }

    /// The port the cluster had last, to give it the same one again.
    pub(crate) fn port(&self) -> PathBuf {
        self.directory.join("port")
    }

    /// Waits until no other process is starting or stopping this cluster; dropping the file ends the turn.
    pub(crate) fn take_turn(&self) -> Result<File, Error> {
        let path = self.directory.join("lock");
        let doing = format!("lock {}", path.display());
        let file =
            OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(Error::io(&doing))?;
        file.lock().map_err(Error::io(&doing))?;
        Ok(file)
    }

    /// Writes a file that only the server's user (and the caller) may read.
    pub(crate) fn write_private(&self, path: &Path, content: &str) -> Result<(), Error> {
        let doing = || format!("write {}", path.display());
        let mut options = OpenOptions::new();
        options.create(true).truncate(true).write(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(path).map_err(Error::io(doing()))?;
        std::io::Write::write_all(&mut file, content.as_bytes()).map_err(Error::io(doing()))?;
        self.hand_over(path)
    }

    /// Gives a path to the server's user where that is another than the caller.
    pub(crate) fn hand_over(&self, path: &Path) -> Result<(), Error> {
        match &self.account {
            Some(account) => account.take_over(path),
            None => Ok(()),
        }
    }
}

/// Makes the directory and gives its one true name: a server is recognised by the path in its command line.
fn create(directory: &Path) -> Result<PathBuf, Error> {
    let doing = || format!("create the directory {}", directory.display());
    fs::create_dir_all(directory).map_err(Error::io(doing()))?;
    // On Windows the canonical form (`\\?\C:\…`) is one that PostgreSQL does not understand.
    if cfg!(windows) {
        std::path::absolute(directory).map_err(Error::io(doing()))
    } else {
        directory.canonicalize().map_err(Error::io(doing()))
    }
}

fn stand_in_for(directory: &Path) -> PathBuf {
    let hash = fnv1a(directory.as_os_str().as_encoded_bytes());
    std::env::temp_dir().join(format!("dev-postgres-{hash:016x}"))
}

/// A hash that stays the same from one build to the next, which the standard library does not promise of its own.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stand_in_depends_on_the_directory_alone() {
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"a"), 0xaf63_dc4c_8601_ec8c);
        let one = stand_in_for(Path::new("/srv/one/.data/postgres"));
        assert_eq!(one, stand_in_for(Path::new("/srv/one/.data/postgres")));
        assert_ne!(one, stand_in_for(Path::new("/srv/two/.data/postgres")));
    }
}
