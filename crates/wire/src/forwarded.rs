//! Who the client is behind trusted proxies: `X-Forwarded-For` and `Forwarded` (RFC 7239), read from the right.
//!
//! It never believes a word that a trusted proxy did not write. Every proxy appends the address that it saw, so the
//! last element is the word of the peer, the one before it the word of the address in the last element, and so on:
//! an element counts only while all that stand to the right of it, and the peer, are trusted. The bytes themselves
//! are read from their end, so nothing that a client put in front can change how the rest is cut into elements.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// How many elements are read. A longer chain of trusted proxies is a loop, or not a chain of proxies.
pub const MAX_HOPS: usize = 32;

/// How the header is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Syntax {
    /// `X-Forwarded-For: 192.0.2.1, 2001:db8::1`
    XForwardedFor,
    /// `Forwarded: for=192.0.2.1;proto=https, for="[2001:db8::1]:47011"`
    Forwarded,
}

/// The address that a request is held to, and how far it was followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client {
    /// The address; IPv4-mapped ones are folded to IPv4.
    pub address: IpAddr,
    /// How many elements of the header were believed; 0 when the address is the peer's own.
    pub hops: usize,
}

/// Follows the header from the peer towards the client.
///
/// `values` are the values of all fields of that name in the order in which they appear.
///
/// The answer is the first address from the right that is not trusted. The walk ends earlier at the first element
/// that names no address (malformed, empty, `unknown`, obfuscated): then it is the last trusted address to the right
/// of that element, because a proxy that hides its client answers for it. It also ends behind the leftmost element
/// and after [`MAX_HOPS`]. For a peer that is not trusted the answer is the peer, whatever the header says.
pub fn client<'a, I>(peer: IpAddr, syntax: Syntax, values: I, trusted: impl Fn(IpAddr) -> bool) -> Client
where
    I: IntoIterator<Item = &'a [u8]>,
    I::IntoIter: DoubleEndedIterator,
{
    let mut client = Client { address: peer.to_canonical(), hops: 0 };
    if !trusted(client.address) {
        return client;
    }
    let elements = values.into_iter().rev().flat_map(|value| ElementsFromRight { rest: Some(value), syntax });
    for element in elements.take(MAX_HOPS) {
        let named = match syntax {
            Syntax::XForwardedFor => node(element),
            Syntax::Forwarded => for_parameter(element),
        };
        let Some(address) = named else { break };
        client = Client { address, hops: client.hops + 1 };
        if !trusted(address) {
            break;
        }
    }
    client
}

/// The elements of one field value, last one first. Every byte is looked at once.
struct ElementsFromRight<'a> {
    /// What is left of the elements given out so far; `None` behind the first one.
    rest: Option<&'a [u8]>,
    syntax: Syntax,
}

impl<'a> Iterator for ElementsFromRight<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.rest?;
        let comma = match self.syntax {
            Syntax::XForwardedFor => rest.iter().rposition(|byte| *byte == b','),
            Syntax::Forwarded => last_comma_outside_quotes(rest),
        };
        let (before, element) = match comma {
            Some(comma) => (rest.get(..comma), rest.get(comma + 1..)?),
            None => (None, rest),
        };
        self.rest = before;
        Some(element.trim_ascii())
    }
}

/// Scans from the end: a quote opens (closes, in reading order) a quoted string unless a backslash escapes it.
fn last_comma_outside_quotes(bytes: &[u8]) -> Option<usize> {
    let mut quoted = false;
    let mut at = bytes.len();
    while let Some(before) = at.checked_sub(1) {
        at = before;
        match bytes.get(at)? {
            b',' if !quoted => return Some(at),
            b'"' if !quoted => quoted = true,
            b'"' => {
                let escapes = bytes.get(..at)?.iter().rev().take_while(|byte| **byte == b'\\').count();
                quoted = escapes % 2 == 1;
                at -= escapes;
            }
            _ => {}
        }
    }
    None
}

/// The address in the one `for` parameter of a `forwarded-element` (RFC 7239 section 4).
fn for_parameter(element: &[u8]) -> Option<IpAddr> {
    let mut found = None;
    let mut rest = element;
    loop {
        let (pair, more) = next_pair(rest)?;
        if !pair.is_empty() {
            let equals = pair.iter().position(|byte| *byte == b'=')?;
            let (name, value) = (pair.get(..equals)?, pair.get(equals + 1..)?);
            if name.eq_ignore_ascii_case(b"for") {
                // Twice in one element is malformed (section 4): which of them is meant is anybody's guess.
                if found.is_some() {
                    return None;
                }
                found = Some(unquote(value).and_then(node)?);
            }
        }
        match more {
            Some(more) => rest = more,
            None => return found,
        }
    }
}

/// The first `name=value` and what stands behind its semicolon; `None` when a quoted string does not end.
fn next_pair(bytes: &[u8]) -> Option<(&[u8], Option<&[u8]>)> {
    let mut quoted = false;
    let mut escaped = false;
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b';' if !quoted => return Some((bytes.get(..at)?.trim_ascii(), Some(bytes.get(at + 1..)?))),
            _ => {}
        }
    }
    (!quoted).then(|| (bytes.trim_ascii(), None))
}

/// A token as it is, or the inside of a quoted string. No address needs an escape, so one is not read.
fn unquote(value: &[u8]) -> Option<&[u8]> {
    let inside = match value {
        [b'"', inside @ .., b'"'] => inside,
        token => token,
    };
    (!inside.iter().any(|byte| matches!(byte, b'"' | b'\\'))).then_some(inside)
}

/// An address with or without a port: `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:80`.
///
/// IPv6 without brackets is not RFC 7239, but what `X-Forwarded-For` holds in practice.
fn node(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    if let Some(bracketed) = text.strip_prefix('[') {
        let (address, port) = bracketed.split_once(']')?;
        let port = if port.is_empty() { None } else { Some(port.strip_prefix(':')?) };
        let address: Ipv6Addr = address.parse().ok()?;
        return port.is_none_or(is_port).then(|| IpAddr::V6(address).to_canonical());
    }
    match text.split_once(':') {
        Some((address, port)) if !port.contains(':') => {
            let address: Ipv4Addr = address.parse().ok()?;
            is_port(port).then_some(IpAddr::V4(address))
        }
        _ => text.parse::<IpAddr>().ok().map(|address| address.to_canonical()),
    }
}

/// One to five digits, or an obfuscated port (RFC 7239 section 6.3).
fn is_port(text: &str) -> bool {
    match text.strip_prefix('_') {
        Some(name) => {
            !name.is_empty()
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
        }
        None => (1..=5).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect(text)
    }

    /// 10.0.0.0/8 and fd00::/8.
    fn trusted(address: IpAddr) -> bool {
        match address {
            IpAddr::V4(v4) => v4.octets()[0] == 10,
            IpAddr::V6(v6) => v6.octets()[0] == 0xFD,
        }
    }

    #[test]
    fn chains_are_followed_from_the_right() {
        let cases = include_str!("../../../specs/wire/forwarded.txt");
        let mut seen = 0;
        for case in cases.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let mut parts = case.split(" | ").map(str::trim);
            let mut part = || parts.next().expect(case);
            let (name, peer, expected) = (part(), ip(part()), part());
            let (syntax, fields) = case.split_once(" | x ").map_or_else(
                || (Syntax::Forwarded, case.split_once(" | f ").expect(case).1),
                |(_, fields)| (Syntax::XForwardedFor, fields),
            );
            let values = fields.split("\\n").map(|value| value.trim_matches(['<', '>']).as_bytes());
            let found = client(peer, syntax, values.collect::<Vec<_>>(), trusted);
            assert_eq!(format!("{} after {}", found.address, found.hops), expected, "{name}");
            seen += 1;
        }
        assert!(seen > 40, "the table was read");
    }

    #[test]
    fn a_chain_is_followed_only_so_far() {
        let mut value = "203.0.113.7, ".to_owned();
        value.push_str(&vec!["10.0.0.1"; MAX_HOPS].join(","));
        let found = client(ip("10.9.9.9"), Syntax::XForwardedFor, [value.as_bytes()], trusted);
        assert_eq!(found, Client { address: ip("10.0.0.1"), hops: MAX_HOPS });
    }

    fn any_ip() -> impl Strategy<Value = IpAddr> {
        prop_oneof![
            any::<u32>().prop_map(|bits| IpAddr::V4(bits.into())),
            any::<u128>().prop_map(|bits| IpAddr::V6(bits.into())),
        ]
    }

    /// What a liar would write: bytes that mean something to the reader, in any order, and any others.
    fn garbage() -> impl Strategy<Value = Vec<u8>> {
        let pieces = prop_oneof![
            4 => proptest::sample::select(vec![
                ",", "\"", "\\", ";", "for=", "for=\"", "For=10.0.0.1", "10.0.0.1", "203.0.113.66", "[", "]", ":80", " ",
                "[2001:db8::66]", "for=\"[2001:db8::66]\"", "unknown", "_hidden", "=", "proto=https", "for=203.0.113.66,",
            ]).prop_map(|piece| piece.as_bytes().to_vec()),
            1 => proptest::collection::vec(any::<u8>(), 0..4),
        ];
        proptest::collection::vec(pieces, 0..24).prop_map(|pieces| pieces.concat())
    }

    fn syntax() -> impl Strategy<Value = Syntax> {
        prop_oneof![Just(Syntax::XForwardedFor), Just(Syntax::Forwarded)]
    }

    /// An address as a proxy writes it.
    fn written(address: IpAddr, syntax: Syntax, port: Option<u16>) -> String {
        let node = match (address, port) {
            (IpAddr::V4(v4), Some(port)) => format!("{v4}:{port}"),
            (IpAddr::V4(v4), None) => v4.to_string(),
            (IpAddr::V6(v6), Some(port)) => format!("[{v6}]:{port}"),
            (IpAddr::V6(v6), None) => format!("[{v6}]"),
        };
        match syntax {
            Syntax::XForwardedFor => node,
            Syntax::Forwarded => format!("by=_gate;for=\"{node}\";proto=https"),
        }
    }

    proptest! {
        #[test]
        fn an_untrusted_peer_is_the_client_whatever_it_says(
            peer in any_ip(), syntax in syntax(), values in proptest::collection::vec(garbage(), 0..4),
        ) {
            prop_assume!(!trusted(peer.to_canonical()));
            let found = client(peer, syntax, values.iter().map(Vec::as_slice), trusted);
            prop_assert_eq!(found, Client { address: peer.to_canonical(), hops: 0 });
        }

        #[test]
        fn what_the_client_wrote_has_no_influence(
            syntax in syntax(), client_address in any_ip(), port in any::<Option<u16>>(),
            hops in proptest::collection::vec(0u8..=255, 0..5),
            earlier in proptest::collection::vec(garbage(), 0..3), same_line in proptest::option::of(garbage()),
        ) {
            let client_address = client_address.to_canonical();
            prop_assume!(!trusted(client_address));
            let chain: Vec<String> = std::iter::once(client_address)
                .chain(hops.iter().map(|hop| IpAddr::from([10, 0, 0, *hop])))
                .map(|address| written(address, syntax, port))
                .collect();
            let mut last = same_line.map(|mut line| { line.push(b','); line }).unwrap_or_default();
            last.extend(chain.join(", ").bytes());
            let values: Vec<&[u8]> = earlier.iter().map(Vec::as_slice).chain([last.as_slice()]).collect();
            let found = client(ip("10.1.1.1"), syntax, values, trusted);
            prop_assert_eq!(found, Client { address: client_address, hops: hops.len() + 1 });
        }

        #[test]
        fn lines_are_one_list(syntax in syntax(), left in garbage(), right in garbage()) {
            // RFC 9110 section 5.3, as long as no quoted string spans the seam.
            prop_assume!(syntax == Syntax::XForwardedFor || !right.contains(&b'"'));
            let joined = [left.as_slice(), b",", right.as_slice()].concat();
            prop_assert_eq!(
                client(ip("10.1.1.1"), syntax, [left.as_slice(), right.as_slice()], trusted),
                client(ip("10.1.1.1"), syntax, [joined.as_slice()], trusted)
            );
        }
    }
}
