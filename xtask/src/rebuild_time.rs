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
    progress("building once, so that only the edits are measured");
    Cargo::new(workspace, &["build"]).run()?;
    let edited = Edited(workspace.root.join(file));
    let mut times = Vec::new();
    for run in 1..=runs {
        edited.add_line()?;
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

/// What an edit adds.
const LINE: &str = "// An edit by `cargo xtask rebuild-time`; delete it.\n";

/// A file under edit; the edits are taken back when this value is dropped, and what somebody else changed meanwhile stays.
struct Edited(PathBuf);

impl Edited {
    /// Moves the whole text down by one more line.
    fn add_line(&self) -> Result<(), Failure> {
        let text = fs::read_to_string(&self.0).map_err(io("read", &self.0))?;
        fs::write(&self.0, format!("{LINE}{text}")).map_err(io("write", &self.0))
    }
}

impl Drop for Edited {
    fn drop(&mut self) {
        let text = fs::read_to_string(&self.0);
        if let Err(error) = text.and_then(|text| fs::write(&self.0, text.trim_start_matches(LINE))) {
            eprintln!("warning: {} keeps the edits of this measurement: {error}", self.0.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_edits_are_taken_back() {
        let directory = tempfile::tempdir().expect("makes a directory");
        let path = directory.path().join("http.rs");
        fs::write(&path, "//! Handlers.\n").expect("writes");
        let edited = Edited(path.clone());
        edited.add_line().expect("edits");
        edited.add_line().expect("edits");
        let text = fs::read_to_string(&path).expect("reads");
        assert_eq!(text, format!("{LINE}{LINE}//! Handlers.\n"));
        fs::write(&path, format!("{text}// Somebody else's.\n")).expect("writes");
        drop(edited);
        assert_eq!(fs::read_to_string(&path).expect("reads"), "//! Handlers.\n// Somebody else's.\n");
    }
}
