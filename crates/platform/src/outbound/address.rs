use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// IPv4 blocks that are not public (IANA special-purpose registry, and one address of a cloud's own machinery).
const V4_REFUSED: [(Ipv4Addr, u32); 17] = [
    (Ipv4Addr::UNSPECIFIED, 8),            // "this network", unspecified
    (Ipv4Addr::new(10, 0, 0, 0), 8),       // private
    (Ipv4Addr::new(100, 64, 0, 0), 10),    // carrier-grade NAT; Alibaba's metadata service
    (Ipv4Addr::new(127, 0, 0, 0), 8),      // loopback
    (Ipv4Addr::new(168, 63, 129, 16), 32), // Azure's platform service, reachable from inside only
    (Ipv4Addr::new(169, 254, 0, 0), 16),   // link-local; the metadata service of most clouds
    (Ipv4Addr::new(172, 16, 0, 0), 12),    // private
    (Ipv4Addr::new(192, 0, 0, 0), 24),     // protocol assignments; Oracle's metadata service
    (Ipv4Addr::new(192, 0, 2, 0), 24),     // documentation
    (Ipv4Addr::new(192, 88, 99, 0), 24),   // 6to4 relays, withdrawn
    (Ipv4Addr::new(192, 168, 0, 0), 16),   // private
    (Ipv4Addr::new(198, 18, 0, 0), 15),    // benchmarking
    (Ipv4Addr::new(198, 51, 100, 0), 24),  // documentation
    (Ipv4Addr::new(203, 0, 113, 0), 24),   // documentation
    (Ipv4Addr::new(224, 0, 0, 0), 4),      // multicast
    (Ipv4Addr::new(240, 0, 0, 0), 4),      // reserved
    (Ipv4Addr::BROADCAST, 32),             // broadcast
];

/// Where public IPv6 addresses are handed out. Everything else is refused by not being in it: loopback, unspecified,
/// IPv4-mapped and -compatible, NAT64 (`64:ff9b::/96`, `64:ff9b:1::/48`), discard (`100::/64`), segment routing
/// (`5f00::/16`), unique local (`fc00::/7`), link-local, site-local, multicast.
const V6_GLOBAL: (Ipv6Addr, u32) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);

/// Blocks inside the public space that are not public, or that carry an IPv4 address to somewhere else.
const V6_REFUSED: [(Ipv6Addr, u32); 4] = [
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23), // protocol assignments: Teredo, benchmarking, ORCHID
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32), // documentation
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16), // 6to4
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20), // documentation
];

/// Whether an address belongs to the public internet, so that calling it cannot reach our own network.
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !V4_REFUSED.iter().any(|block| v4_within(address, *block)),
        IpAddr::V6(address) => {
            v6_within(address, V6_GLOBAL) && !V6_REFUSED.iter().any(|block| v6_within(address, *block))
        }
    }
}

fn v4_within(address: Ipv4Addr, (block, prefix): (Ipv4Addr, u32)) -> bool {
    (address.to_bits() ^ block.to_bits()).leading_zeros() >= prefix
}

fn v6_within(address: Ipv6Addr, (block, prefix): (Ipv6Addr, u32)) -> bool {
    (address.to_bits() ^ block.to_bits()).leading_zeros() >= prefix
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn public(address: &str) -> bool {
        is_public(address.parse().expect("an address"))
    }

    const REFUSED: &str = "\
        0.0.0.0 0.255.255.255 10.0.0.0 10.255.255.255 100.64.0.0 100.127.255.255 100.100.100.200 127.0.0.1 \
        127.255.255.255 168.63.129.16 169.254.0.0 169.254.169.254 169.254.255.255 172.16.0.0 172.31.255.255 \
        192.0.0.0 192.0.0.192 192.0.0.255 192.0.2.1 192.88.99.1 192.168.0.0 192.168.255.255 198.18.0.0 \
        198.19.255.255 198.51.100.1 203.0.113.255 224.0.0.1 239.255.255.255 240.0.0.0 255.255.255.254 \
        255.255.255.255 :: ::1 ::7f00:1 ::ffff:127.0.0.1 ::ffff:8.8.8.8 ::ffff:0:127.0.0.1 64:ff9b::7f00:1 \
        64:ff9b::808:808 64:ff9b:1::1 100::1 2001::1 2001:0:7f00:1:: 2001:2::1 2001:10::1 2001:1ff:ffff::1 \
        2001:db8::1 2002:7f00:1:: 2002:808:808::1 3fff::1 3fff:fff:ffff::1 5f00::1 fc00::1 fd00:ec2::254 \
        fdff:ffff::1 fe80::1 febf::1 fec0::1 ff02::1 4000::1 1fff::1";

    #[test]
    fn the_first_and_last_address_of_every_refused_block_is_refused() {
        for address in REFUSED.split_whitespace() {
            assert!(!public(address), "{address} must be refused");
        }
    }

    const PUBLIC: &str = "\
        1.0.0.0 8.8.8.8 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.0 \
        168.63.129.15 169.253.255.255 169.255.0.0 172.15.255.255 172.32.0.0 192.0.1.0 192.0.3.0 192.167.255.255 \
        192.169.0.0 198.17.255.255 198.20.0.0 223.255.255.255 2000::1 2001:200::1 2001:4860:4860::8888 2003::1 \
        2606:4700:4700::1111 2a00::1 3ffe::1 3fff:1000::1";

    #[test]
    fn the_neighbours_of_refused_blocks_are_public() {
        for address in PUBLIC.split_whitespace() {
            assert!(public(address), "{address} must be public");
        }
    }

    proptest! {
        #[test]
        fn no_ipv6_spelling_of_an_ipv4_address_is_public(bits: u32) {
            let v4 = Ipv4Addr::from_bits(bits);
            let low = u128::from(bits);
            let (nat64, six_to_four) = ((0x0064_ff9b_u128 << 96) | low, (0x2002_u128 << 112) | (low << 80));
            for v6 in [v4.to_ipv6_mapped().to_bits(), low, nat64, six_to_four] {
                prop_assert!(!is_public(Ipv6Addr::from_bits(v6).into()));
            }
        }
    }
}
