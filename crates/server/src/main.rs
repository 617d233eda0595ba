//! The one binary of the house; `server --help` lists what it can do.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

fn main() -> ExitCode {
    let cli = server::Cli::parse();
    let runtime = tokio::runtime::Runtime::new().expect("threads can be started");
    let code = runtime.block_on(server::run(cli));
    // A name lookup that hangs must not hold up the end of the process.
    runtime.shutdown_timeout(Duration::from_secs(1));
    code
}
