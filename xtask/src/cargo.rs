use std::io::{self, BufRead, BufReader};
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

    /// Runs it to its end, handing over each line of its result as it comes; says whether it succeeded.
    pub(crate) fn lines(mut self, mut hear: impl FnMut(&str)) -> Result<bool, Failure> {
        let mut child = self.command.stdout(Stdio::piped()).spawn().map_err(|source| self.cannot_run(source))?;
        for line in child.stdout.take().into_iter().flat_map(|output| BufReader::new(output).lines()) {
            hear(&line.map_err(|source| self.cannot_run(source))?);
        }
        Ok(child.wait().map_err(|source| self.cannot_run(source))?.success())
    }

    fn cannot_run(&self, source: io::Error) -> Failure {
        Failure::Io { doing: format!("run `{}`", self.line), source }
    }
}
