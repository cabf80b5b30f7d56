//! The ClientHello, read from the bytes that a socket holds before TLS begins, and its JA4 print.
//!
//! It never takes part in the handshake: the TLS library reads the same bytes again and judges them. Here only
//! lengths are judged, and whatever is ambiguous (an extension twice) is refused. JA4 is FoxIO's TLS client
//! fingerprint, BSD 3-Clause; none of the other JA4+ methods is implemented.

use std::borrow::Cow;
use std::fmt;
use std::net::Ipv4Addr;

use sha2::{Digest, Sha256};

use crate::read::{Cursor, Read};

/// The longest ClientHello body that is read. Real ones, with post-quantum key shares, stay under 3 KiB.
pub const HELLO_BODY_MAX: usize = 16 * 1024;
/// In how many records a ClientHello may come.
pub const HELLO_RECORDS_MAX: usize = 16;
/// How many bytes a caller has to hold at most before [`read_client_hello`] stops asking for more.
pub const HELLO_BYTES_MAX: usize = HANDSHAKE_HEADER + HELLO_BODY_MAX + HELLO_RECORDS_MAX * RECORD_HEADER;

const RECORD_HEADER: usize = 5;
const RECORD_MAX: usize = 1 << 14;
const HANDSHAKE_HEADER: usize = 4;
const HANDSHAKE_RECORD: u8 = 22;
const CLIENT_HELLO: u8 = 1;

const SERVER_NAME: u16 = 0;
const SUPPORTED_GROUPS: u16 = 10;
const SIGNATURE_ALGORITHMS: u16 = 13;
const ALPN: u16 = 16;
const PADDING: u16 = 21;
const PRE_SHARED_KEY: u16 = 41;
const EARLY_DATA: u16 = 42;
const SUPPORTED_VERSIONS: u16 = 43;
const COOKIE: u16 = 44;

/// What a client offers, in the order in which it offers it, GREASE included.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClientHello {
    /// `legacy_version`: 0x0303 for TLS 1.2 and for TLS 1.3.
    pub legacy_version: u16,
    /// The versions of the `supported_versions` extension; empty without it.
    pub supported_versions: Vec<u16>,
    /// The cipher suites.
    pub ciphers: Vec<u16>,
    /// The types of the extensions; none twice.
    pub extensions: Vec<u16>,
    /// The host name, in lower case. `None` without one, and for one that is not a DNS name, such as an address.
    pub sni: Option<String>,
    /// The signature algorithms.
    pub signature_algorithms: Vec<u16>,
    /// The named groups.
    pub groups: Vec<u16>,
    /// The list of the ALPN extension as it was sent: kept flat, so that it cannot grow in memory.
    alpn: Vec<u8>,
}

/// Reads the ClientHello at the front of what a client has sent so far, over as many records as it takes.
///
/// Bytes behind the ClientHello are not looked at. `Incomplete` is never the answer to [`HELLO_BYTES_MAX`] bytes.
pub fn read_client_hello(bytes: &[u8]) -> Read<ClientHello> {
    match collect(bytes) {
        Ok(None) => Read::Incomplete,
        Ok(Some(body)) => match parse(&body) {
            Ok(hello) => Read::Done(hello),
            Err(why) => Read::Invalid(why),
        },
        Err(why) => Read::Invalid(why),
    }
}

impl ClientHello {
    /// The protocols of the ALPN extension, most wanted first.
    pub fn alpn(&self) -> impl Iterator<Item = &[u8]> {
        let mut list = Cursor(&self.alpn);
        std::iter::from_fn(move || list.run8())
    }

    /// The JA4 print.
    #[must_use]
    pub fn ja4(&self) -> Ja4 {
        self.print(&[])
    }

    /// The JA4 print of the program's first visit: without the extensions that come and go with the occasion, so that a
    /// browser that resumes a session is the browser that began it.
    #[must_use]
    pub fn stack(&self) -> Ja4 {
        self.print(&[PADDING, PRE_SHARED_KEY, EARLY_DATA, COOKIE])
    }

    fn print(&self, leave_out: &[u16]) -> Ja4 {
        let mut print = *b"t00i000000_000000000000_000000000000";
        let sorted = |list: &[u16], unwanted: &[u16]| {
            let wanted = |value: &u16| !is_grease(*value) && !unwanted.contains(value);
            let mut list: Vec<u16> = list.iter().copied().filter(wanted).collect();
            list.sort_unstable();
            list
        };
        let count = |list: &[u16], leave_out: &[u16]| {
            let counts = |value: &&u16| !is_grease(**value) && !leave_out.contains(*value);
            let count = list.iter().filter(counts).count().min(99);
            [b'0' + u8::try_from(count / 10).unwrap_or(9), b'0' + u8::try_from(count % 10).unwrap_or(9)]
        };
        print[1..3].copy_from_slice(self.version());
        if self.extensions.contains(&SERVER_NAME) {
            print[3] = b'd';
        }
        print[4..6].copy_from_slice(&count(&self.ciphers, &[]));
        print[6..8].copy_from_slice(&count(&self.extensions, leave_out));
        print[8..10].copy_from_slice(&alpn_ends(self.alpn().next().unwrap_or_default()));

        let ciphers = sorted(&self.ciphers, &[]);
        if !ciphers.is_empty() {
            let mut hash = Sha256::new();
            add_list(&mut hash, &ciphers);
            print[11..23].copy_from_slice(&first_twelve(hash));
        }
        let extensions = sorted(&self.extensions, &[&[SERVER_NAME, ALPN], leave_out].concat());
        if !extensions.is_empty() {
            let mut hash = Sha256::new();
            add_list(&mut hash, &extensions);
            let algorithms = self.signature_algorithms.iter().copied().filter(|value| !is_grease(*value));
            let algorithms: Vec<u16> = algorithms.collect();
            if !algorithms.is_empty() {
                hash.update(b"_");
                add_list(&mut hash, &algorithms);
            }
            print[24..36].copy_from_slice(&first_twelve(hash));
        }
        Ja4(print)
    }

    /// The highest version that is offered, as JA4 writes it.
    fn version(&self) -> &'static [u8; 2] {
        let highest = if self.extensions.contains(&SUPPORTED_VERSIONS) {
            self.supported_versions.iter().copied().filter(|version| !is_grease(*version)).max()
        } else {
            Some(self.legacy_version)
        };
        match highest {
            Some(0x0304) => b"13",
            Some(0x0303) => b"12",
            Some(0x0302) => b"11",
            Some(0x0301) => b"10",
            Some(0x0300) => b"s3",
            Some(0x0002) => b"s2",
            _ => b"00",
        }
    }
}

/// A JA4 print, such as `t13d1516h2_8daaf6152771_e5627efa2ab1`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ja4([u8; 36]);

impl AsRef<str> for Ja4 {
    fn as_ref(&self) -> &str {
        // ASCII by construction; an empty print would be the visible sign that this is no longer true.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for Ja4 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_ref())
    }
}

impl fmt::Debug for Ja4 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ja4({self})")
    }
}

/// RFC 8701: 0x0A0A, 0x1A1A, up to 0xFAFA.
fn is_grease(value: u16) -> bool {
    let [high, low] = value.to_be_bytes();
    high == low && low & 0x0F == 0x0A
}

/// The first and the last character of a protocol name, or of its hexadecimal form when either is not alphanumeric.
fn alpn_ends(name: &[u8]) -> [u8; 2] {
    match (name.first(), name.last()) {
        (Some(first), Some(last)) if first.is_ascii_alphanumeric() && last.is_ascii_alphanumeric() => [*first, *last],
        (Some(first), Some(last)) => [hex_digit(first >> 4), hex_digit(last & 0x0F)],
        _ => *b"00",
    }
}

/// Four hexadecimal digits each, separated by commas.
fn add_list(hash: &mut Sha256, list: &[u16]) {
    for (position, value) in list.iter().enumerate() {
        let [high, low] = value.to_be_bytes();
        let text = [b',', hex_digit(high >> 4), hex_digit(high & 15), hex_digit(low >> 4), hex_digit(low & 15)];
        hash.update(if position == 0 { text.get(1..).unwrap_or_default() } else { &text });
    }
}

fn first_twelve(hash: Sha256) -> [u8; 12] {
    let digest = hash.finalize();
    let mut text = [b'0'; 12];
    for (pair, byte) in text.chunks_exact_mut(2).zip(digest) {
        pair.copy_from_slice(&[hex_digit(byte >> 4), hex_digit(byte & 15)]);
    }
    text
}

const fn hex_digit(nibble: u8) -> u8 {
    match nibble & 15 {
        digit @ 0..=9 => b'0' + digit,
        letter => b'a' + letter - 10,
    }
}

/// The body of the ClientHello out of its records, borrowed when it came in one; `None` while it is incomplete.
fn collect(bytes: &[u8]) -> Result<Option<Cow<'_, [u8]>>, &'static str> {
    let mut rest = bytes;
    let mut message: Cow<'_, [u8]> = Cow::Borrowed(&[]);
    for _ in 0..HELLO_RECORDS_MAX {
        if rest.first().is_some_and(|kind| *kind != HANDSHAKE_RECORD) {
            return Err("not a TLS handshake record");
        }
        if rest.get(1).is_some_and(|major| *major != 3) {
            return Err("a record of an unknown TLS version");
        }
        let Some(([_, _, _, high, low], behind)) = rest.split_first_chunk::<RECORD_HEADER>() else {
            return Ok(None);
        };
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        if length == 0 || length > RECORD_MAX {
            return Err("a record with an impossible length");
        }
        let fragment = behind.get(..length).unwrap_or(behind);
        if message.is_empty() {
            message = Cow::Borrowed(fragment);
        } else {
            message.to_mut().extend_from_slice(fragment);
        }
        if message.first().is_some_and(|kind| *kind != CLIENT_HELLO) {
            return Err("a handshake that does not begin with a ClientHello");
        }
        if let Some(([_, high, middle, low], _)) = message.split_first_chunk::<HANDSHAKE_HEADER>() {
            let body = usize::from(*high) << 16 | usize::from(*middle) << 8 | usize::from(*low);
            if body > HELLO_BODY_MAX {
                return Err("a ClientHello longer than its bound");
            }
            if message.len() >= HANDSHAKE_HEADER + body {
                return Ok(Some(match message {
                    Cow::Borrowed(message) => Cow::Borrowed(run(message, body)),
                    Cow::Owned(message) => Cow::Owned(run(&message, body).to_vec()),
                }));
            }
        }
        match behind.get(length..) {
            Some(next) => rest = next,
            None => return Ok(None),
        }
    }
    Err("a ClientHello in too many records")
}

fn run(message: &[u8], body: usize) -> &[u8] {
    message.get(HANDSHAKE_HEADER..HANDSHAKE_HEADER + body).unwrap_or_default()
}

const SHORT: &str = "a ClientHello with a field that runs beyond its end";

/// RFC 8446 section 4.1.2.
fn parse(body: &[u8]) -> Result<ClientHello, &'static str> {
    let mut body = Cursor(body);
    let mut hello = ClientHello { legacy_version: body.u16().ok_or(SHORT)?, ..ClientHello::default() };
    body.take(32).ok_or(SHORT)?;
    if body.run8().ok_or(SHORT)?.len() > 32 {
        return Err("a ClientHello with a session id longer than 32 bytes");
    }
    hello.ciphers = numbers(body.run16().ok_or(SHORT)?).ok_or("a ClientHello with half a cipher suite")?;
    body.run8().ok_or(SHORT)?;
    if body.is_empty() {
        return Ok(hello); // TLS 1.2 without extensions
    }
    let mut extensions = Cursor(body.run16().ok_or(SHORT)?);
    if !body.is_empty() {
        return Err("a ClientHello with bytes behind its extensions");
    }
    while !extensions.is_empty() {
        let (kind, value) = extensions.u16().zip(extensions.run16()).ok_or(SHORT)?;
        hello.extensions.push(kind);
        extension(&mut hello, kind, value)?;
    }
    let mut sorted = hello.extensions.clone();
    sorted.sort_unstable();
    if sorted.array_windows().any(|[left, right]| left == right) {
        return Err("a ClientHello with an extension twice");
    }
    Ok(hello)
}

fn extension(hello: &mut ClientHello, kind: u16, value: &[u8]) -> Result<(), &'static str> {
    let mut value = Cursor(value);
    match kind {
        SERVER_NAME => hello.sni = server_name(&mut value).ok_or("a malformed server_name extension")?,
        SUPPORTED_GROUPS => {
            hello.groups = value.run16().and_then(numbers).ok_or("a malformed supported_groups extension")?;
        }
        SIGNATURE_ALGORITHMS => {
            hello.signature_algorithms =
                value.run16().and_then(numbers).ok_or("a malformed signature_algorithms extension")?;
        }
        ALPN => {
            let list = value.run16().ok_or("a malformed ALPN extension")?;
            let mut names = Cursor(list);
            while !names.is_empty() {
                names.run8().ok_or("a malformed ALPN extension")?;
            }
            hello.alpn = list.to_vec();
        }
        SUPPORTED_VERSIONS => {
            hello.supported_versions =
                value.run8().and_then(numbers).ok_or("a malformed supported_versions extension")?;
        }
        _ => return Ok(()),
    }
    if value.is_empty() { Ok(()) } else { Err("an extension with bytes behind its value") }
}

/// Big-endian pairs of bytes; `None` when one is left over.
fn numbers(bytes: &[u8]) -> Option<Vec<u16>> {
    let (pairs, rest) = bytes.as_chunks::<2>();
    rest.is_empty().then(|| pairs.iter().copied().map(u16::from_be_bytes).collect())
}

/// RFC 6066 section 3: one name of type `host_name`; types that nobody has defined are skipped.
///
/// The outer `None` is a malformed extension, the inner one a name that is not one of DNS.
fn server_name(value: &mut Cursor<'_>) -> Option<Option<String>> {
    let mut list = Cursor(value.run16()?);
    let mut found = None;
    while !list.is_empty() {
        let (kind, name) = list.u8().zip(list.run16())?;
        if kind == 0 && found.replace(name).is_some() {
            return None;
        }
    }
    Some(found.and_then(dns_name))
}

/// Letters, digits, hyphens and underscores in labels of 1 to 63 bytes, 253 in all; not an address.
fn dns_name(name: &[u8]) -> Option<String> {
    let name = std::str::from_utf8(name).ok().filter(|name| name.len() <= 253)?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let right = name.split('.').all(|label| (1..=63).contains(&label.len()) && label.bytes().all(plain));
    (right && name.parse::<Ipv4Addr>().is_err()).then(|| name.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A ClientHello as a client would write it: the encoder that the reader is checked against.
    #[derive(Debug, Clone)]
    struct Offer {
        version: u16,
        ciphers: Vec<u16>,
        extensions: Vec<(u16, Vec<u8>)>,
    }

    fn run8(bytes: &[u8]) -> Vec<u8> {
        [&[u8::try_from(bytes.len()).expect("short")], bytes].concat()
    }

    fn run16(bytes: &[u8]) -> Vec<u8> {
        [&u16::try_from(bytes.len()).expect("short").to_be_bytes(), bytes].concat()
    }

    fn list(values: &[u16]) -> Vec<u8> {
        values.iter().flat_map(|value| value.to_be_bytes()).collect()
    }

    fn sni(name: &str) -> (u16, Vec<u8>) {
        (SERVER_NAME, run16(&[vec![0], run16(name.as_bytes())].concat()))
    }

    fn alpn(names: &[&[u8]]) -> (u16, Vec<u8>) {
        (ALPN, run16(&names.iter().flat_map(|name| run8(name)).collect::<Vec<_>>()))
    }

    impl Offer {
        fn body(&self) -> Vec<u8> {
            let mut body = self.version.to_be_bytes().to_vec();
            body.extend([7; 32]);
            body.extend(run8(&[9; 32]));
            body.extend(run16(&list(&self.ciphers)));
            body.extend(run8(&[0]));
            let extensions = self.extensions.iter();
            let extensions = extensions.flat_map(|(kind, value)| [kind.to_be_bytes().to_vec(), run16(value)].concat());
            body.extend(run16(&extensions.collect::<Vec<_>>()));
            body
        }

        fn message(&self) -> Vec<u8> {
            message(&self.body())
        }

        fn bytes(&self) -> Vec<u8> {
            records(&self.message(), RECORD_MAX)
        }
    }

    fn message(body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len()).expect("short").to_be_bytes();
        [&[CLIENT_HELLO], &length[1..], body].concat()
    }

    fn records(message: &[u8], size: usize) -> Vec<u8> {
        message.chunks(size).flat_map(|part| [vec![HANDSHAKE_RECORD, 3, 1], run16(part)].concat()).collect()
    }

    /// The worked example of FoxIO's JA4.md: Chrome, with GREASE put back where Chrome has it.
    fn chrome() -> Offer {
        let ciphers = [
            0x2A2A, 0x1301, 0x1302, 0x1303, 0xC02B, 0xC02F, 0xC02C, 0xC030, 0xCCA9, 0xCCA8, 0xC013, 0xC014, 0x009C,
            0x009D, 0x002F, 0x0035,
        ];
        let algorithms = [0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601];
        Offer {
            version: 0x0303,
            ciphers: ciphers.to_vec(),
            extensions: vec![
                (0x8A8A, vec![]),
                (0x001B, vec![2, 0, 2]),
                sni("Example.org"),
                (0x0033, vec![0; 40]),
                alpn(&[b"h2", b"http/1.1"]),
                (0x4469, vec![0, 3, 2, b'h', b'2']),
                (0x0017, vec![]),
                (0x002D, vec![1, 1]),
                (SIGNATURE_ALGORITHMS, run16(&list(&algorithms))),
                (0x0005, vec![1, 0, 0, 0, 0]),
                (0x0023, vec![]),
                (0x0012, vec![]),
                (SUPPORTED_VERSIONS, run8(&list(&[0x6A6A, 0x0304, 0x0303]))),
                (0xFF01, vec![0]),
                (0x000B, vec![1, 0]),
                (SUPPORTED_GROUPS, run16(&list(&[0xEAEA, 29, 23, 24]))),
                (0x1A1A, vec![0]),
                (0x0015, vec![0; 190]),
            ],
        }
    }

    fn ja4(offer: &Offer) -> String {
        read_client_hello(&offer.bytes()).done().expect("a ClientHello").ja4().to_string()
    }

    #[test]
    fn the_worked_example_of_the_specification() {
        let hello = read_client_hello(&chrome().bytes()).done().expect("a ClientHello");
        assert_eq!(hello.ja4().to_string(), "t13d1516h2_8daaf6152771_e5627efa2ab1");
        assert_eq!(hello.sni.as_deref(), Some("example.org"));
        assert_eq!(hello.alpn().collect::<Vec<_>>(), [&b"h2"[..], b"http/1.1"]);
        assert_eq!(hello.supported_versions, [0x6A6A, 0x0304, 0x0303]);
        assert_eq!(hello.groups, [0xEAEA, 29, 23, 24]);
        assert_eq!(hello.extensions.len(), 18);
    }

    #[test]
    fn a_browser_that_resumes_a_session_has_the_stack_that_it_had() {
        let print = |offer: &Offer| {
            let hello = read_client_hello(&offer.bytes()).done().expect("a ClientHello");
            (hello.ja4().to_string(), hello.stack().to_string())
        };
        let (first, stack) = print(&chrome());
        let mut again = chrome();
        again.extensions.retain(|(kind, _)| *kind != PADDING);
        again.extensions.extend([(EARLY_DATA, vec![]), (PRE_SHARED_KEY, vec![0; 90])]);
        let (resumed, same) = print(&again);
        assert_ne!(first, resumed, "JA4 takes it for another program");
        assert_eq!(stack, same);
        assert!(stack.starts_with("t13d1515h2_8daaf6152771_"), "{stack}");
        let mut other = chrome();
        other.extensions.retain(|(kind, _)| *kind != 0x001B);
        assert_ne!(print(&other).1, stack, "what does not come and go still tells programs apart");
    }

    /// Prints that others publish for these lists: FoxIO's document and its database, and tls.peet.ws.
    #[test]
    fn known_answers() {
        let cases = include_str!("../../../specs/wire/ja4.txt");
        let hex = |text: &str| -> Vec<u16> {
            let numbers = text.split(',').filter(|text| !text.is_empty() && *text != "-");
            numbers.map(|text| u16::from_str_radix(text, 16).expect(text)).collect()
        };
        let mut seen = 0;
        for case in cases.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let fields: Vec<&str> = case.split_whitespace().collect();
            let [expected, version, versions, protocol, ciphers, extensions, algorithms] = fields[..] else {
                panic!("{case}")
            };
            let value = |kind: u16| match kind {
                SERVER_NAME => sni("example.org").1,
                ALPN => alpn(&[protocol.as_bytes(), b"http/1.1"]).1,
                SIGNATURE_ALGORITHMS => run16(&list(&hex(algorithms))),
                SUPPORTED_VERSIONS => run8(&list(&hex(versions))),
                SUPPORTED_GROUPS => run16(&list(&[29, 23])),
                _ => vec![1, 2, 3],
            };
            let offer = Offer {
                version: hex(version)[0],
                ciphers: hex(ciphers),
                extensions: hex(extensions).into_iter().map(|kind| (kind, value(kind))).collect(),
            };
            assert_eq!(ja4(&offer), expected);
            seen += 1;
        }
        assert!(seen >= 6, "the table was read");
    }

    #[test]
    fn a_hello_from_the_wire() {
        let text = include_str!("../../../specs/wire/hello-openssl.hex");
        let digits: Vec<u8> = text.lines().filter(|line| !line.starts_with('#')).flat_map(str::bytes).collect();
        let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).expect("ASCII"), 16).expect("a digit");
        let bytes: Vec<u8> = digits.chunks(2).map(pair).collect();
        let hello = read_client_hello(&bytes).done().expect("a ClientHello");
        assert_eq!(hello.ja4().to_string(), "t13d1812h1_85036bcba153_d41ae481755e");
        assert_eq!(hello.sni.as_deref(), Some("example.org"));
        assert!(hello.alpn().eq([b"http/1.1"]));
        prefixes_agree(&bytes);
    }

    #[test]
    fn the_ends_of_a_protocol_name() {
        let cases: &[(&[u8], &str)] = &[
            (b"", "00"),
            (b"h", "hh"),
            (b"h2", "h2"),
            (b"http/1.1", "h1"),
            (b"dot", "dt"),
            (b"\xAB", "ab"),
            (b"\xAB\xCD", "ad"),
            (b"\x30\xAB", "3b"),
            (b"\x30\x31\xAB\xCD", "3d"),
            (b"\x30\xAB\xCD\x31", "01"),
            (b"\x0A\x0A", "0a"),
            (b"-2", "22"),
        ];
        for (name, expected) in cases {
            assert_eq!(std::str::from_utf8(&alpn_ends(name)), Ok(*expected), "{name:x?}");
            let mut offer = chrome();
            offer.extensions[4] = alpn(&[name]);
            assert_eq!(&ja4(&offer)[8..10], *expected, "{name:x?}");
        }
    }

    #[test]
    fn a_hello_with_nothing_in_it() {
        let bare = Offer { version: 0x0301, ciphers: vec![], extensions: vec![] };
        assert_eq!(ja4(&bare), "t10i000000_000000000000_000000000000");
        // Without the extension block at all, as TLS 1.0 clients do.
        let body = bare.body();
        let bytes = records(&message(&body[..body.len() - 2]), RECORD_MAX);
        assert_eq!(read_client_hello(&bytes).done().expect("a ClientHello").ja4().to_string(), ja4(&bare));
        let only_grease = Offer { version: 0x0A0A, ciphers: vec![0x1A1A], extensions: vec![(0xFAFA, vec![])] };
        assert_eq!(ja4(&only_grease), "t00i000000_000000000000_000000000000");
        let many = Offer {
            version: 0x0303,
            ciphers: (0..120).collect(),
            extensions: (100..250).map(|kind| (kind, vec![])).collect(),
        };
        assert!(ja4(&many).starts_with("t12i999900_"));
    }

    #[test]
    fn server_names_are_checked() {
        let long = ["a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(61)].join(".");
        let cases: &[(&str, bool)] = &[
            ("example.org", true),
            ("xn--bcher-kva.example", true),
            ("_dmarc.example.org", true),
            ("localhost", true),
            ("1.2.3.4.example", true),
            (&long, true),
            (&format!("{long}e"), false),
            (&"a".repeat(64), false),
            ("192.0.2.1", false),
            ("2001:db8::1", false),
            ("", false),
            (".", false),
            ("a..b", false),
            ("example.org.", false),
            ("example.org:443", false),
            ("exa mple.org", false),
            ("example.org\0.evil.example", false),
            ("bücher.example", false),
        ];
        for (name, right) in cases {
            let offer = Offer { version: 0x0303, ciphers: vec![1], extensions: vec![sni(name)] };
            let hello = read_client_hello(&offer.bytes()).done().expect(name);
            assert_eq!(hello.sni.is_some(), *right, "{name}");
            assert_eq!(&hello.ja4().as_ref()[3..4], "d", "the extension is there");
        }
    }

    #[test]
    fn malformed_hellos() {
        let with = |kind, value: &[u8]| {
            Offer { version: 0x0303, ciphers: vec![1], extensions: vec![(kind, value.to_vec())] }.bytes()
        };
        let body = chrome().body();
        let of_body = |body: &[u8]| records(&message(body), RECORD_MAX);
        let edit = |at: usize, byte: u8| {
            let mut bytes = chrome().bytes();
            bytes[at] = byte;
            bytes
        };
        let twice =
            Offer { version: 0x0303, ciphers: vec![1], extensions: vec![(77, vec![]), (1, vec![]), (77, vec![])] };
        let too_long = [&[CLIENT_HELLO, 0, 0x40, 0x01][..], &[0; 40]].concat();
        let cases: &[(&str, Vec<u8>)] = &[
            ("plain HTTP", b"GET / HTTP/1.1\r\n".to_vec()),
            ("an SSL 2 hello", vec![0x80, 0x2E, 0x01, 0x03, 0x01]),
            ("an alert", edit(0, 21)),
            ("a record of an unknown version", edit(1, 2)),
            ("a record without bytes", vec![HANDSHAKE_RECORD, 3, 1, 0, 0]),
            ("a record that is too long", vec![HANDSHAKE_RECORD, 3, 1, 0x40, 1]),
            ("a ServerHello", edit(5, 2)),
            ("a hello longer than the bound", records(&too_long, RECORD_MAX)),
            ("an alert in the middle of a hello", [&records(&body[..40], 40)[..], &[21, 3, 1, 0, 2, 1, 0]].concat()),
            ("one byte a record", records(&chrome().message(), 1)),
            ("an empty body", of_body(b"")),
            ("no random", of_body(&body[..20])),
            ("a session id of 33 bytes", of_body(&[&body[..34], &[33], &[0; 33], &body[67..]].concat())),
            ("half a cipher suite", of_body(&[&body[..34], &[0, 0, 3, 0x13, 1, 0x13, 1, 0]].concat())),
            ("ciphers beyond the end", of_body(&[&body[..34], &[0, 0, 9, 0x13, 1]].concat())),
            ("no compression", of_body(&[&body[..34], &[0, 0, 2, 0x13, 1]].concat())),
            ("half an extension length", of_body(&[&body[..34], &[0, 0, 2, 0x13, 1, 1, 0, 0]].concat())),
            ("bytes behind the extensions", of_body(&[&body[..], &[0]].concat())),
            ("extensions cut short", of_body(&body[..body.len() - 1])),
            ("an extension twice", twice.bytes()),
            ("a server name without its list", with(SERVER_NAME, b"")),
            ("a server name beyond its list", with(SERVER_NAME, &[0, 4, 0, 0, 9, b'a'])),
            ("two host names", with(SERVER_NAME, &[0, 8, 0, 0, 1, b'a', 0, 0, 1, b'b'])),
            ("bytes behind the server name", with(SERVER_NAME, &[0, 4, 0, 0, 1, b'a', 0])),
            ("half a group", with(SUPPORTED_GROUPS, &[0, 3, 0, 29, 0])),
            ("half a version", with(SUPPORTED_VERSIONS, &[3, 3, 4, 3])),
            ("half a signature algorithm", with(SIGNATURE_ALGORITHMS, &[0, 1, 4])),
            ("signature algorithms beyond the end", with(SIGNATURE_ALGORITHMS, &[0, 4, 4, 3])),
            ("a protocol beyond its list", with(ALPN, &[0, 3, 3, b'h', b'2'])),
            ("bytes behind the protocols", with(ALPN, &[0, 3, 2, b'h', b'2', 0])),
        ];
        for (name, bytes) in cases {
            let found = read_client_hello(bytes);
            assert!(matches!(found, Read::Invalid(_)), "{name}: {found:?}");
        }
    }

    /// What every reader of a prefix owes: the answer of a prefix stands, and waiting has an end.
    fn prefixes_agree(bytes: &[u8]) {
        let whole = read_client_hello(bytes);
        for end in 0..=bytes.len() {
            match read_client_hello(&bytes[..end]) {
                Read::Incomplete => assert!(end < HELLO_BYTES_MAX),
                early => assert_eq!(early, whole, "after {end} bytes"),
            }
        }
    }

    #[test]
    fn waiting_has_an_end() {
        // The slowest way to the bound: the longest body, in as many records as there may be.
        let body = vec![0; HELLO_BODY_MAX];
        let size = (HANDSHAKE_HEADER + HELLO_BODY_MAX).div_ceil(HELLO_RECORDS_MAX);
        let bytes = records(&message(&body), size);
        assert_eq!(bytes.len(), HELLO_BYTES_MAX);
        assert_eq!(read_client_hello(&bytes[..HELLO_BYTES_MAX - 1]), Read::Incomplete);
        assert!(matches!(read_client_hello(&bytes), Read::Invalid(_)));
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            prefixes_agree(&bytes);
            let mut framed = records(&message(&bytes), RECORD_MAX);
            prefixes_agree(&framed);
            framed.extend(&bytes);
            prefixes_agree(&framed);
        }

        #[test]
        fn a_damaged_hello_is_answered(at in 0usize..500, byte in any::<u8>(), cut in 0usize..500) {
            let mut bytes = chrome().bytes();
            if let Some(slot) = bytes.get_mut(at) { *slot = byte; }
            bytes.truncate(cut.max(1));
            prefixes_agree(&bytes);
        }

        #[test]
        fn what_is_written_is_read(
            version in any::<u16>(),
            ciphers in proptest::collection::vec(any::<u16>(), 0..80),
            kinds in proptest::collection::btree_set(100u16.., 0..40),
            protocols in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..12), 0..5),
            size in 40usize..2000,
            tail in proptest::collection::vec(any::<u8>(), 0..20),
        ) {
            let names: Vec<&[u8]> = protocols.iter().map(Vec::as_slice).collect();
            let mut extensions: Vec<(u16, Vec<u8>)> = kinds.iter().map(|kind| (*kind, vec![0; 3])).collect();
            extensions.push(alpn(&names));
            let offer = Offer { version, ciphers, extensions };
            let whole = read_client_hello(&offer.bytes()).done().expect("a ClientHello");
            prop_assert_eq!(whole.legacy_version, version);
            prop_assert_eq!(&whole.ciphers, &offer.ciphers);
            prop_assert_eq!(whole.extensions.len(), offer.extensions.len());
            prop_assert_eq!(whole.alpn().collect::<Vec<_>>(), names);

            // However it is cut into records, and whatever follows, it is the same hello.
            let mut cut = records(&offer.message(), size);
            cut.extend(tail);
            prop_assert_eq!(read_client_hello(&cut), Read::Done(whole));
        }

        #[test]
        fn order_and_grease_do_not_change_the_print(seed in any::<u64>(), grease in 0u16..16) {
            let mut offer = chrome();
            let expected = ja4(&offer);
            // A walk over the list with a step that is prime to its length is a permutation of it.
            let turn = usize::try_from(seed % 17).expect("small");
            offer.ciphers.rotate_left(turn % 16);
            offer.extensions.rotate_left(turn);
            offer.ciphers.insert(turn % 10, grease << 12 | 0x0A0A | grease << 4);
            prop_assert_eq!(ja4(&offer), expected);
        }
    }
}
