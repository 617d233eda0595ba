use std::net::SocketAddr;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::failure::Failure;

/// How a service is asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) address: SocketAddr,
    pub(crate) connections: usize,
    pub(crate) duration: Duration,
    /// Requests a second over all connections; as many as are answered when nothing is said.
    pub(crate) rate: Option<u64>,
    /// The status that every answer must have.
    pub(crate) expected: u16,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) elapsed: Duration,
    /// How long each request took; at a fixed rate from the moment it was due, so that a service that stalls is charged for
    /// those that had to wait meanwhile.
    pub(crate) latencies: Vec<Duration>,
}

/// Makes the request of a connection with a number.
pub(crate) type Ask<'a> = dyn Fn(usize, u64) -> Vec<u8> + Sync + 'a;

/// Asks until the time is over.
pub(crate) fn run(load: &Load, ask: &Ask<'_>) -> Result<Outcome, Failure> {
    let line = Barrier::new(load.connections);
    let started = Instant::now();
    let answers = std::thread::scope(|scope| {
        let askers = (0..load.connections).map(|number| {
            let line = &line;
            scope.spawn(move || keep_asking(load, number, line, ask))
        });
        let askers: Vec<_> = askers.collect();
        let latencies = askers.into_iter().map(|asker| asker.join().unwrap_or_else(|_| Err(broken("an asker failed"))));
        latencies.collect::<Result<Vec<_>, _>>()
    });
    Ok(Outcome { elapsed: started.elapsed(), latencies: answers?.concat() })
}

fn keep_asking(load: &Load, number: usize, line: &Barrier, ask: &Ask<'_>) -> Result<Vec<Duration>, Failure> {
    let connected = Client::connect(load.address);
    // Also without a connection, or the others would wait for ever.
    line.wait();
    let mut client = connected.map_err(|error| broken(format!("cannot connect: {error}")))?;
    let started = Instant::now();
    let mut latencies = Vec::new();
    for turn in 0.. {
        let due = load.rate.map(|rate| started + due(turn, number, load.connections, rate));
        let now = Instant::now();
        if due.unwrap_or(now).duration_since(started) >= load.duration {
            break;
        }
        if let Some(wait) = due.and_then(|due| due.checked_duration_since(now)) {
            std::thread::sleep(wait);
        }
        let request = ask(number, turn);
        let begun = due.unwrap_or_else(Instant::now);
        let answer = client.ask(&request).map_err(|error| broken(format!("no answer: {error}")))?;
        answer.expect_status(load.expected)?;
        latencies.push(begun.elapsed());
    }
    Ok(latencies)
}

/// When a connection's turn comes: the connections take turns, at even intervals.
fn due(turn: u64, number: usize, connections: usize, rate: u64) -> Duration {
    let place = turn * connections as u64 + number as u64;
    Duration::from_nanos(place.saturating_mul(1_000_000_000) / rate.max(1))
}

fn broken(what: impl Into<String>) -> Failure {
    Failure::Finding(what.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_take_turns_at_even_intervals() {
        let dues: Vec<_> = (0..6).map(|place| due(place / 2, (place % 2) as usize, 2, 100)).collect();
        assert_eq!(dues, [0, 10, 20, 30, 40, 50].map(Duration::from_millis));
    }
}
