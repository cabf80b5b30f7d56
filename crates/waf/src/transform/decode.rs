//! Transformations that undo, or make, an escaping: URL, JavaScript, CSS, C, HTML, hexadecimal, UTF-8.

use memchr::{memchr, memchr2};

use crate::bytes::ByteSet;
use crate::seclang::ast::UnicodeMap;

/// `urlDecode`, and `urlDecodeUni` with the map: `%xx`, `+`, and for the latter `%uXXXX`, which becomes what the map says, else
/// its low byte. What is no escape stays.
pub(super) fn url(input: &[u8], out: &mut Vec<u8>, map: Option<&UnicodeMap>) -> bool {
    let Some(mut rest) = copy_before(memchr2(b'%', b'+', input), input, out) else { return false };
    while let Some((&byte, next)) = rest.split_first() {
        rest = next;
        match (byte, next) {
            (b'+', _) => out.push(b' '),
            (b'%', [b'u' | b'U', after @ ..]) if map.is_some() => match hex_digits::<4>(after) {
                Some((code, after)) => {
                    out.push(map.and_then(|map| mapped(map, code)).unwrap_or_else(|| low_byte(code)));
                    rest = after;
                }
                None => out.push(byte),
            },
            (b'%', _) => match hex_digits::<2>(next) {
                Some((code, after)) => {
                    out.push(code as u8);
                    rest = after;
                }
                None => out.push(byte),
            },
            _ => {
                let plain = memchr2(b'%', b'+', next).unwrap_or(next.len());
                let (kept, after) = next.split_at(plain);
                out.push(byte);
                out.extend_from_slice(kept);
                rest = after;
            }
        }
    }
    out != input
}

/// What the bytes are that `urlEncode` leaves alone.
pub(super) const KEPT_BY_URL_ENCODE: ByteSet =
    ByteSet::range(b'0', b'9').union(ByteSet::range(b'A', b'Z')).union(ByteSet::range(b'a', b'z')).with(b'*');

/// `urlEncode`: everything but letters, digits and the star; a space becomes `+`.
pub(super) fn to_url(input: &[u8], out: &mut Vec<u8>) -> bool {
    for &byte in input {
        if KEPT_BY_URL_ENCODE.has(byte) {
            out.push(byte);
        } else if byte == b' ' {
            out.push(b'+');
        } else {
            out.push(b'%');
            out.extend_from_slice(&to_digits(byte));
        }
    }
    out != input
}

/// `jsDecode`: `\uXXXX` (its low byte), `\xXX`, octal up to `\377`, and the letters of JavaScript. Before anything else the
/// backslash just goes; one at the end stays.
pub(super) fn javascript(input: &[u8], out: &mut Vec<u8>) -> bool {
    unescape(input, out, |escape, out| match escape {
        [b'u', after @ ..] if let Some((code, after)) = hex_digits::<4>(after) => {
            out.push(low_byte(code));
            after
        }
        [b'x', after @ ..] if let Some((code, after)) = hex_digits::<2>(after) => {
            out.push(code as u8);
            after
        }
        [b'0'..=b'7', ..] => {
            let most = if escape.first() > Some(&b'3') { 2 } else { 3 };
            octal(escape, most, out)
        }
        [first, after @ ..] => {
            out.push(control(*first).unwrap_or(*first));
            after
        }
        [] => {
            out.push(b'\\');
            escape
        }
    })
}

/// `escapeSeqDecode`: the escapes of ANSI C. Octal takes three digits whatever they are worth, of which the low byte counts.
pub(super) fn escape_sequences(input: &[u8], out: &mut Vec<u8>) -> bool {
    unescape(input, out, |escape, out| match escape {
        [b'x' | b'X', after @ ..] if let Some((code, after)) = hex_digits::<2>(after) => {
            out.push(code as u8);
            after
        }
        [b'0'..=b'7', ..] => octal(escape, 3, out),
        [first, after @ ..] => {
            out.push(control(*first).unwrap_or(*first));
            after
        }
        [] => {
            out.push(b'\\');
            escape
        }
    })
}

/// `cssDecode`: one to six hexadecimal digits, of which the last two count, and one white space after them. A backslash before a
/// line's end or the value's goes with it.
pub(super) fn css(input: &[u8], out: &mut Vec<u8>) -> bool {
    unescape(input, out, |escape, out| {
        let count = escape.iter().take(6).take_while(|byte| byte.is_ascii_hexdigit()).count();
        let (digits, after) = escape.split_at(count);
        match (digits, after) {
            ([], [b'\n', after @ ..]) => after,
            ([], [first, after @ ..]) => {
                out.push(*first);
                after
            }
            ([], []) => after,
            (_, after) => {
                let code = digits.iter().fold(0, |code, &byte| code << 4 | u32::from(digit(byte)));
                // Only four digits, with zeros before them, are a full width form.
                out.push(if digits.len() >= 4 && code <= 0xffff { low_byte(code) } else { code as u8 });
                match after {
                    [b' ' | b'\t'..=b'\r', after @ ..] => after,
                    _ => after,
                }
            }
        }
    })
}

/// `htmlEntityDecode`: numeric references, of which the low byte counts, and `quot`, `amp`, `lt`, `gt`, `nbsp` (the byte of
/// Latin-1), with a semicolon or without.
///
/// A name that goes on (`&ltx`) is decoded as browsers do outside of attributes: its beginning is, what follows stays. This
/// differs from `ModSecurity`, of which 3.0.13 leaves it as it is and 3.0.15 drops what follows.
pub(super) fn html_entities(input: &[u8], out: &mut Vec<u8>) -> bool {
    const NAMES: [(&[u8], u8); 5] = [(b"quot", b'"'), (b"amp", b'&'), (b"lt", b'<'), (b"gt", b'>'), (b"nbsp", 0xa0)];
    let Some(mut rest) = copy_before(memchr(b'&', input), input, out) else { return false };
    while let Some(reference) = rest.strip_prefix(b"&") {
        let decoded = match reference {
            [b'#', b'x' | b'X', digits @ ..] => number(digits, 16),
            [b'#', digits @ ..] => number(digits, 10),
            name => NAMES.iter().find_map(|&(known, byte)| {
                let (start, after) = name.split_at_checked(known.len())?;
                start.eq_ignore_ascii_case(known).then_some((byte, after))
            }),
        };
        let after = match decoded {
            Some((byte, after)) => {
                out.push(byte);
                after.strip_prefix(b";").unwrap_or(after)
            }
            None => {
                out.push(b'&');
                reference
            }
        };
        let (kept, next) = after.split_at(memchr(b'&', after).unwrap_or(after.len()));
        out.extend_from_slice(kept);
        rest = next;
    }
    out != input
}

/// The low byte of the number that `digits` begins with, and what follows; a number beyond 63 bits counts as the largest.
fn number(digits: &[u8], base: u8) -> Option<(u8, &[u8])> {
    let is_digit = |byte: &u8| if base == 16 { byte.is_ascii_hexdigit() } else { byte.is_ascii_digit() };
    let (digits, after) = digits.split_at(digits.iter().take_while(|byte| is_digit(byte)).count());
    if digits.is_empty() {
        return None;
    }
    let value = digits
        .iter()
        .fold(0i64, |value, &byte| value.saturating_mul(i64::from(base)).saturating_add(i64::from(digit(byte))));
    Some((value as u8, after))
}

/// `hexDecode`: two digits a byte. What is no digit counts as the arithmetic of `ModSecurity` has it; a last one alone goes.
pub(super) fn hex(input: &[u8], out: &mut Vec<u8>) -> bool {
    out.extend(input.chunks_exact(2).map(|pair| match pair {
        [high, low] => (digit(*high) << 4).wrapping_add(digit(*low)),
        _ => 0,
    }));
    out != input
}

/// `hexEncode`: in small letters.
pub(super) fn to_hex(input: &[u8], out: &mut Vec<u8>) -> bool {
    out.reserve(input.len() * 2);
    for &byte in input {
        out.extend_from_slice(&to_digits(byte));
    }
    !input.is_empty()
}

/// `sqlHexDecode`: `0x` and pairs of hexadecimal digits after it.
pub(super) fn sql_hex(input: &[u8], out: &mut Vec<u8>) -> bool {
    let Some(mut rest) = copy_before(memchr2(b'x', b'X', input).map(|at| at.saturating_sub(1)), input, out) else {
        return false;
    };
    while let Some((&byte, next)) = rest.split_first() {
        rest = next;
        let mut digits = match next {
            [b'x' | b'X', digits @ ..] if byte == b'0' && hex_digits::<2>(digits).is_some() => digits,
            _ => {
                out.push(byte);
                continue;
            }
        };
        while let Some((code, after)) = hex_digits::<2>(digits) {
            out.push(code as u8);
            digits = after;
        }
        rest = digits;
    }
    out != input
}

/// `utf8toUnicode`: characters beyond ASCII become `%uXXXX`, at least four digits.
///
/// As in `ModSecurity`: the first byte of what is cut short or broken goes, what is too long or a surrogate is followed by its
/// first byte, first bytes that no character has come before what they would be, and of nulls only one at the end stays.
pub(super) fn utf8_to_unicode(input: &[u8], out: &mut Vec<u8>) -> bool {
    let touched = input.iter().position(|&byte| byte >= 0x80 || byte == 0);
    let Some(mut rest) = copy_before(touched, input, out) else { return false };
    while let Some((&first, next)) = rest.split_first() {
        rest = next;
        let (length, bits, least) = match first {
            0 if !next.is_empty() => continue,
            0xc0..=0xdf => (2, first & 0x1f, 0x80),
            0xe0..=0xef => (3, first & 0x0f, 0x800),
            0xf0..=0xf7 => (4, first & 0x07, 0x1_0000),
            _ => {
                out.push(first);
                continue;
            }
        };
        if first >= 0xf5 {
            out.push(first);
        }
        let Some(continued) = next.get(..length - 1).filter(|bytes| bytes.iter().all(|byte| byte & 0xc0 == 0x80))
        else {
            continue;
        };
        let code = continued.iter().fold(u32::from(bits), |code, byte| code << 6 | u32::from(byte & 0x3f));
        out.extend_from_slice(b"%u");
        let digits = code.checked_ilog2().map_or(1, |bit| bit / 4 + 1).max(4);
        for place in (0..digits).rev() {
            out.push(DIGITS[(code >> (4 * place) & 15) as usize]);
        }
        if (0xd800..=0xdfff).contains(&code) || code < least {
            out.push(first);
        }
        rest = next.get(length - 1..).unwrap_or_default();
    }
    out != input
}

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// A byte as two hexadecimal digits.
const fn to_digits(byte: u8) -> [u8; 2] {
    [DIGITS[(byte >> 4) as usize], DIGITS[(byte & 15) as usize]]
}

/// What a hexadecimal digit is worth; what is none, as the arithmetic of `ModSecurity` has it.
const fn digit(byte: u8) -> u8 {
    if byte >= b'A' { (byte & 0xdf).wrapping_sub(b'A' - 10) } else { byte.wrapping_sub(b'0') }
}

/// The number that the first `COUNT` bytes say if all are hexadecimal digits, and what follows.
fn hex_digits<const COUNT: usize>(text: &[u8]) -> Option<(u32, &[u8])> {
    let (digits, after) = text.split_first_chunk::<COUNT>()?;
    let mut code = 0;
    for byte in digits {
        if !byte.is_ascii_hexdigit() {
            return None;
        }
        code = code << 4 | u32::from(digit(*byte));
    }
    Some((code, after))
}

/// The ASCII of a full width form (U+FF01 to U+FF5E), of other code points the low byte.
const fn low_byte(code: u32) -> u8 {
    let low = code as u8;
    if code >> 8 == 0xff && low > 0 && low < 0x5f { low + 0x20 } else { low }
}

/// What a code page makes of a code point.
fn mapped(map: &UnicodeMap, code: u32) -> Option<u8> {
    let at = map.0.binary_search_by_key(&code, |&(known, _)| known).ok()?;
    map.0.get(at).map(|&(_, byte)| byte)
}

/// The control character that a letter stands for after a backslash.
const fn control(letter: u8) -> Option<u8> {
    Some(match letter {
        b'a' => 7,
        b'b' => 8,
        b'f' => 12,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'v' => 11,
        _ => return None,
    })
}

/// The low byte of up to `most` octal digits; at least one is there.
fn octal<'a>(digits: &'a [u8], most: usize, out: &mut Vec<u8>) -> &'a [u8] {
    let count = digits.iter().take(most).take_while(|byte| matches!(byte, b'0'..=b'7')).count();
    let (digits, after) = digits.split_at(count);
    out.push(digits.iter().fold(0u8, |value, byte| value << 3 | (byte & 7)));
    after
}

/// Copies what stands between backslashes, and gives `escape` what follows one; it returns what it has not used.
fn unescape(input: &[u8], out: &mut Vec<u8>, escape: impl for<'a> Fn(&'a [u8], &mut Vec<u8>) -> &'a [u8]) -> bool {
    let Some(mut rest) = copy_before(memchr(b'\\', input), input, out) else { return false };
    while let Some(after) = rest.strip_prefix(b"\\") {
        let after = escape(after, out);
        let (kept, next) = after.split_at(memchr(b'\\', after).unwrap_or(after.len()));
        out.extend_from_slice(kept);
        rest = next;
    }
    out != input
}

/// Copies what stands before `at` and returns the rest; nothing if there is no such place.
fn copy_before<'a>(at: Option<usize>, input: &'a [u8], out: &mut Vec<u8>) -> Option<&'a [u8]> {
    let (before, rest) = input.split_at_checked(at?)?;
    out.extend_from_slice(before);
    Some(rest)
}
