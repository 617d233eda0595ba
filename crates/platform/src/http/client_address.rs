//! Where requests come from. The serving loop hands each request the peer of its connection (`ConnectInfo`), the stack makes a
//! [`ClientAddress`] of it, and a handler whose use case is limited takes that as an argument. Whoever only notes where a
//! deed came from needs no argument and reads the request's context ([`crate::telemetry::RequestContext`]), whose address
//! jobs do not inherit.
//!
//! `X-Forwarded-For` is what anybody may write. It counts only when the peer is a trusted proxy, and is then read from the right,
//! where our own proxies add what they saw, up to the first hop that is none of them.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::Once;

use axum::extract::{ConnectInfo, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName};

use super::stack::Shared;
use crate::caller::ClientAddress;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

impl<S: Send + Sync> FromRequestParts<S> for ClientAddress {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Shared::of(parts).facts.tally.client())
    }
}

/// Whose word on addresses counts.
pub(super) struct TrustedProxies {
    networks: Vec<Network>,
    unheard: Once,
}

impl TrustedProxies {
    /// Entries that cannot be read, which the configuration check refuses, trust nobody.
    pub(super) fn new(entries: &[String]) -> Self {
        Self { networks: entries.iter().filter_map(|entry| entry.parse().ok()).collect(), unheard: Once::new() }
    }

    pub(super) fn complaints(entries: &[String]) -> impl Iterator<Item = (String, String)> {
        let unreadable = entries.iter().filter(|entry| entry.parse::<Network>().is_err());
        unreadable.map(|entry| {
            let complaint =
                format!("`{entry}` is neither an address nor a network such as 10.0.0.0/8, or it trusts everybody");
            ("http.stack.trusted_proxies".to_owned(), complaint)
        })
    }

    pub(super) fn client_of(&self, request: &Request) -> ClientAddress {
        if self.networks.is_empty() && request.headers().contains_key(X_FORWARDED_FOR) {
            self.unheard.call_once(|| {
                tracing::warn!("X-Forwarded-For is ignored: http.stack.trusted_proxies names no proxy; behind one, all clients share its address and limits");
            });
        }
        let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
        peer.map_or(ClientAddress::unknown(), |ConnectInfo(peer)| self.walk(peer.ip(), request.headers()))
    }

    /// From the peer to the left, past every trusted hop. What cannot be read ends the walk at the hop that wrote it.
    fn walk(&self, peer: IpAddr, headers: &HeaderMap) -> ClientAddress {
        let mut hop = peer.to_canonical();
        let lines = headers.get_all(X_FORWARDED_FOR).iter().rev();
        let mut told = lines.flat_map(|line| line.to_str().unwrap_or_default().rsplit(','));
        while self.networks.iter().any(|network| network.contains(hop)) {
            let Some(next) = told.next().and_then(address) else { break };
            hop = next;
        }
        ClientAddress::new(hop)
    }
}

/// `192.0.2.1`, `2001:db8::1`, and with a port, as some proxies write.
fn address(entry: &str) -> Option<IpAddr> {
    let entry = entry.trim();
    let bare = entry.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(entry);
    let address = bare.parse().or_else(|_| entry.parse().map(|socket: SocketAddr| socket.ip()));
    address.ok().map(|address: IpAddr| address.to_canonical())
}

/// A block of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Network {
    address: IpAddr,
    prefix: u32,
}

impl Network {
    fn contains(self, other: IpAddr) -> bool {
        let common = match (self.address, other) {
            (IpAddr::V4(own), IpAddr::V4(other)) => (own.to_bits() ^ other.to_bits()).leading_zeros(),
            (IpAddr::V6(own), IpAddr::V6(other)) => (own.to_bits() ^ other.to_bits()).leading_zeros(),
            _ => return false,
        };
        common >= self.prefix
    }
}

/// The text is no block of addresses.
#[derive(Debug, PartialEq, Eq)]
struct NotANetwork;

impl FromStr for Network {
    type Err = NotANetwork;

    /// A network, or one address. The whole internet is refused: then anybody could say to be anybody.
    fn from_str(text: &str) -> Result<Self, NotANetwork> {
        let (address, prefix) = text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
        let address: IpAddr = address.parse().map_err(|_| NotANetwork)?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.map_or(Ok(longest), str::parse).map_err(|_| NotANetwork)?;
        if (1..=longest).contains(&prefix) { Ok(Self { address, prefix }) } else { Err(NotANetwork) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(trusted: &[&str], peer: &str, lines: &[&str]) -> String {
        let trusted: Vec<String> = trusted.iter().map(|entry| (*entry).to_owned()).collect();
        assert_eq!(TrustedProxies::complaints(&trusted).count(), 0);
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(X_FORWARDED_FOR, line.parse().expect("a header"));
        }
        let peer = peer.parse().expect("an address");
        TrustedProxies::new(&trusted).walk(peer, &headers).ip().expect("known").to_string()
    }

    #[test]
    fn without_trusted_proxies_nobody_is_believed() {
        assert_eq!(client(&[], "203.0.113.9", &["198.51.100.1"]), "203.0.113.9");
        assert_eq!(client(&["10.0.0.0/8"], "203.0.113.9", &["10.0.0.1"]), "203.0.113.9");
    }

    #[test]
    fn the_right_most_hop_that_is_not_trusted_is_the_client() {
        let trusted = ["10.0.0.0/8", "2001:db8:aa::/48", "192.0.2.7"];
        for (peer, lines, expected) in [
            ("10.0.0.1", &["198.51.100.1"][..], "198.51.100.1"),
            ("10.0.0.1", &["1.1.1.1, 198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", &["1.1.1.1, 198.51.100.1 , 10.9.9.9,192.0.2.7"], "198.51.100.1"),
            ("10.0.0.1", &["1.1.1.1", "198.51.100.1, 10.9.9.9"], "198.51.100.1"),
            ("10.0.0.1", &["198.51.100.1", "10.9.9.9"], "198.51.100.1"),
            ("::ffff:10.0.0.1", &["::ffff:198.51.100.1"], "198.51.100.1"),
            ("2001:db8:aa::1", &["2001:db8:bb::1"], "2001:db8:bb::1"),
            ("2001:db8:ab::1", &["2001:db8:bb::1"], "2001:db8:ab::1"),
            ("192.0.2.7", &["[2001:db8:bb::1]:4711"], "2001:db8:bb::1"),
            ("192.0.2.7", &["[2001:db8:bb::1]"], "2001:db8:bb::1"),
            ("192.0.2.7", &["198.51.100.1:4711"], "198.51.100.1"),
            ("192.0.2.8", &["198.51.100.1"], "192.0.2.8"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ] {
            assert_eq!(client(&trusted, peer, lines), expected, "{peer} {lines:?}");
        }
    }

    #[test]
    fn what_cannot_be_read_ends_the_walk() {
        for garbage in ["unknown", "", "1.2.3", "fe80::1%eth0", "198.51.100.1 10.0.0.2", "1.2.3.4/8"] {
            let line = format!("198.51.100.1, {garbage}, 10.0.0.2");
            assert_eq!(client(&["10.0.0.0/8"], "10.0.0.1", &[&line]), "10.0.0.2", "{garbage}");
            let lines = ["198.51.100.1", garbage];
            assert_eq!(client(&["10.0.0.0/8"], "10.0.0.1", &lines), "10.0.0.1", "{garbage}");
        }
    }

    #[test]
    fn entries_that_are_no_network_or_the_whole_internet_are_complained_about() {
        let bad =
            ["10.0.0.0/33", "::/129", "10.0.0.0/", "/8", "proxy.internal", "", "0.0.0.0/0", "::/0", "10.0.0.0/-1"];
        let entries: Vec<String> = bad.iter().map(|entry| (*entry).to_owned()).collect();
        let complaints: Vec<_> = TrustedProxies::complaints(&entries).collect();
        assert_eq!(complaints.len(), bad.len());
        assert_eq!(complaints[4].0, "http.stack.trusted_proxies");
        assert!(complaints[4].1.contains("`proxy.internal`"));
    }

    #[test]
    fn an_ipv6_subscriber_is_one_whatever_address_of_the_64_they_use() {
        let network = |text: &str| ClientAddress::new(text.parse().expect("an address")).network();
        assert_eq!(network("2001:db8::1"), network("2001:db8::ffff:ffff:ffff:ffff"));
        assert_ne!(network("2001:db8::1"), network("2001:db8:0:1::1"));
        assert_ne!(network("192.0.2.1"), network("192.0.2.2"));
        assert_eq!(network("192.0.2.1"), network("::ffff:192.0.2.1"));
        let others = ["::1", "0.0.0.0", "255.255.255.255", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"].map(network);
        assert!(!others.contains(&ClientAddress::unknown().network()));
    }
}
