//! Values that have values of their own: addresses, forms, JSON, base64.
//!
//! Only what is whole and plain is taken apart; anything that is not stays one value, so that to break the form hides nothing.

use super::finding::{Look, Place};
use super::scan::{Seen, class, has};
use super::text::{at, begins, find, from, part, skip_space};
use super::words::{self, Kinds};

/// A value inside of a value.
pub(super) struct Part<'a> {
    pub(super) text: &'a [u8],
    pub(super) place: Place,
    pub(super) name: &'a [u8],
    /// It has the escapes of JSON.
    pub(super) escaped: bool,
}

/// Hands out the parts of a value that is made of some. False: it is not, and nothing was handed out.
pub(super) fn parts<'a>(look: &Look<'a>, sink: &mut dyn FnMut(Part<'a>)) -> bool {
    let Look { text, seen, place, name } = *look;
    if !matches!(place, Place::File | Place::Path) {
        if seen.bytes(has::COLON) && seen.bytes(has::SLASH) && address(text, place, name, sink) {
            return true;
        }
        if seen.bytes(has::EQUALS) && seen.bytes(has::AMPERSAND) && form(text, place, name, sink) {
            return true;
        }
        if seen.bytes(has::QUOTE) && seen.bytes(has::BRACE | has::BRACKET) && json(text, place, name, sink) {
            return true;
        }
        if seen.bytes(has::QUOTE)
            && matches!(at(text, 0), b's' | b'a' | b'O')
            && at(text, 1) == b':'
            && seen.bytes(has::SEMICOLON)
        {
            strings(text, place, name, sink);
        }
    }
    false
}

/// `https://host/path?query#fragment` with nothing in it that an address must escape.
fn address<'a>(text: &'a [u8], place: Place, name: &'a [u8], sink: &mut dyn FnMut(Part<'a>)) -> bool {
    let web =
        begins(text, b"http://") || begins(text, b"https://") || begins(text, b"wss://") || begins(text, b"ws://");
    if !web || text.iter().any(|byte| *byte <= b' ' || matches!(byte, b'"' | b'<' | b'>' | b'`' | b'\\')) {
        return false;
    }
    let scheme = find(text, b"://").unwrap_or(0) + 3;
    let host = from(text, scheme)
        .iter()
        .position(|byte| matches!(byte, b'/' | b'?' | b'#'))
        .map_or(text.len(), |end| end + scheme);
    let path_end =
        from(text, host).iter().position(|byte| matches!(byte, b'?' | b'#')).map_or(text.len(), |end| end + host);
    if part(text, scheme, host)
        .iter()
        .any(|byte| matches!(byte, b'\'' | b'(' | b')' | b';' | b'|' | b'$' | b'{' | b'&'))
    {
        return false;
    }
    let path = part(text, host, path_end);
    if path.len() > 1 {
        sink(Part { text: path, place, name, escaped: false });
    }
    for piece in from(text, path_end).split(|byte| matches!(byte, b'?' | b'#')) {
        pairs(piece, place, name, sink);
    }
    true
}

/// `a=1&b=2`: every ampersand begins a name.
fn form<'a>(text: &'a [u8], place: Place, name: &'a [u8], sink: &mut dyn FnMut(Part<'a>)) -> bool {
    if text.iter().any(|byte| *byte <= b' ' || matches!(byte, b'"' | b'<' | b'>')) {
        return false;
    }
    let named = |piece: &[u8]| {
        let length = piece
            .iter()
            .take_while(|byte| {
                class(**byte)
                    & (has::LETTER | has::DIGIT | has::UNDERSCORE | has::MINUS | has::DOT | has::BRACKET | has::PERCENT)
                    != 0
            })
            .count();
        length > 0 && at(piece, length) == b'=' || piece.is_empty()
    };
    if !text.split(|byte| *byte == b'&').all(named) {
        return false;
    }
    pairs(text, place, name, sink);
    true
}

fn pairs<'a>(text: &'a [u8], place: Place, name: &'a [u8], sink: &mut dyn FnMut(Part<'a>)) {
    for pair in text.split(|byte| *byte == b'&') {
        match memchr::memchr(b'=', pair) {
            Some(equals) => {
                sink(Part { text: part(pair, 0, equals), place: Place::QueryName, name, escaped: false });
                sink(Part { text: from(pair, equals + 1), place, name, escaped: false });
            }
            None => sink(Part { text: pair, place, name, escaped: false }),
        }
    }
}

/// An object or an array, to its end. Its strings are handed out, keys too, with their escapes, which are a layer.
fn json<'a>(text: &'a [u8], place: Place, name: &'a [u8], sink: &mut dyn FnMut(Part<'a>)) -> bool {
    let text = text.strip_prefix(b"'").and_then(|text| text.strip_suffix(b"'")).unwrap_or(text);
    let mut position = text.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    if !matches!(at(text, position), b'{' | b'[') || !is_json(text, position) {
        return false;
    }
    while let Some(open) = memchr::memchr(b'"', from(text, position)).map(|open| open + position) {
        let close = string_end(text, open + 1);
        let key = at(text, skip_space(text, close + 1)) == b':';
        sink(Part {
            text: part(text, open + 1, close),
            place: if key { Place::JsonName } else { place },
            name,
            escaped: true,
        });
        position = close + 1;
    }
    true
}

/// The strings of what PHP wrote down. The whole is looked at as well: it may be an object.
fn strings<'a>(text: &'a [u8], place: Place, name: &'a [u8], sink: &mut dyn FnMut(Part<'a>)) {
    for piece in text.split(|byte| *byte == b'"').skip(1).step_by(2) {
        sink(Part { text: piece, place, name, escaped: false });
    }
}

/// Whether a text is JSON as far as its tokens go, closed as it was opened.
fn is_json(text: &[u8], mut position: usize) -> bool {
    let mut depth = 0_usize;
    // What a token may be followed by is not checked but for strings: two in a row are no JSON.
    let mut after_string = false;
    while let Some(byte) = text.get(position) {
        match byte {
            b'"' if after_string => return false,
            b'"' => {
                let close = string_end(text, position + 1);
                if close >= text.len() {
                    return false;
                }
                position = close;
                after_string = true;
            }
            b'{' | b'[' => {
                depth += 1;
                after_string = false;
            }
            b'}' | b']' => match depth.checked_sub(1) {
                Some(less) => depth = less,
                None => return false,
            },
            b',' | b':' => after_string = false,
            b' ' | b'\t' | b'\n' | b'\r' | b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E' => {}
            b't' | b'f' | b'n' => {
                let rest = from(text, position);
                let literal = [&b"true"[..], b"false", b"null"].into_iter().find(|literal| rest.starts_with(literal));
                let Some(literal) = literal else { return false };
                position += literal.len() - 1;
            }
            _ => return false,
        }
        position += 1;
    }
    depth == 0
}

/// The quote that ends a string; the end of the text without one.
fn string_end(text: &[u8], mut position: usize) -> usize {
    while let Some(found) = memchr::memchr2(b'"', b'\\', from(text, position)).map(|found| found + position) {
        if at(text, found) == b'"' {
            return found;
        }
        position = found + 2;
    }
    text.len()
}

/// Words that make it worth to read plus signs as spaces.
const MEANT: Kinds = words::SQL | words::COMMAND | words::COMMAND_WEAK | words::COMMAND_WINDOWS | words::EVENT;

/// Whether plus signs could stand for spaces that were never decoded.
pub(super) fn plus_is_space(text: &[u8], seen: Seen) -> bool {
    seen.bytes(has::PLUS)
        && !seen.bytes(has::SPACE)
        && (seen.words(MEANT) || seen.bytes(has::STAR) && memchr::memmem::find(text, b"/**/").is_some())
}

/// Whether a text is long enough and made of the letters of base64 alone, or begins as bytes that are written as numbers.
pub(super) fn might_be_base64(text: &[u8], seen: Seen) -> bool {
    const ALPHABET: u32 =
        has::LETTER | has::DIGIT | has::PLUS | has::SLASH | has::MINUS | has::UNDERSCORE | has::EQUALS;
    text.len() >= super::decode::BASE64_BYTES_MIN && seen.bytes & !ALPHABET == 0 || text.starts_with(b"0x")
}
