//! A process that uses the development cluster of a directory until it is killed: the other side of a test.

use std::path::PathBuf;

use dev_postgres::{Cluster, Kind};

#[expect(clippy::print_stdout, reason = "the test reads the port from here")]
fn main() {
    let directory = std::env::args_os().nth(1).map(PathBuf::from).expect("a directory");
    let cluster = Cluster::start(Kind::Development, &directory).expect("starts");
    println!("port {}", cluster.port());
    std::io::stdin().lines().for_each(drop);
}
