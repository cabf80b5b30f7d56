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
        sink(Part { text: path, place, name });
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
                sink(Part { text: part(pair, 0, equals), place: Place::QueryName, name });
                sink(Part { text: from(pair, equals + 1), place, name });
            }
            None => sink(Part { text: pair, place, name }),
        }
    }
}

/// The strings of what PHP wrote down. The whole is looked at as well: it may be an object.
fn strings<'a>(text: &'a [u8], place: Place, name: &'a [u8], sink: &mut dyn FnMut(Part<'a>)) {
    for piece in text.split(|byte| *byte == b'"').skip(1).step_by(2) {
        sink(Part { text: piece, place, name });
    }
}

/// A string of JSON, as it is written.
pub(super) struct JsonString<'a> {
    pub(super) text: &'a [u8],
    /// It has escapes.
    pub(super) escaped: bool,
    pub(super) is_key: bool,
    /// How many objects and arrays it stands in.
    pub(super) depth: usize,
}

/// The strings of an object or an array, one by one and without a copy. That the text is one is known at its end only.
pub(super) struct Json<'a> {
    text: &'a [u8],
    position: usize,
    depth: usize,
    /// What a token may be followed by is not checked but for this: two strings in a row are no JSON, nor are two braces.
    last: u8,
    strings: bool,
    whole: bool,
}

impl<'a> Json<'a> {
    /// None: this does not begin like JSON.
    pub(super) fn new(text: &'a [u8]) -> Option<Self> {
        let text = text.strip_prefix(b"'").and_then(|text| text.strip_suffix(b"'")).unwrap_or(text);
        let position = text.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        let opens = matches!(at(text, position), b'{' | b'[');
        opens.then_some(Self { text, position, depth: 0, last: 0, strings: false, whole: false })
    }

    /// Whether the text was JSON to its end, as far as its tokens go, and had strings.
    pub(super) fn was_whole(&self) -> bool {
        self.whole && self.strings
    }
}

impl<'a> Iterator for Json<'a> {
    type Item = JsonString<'a>;

    fn next(&mut self) -> Option<JsonString<'a>> {
        let text = self.text;
        while let Some(byte) = text.get(self.position).copied() {
            match byte {
                b'"' => {
                    if self.last == b'"' {
                        return None;
                    }
                    let start = self.position + 1;
                    let (close, escaped) = string_end(text, start)?;
                    self.position = close + 1;
                    self.last = b'"';
                    self.strings = true;
                    let is_key = matches!(at(text, self.position), b':' | b' ' | b'\t' | b'\n' | b'\r')
                        && at(text, skip_space(text, self.position)) == b':';
                    return Some(JsonString { text: part(text, start, close), escaped, is_key, depth: self.depth });
                }
                b'{' | b'[' => {
                    if byte == b'{' && self.last == b'{' {
                        return None;
                    }
                    self.depth += 1;
                    self.last = byte;
                }
                b'}' | b']' => {
                    self.depth = self.depth.checked_sub(1)?;
                    self.last = byte;
                }
                b',' | b':' => self.last = byte,
                b' ' | b'\t' | b'\n' | b'\r' | b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E' => {}
                b't' | b'f' | b'n' => {
                    let rest = from(text, self.position);
                    let literal =
                        [&b"true"[..], b"false", b"null"].into_iter().find(|literal| rest.starts_with(literal));
                    self.position += literal?.len() - 1;
                }
                _ => return None,
            }
            self.position += 1;
        }
        self.whole = self.depth == 0;
        None
    }
}

/// The quote that ends a string, and whether there are escapes before it.
fn string_end(text: &[u8], mut position: usize) -> Option<(usize, bool)> {
    let mut escaped = false;
    loop {
        let found = memchr::memchr2(b'"', b'\\', from(text, position))? + position;
        if at(text, found) == b'"' {
            return Some((found, escaped));
        }
        escaped = true;
        position = found + 2;
    }
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
