//! Who is asking, as far as the wire can tell.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The address that a request is held to: the socket's, or the one that a trusted proxy vouched for.
///
/// IPv4-mapped IPv6 addresses are folded to IPv4, so one client has one key whichever socket accepted it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientAddr(IpAddr);

impl ClientAddr {
    /// Folds IPv4-mapped addresses; anything else is kept.
    #[must_use]
    pub fn new(address: IpAddr) -> Self {
        Self(address.to_canonical())
    }

    /// The address.
    #[must_use]
    pub const fn ip(self) -> IpAddr {
        self.0
    }

    /// The network that one subscriber is usually given: /24 for IPv4, /56 for IPv6 (RIPE-690).
    #[must_use]
    pub fn prefix(self) -> Prefix {
        match self.0 {
            IpAddr::V4(_) => Prefix::new(self.0, 24),
            IpAddr::V6(_) => Prefix::new(self.0, 56),
        }
    }
}

impl fmt::Display for ClientAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A network in CIDR form; the bits behind the length are always zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    network: IpAddr,
    length: u8,
}

impl Prefix {
    /// The network of `length` bits that holds `address`; the length is cut to the address family's.
    #[must_use]
    pub fn new(address: IpAddr, length: u8) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => {
                let length = length.min(32);
                let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
                Self { network: Ipv4Addr::from_bits(v4.to_bits() & mask).into(), length }
            }
            IpAddr::V6(v6) => {
                let length = length.min(128);
                let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
                Self { network: Ipv6Addr::from_bits(v6.to_bits() & mask).into(), length }
            }
        }
    }

    /// `192.0.2.0/24`, `2001:db8::/32`, or an address alone, which stands for itself.
    ///
    /// # Errors
    /// In words, when the text is neither, or when bits are set behind the length (a likely typing error).
    pub fn parse(text: &str) -> Result<Self, String> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| format!("`{address}` is not an IP address"))?;
        let longest: u8 = if address.is_ipv4() { 32 } else { 128 };
        let length = match length {
            None => longest,
            Some(length) => length
                .parse::<u8>()
                .ok()
                .filter(|length| *length <= longest)
                .ok_or_else(|| format!("`/{length}` is not a prefix length from 0 to {longest}"))?,
        };
        let prefix = Self::new(address, length);
        if prefix.network != address.to_canonical() {
            return Err(format!("`{text}` has bits behind its length; the network is `{prefix}`"));
        }
        Ok(prefix)
    }

    /// Whether the network holds `address`.
    #[must_use]
    pub fn contains(self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.network.is_ipv4() && Self::new(address, self.length).network == self.network
    }

    /// The network's first address.
    #[must_use]
    pub const fn network(self) -> IpAddr {
        self.network
    }

    /// How many bits the network fixes.
    #[must_use]
    pub const fn length(self) -> u8 {
        self.length
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_hold_what_they_say() {
        let table: &[(&str, &str, bool)] = &[
            ("192.0.2.0/24", "192.0.2.255", true),
            ("192.0.2.0/24", "192.0.3.0", false),
            ("0.0.0.0/0", "203.0.113.9", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("2001:db8::/32", "2001:db8:ffff::", true),
            ("192.0.2.7", "::ffff:192.0.2.7", true),
            ("::/0", "2001:db8::1", true),
        ];
        for (network, address, expected) in table {
            let prefix = Prefix::parse(network).expect(network);
            assert_eq!(prefix.contains(address.parse().expect(address)), *expected, "{network} {address}");
        }
    }

    #[test]
    fn typing_errors_are_named() {
        for text in ["192.0.2.1/24", "192.0.2.0/33", "example.org", "", "10.0.0.0/", "::1/129"] {
            assert!(Prefix::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn mapped_addresses_are_one_client() {
        let mapped = ClientAddr::new("::ffff:192.0.2.7".parse().expect("an address"));
        assert_eq!(mapped, ClientAddr::new("192.0.2.7".parse().expect("an address")));
        assert_eq!(mapped.prefix().to_string(), "192.0.2.0/24");
    }
}
