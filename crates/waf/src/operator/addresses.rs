//! `@ipMatch` and `@ipMatchFromFile`: whether an address is in one of many networks.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A set of addresses and networks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Addresses {
    /// Inclusive ranges, ascending and apart.
    v4: Vec<(u32, u32)>,
    v6: Vec<(u128, u128)>,
}

/// What is no address and no network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoAddress(pub Box<str>);

impl Addresses {
    /// Reads addresses (`192.0.2.1`, `2001:db8::1`) and networks (`192.0.2.0/24`, `2001:db8::/32`); bits of an address beyond
    /// its prefix do not count.
    ///
    /// # Errors
    ///
    /// The first that is neither.
    pub fn parse<S: AsRef<str>>(texts: &[S]) -> Result<Self, NoAddress> {
        let mut set = Self::default();
        for text in texts {
            set.insert(text.as_ref()).ok_or_else(|| NoAddress(text.as_ref().into()))?;
        }
        merge(&mut set.v4, |end| end.checked_add(1));
        merge(&mut set.v6, |end| end.checked_add(1));
        Ok(set)
    }

    fn insert(&mut self, text: &str) -> Option<()> {
        let (address, prefix) = match text.trim().split_once('/') {
            Some((address, prefix)) if prefix.len() <= 3 && prefix.bytes().all(|byte| byte.is_ascii_digit()) => {
                (address, Some(prefix.parse::<u32>().ok()?))
            }
            Some(_) => return None,
            None => (text.trim(), None),
        };
        match address.parse().ok()? {
            IpAddr::V4(address) => {
                let rest = u32::MAX.checked_shr(prefix.filter(|&bits| bits <= 32).or(prefix.is_none().then_some(32))?);
                let (address, rest) = (u32::from(address), rest.unwrap_or(0));
                self.v4.push((address & !rest, address | rest));
            }
            IpAddr::V6(address) => {
                let rest =
                    u128::MAX.checked_shr(prefix.filter(|&bits| bits <= 128).or(prefix.is_none().then_some(128))?);
                let (address, rest) = (u128::from(address), rest.unwrap_or(0));
                self.v6.push((address & !rest, address | rest));
            }
        }
        Some(())
    }

    /// Whether an address is in it.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => within(&self.v4, u32::from(address)),
            IpAddr::V6(address) => within(&self.v6, u128::from(address)),
        }
    }

    /// Whether a value is an address, as text, that is in it.
    #[must_use]
    pub fn contains_text(&self, value: &[u8]) -> bool {
        let Ok(text) = std::str::from_utf8(value) else { return false };
        text.parse::<Ipv4Addr>()
            .map(IpAddr::V4)
            .or_else(|_| text.parse::<Ipv6Addr>().map(IpAddr::V6))
            .is_ok_and(|address| self.contains(address))
    }
}

/// Sorts ranges and joins those that meet; `next` is what comes after an end.
fn merge<T: Ord + Copy>(ranges: &mut Vec<(T, T)>, next: impl Fn(T) -> Option<T>) {
    ranges.sort_unstable();
    ranges.dedup_by(|later, earlier| {
        let joined = next(earlier.1).is_none_or(|next| later.0 <= next);
        if joined {
            earlier.1 = earlier.1.max(later.1);
        }
        joined
    });
}

fn within<T: Ord + Copy>(ranges: &[(T, T)], value: T) -> bool {
    let before = ranges.partition_point(|&(start, _)| start <= value);
    before.checked_sub(1).and_then(|at| ranges.get(at)).is_some_and(|&(_, end)| value <= end)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn tells_networks() {
        let set = Addresses::parse(&["10.1.2.3/8", "192.0.2.1", "2001:db8::/32", "::1", "0.0.0.0/32"]).unwrap();
        for inside in ["10.255.0.1", "192.0.2.1", "2001:db8:ffff::", "0:0:0:0:0:0:0:1", "0.0.0.0"] {
            assert!(set.contains_text(inside.as_bytes()), "{inside}");
        }
        for outside in
            ["11.0.0.0", "192.0.2.2", "2001:db9::", "::2", "::ffff:10.0.0.1", "10.1", "", " 10.1.2.3", "\u{ff}"]
        {
            assert!(!set.contains_text(outside.as_bytes()), "{outside}");
        }
        let all = Addresses::parse(&["0.0.0.0/0", "255.255.255.255", "::/0"]).unwrap();
        assert!(all.contains_text(b"255.255.255.255") && all.contains_text(b"ffff::"));
    }

    #[test]
    fn refuses_what_is_no_network() {
        for text in ["", "10.0.0", "10.0.0.0/33", "10.0.0.0/+8", "10.0.0.0/255.0.0.0", "::/129", "host", "1.2.3.4-5"] {
            assert_eq!(Addresses::parse(&[text]), Err(NoAddress(text.into())), "{text}");
        }
    }

    proptest! {
        #[test]
        fn agrees_with_comparing_bits(networks: Vec<(u8, u8)>, address: u8) {
            // Networks within 192.0.2.0/24, so that they meet.
            let texts: Vec<String> =
                networks.iter().map(|(low, bits)| format!("192.0.2.{low}/{}", 24 + bits % 9)).collect();
            let set = Addresses::parse(&texts).unwrap();
            let naive = networks.iter().any(|(low, bits)| (low ^ address).checked_shr(8 - u32::from(bits % 9)).unwrap_or(0) == 0);
            prop_assert_eq!(set.contains(IpAddr::V4(Ipv4Addr::new(192, 0, 2, address))), naive);
        }
    }
}
