//! Escapes of text undone as it passes: JSON and JavaScript (`\u0040`), HTML and XML (`&#64;`), URLs (`%40`), UTF-16.
//!
//! It never asks what kind of text it is: pages hold scripts, scripts hold JSON, JSON holds pages. What is written like an
//! escape is undone, [`LAYERS`] times over, so that an escape of an escape is found too.

use memchr::memchr3;
use smallvec::SmallVec;

use super::Sink;

/// How often escapes are undone.
const LAYERS: usize = 2;

/// No escape is longer: `\ud83d\ude00`.
const LONGEST: usize = 12;

/// Text on its way.
#[derive(Debug)]
pub(super) struct Escapes {
    charset: Charset,
    layers: [Layer; LAYERS],
    buffers: [Vec<u8>; LAYERS],
}

impl Escapes {
    /// Of a document that begins with these bytes (fewer are filled up with zeros).
    pub(super) fn new(first: [u8; 4]) -> Self {
        Self { charset: Charset::of(first), layers: Default::default(), buffers: Default::default() }
    }

    pub(super) fn push(&mut self, bytes: &[u8], sink: &mut dyn Sink) {
        match &mut self.charset {
            Charset::Bytes => self.undo(bytes, false, sink),
            Charset::Wide(wide) => {
                let mut text = Vec::with_capacity(bytes.len());
                wide.push(bytes, &mut text);
                self.undo(&text, false, sink);
            }
        }
    }

    pub(super) fn finish(&mut self, sink: &mut dyn Sink) {
        self.undo(&[], true, sink);
    }

    fn undo(&mut self, bytes: &[u8], last: bool, sink: &mut dyn Sink) {
        if self.layers.iter().all(|layer| layer.held.is_empty()) && next(bytes).is_none() {
            if !bytes.is_empty() {
                sink.text(bytes);
            }
            return;
        }
        let [outer, inner] = &mut self.layers;
        let [first, second] = &mut self.buffers;
        first.clear();
        outer.push(bytes, last, first);
        second.clear();
        inner.push(first, last, second);
        if !second.is_empty() {
            sink.text(second);
        }
    }
}

/// The next byte that an escape may begin with.
fn next(bytes: &[u8]) -> Option<usize> {
    memchr3(b'\\', b'&', b'%', bytes)
}

/// Escapes undone once.
#[derive(Debug, Default)]
struct Layer {
    /// What may be the beginning of an escape; shorter than one.
    held: SmallVec<[u8; 2 * LONGEST]>,
}

/// What stands where an escape may begin.
enum Step {
    /// No escape: the byte itself.
    Plain,
    /// So many bytes that stand for these.
    Undone(usize, SmallVec<[u8; 8]>),
    /// More must come to tell.
    More,
}

impl Layer {
    fn push(&mut self, bytes: &[u8], last: bool, out: &mut Vec<u8>) {
        let mut rest = bytes;
        if !self.held.is_empty() {
            let had = self.held.len();
            let (more, _) = rest.split_at(rest.len().min(LONGEST));
            self.held.extend_from_slice(more);
            let all_there = last && more.len() == rest.len();
            let mut at = 0;
            while at < had {
                let here = self.held.get(at..).unwrap_or_default();
                match step(here, all_there) {
                    Step::Plain => {
                        out.extend(here.first());
                        at += 1;
                    }
                    Step::Undone(count, text) => {
                        out.extend_from_slice(&text);
                        at += count;
                    }
                    Step::More => {
                        self.held.drain(..at);
                        return;
                    }
                }
            }
            self.held.clear();
            rest = rest.get(at - had..).unwrap_or_default();
        }
        while let Some(at) = next(rest) {
            let (plain, here) = rest.split_at(at);
            out.extend_from_slice(plain);
            rest = match step(here, last) {
                Step::Plain => {
                    out.extend(here.first());
                    here.get(1..).unwrap_or_default()
                }
                Step::Undone(count, text) => {
                    out.extend_from_slice(&text);
                    here.get(count..).unwrap_or_default()
                }
                Step::More => {
                    self.held.extend_from_slice(here);
                    return;
                }
            };
        }
        out.extend_from_slice(rest);
    }
}

/// Looks at what `here` begins with. With `last`, nothing follows it.
fn step(here: &[u8], last: bool) -> Step {
    let step = match here {
        [b'\\', rest @ ..] => backslash(rest),
        [b'&', rest @ ..] => entity(rest),
        [b'%', rest @ ..] => percent(rest),
        _ => return Step::Plain,
    };
    match step {
        Step::Plain | Step::More if !last && here.len() < LONGEST => Step::More,
        // A half of a pair, and nothing after it.
        Step::More if here.starts_with(b"\\u") => undone(6, u32::MAX),
        Step::More => Step::Plain,
        step => step,
    }
}

fn undone(count: usize, scalar: u32) -> Step {
    // A no-break space separates as a space does.
    let scalar = if scalar == 0xa0 { 0x20 } else { scalar };
    let mut utf8 = [0; 4];
    let text = char::from_u32(scalar).unwrap_or(char::REPLACEMENT_CHARACTER).encode_utf8(&mut utf8);
    Step::Undone(count, SmallVec::from_slice(text.as_bytes()))
}

/// What follows a backslash, as JSON (RFC 8259 section 7) and JavaScript have it.
fn backslash(rest: &[u8]) -> Step {
    match rest {
        [plain @ (b'"' | b'\\' | b'/' | b'\''), ..] => undone(2, u32::from(*plain)),
        [b'n', ..] => undone(2, 0x0a),
        [b't', ..] => undone(2, 0x09),
        [b'r', ..] => undone(2, 0x0d),
        [b'b' | b'f', ..] => undone(2, 0x20),
        [b'x', digits @ ..] => hex(digits, 2).map_or(Step::Plain, |scalar| undone(4, scalar)),
        [b'u', b'{', digits @ ..] => match digits.iter().take(7).position(|byte| *byte == b'}') {
            Some(count @ 1..) => hex(digits, count).map_or(Step::Plain, |scalar| undone(count + 4, scalar)),
            _ => Step::Plain,
        },
        [b'u', digits @ ..] => match hex(digits, 4) {
            Some(high @ 0xd800..0xdc00) => match digits.get(4..) {
                Some(short) if short.len() < 6 && b"\\u".starts_with(short.get(..2).unwrap_or(short)) => Step::More,
                Some([b'\\', b'u', low @ ..]) => match hex(low, 4) {
                    Some(low @ 0xdc00..0xe000) => undone(12, 0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00)),
                    _ => undone(6, u32::MAX),
                },
                _ => undone(6, u32::MAX),
            },
            Some(scalar) => undone(6, scalar),
            None => Step::Plain,
        },
        _ => Step::Plain,
    }
}

/// Names of characters that could stand in what is looked for (HTML section 13.5).
const NAMES: [(&[u8], u8); 20] = [
    (b"amp", b'&'),
    (b"lt", b'<'),
    (b"gt", b'>'),
    (b"quot", b'"'),
    (b"apos", b'\''),
    (b"nbsp", b' '),
    (b"commat", b'@'),
    (b"period", b'.'),
    (b"lowbar", b'_'),
    (b"UnderBar", b'_'),
    (b"hyphen", b'-'),
    (b"dash", b'-'),
    (b"plus", b'+'),
    (b"num", b'#'),
    (b"sol", b'/'),
    (b"lpar", b'('),
    (b"rpar", b')'),
    (b"colon", b':'),
    (b"equals", b'='),
    (b"NewLine", b'\n'),
];

/// What follows an ampersand.
fn entity(rest: &[u8]) -> Step {
    let number = |digits: &[u8], radix: u32, before: usize| {
        let count = digits.iter().take(7).take_while(|byte| char::from(**byte).is_digit(radix)).count();
        let text = digits.get(..count).and_then(|digits| std::str::from_utf8(digits).ok());
        let Some(scalar) = text.and_then(|text| u32::from_str_radix(text, radix).ok()) else { return Step::Plain };
        match digits.get(count) {
            // The semicolon may be missing, as browsers have it.
            Some(b';') => undone(before + count + 1, scalar),
            Some(_) => undone(before + count, scalar),
            None => Step::More,
        }
    };
    match rest {
        [b'#', b'x' | b'X', digits @ ..] => number(digits, 16, 3),
        [b'#', digits @ ..] => number(digits, 10, 2),
        _ => {
            let named = NAMES.iter().find(|(name, _)| rest.starts_with(name) && rest.get(name.len()) == Some(&b';'));
            named.map_or(Step::Plain, |(name, byte)| undone(name.len() + 2, u32::from(*byte)))
        }
    }
}

/// What follows a per cent sign (RFC 3986 section 2.1).
fn percent(rest: &[u8]) -> Step {
    match hex(rest, 2).and_then(|byte| u8::try_from(byte).ok()) {
        Some(byte) if byte >= 0x20 => Step::Undone(3, SmallVec::from_slice(&[byte])),
        _ => Step::Plain,
    }
}

fn hex(digits: &[u8], count: usize) -> Option<u32> {
    digits.get(..count)?.iter().try_fold(0, |sum: u32, digit| {
        let digit = char::from(*digit).to_digit(16)?;
        Some((sum << 4) | digit)
    })
}

/// How characters are written.
#[derive(Debug)]
enum Charset {
    /// UTF-8, or any other that leaves ASCII alone.
    Bytes,
    /// UTF-16.
    Wide(Wide),
}

/// UTF-16 under way.
#[derive(Debug)]
struct Wide {
    little: bool,
    odd: Option<u8>,
    high: Option<u16>,
}

impl Charset {
    /// By its mark, or by every other byte being zero, as text in Latin letters is.
    fn of(first: [u8; 4]) -> Self {
        let little = match first {
            [0xff, 0xfe, ..] => true,
            [0xfe, 0xff, ..] => false,
            [a, 0, b, 0] if a > 0 && b > 0 => true,
            [0, a, 0, b] if a > 0 && b > 0 => false,
            _ => return Self::Bytes,
        };
        Self::Wide(Wide { little, odd: None, high: None })
    }
}

impl Wide {
    fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        for byte in bytes {
            let Some(first) = self.odd.take() else {
                self.odd = Some(*byte);
                continue;
            };
            let pair = [first, *byte];
            let unit = if self.little { u16::from_le_bytes(pair) } else { u16::from_be_bytes(pair) };
            if matches!(unit, 0xd800..0xdc00) {
                self.high = Some(unit);
                continue;
            }
            let units = self.high.take().into_iter().chain(Some(unit));
            for scalar in char::decode_utf16(units) {
                let mut utf8 = [0; 4];
                out.extend_from_slice(scalar.unwrap_or(char::REPLACEMENT_CHARACTER).encode_utf8(&mut utf8).as_bytes());
            }
        }
    }
}
