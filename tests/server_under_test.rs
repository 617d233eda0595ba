//! The server as a program of this package, so that tests can start and kill it as a process.

use clap::Parser;

#[tokio::main]
async fn main() -> std::process::ExitCode {
    server::run(server::Cli::parse()).await
}
