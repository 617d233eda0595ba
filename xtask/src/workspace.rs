use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::failure::{Failure, io};

/// This repository as cargo sees it.
#[derive(Debug)]
pub(crate) struct Workspace {
    /// Where Cargo.toml and Cargo.lock lie.
    pub(crate) root: PathBuf,
    /// Where cargo builds.
    pub(crate) target: PathBuf,
    pub(crate) packages: Vec<Package>,
}

/// One package of the workspace.
#[derive(Debug)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) directory: PathBuf,
    /// The file that each library, program and test begins with.
    pub(crate) roots: Vec<PathBuf>,
    /// Whether it depends on sqlx directly, so that it may hold checked queries.
    pub(crate) has_sqlx: bool,
}

impl Workspace {
    /// The workspace this program was built from.
    pub(crate) fn find() -> Result<Self, Failure> {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let output = Command::new("cargo")
            .args(["metadata", "--format-version=1", "--no-deps"])
            .current_dir(here)
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .map_err(io("run `cargo metadata` in", here))?;
        let metadata: Option<Value> = serde_json::from_slice(&output.stdout).ok();
        metadata.as_ref().and_then(Self::parse).ok_or_else(|| Failure::Command("cargo metadata".to_owned()))
    }

    fn parse(metadata: &Value) -> Option<Self> {
        let packages = metadata["packages"].as_array()?.iter().map(Package::parse);
        Some(Self {
            root: metadata["workspace_root"].as_str()?.into(),
            target: metadata["target_directory"].as_str()?.into(),
            packages: packages.collect::<Option<_>>()?,
        })
    }

    /// A directory for this program's own files, which may be deleted at any time.
    pub(crate) fn scratch(&self) -> Result<PathBuf, Failure> {
        let directory = self.target.join("xtask");
        fs::create_dir_all(&directory).map_err(io("create", &directory))?;
        Ok(directory)
    }

    /// Waits until no other of these tasks is at work in this workspace; dropping the file lets the next one in.
    pub(crate) fn take_turn(&self) -> Result<File, Failure> {
        let path = self.scratch()?.join("lock");
        let file = File::create(&path).map_err(io("create", &path))?;
        if file.try_lock().is_err() {
            crate::progress("waiting for another task of this workspace");
            file.lock().map_err(io("lock", &path))?;
        }
        Ok(file)
    }

    /// A path as people know it: from the root of the workspace.
    pub(crate) fn short<'a>(&self, path: &'a Path) -> std::path::Display<'a> {
        path.strip_prefix(&self.root).unwrap_or(path).display()
    }
}

impl Package {
    fn parse(package: &Value) -> Option<Self> {
        let targets = package["targets"].as_array()?.iter();
        let mut dependencies = package["dependencies"].as_array()?.iter();
        Some(Self {
            name: package["name"].as_str()?.to_owned(),
            directory: Path::new(package["manifest_path"].as_str()?).parent()?.to_owned(),
            roots: targets.map(|target| target["src_path"].as_str().map(PathBuf::from)).collect::<Option<_>>()?,
            has_sqlx: dependencies.any(|dependency| dependency["name"] == "sqlx"),
        })
    }
}

/// A directory with nothing in it, whatever it held before.
pub(crate) fn empty_directory(path: &Path) -> Result<PathBuf, Failure> {
    if path.exists() {
        fs::remove_dir_all(path).map_err(io("delete", path))?;
    }
    fs::create_dir_all(path).map_err(io("create", path))?;
    Ok(path.to_owned())
}

/// The files below a directory whose names end in this way, in the order of their names.
pub(crate) fn files_below(directory: &Path, ending: &str) -> Result<Vec<PathBuf>, Failure> {
    let mut found = Vec::new();
    let mut waiting = vec![directory.to_owned()];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(&directory).map_err(io("list", &directory))? {
            let path = entry.map_err(io("list", &directory))?.path();
            if path.is_dir() {
                waiting.push(path);
            } else if path.to_string_lossy().ends_with(ending) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_workspace_is_found() {
        let workspace = Workspace::find().expect("finds it");
        let own = workspace.packages.iter().find(|package| package.name == env!("CARGO_PKG_NAME"));
        let own = own.expect("knows this package");
        assert!(own.roots.contains(&own.directory.join("src/main.rs")));
        assert!(own.has_sqlx);
        assert_eq!(workspace.short(&own.directory).to_string(), "xtask");
        assert!(workspace.root.join("Cargo.lock").is_file());
    }
}
