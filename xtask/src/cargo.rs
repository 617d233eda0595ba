use std::io;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::failure::Failure;
use crate::workspace::Workspace;

/// A cargo command in the root of the workspace, or elsewhere. It never touches the caller's input, and shows its own progress.
pub(crate) struct Cargo {
    command: Command,
    line: String,
}

impl Cargo {
    pub(crate) fn new(workspace: &Workspace, arguments: &[&str]) -> Self {
        Self::in_directory(&workspace.root, arguments)
    }

    pub(crate) fn in_directory(directory: &Path, arguments: &[&str]) -> Self {
        let mut command = Command::new("cargo");
        command.args(arguments).current_dir(directory).stdin(Stdio::null());
        Self { command, line: format!("cargo {}", arguments.join(" ")) }
    }

    /// Adds an option that names a path.
    pub(crate) fn path(mut self, option: &str, path: &Path) -> Self {
        self.command.arg(option).arg(path);
        self
    }

    pub(crate) fn env(mut self, variable: &str, value: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.env(variable, value);
        self
    }

    /// Runs it to its end.
    pub(crate) fn run(mut self) -> Result<(), Failure> {
        let status = self.command.status();
        let success = status.map_err(|source| self.cannot_run(source))?.success();
        if success { Ok(()) } else { Err(Failure::Command(self.line)) }
    }

    /// Runs it to its end and returns what it printed as its result.
    pub(crate) fn output(mut self) -> Result<Vec<u8>, Failure> {
        let output = self.command.stderr(Stdio::inherit()).output();
        let Output { status, stdout, .. } = output.map_err(|source| self.cannot_run(source))?;
        if status.success() { Ok(stdout) } else { Err(Failure::Command(self.line)) }
    }

    fn cannot_run(&self, source: io::Error) -> Failure {
        Failure::Io { doing: format!("run `{}`", self.line), source }
    }
}
