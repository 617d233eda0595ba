//! Which port on 127.0.0.1 a server gets.

use std::hash::{BuildHasher, RandomState};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::ops::Range;
use std::time::Duration;

use crate::error::Error;

/// Ports that no system hands out by itself: no outgoing connection takes the port of a server that is restarting,
/// and no client that keeps trying one ends up connected to itself.
const RANGE: Range<u16> = 20_000..30_000;

/// A port that nobody listens on, a different one at every call.
pub(crate) fn free() -> Result<u16, Error> {
    let length = u64::from(RANGE.end - RANGE.start);
    for attempt in 0..100_u8 {
        let offset = RandomState::new().hash_one(attempt) % length;
        if let Ok(offset) = u16::try_from(offset)
            && is_free(RANGE.start + offset)
        {
            return Ok(RANGE.start + offset);
        }
    }
    Err(Error::PortTaken(RANGE.start))
}

/// Whether a server could listen on the port.
pub(crate) fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// Whether a server listens on the port.
pub(crate) fn answers(port: u16) -> bool {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_is_not_free_and_answers() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("listens");
        let port = listener.local_addr().expect("has an address").port();
        assert!(!is_free(port));
        assert!(answers(port));
    }

    #[test]
    fn ports_come_from_the_range() {
        let port = free().expect("finds a port");
        assert!(RANGE.contains(&port));
    }
}
