//! Lists of networks, as settings name them, and what counts as one client among addresses.

use ipnet::IpNet;
use serde::Deserialize;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

/// A network: `10.0.0.0/8`, `2001:db8::/32`, or a single address.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Network(IpNet);

/// What is no network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no network: write an address, or one with the bits that count, as 192.0.2.7 or 10.0.0.0/8")]
pub struct NetworkError(String);

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let net = match text.parse::<IpAddr>() {
            Ok(ip) => IpNet::from(ip.to_canonical()),
            Err(_) => text.parse().map_err(|_| NetworkError(text.chars().take(60).collect()))?,
        };
        Ok(Self(net.trunc()))
    }
}

impl TryFrom<String> for Network {
    type Error = NetworkError;
    fn try_from(text: String) -> Result<Self, NetworkError> {
        text.parse()
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Several networks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks(Vec<Network>);

impl Networks {
    /// This machine by itself: `127.0.0.0/8` and `::1`.
    pub fn loopback() -> Self {
        let v4 = ipnet::Ipv4Net::new_assert(std::net::Ipv4Addr::new(127, 0, 0, 0), 8);
        Self(vec![Network(v4.into()), Network(IpAddr::from(Ipv6Addr::LOCALHOST).into())])
    }

    /// Whether the address is in one of them. An IPv4 address in IPv6 counts as what it is.
    pub fn contain(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        self.0.iter().any(|network| network.0.contains(&ip))
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<Network> for Networks {
    fn from_iter<I: IntoIterator<Item = Network>>(networks: I) -> Self {
        Self(networks.into_iter().collect())
    }
}

/// What counts as one client: an IPv4 address, or all of an IPv6 network of 64 bits, of which anybody can have every address.
pub fn one_client(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX)).into(),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn networks_and_what_is_in_them() {
        let networks: Networks = ["10.0.0.0/8", "192.0.2.7", "2001:db8::/32", "::ffff:198.51.100.1"]
            .map(|n| n.parse().unwrap())
            .into_iter()
            .collect();
        for inside in ["10.255.0.1", "192.0.2.7", "::ffff:192.0.2.7", "2001:db8:1::1", "198.51.100.1"] {
            assert!(networks.contain(ip(inside)), "{inside}");
        }
        for outside in ["11.0.0.1", "192.0.2.8", "2001:db9::1", "::1", "198.51.100.2", "::ffff:11.0.0.1"] {
            assert!(!networks.contain(ip(outside)), "{outside}");
        }
        assert!(!Networks::default().contain(ip("127.0.0.1")));
        assert!(
            ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"].iter().all(|a| Networks::loopback().contain(ip(a)))
        );
        // Bits that do not count may be set.
        assert_eq!("10.1.2.3/8".parse::<Network>(), "10.0.0.0/8".parse());
        for bad in ["", "10.0.0.0/33", "10.0.0/8", "localhost", "::/129", "10.0.0.0/", "*"] {
            assert!(bad.parse::<Network>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_client_has_a_whole_network_of_ipv6() {
        assert_eq!(one_client(ip("2001:db8:1:2:3:4:5:6")), one_client(ip("2001:db8:1:2:ffff::")));
        assert_ne!(one_client(ip("2001:db8:1:2::1")), one_client(ip("2001:db8:1:3::1")));
        assert_ne!(one_client(ip("192.0.2.1")), one_client(ip("192.0.2.2")));
        assert_eq!(one_client(ip("::ffff:192.0.2.1")), ip("192.0.2.1"));
    }
}
