use std::fs::{File, FileTimes};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::failure::{Failure, io};
use crate::workspace::Workspace;

/// The first file of every library, program and test that may hold checked queries, with the time it was last changed.
///
/// Cargo expands a crate's macros again only when a file of the crate is newer than the last build, and a changed
/// migration is not such a file. So the files are made to look edited.
pub(super) struct CrateRoots(Vec<(PathBuf, SystemTime)>);

impl CrateRoots {
    /// Makes them look edited just now.
    pub(super) fn touch(workspace: &Workspace) -> Result<Self, Failure> {
        let packages = workspace.packages.iter();
        // This program depends on sqlx without a checked query.
        let asking = packages.filter(|package| package.has_sqlx && package.name != env!("CARGO_PKG_NAME"));
        let roots = asking.flat_map(|package| &package.roots);
        let before = roots.map(|root| Ok((root.clone(), changed_at(root)?))).collect::<Result<_, Failure>>()?;
        let roots = Self(before);
        let now = now();
        roots.0.iter().try_for_each(|(root, _)| set_changed_at(root, now))?;
        Ok(roots)
    }

    /// Makes them look as old as they are, so that nothing is built again without a reason.
    pub(super) fn restore(self) -> Result<(), Failure> {
        self.0.iter().try_for_each(|(root, before)| set_changed_at(root, *before))
    }
}

#[expect(clippy::disallowed_methods, reason = "the time of files, which cargo compares, is the system's")]
fn now() -> SystemTime {
    SystemTime::now()
}

fn changed_at(path: &Path) -> Result<SystemTime, Failure> {
    path.metadata().and_then(|metadata| metadata.modified()).map_err(io("look at", path))
}

fn set_changed_at(path: &Path, time: SystemTime) -> Result<(), Failure> {
    let file = File::options().append(true).open(path).map_err(io("open", path))?;
    file.set_times(FileTimes::new().set_modified(time)).map_err(io("set the time of", path))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::workspace::Package;

    #[test]
    fn files_look_edited_and_then_as_before() {
        let directory = tempfile::tempdir().expect("makes a directory");
        let [asking, other] = ["asking.rs", "other.rs"].map(|name| directory.path().join(name));
        let long_ago = SystemTime::UNIX_EPOCH + Duration::from_hours(24);
        for root in [&asking, &other] {
            std::fs::write(root, "fn main() {}").expect("writes");
            set_changed_at(root, long_ago).expect("sets the time");
        }
        let package = |root: &Path, has_sqlx| Package {
            name: "sample".to_owned(),
            directory: directory.path().to_owned(),
            roots: vec![root.to_owned()],
            has_sqlx,
        };
        let packages = vec![package(&asking, true), package(&other, false)];
        let workspace = Workspace { root: directory.path().to_owned(), target: directory.path().to_owned(), packages };

        let roots = CrateRoots::touch(&workspace).expect("touches");
        assert!(changed_at(&asking).expect("looks") > long_ago + Duration::from_hours(24));
        assert_eq!(changed_at(&other).expect("looks"), long_ago);
        roots.restore().expect("restores");
        assert_eq!(changed_at(&asking).expect("looks"), long_ago);
        assert_eq!(std::fs::read_to_string(&asking).expect("reads"), "fn main() {}");
    }
}
