//! What applications undo before they use a value: escapes of URLs, HTML, scripts and character sets.
//!
//! One pass undoes one layer, whichever escapes it is made of; the caller goes on until nothing changes or it has seen
//! enough. Never fails: what is no escape stays as it is.

use super::scan::{Seen, has};
use super::text::has_pair;
use crate::bytes::find_pair;

/// Shortest text that is taken for base64.
pub(super) const BASE64_BYTES_MIN: usize = 12;

/// Whether some layer could be there at all, by what a value has.
pub(super) fn plausible(text: &[u8], seen: Seen) -> bool {
    let all = |bits: u32| seen.bytes & bits == bits;
    seen.bytes(has::PERCENT | has::BACKSLASH | has::HIGH | has::CONTROL)
        || seen.bytes(has::AMPERSAND) && seen.bytes(has::SEMICOLON | has::HASH)
        || all(has::PLUS | has::LETTER) && has_pair(text, b'+', b'A')
        || all(has::DIGIT | has::LETTER) && has_pair(text, b'0', b'x')
}

/// Undoes one layer into `out`, which is cleared. Returns whether anything changed.
pub(super) fn layer(text: &[u8], out: &mut Vec<u8>) -> bool {
    out.clear();
    let mut changed = false;
    let mut at = 0;
    while at < text.len() {
        let here = text.get(at..).unwrap_or_default();
        let plain = here.iter().position(|byte| ESCAPES[usize::from(*byte)]).unwrap_or(here.len());
        out.extend_from_slice(here.get(..plain).unwrap_or_default());
        at += plain;
        let Some(byte) = text.get(at).copied() else { break };
        let rest = text.get(at + 1..).unwrap_or_default();
        let undone = match byte {
            b'%' => percent(rest),
            b'&' => entity(rest),
            b'\\' => escape(rest),
            b'+' => utf7(rest, out).map(|used| (None, used)),
            b'0' => hexadecimal(rest),
            0..=8 | 14..=31 | 127 => Some((None, 0)),
            0xC0..=0xFF => folded(byte, rest),
            _ => None,
        };
        match undone {
            Some((put, used)) => {
                changed = true;
                if let Some(put) = put {
                    push(put, out);
                }
                at += 1 + used;
            }
            None => {
                out.push(byte);
                at += 1;
            }
        }
    }
    changed
}

/// The bytes that an escape may begin with.
static ESCAPES: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = matches!(byte as u8, b'%' | b'&' | b'\\' | b'+' | b'0' | 0..=8 | 14..=31 | 127 | 0xC0..=0xFF);
        byte += 1;
    }
    table
};

/// Takes out what is nothing to those who read code, into `out`, which is cleared: comments, and white space in a row but
/// for one. Returns whether anything changed. Padding of either kind is undone by this, however long it is.
pub(super) fn squeeze(text: &[u8], out: &mut Vec<u8>) -> bool {
    out.clear();
    let lines = memchr::memrchr(b'\n', text).unwrap_or(0);
    let mut at = 0;
    while let Some(byte) = text.get(at).copied() {
        let behind = match (byte, text.get(at + 1)) {
            (b'/', Some(b'*')) => find_pair(text.get(at + 2..).unwrap_or_default(), *b"*/").map(|end| at + end + 4),
            // The rest of a line, where there is another one; an address has two slashes, too.
            (b'/', Some(b'/')) if at < lines && (at == 0 || text.get(at - 1) != Some(&b':')) => {
                memchr::memchr(b'\n', text.get(at..).unwrap_or_default()).map(|end| at + end)
            }
            _ => None,
        };
        let (blank, next) = match (byte, behind) {
            (_, Some(behind)) => (Some(b' '), behind),
            // What is not closed is none, and what stands behind it is none either.
            (b'/', None) if text.get(at + 1) == Some(&b'*') => {
                out.extend(text.get(at..).unwrap_or_default());
                break;
            }
            (b'\n' | b'\r', None) => (Some(b'\n'), at + 1),
            (b' ' | b'\t' | 11 | 12, None) => (Some(b' '), at + 1),
            _ => (None, at + 1),
        };
        match (blank, out.last_mut()) {
            (None, _) => out.push(byte),
            (Some(b'\n'), Some(last @ (b' ' | b'\n'))) => *last = b'\n',
            (Some(_), Some(b' ' | b'\n')) => {}
            (Some(blank), _) => out.push(blank),
        }
        at = next;
    }
    out.len() != text.len()
}

/// Undoes the encoding of forms, where there is any; a plain text is itself.
pub(super) fn form<'a>(text: &'a [u8], out: &'a mut Vec<u8>) -> &'a [u8] {
    if memchr::memchr2(b'%', b'+', text).is_none() {
        return text;
    }
    out.clear();
    out.extend(text.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }));
    // Escapes are undone where they stand: what is decoded is never longer.
    let Some(first) = memchr::memchr(b'%', out) else { return out };
    let (mut at, mut to) = (first, first);
    while let Some(byte) = out.get(at).copied() {
        let (byte, used) = match (byte, out.get(at + 1), out.get(at + 2)) {
            (b'%', Some(high), Some(low)) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                (nibble(*high) << 4 | nibble(*low) & 15, 3)
            }
            _ => (byte, 1),
        };
        if let Some(place) = out.get_mut(to) {
            *place = byte;
        }
        at += used;
        to += 1;
    }
    out.truncate(to);
    out
}

/// Undoes the escapes of a string of JSON. Returns whether there were any.
pub(super) fn json(text: &[u8], out: &mut Vec<u8>) -> bool {
    if memchr::memchr(b'\\', text).is_none() {
        return false;
    }
    out.clear();
    let mut at = 0;
    while let Some(byte) = text.get(at).copied() {
        let rest = text.get(at + 1..).unwrap_or_default();
        let (put, used) = match (byte, rest.first()) {
            (b'\\', Some(b'n')) => (b'\n', 1),
            (b'\\', Some(b't')) => (b'\t', 1),
            (b'\\', Some(b'r')) => (b'\r', 1),
            (b'\\', Some(b'b' | b'f')) => (b' ', 1),
            (b'\\', Some(same @ (b'"' | b'\\' | b'/'))) => (*same, 1),
            (b'\\', Some(b'u')) => match digits(rest.get(1..).unwrap_or_default(), 4) {
                (code, 4) => {
                    push(code, out);
                    at += 6;
                    continue;
                }
                _ => (byte, 0),
            },
            _ => (byte, 0),
        };
        out.push(put);
        at += 1 + used;
    }
    true
}

/// Undoes base64 of either alphabet where the whole text is some and what comes out is text. Line ends are skipped.
pub(super) fn base64(text: &[u8], out: &mut Vec<u8>) -> bool {
    out.clear();
    let text = text.strip_suffix(b"==").or_else(|| text.strip_suffix(b"=")).unwrap_or(text);
    if text.len() < BASE64_BYTES_MIN || text.len() % 4 == 1 {
        return false;
    }
    let mut bits = 0_u32;
    let mut count = 0;
    for byte in text {
        let Some(six) = sextet(*byte) else { return false };
        bits = bits << 6 | u32::from(six);
        count += 1;
        if count == 4 {
            let [_, first, second, third] = bits.to_be_bytes();
            if !(printable(first) && printable(second) && printable(third)) {
                return false;
            }
            out.extend([first, second, third]);
            bits = 0;
            count = 0;
        }
    }
    let last = match count {
        2 => [Some((bits >> 4) as u8), None],
        3 => [Some((bits >> 10) as u8), Some((bits >> 2) as u8)],
        _ => [None, None],
    };
    out.extend(last.into_iter().flatten());
    last.into_iter().flatten().all(printable)
}

/// The value of a letter of base64, of either alphabet.
pub(super) fn sextet(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' | b'-' => Some(62),
        b'/' | b'_' => Some(63),
        _ => None,
    }
}

/// Something that stands for a code point, and how many bytes behind the first it took. `None` inside: it stands for nothing.
type Undone = Option<(Option<u32>, usize)>;

fn printable(byte: u8) -> bool {
    matches!(byte, b'\t' | b'\n' | b'\r' | 32..=126)
}

fn push(code: u32, out: &mut Vec<u8>) {
    match (u8::try_from(code), char::from_u32(code)) {
        // A single byte stays one: what it means is a matter of the next layer.
        (Ok(byte), _) => out.push(byte),
        (_, Some(character)) => {
            let mut room = [0; 4];
            out.extend(character.encode_utf8(&mut room).as_bytes());
        }
        _ => {}
    }
}

fn digits(text: &[u8], most: usize) -> (u32, usize) {
    let length = text.iter().take(most).take_while(|byte| byte.is_ascii_hexdigit()).count();
    let value = text.iter().take(length).fold(0_u32, |value, byte| value << 4 | u32::from(nibble(*byte) & 15));
    (value, length)
}

/// How many zeros a number begins with, which may be any number of them.
fn zeros(text: &[u8]) -> usize {
    text.iter().take_while(|byte| **byte == b'0').count()
}

/// A hexadecimal digit, and beyond F what decoders that do not check make of a letter.
fn nibble(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => byte - b'0',
        _ => (byte & 0xDF).wrapping_sub(b'A').wrapping_add(10),
    }
}

/// Behind a percent sign: two digits, or `u` and four.
fn percent(rest: &[u8]) -> Undone {
    match rest {
        [b'u' | b'U', digits_of @ ..] => {
            let (code, length) = digits(digits_of, 4);
            (length == 4).then(|| (Some(narrow(code)), 5))
        }
        [high, low, ..] if high.is_ascii_alphanumeric() && low.is_ascii_alphanumeric() => {
            // Two letters beyond F are what some decoders take all the same; others leave them, and so does prose.
            let exact = high.is_ascii_hexdigit() && low.is_ascii_hexdigit();
            let byte = nibble(*high).wrapping_shl(4).wrapping_add(nibble(*low));
            (exact || byte >= 0x80).then_some((Some(u32::from(byte)), 2))
        }
        _ => None,
    }
}

/// Behind an ampersand: a number or a name that stands for a character of code.
fn entity(rest: &[u8]) -> Undone {
    let (code, used) = match rest {
        [b'#', b'x' | b'X', behind @ ..] => {
            let zeros = zeros(behind);
            let (code, length) = digits(behind.get(zeros..).unwrap_or_default(), 7);
            (zeros + length > 0).then_some((code, 2 + zeros + length))?
        }
        [b'#', behind @ ..] => {
            let zeros = zeros(behind);
            let number = behind.get(zeros..).unwrap_or_default();
            let length = number.iter().take(7).take_while(|byte| byte.is_ascii_digit()).count();
            let code = number.iter().take(length).fold(0_u32, |code, byte| code * 10 + u32::from(byte - b'0'));
            (zeros + length > 0).then_some((code, 1 + zeros + length))?
        }
        _ => {
            let length = rest.iter().take(10).take_while(|byte| byte.is_ascii_alphabetic()).count();
            // Named ones need their semicolon: `&lt=3` is two parameters.
            if rest.get(length) != Some(&b';') {
                return None;
            }
            let name = rest.get(..length)?;
            let (_, code) = ENTITIES.iter().find(|(known, _)| known.as_bytes() == name)?;
            (u32::from(*code), length)
        }
    };
    let semicolon = usize::from(rest.get(used) == Some(&b';'));
    Some((Some(narrow(code)), used + semicolon))
}

/// Characters of code that HTML has names for.
const ENTITIES: &[(&str, u8)] = &[
    ("lt", b'<'),
    ("LT", b'<'),
    ("gt", b'>'),
    ("GT", b'>'),
    ("quot", b'"'),
    ("QUOT", b'"'),
    ("apos", b'\''),
    ("amp", b'&'),
    ("AMP", b'&'),
    ("colon", b':'),
    ("semi", b';'),
    ("lpar", b'('),
    ("rpar", b')'),
    ("lbrace", b'{'),
    ("lcub", b'{'),
    ("rbrace", b'}'),
    ("rcub", b'}'),
    ("lbrack", b'['),
    ("lsqb", b'['),
    ("rbrack", b']'),
    ("rsqb", b']'),
    ("sol", b'/'),
    ("bsol", b'\\'),
    ("equals", b'='),
    ("comma", b','),
    ("period", b'.'),
    ("num", b'#'),
    ("excl", b'!'),
    ("dollar", b'$'),
    ("percnt", b'%'),
    ("grave", b'`'),
    ("DiacriticalGrave", b'`'),
    ("lowbar", b'_'),
    ("vert", b'|'),
    ("verbar", b'|'),
    ("plus", b'+'),
    ("ast", b'*'),
    ("midast", b'*'),
    ("quest", b'?'),
    ("commat", b'@'),
    ("Hat", b'^'),
    ("nbsp", b' '),
    ("Tab", b'\t'),
    ("NewLine", b'\n'),
];

/// Behind a backslash: the escapes of scripts and shells that stand for a byte or a character by its number.
fn escape(rest: &[u8]) -> Undone {
    match rest {
        [b'x' | b'X', behind @ ..] => {
            let (code, length) = digits(behind, 2);
            (length == 2).then_some((Some(code), 3))
        }
        [b'u', b'{', behind @ ..] => {
            let zeros = zeros(behind);
            let (code, length) = digits(behind.get(zeros..).unwrap_or_default(), 6);
            let all = zeros + length;
            (all > 0 && behind.get(all) == Some(&b'}')).then_some((Some(narrow(code)), 3 + all))
        }
        [b'u' | b'U', behind @ ..] => {
            let (code, length) = digits(behind, 4);
            (length == 4).then_some((Some(narrow(code)), 5))
        }
        [first @ b'0'..=b'3', second @ b'0'..=b'7', third @ b'0'..=b'7', ..] => {
            let code = u32::from(first - b'0') << 6 | u32::from(second - b'0') << 3 | u32::from(third - b'0');
            Some((Some(code), 3))
        }
        _ => None,
    }
}

/// `0x2e0x2e0x2f`: several bytes in a row, each with its prefix. One alone is a number.
fn hexadecimal(rest: &[u8]) -> Undone {
    let one = |text: &[u8]| match text {
        [b'x' | b'X', high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
            Some(u32::from(nibble(*high)) << 4 | u32::from(nibble(*low)))
        }
        _ => None,
    };
    let code = one(rest).filter(|code| (0x20..0x7F).contains(code))?;
    let next = rest.get(3..).unwrap_or_default();
    // A separator may stand alone, between words; digits behind it would make it a number.
    let separator = matches!(code, 0x2E | 0x2F | 0x5C)
        && next.first().is_none_or(|byte| !byte.is_ascii_hexdigit() || *byte == b'0' || byte.is_ascii_lowercase());
    let row = matches!(next, [b'0', behind @ ..] if one(behind).is_some());
    (separator || row).then_some((Some(code), 3))
}

/// UTF-7 (RFC 2152): `+ADw-`, where it stands for ASCII alone. Writes to `out` and says how much it took.
fn utf7(rest: &[u8], out: &mut Vec<u8>) -> Option<usize> {
    // ASCII in UTF-16 begins with nine zero bits: an A, and a letter below I.
    if !matches!(rest, [b'A', b'A'..=b'H', _, ..]) {
        return None;
    }
    let before = out.len();
    let (mut bits, mut held, mut used) = (0_u32, 0_u32, 0);
    let mut special = false;
    let mut whole = 0;
    for six in rest.iter().map_while(|byte| sextet(*byte).filter(|_| !matches!(byte, b'-' | b'_'))) {
        bits = bits << 6 | u32::from(six);
        held += 6;
        used += 1;
        if held >= 16 {
            held -= 16;
            let unit = bits >> held & 0xFFFF;
            let sign = u8::try_from(unit).unwrap_or(0);
            if !sign.is_ascii() || sign.is_ascii_control() {
                // What was read so far stays, so that nothing is read again from every plus sign in it.
                if special {
                    return Some(whole);
                }
                out.truncate(before);
                return None;
            }
            special |= sign.is_ascii_punctuation();
            whole = used;
            out.push(sign);
        }
    }
    // Letters alone are a word behind a plus sign.
    if !special {
        out.truncate(before);
        return None;
    }
    Some(used + usize::from(rest.get(used) == Some(&b'-')))
}

/// A character of several bytes that stands for one of ASCII: too long a form of UTF-8, a full-width letter, or one that
/// best-fit conversions make a quote or a slash of.
fn folded(lead: u8, rest: &[u8]) -> Undone {
    let behind = |count: usize| rest.get(..count).filter(|bytes| bytes.iter().all(|byte| byte & 0xC0 == 0x80));
    match lead {
        // No character begins like this. Decoders that do not check take the low bits of whatever comes next.
        0xC0 | 0xC1 => match rest.first() {
            Some(next @ (0x80..=0xFF | 0..=0x1F)) => Some((Some(u32::from(lead & 1) << 6 | u32::from(next & 0x3F)), 1)),
            Some(_) => Some((None, 0)),
            None => None,
        },
        0xE2 | 0xE3 | 0xEF | 0xCA => {
            let count = if lead == 0xCA { 1 } else { 2 };
            let code =
                behind(count)?.iter().fold(u32::from(lead & if count == 1 { 0x1F } else { 0x0F }), |code, byte| {
                    code << 6 | u32::from(byte & 0x3F)
                });
            let ascii = narrow(code);
            (ascii < 0x80).then_some((Some(ascii), count))
        }
        0xE0 | 0xF0 | 0xF8 | 0xFC => {
            let count = match lead {
                0xE0 => 2,
                0xF0 => 3,
                0xF8 => 4,
                _ => 5,
            };
            let code = behind(count)?.iter().fold(0_u32, |code, byte| code << 6 | u32::from(byte & 0x3F));
            (code < 0x80).then_some((Some(code), count))
        }
        _ => None,
    }
}

/// The character of ASCII that conversions make of one, or itself.
fn narrow(code: u32) -> u32 {
    match code {
        // Full-width commas, colons, brackets and the like are Chinese and Japanese prose.
        0xFF01 | 0xFF08 | 0xFF09 | 0xFF0C | 0xFF1A | 0xFF1B | 0xFF1F => code,
        0xFF01..=0xFF5E => code - 0xFEE0,
        0x2019 | 0x02B9 | 0x02BC | 0x02C8 | 0x2032 => 0x27,
        0x2215 | 0x2044 | 0xF025 => 0x2F,
        0x2216 | 0xEFC8 => 0x5C,
        0x3008 | 0x2329 | 0x2039 => 0x3C,
        0x3009 | 0x232A | 0x203A => 0x3E,
        0x3002 | 0x2024 => 0x2E,
        _ => code,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn undone(text: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        layer(text, &mut out);
        out
    }

    #[test]
    fn undoes_one_layer_of_each() {
        for (text, expected) in [
            (&b"%3Cscript%3e"[..], &b"<script>"[..]),
            (b"%253C", b"%3C"),
            (b"%u003c%uff1c%u2215", b"<</"),
            (b"100% of 5%", b"100% of 5%"),
            (b"&lt;&#60;&#x3c;&#x3C;&#0000060", b"<<<<<"),
            (b"a&lt=3&b", b"a&lt=3&b"),
            (b"\\x3c\\u003c\\u{3c}\\074", b"<<<<"),
            (b"D:\\users\\new", b"D:\\users\\new"),
            (b"\xC0\xBC\xE0\x80\xBC\xF0\x80\x80\xBC\xF8\x80\x80\x80\xBC\xFC\x80\x80\x80\x80\xBC", b"<<<<<"),
            ("＜ｓ＞".as_bytes(), b"<s>"),
            ("it’s “so”，".as_bytes(), "it's “so”，".as_bytes()),
            ("größer 中文 😀".as_bytes(), "größer 中文 😀".as_bytes()),
            (b"+ADw-script+AD4-", b"<script>"),
            (b"a+ABC+b 1+1", b"a+ABC+b 1+1"),
            (b"0x2e0x2e0x2fetc0x2fpasswd", b"../etc/passwd"),
            (b"color 0x2e10 0xff", b"color 0x2e10 0xff"),
            (b"%bg%qf", b"\xC0\xAF"),
            (b"a\0b\x01c", b"abc"),
            (b"", b""),
        ] {
            assert_eq!(undone(text).escape_ascii().to_string(), expected.escape_ascii().to_string());
        }
    }

    #[test]
    fn base64_is_text_or_nothing() {
        let mut out = Vec::new();
        assert!(base64(b"L2V0Yy9wYXNzd2Q=", &mut out));
        assert_eq!(out, b"/etc/passwd");
        assert!(base64(b"L2V0Yy9wYXNzd2Q", &mut out));
        assert!(!base64(b"3q2+796tvu/erb7v", &mut out), "bytes");
        assert!(!base64(b"plain words here", &mut out));
        assert!(!base64(b"c2hvcnQ=", &mut out));
    }

    proptest::proptest! {
        /// A layer never grows a text, so that layers come to an end.
        #[test]
        fn never_grows(text in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let out = undone(&text);
            proptest::prop_assert!(out.len() <= text.len());
        }
    }
}
