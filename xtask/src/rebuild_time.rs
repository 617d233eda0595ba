use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::cargo::Cargo;
use crate::failure::{Failure, io};
use crate::progress;
use crate::statistics::median;
use crate::workspace::Workspace;

/// Measures debug builds after edits of one file.
pub(crate) fn run(workspace: &Workspace, file: &Path, runs: u32) -> Result<(), Failure> {
    let _turn = workspace.take_turn()?;
    let edited = Edited::read(workspace.root.join(file))?;
    progress("building once, so that only the edits are measured");
    Cargo::new(workspace, &["build"]).run()?;
    let mut times = Vec::new();
    for run in 1..=runs {
        edited.with_lines(run)?;
        let started = Instant::now();
        Cargo::new(workspace, &["build", "--quiet"]).run()?;
        times.push(started.elapsed());
        progress(format!("edit {run} of {runs}: {:.2?}", started.elapsed()));
    }
    if let (Some(median), Some(slowest)) = (median(&times), times.iter().max()) {
        println!("debug build after an edit of {}: median {median:.2?}, slowest {slowest:.2?}", file.display());
    }
    Ok(())
}

/// A file under edit; it is put back when this value is dropped.
struct Edited {
    path: PathBuf,
    original: String,
}

impl Edited {
    fn read(path: PathBuf) -> Result<Self, Failure> {
        let original = fs::read_to_string(&path).map_err(io("read", &path))?;
        Ok(Self { path, original })
    }

    /// Moves the whole text down by a number of lines.
    fn with_lines(&self, lines: u32) -> Result<(), Failure> {
        let mut text = String::new();
        for _ in 0..lines {
            text.push_str("// An edit by `cargo xtask rebuild-time`; delete it.\n");
        }
        text.push_str(&self.original);
        fs::write(&self.path, text).map_err(io("write", &self.path))
    }
}

impl Drop for Edited {
    fn drop(&mut self) {
        if let Err(error) = fs::write(&self.path, &self.original) {
            eprintln!("warning: {} keeps an edit of this measurement: {error}", self.path.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_put_back() {
        let directory = tempfile::tempdir().expect("makes a directory");
        let path = directory.path().join("http.rs");
        fs::write(&path, "//! Handlers.\n").expect("writes");
        let edited = Edited::read(path.clone()).expect("reads");
        edited.with_lines(2).expect("edits");
        let text = fs::read_to_string(&path).expect("reads");
        assert_eq!(text.lines().count(), 3);
        assert!(text.ends_with("//! Handlers.\n"));
        drop(edited);
        assert_eq!(fs::read_to_string(&path).expect("reads"), "//! Handlers.\n");
    }
}
