//! The PROXY protocol, versions 1 and 2: the address that a load balancer writes in front of a connection.
//!
//! It never decides who may send one: the caller has checked that the sender is trusted. The specification is
//! haproxy's `doc/proxy-protocol.txt`; where it leaves a choice, the strict reading is taken.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::read::{Cursor, Read};

/// The longest line of version 1, CRLF included (section 2.1).
pub const V1_MAX: usize = 107;
/// The longest header of version 2. The specification asks receivers for 16 + 536; vendors' TLVs need some more.
pub const V2_MAX: usize = 16 + 2048;

const V1_PREFIX: &[u8] = b"PROXY ";
const V2_SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
const V2_FIXED: usize = 16;
const TLV_CRC32C: u8 = 0x03;

/// What the sender said about the connection that it carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// How many bytes the header took; the client's own bytes begin behind them.
    pub consumed: usize,
    /// The client. `None` when the sender does not know, or the client came by something other than TCP over IP.
    pub source: Option<SocketAddr>,
    /// The address that the client connected to; known exactly when the source is.
    pub destination: Option<SocketAddr>,
    /// The sender opened the connection on its own behalf (a health check); version 2 only.
    pub local: bool,
}

/// Reads the header at the front of `bytes`.
pub fn read(bytes: &[u8]) -> Read<Header> {
    let whole = match bytes.first() {
        None => return Read::Incomplete,
        Some(b'P') => version_1(bytes),
        Some(b'\r') => version_2(bytes),
        Some(_) => Err("not a PROXY header"),
    };
    match whole {
        Ok(None) => Read::Incomplete,
        Ok(Some(header)) => Read::Done(header),
        Err(why) => Read::Invalid(why),
    }
}

type Progress = Result<Option<Header>, &'static str>;

fn version_1(bytes: &[u8]) -> Progress {
    if !agrees(bytes, V1_PREFIX) {
        return Err("not a PROXY header");
    }
    let window = bytes.get(..V1_MAX).unwrap_or(bytes);
    let Some(end) = window.iter().position(|byte| matches!(byte, b'\r' | b'\n')) else {
        return if window.len() < V1_MAX { Ok(None) } else { Err("a version 1 line longer than 107 bytes") };
    };
    let (line, ending) = window.split_at(end);
    match ending {
        [b'\r', b'\n', ..] => {}
        [b'\r'] if window.len() < V1_MAX => return Ok(None),
        [b'\r'] => return Err("a version 1 line longer than 107 bytes"),
        _ => return Err("a version 1 line that does not end with CRLF"),
    }
    let fields = line.strip_prefix(V1_PREFIX).ok_or("not a PROXY header")?;
    let consumed = end + 2;
    if fields == b"UNKNOWN" || fields.starts_with(b"UNKNOWN ") {
        return Ok(Some(Header { consumed, source: None, destination: None, local: false }));
    }
    let fields = std::str::from_utf8(fields).map_err(|_| "a version 1 line that is not ASCII")?;
    let mut fields = fields.split(' ');
    let mut field = || fields.next().ok_or("a version 1 line with too few fields");
    let family = field()?;
    let (source, destination) = (field()?, field()?);
    let (source_port, destination_port) = (port(field()?)?, port(field()?)?);
    if fields.next().is_some() {
        return Err("a version 1 line with too many fields");
    }
    let address = |text: &str| -> Result<IpAddr, &'static str> {
        match family {
            "TCP4" => text.parse::<Ipv4Addr>().map(IpAddr::V4),
            "TCP6" => text.parse::<Ipv6Addr>().map(IpAddr::V6),
            _ => return Err("a version 1 line with an unknown family"),
        }
        .map_err(|_| "a version 1 line with an address that is not one of its family")
    };
    Ok(Some(Header {
        consumed,
        source: Some(SocketAddr::new(address(source)?, source_port)),
        destination: Some(SocketAddr::new(address(destination)?, destination_port)),
        local: false,
    }))
}

/// A decimal number from 0 to 65535 without sign or leading zeros.
fn port(text: &str) -> Result<u16, &'static str> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| plain).ok_or("a version 1 line with a port that is not one")
}

fn version_2(bytes: &[u8]) -> Progress {
    if !agrees(bytes, V2_SIGNATURE) {
        return Err("not a PROXY header");
    }
    // Each byte is judged as soon as it is there: a sender that is wrong is not waited for.
    let version_and_command = bytes.get(12).copied();
    if version_and_command.is_some_and(|byte| !matches!(byte, 0x20 | 0x21)) {
        return Err("a version 2 header with an unknown version or command");
    }
    let family = bytes.get(13).copied();
    if family.is_some_and(|byte| !matches!(byte, 0x00 | 0x11 | 0x12 | 0x21 | 0x22 | 0x31 | 0x32)) {
        return Err("a version 2 header with an unknown family or transport");
    }
    let (Some(version_and_command), Some(family), Some(length)) =
        (version_and_command, family, bytes.get(14..V2_FIXED))
    else {
        return Ok(None);
    };
    let length = length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
    let consumed = V2_FIXED + length;
    if consumed > V2_MAX {
        return Err("a version 2 header longer than its bound");
    }
    let addresses: usize = match family >> 4 {
        0x1 => 12,
        0x2 => 36,
        0x3 => 216,
        _ => 0,
    };
    let local = version_and_command == 0x20;
    if !local && length < addresses {
        return Err("a version 2 header too short for its addresses");
    }
    let Some(header) = bytes.get(..consumed) else {
        return Ok(None);
    };
    if local {
        // Section 2.2: the receiver must ignore everything behind the length.
        return Ok(Some(Header { consumed, source: None, destination: None, local }));
    }
    let mut rest = Cursor(header.get(V2_FIXED..).unwrap_or_default());
    let block = rest.take(addresses).ok_or("a version 2 header too short for its addresses")?;
    check_tlvs(header, rest.0)?;
    let pair = match family {
        0x11 => pair::<4>(block),
        0x21 => pair::<16>(block),
        // Unspecified, a Unix socket, or datagrams, which a stream cannot carry: the sender vouches for no address.
        _ => None,
    };
    let (source, destination) = pair.unzip();
    Ok(Some(Header { consumed, source, destination, local }))
}

/// Both addresses, then both ports.
fn pair<const N: usize>(block: &[u8]) -> Option<(SocketAddr, SocketAddr)>
where
    IpAddr: From<[u8; N]>,
{
    let mut block = Cursor(block);
    let (source, destination) = (block.array::<N>()?, block.array::<N>()?);
    let (source_port, destination_port) = (block.u16()?, block.u16()?);
    Some((SocketAddr::new(source.into(), source_port), SocketAddr::new(destination.into(), destination_port)))
}

/// TLVs are skipped, but they must fill their space exactly, and a checksum among them must be right.
fn check_tlvs(header: &[u8], tlvs: &[u8]) -> Result<(), &'static str> {
    let mut rest = Cursor(tlvs);
    while !rest.is_empty() {
        let (kind, value) =
            rest.u8().zip(rest.run16()).ok_or("a version 2 header with a TLV that runs beyond its end")?;
        if kind != TLV_CRC32C {
            continue;
        }
        let expected: [u8; 4] = value.try_into().map_err(|_| "a version 2 checksum that is not four bytes")?;
        let behind = rest.0.len();
        let (front, back) = (header.len() - behind - 4, header.len() - behind);
        // The sum is taken with its own field set to zero (section 2.2.4).
        let mut sum = Crc32c::new();
        sum.add(header.get(..front).unwrap_or_default());
        sum.add(&[0; 4]);
        sum.add(header.get(back..).unwrap_or_default());
        if sum.value() != u32::from_be_bytes(expected) {
            return Err("a version 2 checksum that does not match");
        }
    }
    Ok(())
}

/// Whether one is a prefix of the other: wrong bytes are refused before the rest has come.
fn agrees(bytes: &[u8], expected: &[u8]) -> bool {
    bytes.iter().zip(expected).all(|(left, right)| left == right)
}

/// CRC-32C (Castagnoli), bit by bit: at most `V2_MAX` bytes once a connection do not earn a table.
struct Crc32c(u32);

impl Crc32c {
    const fn new() -> Self {
        Self(u32::MAX)
    }

    fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 ^= u32::from(*byte);
            for _ in 0..8 {
                self.0 = (self.0 >> 1) ^ (0x82F6_3B78 & (self.0 & 1).wrapping_neg());
            }
        }
    }

    const fn value(&self) -> u32 {
        !self.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn socket(text: &str) -> SocketAddr {
        text.parse().expect(text)
    }

    fn v2(command: u8, family: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = V2_SIGNATURE.to_vec();
        bytes.extend([command, family]);
        bytes.extend(u16::try_from(payload.len()).expect("short").to_be_bytes());
        bytes.extend(payload);
        bytes
    }

    fn addresses(source: SocketAddr, destination: SocketAddr) -> Vec<u8> {
        let mut block = Vec::new();
        for address in [source, destination] {
            match address.ip() {
                IpAddr::V4(v4) => block.extend(v4.octets()),
                IpAddr::V6(v6) => block.extend(v6.octets()),
            }
        }
        block.extend(source.port().to_be_bytes());
        block.extend(destination.port().to_be_bytes());
        block
    }

    fn with_checksum(mut payload: Vec<u8>) -> Vec<u8> {
        payload.extend([TLV_CRC32C, 0, 4, 0, 0, 0, 0]);
        let mut bytes = v2(0x21, 0x11, &payload);
        let mut sum = Crc32c::new();
        sum.add(&bytes);
        let at = bytes.len() - 4;
        bytes[at..].copy_from_slice(&sum.value().to_be_bytes());
        bytes
    }

    #[test]
    fn version_1_lines() {
        let cases = include_str!("../../../specs/wire/proxy-v1.txt");
        let mut seen = 0;
        for case in cases.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (line, expected) = case.split_once(" => ").expect(case);
            let bytes = line.replace("\\r", "\r").replace("\\n", "\n").replace("\\t", "\t").into_bytes();
            let found = match read(&bytes) {
                Read::Incomplete => "incomplete".to_owned(),
                Read::Invalid(why) => format!("invalid: {why}"),
                Read::Done(Header { source: Some(source), destination: Some(destination), consumed, .. }) => {
                    assert_eq!(consumed, bytes.len(), "{case}");
                    format!("{source} {destination}")
                }
                Read::Done(_) => "unknown".to_owned(),
            };
            assert_eq!(found, expected, "{case}");
            seen += 1;
        }
        assert!(seen > 20, "the table was read");
    }

    #[test]
    fn a_version_1_line_is_bounded() {
        let mut longest = b"PROXY UNKNOWN ".to_vec();
        longest.resize(V1_MAX - 2, b'x');
        longest.extend(b"\r\n");
        assert_eq!(longest.len(), V1_MAX);
        assert!(matches!(read(&longest), Read::Done(Header { consumed: V1_MAX, source: None, .. })));
        longest.insert(20, b'x');
        assert!(matches!(read(&longest), Read::Invalid(_)));
        assert!(matches!(read(&longest[..V1_MAX]), Read::Invalid(_)), "nothing more is waited for");
    }

    #[test]
    fn version_2_headers() {
        let v4 = addresses(socket("192.0.2.1:56324"), socket("192.0.2.2:443"));
        let v6 = addresses(socket("[2001:db8::1]:56324"), socket("[2001:db8::2]:443"));
        let tlv = [v4.clone(), vec![0x04, 0, 2, 0, 0]].concat();
        let long = [v4.clone(), [&[0xEE, 0x07, 0xF1][..], &[0; 0x7F1]].concat()].concat();
        type Case<'a> = (&'static str, u8, u8, &'a [u8], Option<&'static str>);
        let cases: &[Case<'_>] = &[
            ("TCP over IPv4", 0x21, 0x11, &v4, Some("192.0.2.1:56324")),
            ("TCP over IPv6", 0x21, 0x21, &v6, Some("[2001:db8::1]:56324")),
            ("with a TLV", 0x21, 0x11, &tlv, Some("192.0.2.1:56324")),
            ("as long as it may be", 0x21, 0x11, &long, Some("192.0.2.1:56324")),
            ("datagrams", 0x21, 0x12, &v4, None),
            ("unspecified", 0x21, 0x00, b"", None),
            ("a Unix socket", 0x21, 0x31, &[0; 216], None),
            ("a health check", 0x20, 0x11, &v4, None),
            ("a health check with an address cut short", 0x20, 0x11, b"abc", None),
        ];
        for (name, command, family, payload, source) in cases {
            let mut bytes = v2(*command, *family, payload);
            let consumed = bytes.len();
            bytes.extend(b"GET / HTTP/1.1\r\n");
            let header = read(&bytes).done().expect(name);
            assert_eq!(header.consumed, consumed, "{name}");
            assert_eq!(header.source, source.map(socket), "{name}");
            assert_eq!(header.source.is_some(), header.destination.is_some(), "{name}");
            assert_eq!(header.local, *command == 0x20, "{name}");
        }
    }

    #[test]
    fn version_2_headers_that_are_wrong() {
        let v4 = addresses(socket("192.0.2.1:56324"), socket("192.0.2.2:443"));
        let cases: &[(&str, Vec<u8>)] = &[
            ("version 1 in a version 2 header", v2(0x11, 0x11, &v4)),
            ("an unknown command", v2(0x22, 0x11, &v4)),
            ("an unknown family", v2(0x21, 0x41, &v4)),
            ("a family without a transport", v2(0x21, 0x10, &v4)),
            ("a transport without a family", v2(0x21, 0x01, &v4)),
            ("addresses cut short", v2(0x21, 0x21, &v4)),
            ("no addresses", v2(0x21, 0x11, b"")),
            ("a TLV cut short", v2(0x21, 0x11, &[v4.clone(), vec![0x04]].concat())),
            ("a TLV beyond the end", v2(0x21, 0x11, &[v4.clone(), vec![0x04, 0, 3, 0, 0]].concat())),
            ("longer than the bound", v2(0x21, 0x11, &vec![0; V2_MAX - V2_FIXED + 1])),
            ("a checksum of two bytes", v2(0x21, 0x11, &[v4.clone(), vec![TLV_CRC32C, 0, 2, 0, 0]].concat())),
            ("a wrong signature", b"\r\n\r\n\0\r\nQUIX\n".to_vec()),
            ("HTTP", b"GET / HTTP/1.1\r\n".to_vec()),
            ("TLS", vec![0x16, 0x03, 0x01]),
        ];
        for (name, bytes) in cases {
            assert!(matches!(read(bytes), Read::Invalid(_)), "{name}: {:?}", read(bytes));
        }
    }

    #[test]
    fn checksums_are_checked() {
        let mut sum = Crc32c::new();
        sum.add(b"123456789");
        assert_eq!(sum.value(), 0xE306_9283, "the check value of CRC-32C");

        let right = with_checksum(addresses(socket("192.0.2.1:1"), socket("192.0.2.2:2")));
        assert!(matches!(read(&right), Read::Done(_)));
        // All but the TLV's type: without it there is no checksum to check.
        for at in (V2_FIXED..right.len()).filter(|at| *at != right.len() - 7) {
            let mut wrong = right.clone();
            wrong[at] ^= 0x01;
            assert!(matches!(read(&wrong), Read::Invalid(_)), "byte {at}");
        }
    }

    /// What every reader of a prefix owes: the answer of a prefix stands, and waiting has an end.
    fn prefixes_agree(bytes: &[u8]) {
        let whole = read(bytes);
        for end in 0..=bytes.len() {
            match read(&bytes[..end]) {
                Read::Incomplete => assert!(end < V2_MAX),
                early => assert_eq!(early, whole),
            }
        }
    }

    fn any_socket(v6: bool) -> impl Strategy<Value = SocketAddr> {
        (any::<u128>(), any::<u16>()).prop_map(move |(bits, port)| {
            let ip: IpAddr = if v6 {
                Ipv6Addr::from_bits(bits).into()
            } else {
                Ipv4Addr::from_bits(u32::try_from(bits & 0xFFFF_FFFF).expect("masked")).into()
            };
            SocketAddr::new(ip, port)
        })
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prefixes_agree(&bytes);
        }

        #[test]
        fn nearly_right_bytes_are_answered(
            start in prop_oneof![Just(b"PROXY TCP4 ".to_vec()), Just(b"PROXY UNKNOWN".to_vec()), Just(v2(0x21, 0x11, b""))],
            tail in proptest::collection::vec(prop_oneof![any::<u8>(), Just(b' '), Just(b'\r'), Just(b'\n')], 0..160),
        ) {
            prefixes_agree(&[start, tail].concat());
        }

        #[test]
        fn what_is_written_is_read(
            (v6, source, destination) in any::<bool>().prop_flat_map(|v6| (Just(v6), any_socket(v6), any_socket(v6))),
            one in any::<bool>(),
            tail in proptest::collection::vec(any::<u8>(), 0..20),
        ) {
            let mut bytes = if one {
                let family = if v6 { "TCP6" } else { "TCP4" };
                let (from, to) = (source.ip(), destination.ip());
                format!("PROXY {family} {from} {to} {} {}\r\n", source.port(), destination.port()).into_bytes()
            } else {
                v2(0x21, if v6 { 0x21 } else { 0x11 }, &addresses(source, destination))
            };
            let consumed = bytes.len();
            bytes.extend(tail);
            prop_assert_eq!(
                read(&bytes),
                Read::Done(Header { consumed, source: Some(source), destination: Some(destination), local: false })
            );
        }
    }
}
