use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::failure::{Failure, io};
use crate::progress;

/// Copies every file that git knows, as it is in the working tree now. What git does not know stays behind, and is named.
pub(super) fn copy(root: &Path, to: &Path) -> Result<(), Failure> {
    let unknown = listed(root, &["--others", "--exclude-standard"])?;
    if !unknown.is_empty() {
        progress(format!("left out, as git does not know it: {}", unknown.join(", ")));
    }
    let changed = listed(root, &["--modified"])?;
    if !changed.is_empty() {
        progress(format!("{} files differ from what was committed or staged", changed.len()));
    }
    for path in listed(root, &["--cached"])? {
        let (from, to) = (root.join(&path), to.join(&path));
        // Deleted, but not yet in the index.
        if !from.exists() {
            continue;
        }
        if let Some(folder) = to.parent() {
            fs::create_dir_all(folder).map_err(io("create", folder))?;
        }
        fs::copy(&from, &to).map_err(io("copy", &from))?;
    }
    Ok(())
}

fn listed(root: &Path, what: &[&str]) -> Result<Vec<String>, Failure> {
    let output = Command::new("git")
        .args(["ls-files", "-z"])
        .args(what)
        .current_dir(root)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(io("run `git ls-files` in", root))?;
    if !output.status.success() {
        return Err(Failure::Command("git ls-files".to_owned()));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.split_terminator('\0').map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_git_knows_is_copied_and_as_it_is_now() {
        let (from, to) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
        let git = |arguments: &[&str]| {
            let status = Command::new("git").args(arguments).current_dir(&from).status().expect("git runs");
            assert!(status.success());
        };
        let write = |path: &str, text: &str| fs::write(from.path().join(path), text).expect("writes");
        git(&["init", "--quiet"]);
        fs::create_dir(from.path().join("src")).expect("creates");
        write("src/known.rs", "old");
        write("gone.rs", "");
        git(&["add", "src/known.rs", "gone.rs"]);
        write("src/known.rs", "new");
        write("src/unknown.rs", "");
        fs::remove_file(from.path().join("gone.rs")).expect("removes");
        copy(from.path(), to.path()).expect("copies");
        assert_eq!(fs::read_to_string(to.path().join("src/known.rs")).expect("reads"), "new");
        assert!(!to.path().join("src/unknown.rs").exists() && !to.path().join("gone.rs").exists());
    }
}
