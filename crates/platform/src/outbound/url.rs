use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub use reqwest::Url;

use super::{AddressRules, is_public};

/// The longest URL that is accepted, in bytes.
const MAX_LENGTH: usize = 2048;

/// Ports that may be called at public addresses.
const PORTS: [u16; 2] = [443, 8443];

/// Names that mean something only inside a network (RFC 6761, RFC 6762, RFC 8375, and customs of clouds and offices).
const INNER_NAMES: [&str; 9] =
    ["localhost", "local", "internal", "localdomain", "home.arpa", "lan", "intranet", "corp", "onion"];

/// Why a URL may not be called. The text is fit for whoever entered it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlProblem {
    /// More than 2048 bytes.
    #[error("must not be longer than 2048 bytes")]
    TooLong,
    /// Not an absolute URL with a host, or with spaces, control characters or backslashes in it.
    #[error("must be an absolute URL such as https://example.com/hook")]
    Unreadable,
    /// Another scheme than HTTPS.
    #[error("must start with https://")]
    Scheme,
    /// Another port than 443 and 8443.
    #[error("must use port 443 or 8443")]
    Port,
    /// A user name or password.
    #[error("must not contain a user name or password")]
    UserInfo,
    /// A part after `#`, which would never be sent.
    #[error("must not contain a fragment (#…)")]
    Fragment,
    /// A name or address that is not public.
    #[error("must name a host on the public internet")]
    Host,
}

/// Reads a URL that somebody gave us and checks that it may be called. Hosts in any spelling of an address (`127.1`,
/// `0x7f000001`, …) are read the way the client will read them. What a name points to is checked again at every call.
///
/// # Errors
/// The first [`UrlProblem`] found.
pub fn check_url(text: &str, rules: AddressRules) -> Result<Url, UrlProblem> {
    if text.len() > MAX_LENGTH {
        return Err(UrlProblem::TooLong);
    }
    // The WHATWG parser would silently drop or turn these, and other readers of the same text would not.
    if text.contains(|c: char| c.is_control() || c.is_whitespace() || c == '\\') {
        return Err(UrlProblem::Unreadable);
    }
    let url = Url::parse(text).map_err(|_| UrlProblem::Unreadable)?;
    let host = url.host_str().filter(|host| !host.is_empty()).ok_or(UrlProblem::Unreadable)?;
    match (url.scheme(), rules) {
        ("https", _) | ("http", AddressRules::Any) => {}
        _ => return Err(UrlProblem::Scheme),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(UrlProblem::UserInfo);
    }
    if url.fragment().is_some() {
        return Err(UrlProblem::Fragment);
    }
    if rules == AddressRules::PublicOnly {
        if !url.port_or_known_default().is_some_and(|port| PORTS.contains(&port)) {
            return Err(UrlProblem::Port);
        }
        if !is_public_host(host) {
            return Err(UrlProblem::Host);
        }
    }
    Ok(url)
}

fn is_public_host(host: &str) -> bool {
    literal(host).map_or_else(|| is_public_name(host), is_public)
}

/// The address a host stands for without a name lookup; the client dials such hosts without asking the resolver.
fn literal(host: &str) -> Option<IpAddr> {
    let v6 = || host.strip_prefix('[')?.strip_suffix(']')?.parse::<Ipv6Addr>().ok();
    host.parse::<Ipv4Addr>().map(IpAddr::V4).ok().or_else(|| v6().map(IpAddr::V6))
}

fn is_public_name(host: &str) -> bool {
    let name = host.strip_suffix('.').unwrap_or(host);
    let inner = |suffix: &&str| name.strip_suffix(*suffix).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    name.contains('.') && !name.ends_with('.') && !INNER_NAMES.iter().any(inner)
}

#[cfg(test)]
mod tests {
    use AddressRules::{Any, PublicOnly};

    use super::*;

    fn problem(url: &str) -> Option<UrlProblem> {
        check_url(url, PublicOnly).err()
    }

    #[test]
    fn public_https_urls_are_accepted() {
        for url in [
            "https://example.com/hook",
            "https://example.com:443/hook?a=b",
            "https://example.com:8443",
            "https://sub.example.co.uk/a%20b",
            "https://8.8.8.8/",
            "https://[2606:4700:4700::1111]/",
            "https://localhost.example.com/",
            "https://bücher.example/",
            "https://mylocal.com/",
        ] {
            assert_eq!(problem(url), None, "{url}");
        }
    }

    const INNER_ADDRESSES: &str = "\
        127.0.0.1 127.1 127.0.1 2130706433 0x7f000001 0x7f.1 0177.0.0.1 017700000001 0 0.0.0.0 127.0.0.1. \
        127%2e0.0.1 %31%32%37.1 ①②⑦.0.0.1 127。0。0。1 １２７.0.0.1 169.254.169.254 2852039166 0xa9fea9fe \
        0251.0376.0251.0376 169.254.43518 100.100.100.200 192.0.0.192 10.1.2.3 172.16.0.1 192.168.1.1 \
        192.168.257 100.64.0.1 [::1] [::] [0:0:0:0:0:0:0:1] [::ffff:127.0.0.1] [::ffff:7f00:1] [::127.0.0.1] \
        [64:ff9b::127.0.0.1] [64:ff9b::7f00:1] [2002:7f00::] [2002:7f00:1::] [fd00:ec2::254] [fe80::1] [fec0::1] \
        [ff02::1] [2001:0:7f00:1::]";

    #[test]
    fn every_spelling_of_an_inner_address_is_refused() {
        for host in INNER_ADDRESSES.split_whitespace() {
            assert_eq!(problem(&format!("https://{host}/hook")), Some(UrlProblem::Host), "{host}");
        }
    }

    const INNER_HOSTS: &str = "\
        localhost LOCALHOST localhost. a.localhost printer.local metadata.google.internal x.internal. intranet \
        db router.home.arpa ｌocalhost example.com..";

    #[test]
    fn names_that_only_mean_something_inside_are_refused() {
        for host in INNER_HOSTS.split_whitespace() {
            assert_eq!(problem(&format!("https://{host}/hook")), Some(UrlProblem::Host), "{host}");
        }
    }

    #[test]
    fn other_schemes_ports_and_parts_are_refused() {
        for (url, expected) in [
            ("http://example.com/", UrlProblem::Scheme),
            ("ftp://example.com/", UrlProblem::Scheme),
            ("file:///etc/passwd", UrlProblem::Unreadable),
            ("gopher://example.com/", UrlProblem::Scheme),
            ("javascript:alert(1)", UrlProblem::Unreadable),
            ("https://example.com:22/", UrlProblem::Port),
            ("https://example.com:80/", UrlProblem::Port),
            ("https://example.com:0/", UrlProblem::Port),
            ("https://user@example.com/", UrlProblem::UserInfo),
            ("https://:secret@example.com/", UrlProblem::UserInfo),
            ("https://example.com@127.0.0.1/", UrlProblem::UserInfo),
            ("https://example.com/#part", UrlProblem::Fragment),
            ("https://example.com/#", UrlProblem::Fragment),
            ("https://exa\nmple.com/", UrlProblem::Unreadable),
            (" https://example.com/", UrlProblem::Unreadable),
            ("https:\\\\example.com/", UrlProblem::Unreadable),
            ("https://127.0.0.1\\@example.com/", UrlProblem::Unreadable),
            ("/hook", UrlProblem::Unreadable),
            ("", UrlProblem::Unreadable),
            ("https://", UrlProblem::Unreadable),
            ("https://1.2.3.4.5/", UrlProblem::Unreadable),
            ("https://256.256.256.256/", UrlProblem::Unreadable),
            ("https://[::1%25eth0]/", UrlProblem::Unreadable),
        ] {
            assert_eq!(problem(url), Some(expected), "{url:?}");
        }
        assert_eq!(problem(&format!("https://example.com/{}", "a".repeat(2048))), Some(UrlProblem::TooLong));
    }

    #[test]
    fn development_may_call_this_machine_but_no_other_scheme() {
        assert!(check_url("http://127.0.0.1:4010/hook", Any).is_ok());
        assert!(check_url("http://localhost:4010/hook", Any).is_ok());
        assert_eq!(check_url("ftp://localhost/", Any), Err(UrlProblem::Scheme));
        assert_eq!(check_url("http://user@localhost/", Any), Err(UrlProblem::UserInfo));
    }
}
