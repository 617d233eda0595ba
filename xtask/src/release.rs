use crate::cargo::Cargo;
use crate::failure::Failure;
use crate::progress;
use crate::workspace::Workspace;

/// Whether this program is the optimised build of itself, which measuring wants: asking must cost next to nothing.
pub(crate) const IS_RELEASE: bool = !cfg!(debug_assertions);

/// Runs the same task again with the optimised build of this program.
pub(crate) fn run_again(workspace: &Workspace) -> Result<(), Failure> {
    progress("building this program with optimisation, as it takes part in what is measured");
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut line = vec!["run", "--quiet", "--release", "--package", "xtask", "--"];
    line.extend(arguments.iter().map(String::as_str));
    Cargo::new(workspace, &line).run()
}
