//! The list of processes that use a cluster: one file each, named after the process, in a directory.
//!
//! A directory with a file in it cannot be removed, so removing the directory is one step that both asks "is anybody
//! left?" and closes the list: whoever succeeds stops the server, and whoever comes later finds the list closed.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::process::process_exists;

/// One entry in the list; dropping it leaves the list.
#[derive(Debug)]
pub(crate) struct Entry(PathBuf);

impl Entry {
    /// Enters this process, or nothing when the list is closed: the server is stopping, or was never started.
    pub(crate) fn join(users: &Path) -> io::Result<Option<Self>> {
        /// A process may use a cluster through several values.
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = users.join(format!("{}-{count}", std::process::id()));
        match File::create(&path) {
            Ok(_) => Ok(Some(Self(path))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        // A list that is gone has nothing to leave.
        let _ = fs::remove_file(&self.0);
    }
}

/// Strikes out processes that died without leaving, then closes the list; false when somebody is left.
pub(crate) fn close_if_empty(users: &Path) -> bool {
    for entry in fs::read_dir(users).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let process = name.to_str().and_then(process_of);
        if process.is_some_and(|process| !process_exists(process)) {
            let _ = fs::remove_file(entry.path());
        }
    }
    fs::remove_dir(users).is_ok()
}

fn process_of(name: &str) -> Option<u32> {
    name.split('-').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_closes_when_the_last_user_has_left() {
        let root = tempfile::tempdir().expect("makes a directory");
        let users = root.path().join("users");
        assert!(Entry::join(&users).expect("looks").is_none());
        fs::create_dir(&users).expect("opens the list");
        let one = Entry::join(&users).expect("joins").expect("is open");
        let other = Entry::join(&users).expect("joins").expect("is open");
        drop(one);
        assert!(!close_if_empty(&users));
        drop(other);
        assert!(close_if_empty(&users));
        assert!(!users.exists());
    }

    #[test]
    #[cfg(unix)]
    fn a_user_that_died_does_not_count() {
        let root = tempfile::tempdir().expect("makes a directory");
        let mut child = std::process::Command::new("true").spawn().expect("runs");
        let id = child.id();
        child.wait().expect("ends");
        fs::write(root.path().join(format!("{id}-0")), "").expect("writes");
        let users = root.keep();
        assert!(close_if_empty(&users));
    }
}
