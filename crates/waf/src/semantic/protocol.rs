//! Does the request itself break rules, so that two programs could read it differently?
//!
//! Most oddities are no attack alone, and browsers never send two of them: their points add up.

use super::Detector;
use super::finding::{Class, Findings, Hit, Place};
use super::text::{any, begins, find, from, part};

/// What is odd about a request so far.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Oddities {
    /// One bit for each of [`Odd`].
    met: u16,
    points: u8,
    /// A content type was told.
    typed: bool,
}

#[derive(Clone, Copy)]
enum Odd {
    ZeroInPath,
    ZeroInQuery,
    LineInPath,
    ControlInPath,
    Escape,
    Backslash,
    TwoTypes,
    Charset,
    Ranges,
}

impl Odd {
    /// What it counts, and what is odd, for people.
    const fn about(self) -> (u8, &'static str) {
        match self {
            Self::ZeroInPath => (5, "a zero byte in the path, which ends it for some"),
            Self::ZeroInQuery => (2, "a zero byte in the query"),
            Self::LineInPath => (5, "a line end in the path"),
            Self::ControlInPath => (3, "a control character in the path"),
            Self::Escape => (2, "a percent sign in the path that escapes nothing"),
            Self::Backslash => (2, "a backslash in the path, which is a slash to some"),
            Self::TwoTypes => (5, "two types for one body"),
            Self::Charset => (5, "a character set in which letters are other bytes"),
            Self::Ranges => (5, "more ranges than any reader asks for"),
        }
    }
}

/// Most ranges of a document that are asked for at once: readers of PDF ask for a handful (CVE-2011-3192).
const RANGES_MAX: usize = 32;

/// Character sets that are none of ASCII's family, so that detection would read other letters than the application.
const CHARSETS: &[&[u8]] =
    &[b"ibm", b"cp037", b"cp500", b"cp875", b"cp1026", b"cp1047", b"cp1140", b"ebcdic", b"utf-7", b"utf7", b"x-ebcdic"];

impl Detector {
    /// Looks at how a target is written.
    pub(super) fn odd_target(&self, target: &[u8], findings: &mut Findings) {
        let plain = |byte: &u8| !matches!(byte, 0..=b' ' | 0x7F | b'%' | b'\\');
        if target.iter().all(plain) {
            return;
        }
        let path_end = memchr::memchr(b'?', target).unwrap_or(target.len());
        let mut at = 0;
        while let Some(byte) = target.get(at).copied() {
            let in_path = at < path_end;
            let escaped = match (byte, target.get(at + 1..at + 3)) {
                (b'%', Some(digits)) => std::str::from_utf8(digits)
                    .ok()
                    .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
                    .and_then(|digits| u8::from_str_radix(digits, 16).ok()),
                _ => None,
            };
            let odd = match escaped.unwrap_or(byte) {
                0 if in_path => Some(Odd::ZeroInPath),
                0 => Some(Odd::ZeroInQuery),
                b'\n' | b'\r' if in_path => Some(Odd::LineInPath),
                1..=31 | 0x7F if in_path => Some(Odd::ControlInPath),
                b'%' if in_path && escaped.is_none() => Some(Odd::Escape),
                b'\\' if in_path => Some(Odd::Backslash),
                _ => None,
            };
            if let Some(odd) = odd {
                self.odd(odd, Place::Path, b"", part(target, at, at + 40), findings);
            }
            at += if escaped.is_some() { 3 } else { 1 };
        }
    }

    /// Looks at a header field that says how the rest is to be read.
    pub(super) fn odd_header(&self, name: &[u8], value: &[u8], findings: &mut Findings) {
        if name.eq_ignore_ascii_case(b"content-type") {
            if std::mem::replace(&mut findings.oddities.typed, true) {
                self.odd(Odd::TwoTypes, Place::Header, name, value, findings);
            }
            if let Some(charset) = find(value, b"charset").map(|at| from(value, at + 7)) {
                let charset = charset.trim_ascii_start();
                let charset = from(charset, usize::from(charset.first() == Some(&b'='))).trim_ascii_start();
                let charset = from(charset, usize::from(matches!(charset.first(), Some(b'"' | b'\''))));
                if CHARSETS.iter().any(|known| begins(charset, known)) || any(part(charset, 0, 24), &[b"ebcdic"]) {
                    self.odd(Odd::Charset, Place::Header, name, value, findings);
                }
            }
        } else if (name.eq_ignore_ascii_case(b"range") || name.eq_ignore_ascii_case(b"request-range"))
            && memchr::memchr_iter(b',', value).count() >= RANGES_MAX
        {
            self.odd(Odd::Ranges, Place::Header, name, value, findings);
        }
    }

    fn odd(&self, odd: Odd, place: Place, name: &[u8], text: &[u8], findings: &mut Findings) {
        let (points, why) = odd.about();
        let bit = 1 << odd as u16;
        if findings.oddities.met & bit != 0 {
            return;
        }
        findings.oddities.met |= bit;
        findings.oddities.points = findings.oddities.points.saturating_add(points);
        let score = findings.oddities.points;
        let hit = Hit { class: Class::Protocol, score, start: 0, end: text.len(), why, patch: None };
        if self.finds(hit.class) {
            findings.add(place, name, text, 0, &hit);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::semantic::Settings;

    #[test]
    fn oddities_add_up() {
        for (target, headers, expected) in [
            ("/a%00.php", &[][..], 5),
            ("/a?b=%00", &[], 2),
            ("/a%0d%0ab", &[], 5),
            ("/a%01b", &[], 3),
            ("/a%zz", &[], 2),
            ("/a%zz\\b", &[], 4),
            ("/a%zz%zz", &[], 2),
            ("/100%/b%01", &[], 5),
            ("/plain%20path?x=100%&y=a\\b", &[], 0),
            ("/", &["text/html"], 0),
            ("/", &["text/html", "application/json"], 5),
            ("/", &["application/json; charset=\"IBM037\""], 5),
            ("/", &["text/html; charset=UTF-8"], 0),
            ("/", &["text/html; charset=utf-7"], 5),
        ] {
            let (detector, mut findings) = (Detector::new(Settings::default()), Findings::new());
            detector.odd_target(target.as_bytes(), &mut findings);
            for value in headers {
                detector.odd_header(b"Content-Type", value.as_bytes(), &mut findings);
            }
            assert_eq!(findings.score(), expected, "{target} {headers:?}: {:?}", findings.list());
        }
    }

    #[test]
    fn many_ranges_are_odd() {
        let (detector, mut findings) = (Detector::new(Settings::default()), Findings::new());
        detector.odd_header(b"range", b"bytes=0-499,500-999", &mut findings);
        assert_eq!(findings.score(), 0);
        detector.odd_header(b"range", format!("bytes={}", "0-,".repeat(64)).as_bytes(), &mut findings);
        assert_eq!(findings.score(), 5);
    }
}
