//! Each of a thousand canaries is seen over every coding, form and transport; and ordinary pages ring nothing.

use std::io::Write as _;

use portcullis_dataguard::canary::{CanaryId, CanaryKey, EntryKind, Registry, Values};
use portcullis_dataguard::decode::{Bounds, Codings, Grpc, WebSocket};
use portcullis_dataguard::detect::{Findings, Found, Kinds, Scan};
use portcullis_dataguard::{Canaries, Detector, Kind, Reader, Scanner, Sink, Unread};

#[derive(Default)]
struct Seen {
    canaries: Vec<CanaryId>,
    kinds: Vec<Kind>,
}

impl Findings for Seen {
    fn found(&mut self, found: &Found<'_>) {
        self.kinds.push(found.kind);
    }

    fn canary(&mut self, id: CanaryId, _: (u64, u64)) {
        self.canaries.push(id);
    }
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(plain).expect("to memory");
    encoder.finish().expect("to memory")
}

fn raw(plain: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(plain).expect("to memory");
    encoder.finish().expect("to memory")
}

fn zlib(plain: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(plain).expect("to memory");
    encoder.finish().expect("to memory")
}

fn br(plain: &[u8]) -> Vec<u8> {
    let mut packed = Vec::new();
    let mut encoder = brotli::CompressorWriter::new(&mut packed, 4096, 1, 18);
    encoder.write_all(plain).expect("to memory");
    drop(encoder);
    packed
}

fn zstd(plain: &[u8]) -> Vec<u8> {
    let mut packed = Vec::with_capacity(zstd_safe::compress_bound(plain.len()));
    zstd_safe::compress(&mut packed, plain, 1).expect("room for it");
    packed
}

/// A spreadsheet as programs write it: one deflated member whose sizes stand behind it.
fn xlsx(plain: &[u8]) -> Vec<u8> {
    let name = b"xl/sharedStrings.xml";
    let mut archive = b"PK\x03\x04\x14\0\x08\0\x08\0".to_vec();
    archive.extend_from_slice(&[0; 16]);
    archive.extend_from_slice(&[u8::try_from(name.len()).expect("short"), 0, 0, 0]);
    archive.extend_from_slice(name);
    archive.extend_from_slice(&raw(plain));
    archive.extend_from_slice(b"PK\x07\x08");
    archive.extend_from_slice(&[0; 12]);
    archive.extend_from_slice(b"PK\x01\x02");
    archive.extend_from_slice(&[0; 60]);
    archive
}

fn each(value: &str, write: fn(u8) -> String) -> String {
    value.bytes().map(write).collect()
}

/// Where the bytes of a conversation go.
type Push<'a> = &'a mut dyn FnMut(&[u8], &mut dyn Sink) -> Result<(), Unread>;

/// How a value is written.
const FORMS: [fn(&str) -> Vec<u8>; 8] = [
    |value| format!("<td>{value}</td>").into_bytes(),
    |value| format!("{{\"email\":\"{}\"}}", each(value, |byte| format!("\\u{byte:04X}"))).into_bytes(),
    |value| format!("<td>{}</td>", each(value, |byte| format!("&#{byte};"))).into_bytes(),
    |value| format!("<td>{}</td>", each(value, |byte| format!("&#x{byte:x};"))).into_bytes(),
    |value| format!("mailto:{}", value.replace('@', "%40")).into_bytes(),
    |value| format!("1,\"{}\",Leeds\r\n", value.to_uppercase()).into_bytes(),
    |value| format!("data: {{\"email\":\"{value}\"}}\n\n").into_bytes(),
    |value| [0xff, 0xfe].into_iter().chain(value.encode_utf16().flat_map(u16::to_le_bytes)).collect(),
];

/// How it is packed.
type Pack = (&'static [u8], fn(&[u8]) -> Vec<u8>);
const PACKS: [Pack; 8] = [
    (b"", <[u8]>::to_vec),
    (b"gzip", gzip),
    (b"deflate", zlib),
    (b"deflate", raw),
    (b"br", br),
    (b"zstd", zstd),
    (b"br, gzip", |plain| gzip(&br(plain))),
    (b"", xlsx),
];

fn pieces(bytes: &[u8], seed: usize) -> impl Iterator<Item = &[u8]> {
    bytes.chunks(1 + seed % 61)
}

fn read(detector: &Detector, coding: &[u8], body: &[u8], seed: usize) -> (Result<(), Unread>, Seen) {
    let (mut seen, mut scanner) = (Seen::default(), Scanner::default());
    let mut scan = Scan { detector, scanner: &mut scanner, findings: &mut seen };
    let codings = Codings::of(std::iter::once(coding)).expect("known codings");
    let mut reader = Reader::new(codings, Bounds::default());
    let outcome = pieces(body, seed).try_for_each(|piece| reader.push(piece, &mut scan));
    let outcome = outcome.and_then(|()| reader.finish(&mut scan));
    (outcome, seen)
}

#[test]
fn each_of_a_thousand_is_seen_over_every_coding_form_and_transport() {
    let (mut registry, key) = (Registry::default(), CanaryKey::new([9; 32]));
    for _ in 0..1000 {
        registry.add(EntryKind::Member { domain: "post.example.org".to_owned() }, Vec::new(), "2026-11-22");
    }
    let detector = Detector::new(Kinds::all(), &[], &Canaries::new(&registry, &key));
    let nobody = Detector::new(Kinds::all(), &[], &Canaries::default());
    for (at, entry) in registry.entries().iter().enumerate() {
        let Values::Member(member) = key.values(entry) else { panic!("a member") };
        // Every pair of form and packing comes up, and each canary in eight of them, which are others for its neighbours.
        for turn in 0..8 {
            let (form, pack) = (FORMS[turn], PACKS[(turn + at) % PACKS.len()]);
            let body = pack.1(&form(&member.email));
            let (outcome, seen) = read(&detector, pack.0, &body, at + turn);
            assert_eq!((outcome, seen.canaries), (Ok(()), vec![entry.id]), "form {turn}, packing {}", (turn + at) % 8);
        }
        let text = member.email.as_bytes();
        let length = u8::try_from(text.len()).expect("short");
        let sends = |push: Push<'_>, bytes: &[u8]| {
            let (mut seen, mut scanner) = (Seen::default(), Scanner::default());
            let mut scan = Scan { detector: &detector, scanner: &mut scanner, findings: &mut seen };
            pieces(bytes, at).for_each(|piece| push(piece, &mut scan).expect("readable"));
            assert_eq!(seen.canaries, [entry.id]);
        };
        let (first, last) = text.split_at(text.len() / 2);
        let (half, rest) = (u8::try_from(first.len()).expect("short"), u8::try_from(last.len()).expect("short"));
        let frames = [&[0x01, half][..], first, &[0x89, 0], &[0x80, rest], last].concat();
        let mut socket = WebSocket::new(Bounds::default());
        sends(&mut |piece, sink| socket.push(piece, sink), &frames);
        let packed = gzip(text);
        let size = u8::try_from(packed.len()).expect("short");
        let messages = [[&[1, 0, 0, 0, size][..], &packed].concat(), [&[0, 0, 0, 0, length][..], text].concat()];
        for message in messages {
            let mut grpc = Grpc::new(b"gzip", Bounds::default());
            sends(&mut |piece, sink| grpc.push(piece, sink), &message);
        }
        // The same detector without canaries sees none: what was seen is not what is always seen.
        assert!(read(&nobody, b"", text, at).1.canaries.is_empty());
    }
}

/// Pages as platforms make them, by number: prose, markup, style, script, JSON with times and identifiers.
fn page(number: u64) -> String {
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = |most: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 20) % most
    };
    let mut text = String::from("<!doctype html><title>News</title>");
    for _ in 0..24 {
        let (a, b, c, d) = (next(10_000), next(1 << 32), next(1 << 44), next(100));
        text.push_str(&match next(14) {
            0 => format!("<p>On {} November {} people came to {} Market Street, twice as many as in 2019.</p>", d % 28 + 1, a, d),
            1 => format!(".c{a}{{color:#{:06x};margin:{d}px {d}.5em;background:url(/i/{b:x}.png?v={c})}}", b & 0xff_ffff),
            2 => format!("<script src=\"/app.{b:08x}.js\" integrity=\"sha384-{c:x}{b:x}\"></script>"),
            3 => format!("{{\"id\":{c},\"created\":{},\"at\":\"2026-11-{:02}T10:{:02}:00Z\",\"etag\":\"{b:x}-{a:x}\"}}", 1_760_000_000 + b % 90_000_000, d % 28 + 1, d % 60),
            4 => format!("<a href=\"/articles/{c}?utm_source=mail&amp;page={a}\">Read on ({d} comments)</a>"),
            5 => format!("<img src=\"data:image/png;base64,iVBORw0KGgo{c:x}{b:x}AAAA\" alt=\"logo@2x.png {a}\">"),
            6 => format!("window.t={{start:{c},v:\"{}.{}.{}\",ip:\"10.{}.{}.{}\"}};", d % 9, a % 20, d, d, a % 250, d),
            7 => format!("<li>ISBN 978-0-{:04}-{:04}-{}, £{}.{:02}, order {:08}</li>", a, b % 10_000, d % 10, a, d % 100, b % 100_000_000),
            8 => format!("{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}", b, a, a % 4096, d, c),
            9 => format!("<p>Python prints Traceback (most recent call last) when a program of {a} lines fails.</p>"),
            10 => format!("<p>You have an error in your SQL, said the tutorial of {a}; see chapter {d}.</p>"),
            11 => format!("<td>{a}</td><td>{}.{:02} %</td><td>{b}</td><td>{c}</td>", d, a % 100),
            12 => format!("{{\"lat\":51.{:07},\"lon\":-0.{:07},\"zoom\":{}}}", b % 10_000_000, c % 10_000_000, d % 20),
            _ => format!("<p>Key <code>AKIAXXXXXXXXXXXXXXXX</code>, token <code>ghp_your_token_{d}</code>, postgres://user:password@host/{a}</p>"),
        });
    }
    text
}

#[test]
fn ordinary_pages_ring_nothing() {
    let (mut registry, key) = (Registry::default(), CanaryKey::new([9; 32]));
    for _ in 0..100 {
        registry.add(EntryKind::Member { domain: "post.example.org".to_owned() }, Vec::new(), "2026-11-22");
    }
    let detector = Detector::new(Kinds::all(), &[], &Canaries::new(&registry, &key));
    // PORTCULLIS_PAGES=100000 in an optimised build is the whole promise.
    #[expect(clippy::disallowed_methods, reason = "the test alone is told how many")]
    let pages = std::env::var("PORTCULLIS_PAGES").ok().and_then(|pages| pages.parse().ok()).unwrap_or(3000);
    let (mut rung, mut records) = (Vec::new(), 0);
    for number in 0..pages {
        let (outcome, seen) = read(&detector, b"", page(number).as_bytes(), 60);
        assert_eq!(outcome, Ok(()));
        let alarm = seen.kinds.iter().any(|kind| !kind.is_personal()) || !seen.canaries.is_empty();
        if alarm {
            rung.push(number);
        }
        records += seen.kinds.len();
    }
    assert!(rung.len() as u64 <= pages / 100_000, "pages {rung:?}");
    // What passes a check digit by chance stays rare, so that no budget is spent by numbers that are nobody's.
    assert!((records as u64) * 4 < pages, "{records} values in {pages} pages");
}
