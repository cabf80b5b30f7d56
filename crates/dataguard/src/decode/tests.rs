//! What is unpacked, escaped and framed comes out as the same text; what is not read is told.

use std::io::Write as _;

use proptest::prelude::*;

use super::*;

/// Text as it came out, a line for the end of each document.
#[derive(Default)]
pub(crate) struct Out(pub(crate) Vec<u8>);

impl Sink for Out {
    fn text(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn end(&mut self) {
        self.0.push(b'\n');
    }
}

pub(crate) fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::GzBuilder::new()
        .filename("list.csv")
        .comment("ours")
        .extra(&b"xx"[..])
        .write(Vec::new(), flate2::Compression::default());
    encoder.write_all(plain).expect("to memory");
    encoder.finish().expect("to memory")
}

fn deflate(plain: &[u8], header: bool) -> Vec<u8> {
    let level = flate2::Compression::default();
    if header {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), level);
        encoder.write_all(plain).expect("to memory");
        return encoder.finish().expect("to memory");
    }
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), level);
    encoder.write_all(plain).expect("to memory");
    encoder.finish().expect("to memory")
}

pub(crate) fn brotli(plain: &[u8]) -> Vec<u8> {
    let mut packed = Vec::new();
    let mut encoder = ::brotli::CompressorWriter::new(&mut packed, 4096, 5, 22);
    encoder.write_all(plain).expect("to memory");
    drop(encoder);
    packed
}

pub(crate) fn zstd(plain: &[u8]) -> Vec<u8> {
    let mut packed = Vec::with_capacity(zstd_safe::compress_bound(plain.len()));
    zstd_safe::compress(&mut packed, plain, 3).expect("room for it");
    packed
}

/// An archive of members, each stored or deflated, with its sizes before it or behind it.
pub(crate) fn zip(members: &[(&str, &[u8])], deflated: bool, behind: bool) -> Vec<u8> {
    let mut archive = Vec::new();
    for (name, plain) in members {
        let data = if deflated { deflate(plain, false) } else { plain.to_vec() };
        let size = u32::try_from(data.len()).expect("small");
        archive.extend_from_slice(b"PK\x03\x04\x14\0");
        archive.extend_from_slice(if behind { &[8, 0] } else { &[0, 0] });
        archive.extend_from_slice(if deflated { &[8, 0] } else { &[0, 0] });
        archive.extend_from_slice(&[0; 8]);
        archive.extend_from_slice(&if behind { 0 } else { size }.to_le_bytes());
        archive.extend_from_slice(&[0; 4]);
        archive.extend_from_slice(&u16::try_from(name.len()).expect("short").to_le_bytes());
        archive.extend_from_slice(&[0, 0]);
        archive.extend_from_slice(name.as_bytes());
        archive.extend_from_slice(&data);
        if behind {
            archive.extend_from_slice(b"PK\x07\x08");
            archive.extend_from_slice(&[0; 12]);
        }
    }
    archive.extend_from_slice(b"PK\x01\x02");
    archive.extend_from_slice(&[0; 42]);
    archive
}

fn read_with(codings: &[&[u8]], body: &[u8], bounds: Bounds, piece: usize) -> (Result<(), Unread>, Vec<u8>) {
    let mut reader = match Codings::of(codings.iter().copied()) {
        Ok(codings) => Reader::new(codings, bounds),
        Err(unread) => return (Err(unread), Vec::new()),
    };
    let mut out = Out::default();
    for piece in body.chunks(piece) {
        if let Err(unread) = reader.push(piece, &mut out) {
            return (Err(unread), out.0);
        }
    }
    let outcome = reader.finish(&mut out);
    (outcome, out.0)
}

fn read(codings: &[&[u8]], body: &[u8]) -> (Result<(), Unread>, String) {
    let (outcome, out) = read_with(codings, body, Bounds::default(), 7);
    (outcome, String::from_utf8_lossy(&out).into_owned())
}

const PLAIN: &str = "Jane Doe,jane@example.org\n";

#[test]
fn every_coding_gives_the_same_text() {
    let plain = PLAIN.repeat(300);
    let text = plain.as_bytes();
    let both = gzip(&brotli(text));
    let two = [gzip(text), gzip(text)].concat();
    type Case = (&'static [&'static [u8]], Vec<u8>, usize);
    let table: Vec<Case> = vec![
        (&[], text.to_vec(), 1),
        (&[b"identity"], text.to_vec(), 1),
        (&[b"gzip"], gzip(text), 1),
        (&[b"x-gzip"], two, 2),
        (&[b"gzip"], [gzip(text), vec![0; 40]].concat(), 1),
        (&[b"deflate"], deflate(text, true), 1),
        (&[b"deflate"], deflate(text, false), 1),
        (&[b"br"], brotli(text), 1),
        (&[b"zstd"], zstd(text), 1),
        (&[b"zstd"], [zstd(text), zstd(text)].concat(), 2),
        (&[b"br, gzip"], both.clone(), 1),
        (&[b"br", b"gzip"], both, 1),
        (&[], gzip(text), 1),
        (&[], zstd(text), 1),
    ];
    for (codings, body, times) in table {
        let (outcome, out) = read(codings, &body);
        let broken = body.ends_with(&[0; 40]);
        assert!(outcome.is_ok() || broken, "{codings:?}: {outcome:?}");
        assert_eq!(out, format!("{}\n", plain.repeat(times)), "{codings:?}");
    }
}

#[test]
fn archives_are_read_member_by_member() {
    for (deflated, behind) in [(true, false), (true, true), (false, false)] {
        let inner = zip(&[("deep.csv", PLAIN.as_bytes())], true, true);
        let packed = gzip(b"packed");
        let members: [(&str, &[u8]); 5] =
            [("a.xml", b"<t>one</t>"), ("empty", b""), ("b.zip", &inner), ("c.gz", &packed), ("d.csv", b"last")];
        let (outcome, out) = read(&[], &zip(&members, deflated, behind));
        assert_eq!(outcome, Ok(()), "{deflated} {behind}");
        let lines: Vec<&str> = out.lines().filter(|line| !line.is_empty()).collect();
        assert_eq!(lines, ["<t>one</t>", PLAIN.trim_end(), "packed", "last"], "{deflated} {behind}");
    }
}

#[test]
fn a_picture_beside_a_table_hides_nothing() {
    let members: [(&str, &[u8]); 2] = [("logo.png", b"\x89PNG\r\n\x1a\n"), ("d.csv", b"last")];
    let (outcome, out) = read(&[], &zip(&members, true, false));
    assert_eq!((outcome, out.trim()), (Err(Unread::Kind), "last"));
}

#[test]
fn what_is_not_read_is_told() {
    let bomb = gzip(&vec![0; 4 << 20]);
    let deep = (0..6).fold(b"x".to_vec(), |inner, _| gzip(&inner));
    let long = vec![b'a'; 9 << 20];
    let mut secret = zip(&[("a", b"hidden")], true, false);
    secret[6] = 1;
    type Case = (&'static [&'static [u8]], Vec<u8>, Unread);
    let table: Vec<Case> = vec![
        (&[b"compress"], b"x".to_vec(), Unread::Coding),
        (&[b"gzip, dcb"], b"x".to_vec(), Unread::Coding),
        (&[b"gzip"], bomb, Unread::Ratio),
        (&[], deep, Unread::Nesting),
        (&[b"gzip,gzip,gzip,gzip,gzip"], b"x".to_vec(), Unread::Nesting),
        (&[], long, Unread::Size),
        (&[b"gzip"], b"not gzip at all".to_vec(), Unread::Broken),
        (&[b"br"], b"\xff\xff\xff\xff not brotli".to_vec(), Unread::Broken),
        (&[b"zstd"], b"not zstd at all".to_vec(), Unread::Broken),
        (&[b"gzip"], gzip(PLAIN.as_bytes())[..30].to_vec(), Unread::Broken),
        (&[], b"\x89PNG\r\n".to_vec(), Unread::Kind),
        (&[], secret, Unread::Encrypted),
    ];
    for (codings, body, expected) in table {
        let (outcome, _) = read_with(codings, &body, Bounds::default(), 8192);
        assert_eq!(outcome, Err(expected), "{codings:?}, {} bytes", body.len());
    }
}

#[test]
fn escapes_are_undone_wherever_they_stand() {
    let table = [
        (r#"{"e":"a\u0040b.org"}"#, r#"{"e":"a@b.org"}"#),
        (r"a\x40b.org a\u{40}b \/ \q", "a@b.org a@b / \\q"),
        ("a&#64;b.org a&#x40;b.org a&commat;b&period;org a&#64b", "a@b.org a@b.org a@b.org a@b"),
        ("R&D, &unknown; 100% %zz %", "R&D, &unknown; 100% %zz %"),
        ("mailto:a%40b.org", "mailto:a@b.org"),
        (r"a\\u0040b.org a\u0026#64;b a&amp;#64;b a%2540b", "a@b.org a@b a@b a@b"),
        (r"\ud83d\ude00 \ud83d \", "\u{1f600} \u{fffd} \\"),
        ("020&nbsp;7946&#160;0018", "020 7946 0018"),
    ];
    for (text, expected) in table {
        for piece in [1, 2, 5, 1000] {
            let (outcome, out) = read_with(&[], text.as_bytes(), Bounds::default(), piece);
            assert_eq!(
                (outcome, String::from_utf8_lossy(&out).trim_end_matches('\n')),
                (Ok(()), expected),
                "{text} by {piece}"
            );
        }
    }
}

#[test]
fn wide_text_is_read_with_and_without_its_mark() {
    for (mark, little) in [(&[0xff, 0xfe][..], true), (&[0xfe, 0xff], false), (&[], true), (&[], false)] {
        let units = "jane@example.org \u{1f600}".encode_utf16();
        let bytes = units.flat_map(|unit| if little { unit.to_le_bytes() } else { unit.to_be_bytes() });
        let body: Vec<u8> = mark.iter().copied().chain(bytes).collect();
        assert!(read(&[], &body).1.contains("jane@example.org \u{1f600}"), "{mark:?} {little}");
    }
}

#[test]
fn messages_are_read_whatever_their_frames() {
    let mut frames = Vec::new();
    frames.extend_from_slice(&[0x01, 5]);
    frames.extend_from_slice(b"jane@");
    frames.extend_from_slice(&[0x89, 2, b'p', b'g']);
    frames.extend_from_slice(&[0x80, 126, 0, 11]);
    frames.extend_from_slice(b"example.org");
    frames.extend_from_slice(&[0x81, 0x83, 1, 2, 3, 4, b'a' ^ 1, b'b' ^ 2, b'c' ^ 3]);
    // A sender flushes where deflate() here ends: both are whole streams to the reader, and a message may hold two.
    let mut packed = [deflate(b"pac", false), deflate(b"ked", false)].concat();
    frames.extend_from_slice(&[0xc1, u8::try_from(packed.len()).expect("short")]);
    frames.append(&mut packed);
    frames.extend_from_slice(&[0x81, 4]);
    frames.extend_from_slice(b"last");
    for piece in [1, 3, 1000] {
        let (mut socket, mut out) = (WebSocket::new(Bounds::default()), Out::default());
        for piece in frames.chunks(piece) {
            assert_eq!(socket.push(piece, &mut out), Ok(()));
        }
        assert_eq!(String::from_utf8_lossy(&out.0), "jane@example.org\nabc\npacked\nlast\n", "by {piece}");
    }
    let packed = gzip(b"two");
    let mut stream = vec![0, 0, 0, 0, 3];
    stream.extend_from_slice(b"one");
    stream.extend_from_slice(&[1, 0, 0, 0, u8::try_from(packed.len()).expect("short")]);
    stream.extend_from_slice(&packed);
    let (mut grpc, mut out) = (Grpc::new(b"gzip", Bounds::default()), Out::default());
    for piece in stream.chunks(4) {
        assert_eq!(grpc.push(piece, &mut out), Ok(()));
    }
    assert_eq!(out.0, b"one\ntwo\n");
}

proptest! {
    #[test]
    fn pieces_and_codings_make_no_difference(
        text in "[a-z@.\\\\&%#;0-9u ]{0,400}",
        piece in 1usize..300,
        coding in 0usize..6,
    ) {
        let plain = text.as_bytes();
        let (_, whole) = read_with(&[], plain, Bounds::default(), 1000);
        let (name, body): (&[u8], Vec<u8>) = match coding {
            0 => (b"identity", plain.to_vec()),
            1 => (b"gzip", gzip(plain)),
            2 => (b"deflate", deflate(plain, true)),
            3 => (b"deflate", deflate(plain, false)),
            4 => (b"br", brotli(plain)),
            _ => (b"zstd", zstd(plain)),
        };
        let (outcome, out) = read_with(&[name], &body, Bounds::default(), piece);
        prop_assert_eq!(outcome, Ok(()));
        prop_assert_eq!(out, whole);
    }

    #[test]
    fn nothing_breaks_it(body in prop::collection::vec(any::<u8>(), 0..600), start in 0usize..6, coding in 0usize..5) {
        let starts: [&[u8]; 6] = [b"", b"PK\x03\x04", b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd", b"\xff\xfe", b"\x81\x7e"];
        let body = [starts[start], &body].concat();
        let names: [&[u8]; 5] = [b"identity", b"gzip", b"br", b"zstd", b"deflate"];
        let _ = read_with(&[names[coding]], &body, Bounds::default(), 13);
        let _ = WebSocket::new(Bounds::default()).push(&body, &mut Out::default());
        let _ = Grpc::new(b"gzip", Bounds::default()).push(&body, &mut Out::default());
    }
}
