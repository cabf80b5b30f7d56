//! XML 1.0: the text of the document as one value, each attribute's value, and on request its leaves as fields.
//!
//! `XML:/*` and `XML://@*` of rule text are answered from here. Never a document type: it is passed over, and a reference to
//! anything that it could declare is a fault, so that nothing grows and nothing is fetched. What it has between quotes is
//! kept apart, for whoever looks for an attack on exactly that. What is not well-formed is a fault where it shows, and what
//! was read before it stays. Namespaces are not checked; their declarations are no attributes. UTF-8, UTF-16 with its mark,
//! and what resembles ISO 8859-1 are read; other encodings are a fault.

use std::borrow::Cow;

use memchr::{memchr, memchr2, memchr3, memmem};

use super::{Bounds, Fields, Outcome, TOO_MANY_BYTES};

/// What an XML body says.
#[derive(Debug, Clone, Default)]
pub struct Document {
    /// All character data in its order, as one value. In UTF-8, line ends as newlines.
    pub text: Vec<u8>,
    /// Attributes with their normalised values, in their order.
    pub attributes: Fields,
    /// Elements without elements in them: their path, as in `xml.order.item`, and their text.
    pub leaves: Fields,
    /// There is a document type.
    pub has_doctype: bool,
    /// What stands between quotes in the document type: entities' values, and where external ones would be fetched.
    pub literals: Fields,
    /// Whether all of it was read.
    pub outcome: Outcome,
}

/// Reads a document; its leaves where they are asked for (`SecParseXmlIntoArgs`).
#[must_use]
pub fn parse(input: &[u8], leaves: bool, bounds: &Bounds) -> Document {
    let mut document = Document::default();
    match decode(input) {
        Ok(text) => {
            let mut reader = Reader {
                input: text.as_bytes(),
                at: 0,
                bounds,
                document: &mut document,
                open: Vec::new(),
                path: b"xml".to_vec(),
                leaves,
                leaf: None,
                names: Vec::new(),
                scratch: Vec::new(),
            };
            let read = reader.read();
            let at = reader.at.min(text.len());
            if let Err(why) = read {
                document.outcome.faulted(at, why);
            }
        }
        Err((at, why)) => document.outcome.faulted(at, why),
    }
    document
}

const UNFINISHED: &str = "the document ends too early";
const NOT_A_NAME: &str = "a name is expected here";
const BAD_MARKUP: &str = "this is no markup";
const BAD_REFERENCE: &str = "this is no character, and entities are not expanded";
const BAD_TEXT: &str = "this may not stand in text";

/// An element that is open.
struct Open {
    /// Its name, as a range of the input.
    name: (usize, usize),
    /// Its parent's path is this much of the path.
    path: usize,
}

struct Reader<'a> {
    input: &'a [u8],
    at: usize,
    bounds: &'a Bounds,
    document: &'a mut Document,
    open: Vec<Open>,
    path: Vec<u8>,
    /// Whether they are asked for.
    leaves: bool,
    /// Where in the text the innermost element began, while it may still be a leaf.
    leaf: Option<usize>,
    /// Of the attributes of one element.
    names: Vec<(usize, usize)>,
    scratch: Vec<u8>,
}

type Step = Result<(), &'static str>;

impl Reader<'_> {
    fn read(&mut self) -> Step {
        if self.starts_with(b"<?xml") && self.input.get(self.at + 5).is_some_and(|byte| is_blank(*byte)) {
            self.pass("?>")?;
        }
        self.prologue()?;
        self.start_tag()?;
        while !self.open.is_empty() {
            self.character_data()?;
            if self.starts_with(b"</") {
                self.end_tag()?;
            } else if self.starts_with(b"<!--") {
                self.comment()?;
            } else if self.starts_with(b"<![CDATA[") {
                self.cdata()?;
            } else if self.starts_with(b"<?") {
                self.instruction()?;
            } else {
                self.start_tag()?;
            }
        }
        self.misc()?;
        if self.at < self.input.len() { Err("something follows the document") } else { Ok(()) }
    }

    /// Up to the document's element.
    fn prologue(&mut self) -> Step {
        self.misc()?;
        if self.starts_with(b"<!DOCTYPE") {
            self.document.has_doctype = true;
            self.doctype()?;
            self.misc()?;
        }
        Ok(())
    }

    /// White space, comments and instructions outside of the document's element.
    fn misc(&mut self) -> Step {
        loop {
            self.skip_blank();
            if self.starts_with(b"<!--") {
                self.comment()?;
            } else if self.starts_with(b"<?") {
                self.instruction()?;
            } else {
                return Ok(());
            }
        }
    }

    fn start_tag(&mut self) -> Step {
        match self.peek() {
            Some(b'<') => self.at += 1,
            Some(_) => return Err(BAD_MARKUP),
            None => return Err(UNFINISHED),
        }
        let name = self.name()?;
        if self.open.len() >= self.bounds.depth {
            return Err("nested more deeply than is inspected");
        }
        self.open.push(Open { name, path: self.path.len() });
        self.path.push(b'.');
        self.path.extend_from_slice(local(self.input.get(name.0..name.1).unwrap_or_default()));
        self.leaf = self.leaves.then_some(self.document.text.len());
        self.names.clear();
        loop {
            let blank = self.skip_blank();
            match self.peek() {
                Some(b'>') => {
                    self.at += 1;
                    return self.distinct();
                }
                Some(b'/') if self.input.get(self.at + 1) == Some(&b'>') => {
                    self.at += 2;
                    self.distinct()?;
                    return self.close();
                }
                Some(_) if blank => self.attribute()?,
                Some(_) => return Err(BAD_MARKUP),
                None => return Err(UNFINISHED),
            }
        }
    }

    fn end_tag(&mut self) -> Step {
        let start = self.at;
        self.at += 2;
        let name = self.name()?;
        self.skip_blank();
        let expected = self.open.last().and_then(|open| self.input.get(open.name.0..open.name.1));
        if expected != self.input.get(name.0..name.1) {
            self.at = start;
            return Err("this closes an element that is not open");
        }
        match self.peek() {
            Some(b'>') => self.at += 1,
            Some(_) => return Err(BAD_MARKUP),
            None => return Err(UNFINISHED),
        }
        self.close()
    }

    /// Ends the innermost element.
    fn close(&mut self) -> Step {
        let Document { text, leaves, outcome, .. } = &mut *self.document;
        if let Some(value) = self.leaf.take().and_then(|start| text.get(start..)) {
            // What is cut here says so, and does not end the reading.
            leaves.push(&self.path, value, self.bounds, outcome);
        }
        if let Some(open) = self.open.pop() {
            self.path.truncate(open.path);
        }
        if outcome.fault.is_some() { Err(TOO_MANY_BYTES) } else { Ok(()) }
    }

    fn attribute(&mut self) -> Step {
        let name = self.name()?;
        self.names.push(name);
        self.skip_blank();
        match self.peek() {
            Some(b'=') => self.at += 1,
            Some(_) => return Err("an attribute needs a value"),
            None => return Err(UNFINISHED),
        }
        self.skip_blank();
        let quote = match self.peek() {
            Some(quote @ (b'"' | b'\'')) => quote,
            Some(_) => return Err("a value stands between quotes"),
            None => return Err(UNFINISHED),
        };
        self.at += 1;
        let mut value = std::mem::take(&mut self.scratch);
        value.clear();
        let read = self.attribute_value(quote, &mut value);
        let text = self.input.get(name.0..name.1).unwrap_or_default();
        if text != b"xmlns" && !text.starts_with(b"xmlns:") {
            let Document { attributes, outcome, .. } = &mut *self.document;
            attributes.push(text, &value, self.bounds, outcome);
        }
        self.scratch = value;
        read?;
        if self.document.outcome.fault.is_some() { Err(TOO_MANY_BYTES) } else { Ok(()) }
    }

    fn attribute_value(&mut self, quote: u8, value: &mut Vec<u8>) -> Step {
        loop {
            let rest = self.input.get(self.at..).unwrap_or_default();
            let plain = memchr3(quote, b'&', b'<', rest).unwrap_or(rest.len());
            let start = value.len();
            self.characters(plain, value)?;
            for byte in value.get_mut(start..).unwrap_or_default() {
                if is_blank(*byte) {
                    *byte = b' ';
                }
            }
            match self.peek() {
                Some(b'&') => self.reference(value)?,
                Some(b'<') => return Err(BAD_TEXT),
                Some(_) => {
                    self.at += 1;
                    return Ok(());
                }
                None => return Err(UNFINISHED),
            }
        }
    }

    /// Fails where two attributes of one element have one name.
    fn distinct(&mut self) -> Step {
        let input = self.input;
        let name = |range: &(usize, usize)| input.get(range.0..range.1).unwrap_or_default();
        self.names.sort_unstable_by(|one, other| name(one).cmp(name(other)));
        let twice = self.names.windows(2).any(|pair| matches!(pair, [one, other] if name(one) == name(other)));
        if twice { Err("an attribute stands twice") } else { Ok(()) }
    }

    /// Text up to the next markup.
    fn character_data(&mut self) -> Step {
        let mut text = std::mem::take(&mut self.document.text);
        let read = self.text_into(&mut text);
        self.document.text = text;
        read?;
        if self.at >= self.input.len() { Err(UNFINISHED) } else { Ok(()) }
    }

    fn text_into(&mut self, text: &mut Vec<u8>) -> Step {
        loop {
            let rest = self.input.get(self.at..).unwrap_or_default();
            let plain = memchr2(b'<', b'&', rest).unwrap_or(rest.len());
            if let Some(at) = memmem::find(&rest[..plain], b"]]>") {
                self.characters(at, text)?;
                return Err(BAD_TEXT);
            }
            self.characters(plain, text)?;
            if self.peek() != Some(b'&') {
                return Ok(());
            }
            self.reference(text)?;
        }
    }

    fn cdata(&mut self) -> Step {
        self.at += b"<![CDATA[".len();
        let rest = self.input.get(self.at..).unwrap_or_default();
        let end = memmem::find(rest, b"]]>");
        let mut text = std::mem::take(&mut self.document.text);
        let read = self.characters(end.unwrap_or(rest.len()), &mut text);
        self.document.text = text;
        read?;
        if end.is_none() {
            return Err(UNFINISHED);
        }
        self.at += b"]]>".len();
        Ok(())
    }

    /// Takes so many bytes of characters to `out`, line ends as newlines.
    fn characters(&mut self, count: usize, out: &mut Vec<u8>) -> Step {
        let mut rest = self.input.get(self.at..self.at + count).unwrap_or_default();
        if self.document.text.len().max(out.len()) + rest.len() > self.bounds.bytes {
            return Err(TOO_MANY_BYTES);
        }
        while let Some(at) = rest.iter().position(|byte| matches!(byte, 0..=8 | 11..=31)) {
            let (plain, control) = rest.split_at(at);
            out.extend_from_slice(plain);
            self.at += at;
            match control {
                [b'\r', b'\n', ..] => {
                    self.at += 1;
                    rest = control.get(1..).unwrap_or_default();
                }
                [b'\r', ..] => {
                    out.push(b'\n');
                    self.at += 1;
                    rest = control.get(1..).unwrap_or_default();
                }
                _ => return Err(BAD_TEXT),
            }
        }
        out.extend_from_slice(rest);
        self.at += rest.len();
        Ok(())
    }

    /// `&lt;`, `&#60;`, `&#x3c;`.
    fn reference(&mut self, out: &mut Vec<u8>) -> Step {
        let rest = self.input.get(self.at + 1..).unwrap_or_default();
        let near = rest.get(..rest.len().min(LONGEST_REFERENCE)).unwrap_or_default();
        let end = memchr(b';', near).ok_or(BAD_REFERENCE)?;
        let name = &near[..end];
        let character = match name {
            b"lt" => '<',
            b"gt" => '>',
            b"amp" => '&',
            b"quot" => '"',
            b"apos" => '\'',
            [b'#', digits @ ..] => character(digits).ok_or(BAD_REFERENCE)?,
            _ => return Err(BAD_REFERENCE),
        };
        if out.len() >= self.bounds.bytes {
            return Err(TOO_MANY_BYTES);
        }
        out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        self.at += end + 2;
        Ok(())
    }

    fn comment(&mut self) -> Step {
        let body = self.at + b"<!--".len();
        let end = memmem::find(self.input.get(body..).unwrap_or_default(), b"--").ok_or(UNFINISHED)?;
        self.at = body + end + 2;
        if self.peek() != Some(b'>') {
            return Err("two hyphens may not stand in a comment");
        }
        self.at += 1;
        Ok(())
    }

    fn instruction(&mut self) -> Step {
        let start = self.at;
        self.at += 2;
        let name = self.name()?;
        if self.input.get(name.0..name.1).is_some_and(|name| name.eq_ignore_ascii_case(b"xml")) {
            self.at = start;
            return Err("a declaration stands at the beginning or nowhere");
        }
        self.pass("?>")
    }

    /// Passes over a document type and keeps what it has between quotes.
    fn doctype(&mut self) -> Step {
        self.at += b"<!DOCTYPE".len();
        let mut subset = false;
        loop {
            let rest = self.input.get(self.at..).unwrap_or_default();
            match rest {
                [] => return Err(UNFINISHED),
                [quote @ (b'"' | b'\''), inner @ ..] => {
                    let end = memchr(*quote, inner).ok_or(UNFINISHED)?;
                    let Document { literals, outcome, .. } = &mut *self.document;
                    literals.push(b"", &inner[..end], self.bounds, outcome);
                    self.at += end + 2;
                }
                [b'<', b'!', b'-', b'-', ..] if subset => self.comment()?,
                [b'<', b'?', ..] if subset => self.pass("?>")?,
                [b'[', ..] if !subset => {
                    subset = true;
                    self.at += 1;
                }
                [b']', ..] if subset => {
                    subset = false;
                    self.at += 1;
                }
                [b'>', ..] if !subset => {
                    self.at += 1;
                    return Ok(());
                }
                _ => self.at += 1,
            }
        }
    }

    /// A name, as a range of the input.
    fn name(&mut self) -> Result<(usize, usize), &'static str> {
        let rest = self.input.get(self.at..).unwrap_or_default();
        let length = rest.iter().position(|byte| !is_name(*byte)).unwrap_or(rest.len());
        match rest.first() {
            Some(b'-' | b'.' | b'0'..=b'9') => Err(NOT_A_NAME),
            Some(_) if length > 0 => {
                let start = self.at;
                self.at += length;
                Ok((start, self.at))
            }
            Some(_) => Err(NOT_A_NAME),
            None => Err(UNFINISHED),
        }
    }

    /// Behind the next `end`.
    fn pass(&mut self, end: &str) -> Step {
        let rest = self.input.get(self.at..).unwrap_or_default();
        self.at += memmem::find(rest, end.as_bytes()).ok_or(UNFINISHED)? + end.len();
        Ok(())
    }

    fn starts_with(&self, what: &[u8]) -> bool {
        self.input.get(self.at..).is_some_and(|rest| rest.starts_with(what))
    }

    fn peek(&self) -> Option<u8> {
        self.input.get(self.at).copied()
    }

    /// Whether there was any.
    fn skip_blank(&mut self) -> bool {
        let start = self.at;
        while self.peek().is_some_and(is_blank) {
            self.at += 1;
        }
        self.at > start
    }
}

/// `#x10ffff;` and some zeros before it.
const LONGEST_REFERENCE: usize = 32;

/// The character of `60` or `x3c`; none for what XML has no character for.
fn character(digits: &[u8]) -> Option<char> {
    let digits = std::str::from_utf8(digits).ok().filter(|digits| !digits.starts_with('+'))?;
    let number = match digits.strip_prefix('x') {
        Some(digits) if !digits.starts_with('+') => u32::from_str_radix(digits, 16).ok()?,
        Some(_) => return None,
        None => digits.parse().ok()?,
    };
    char::from_u32(number).filter(|character| {
        !matches!(character, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}')
    })
}

const fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

const fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b':' | b'-' | b'.' | 0x80..)
}

/// A name without its prefix.
fn local(name: &[u8]) -> &[u8] {
    memchr(b':', name).and_then(|at| name.get(at + 1..)).unwrap_or(name)
}

/// The input in UTF-8, without a mark.
fn decode(input: &[u8]) -> Result<Cow<'_, str>, (usize, &'static str)> {
    if let Some(text) = input.strip_prefix(b"\xff\xfe") {
        return utf16(text, u16::from_le_bytes);
    }
    if let Some(text) = input.strip_prefix(b"\xfe\xff") {
        return utf16(text, u16::from_be_bytes);
    }
    let text = input.strip_prefix(b"\xef\xbb\xbf").unwrap_or(input);
    match declared_encoding(text) {
        Some(name) if LATIN_1.iter().any(|known| name.eq_ignore_ascii_case(known)) => {
            Ok(text.iter().map(|byte| char::from(*byte)).collect::<String>().into())
        }
        Some(name) if !UTF_8.iter().any(|known| name.eq_ignore_ascii_case(known)) => {
            Err((0, "this encoding is not inspected"))
        }
        _ => match std::str::from_utf8(text) {
            Ok(text) => Ok(text.into()),
            Err(error) => Err((error.valid_up_to(), "this is not UTF-8")),
        },
    }
}

const UTF_8: [&[u8]; 3] = [b"utf-8", b"utf8", b"us-ascii"];
/// The first, and those that differ from it in signs of which no markup is made.
const LATIN_1: [&[u8]; 4] = [b"iso-8859-1", b"latin1", b"iso-8859-15", b"windows-1252"];
/// A declaration is not longer than this.
const DECLARATION: usize = 200;

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Result<Cow<'static, str>, (usize, &'static str)> {
    let units = bytes.chunks_exact(2).map(|pair| unit([pair[0], pair[1]]));
    let text: Result<String, _> = char::decode_utf16(units).collect();
    match text {
        Ok(text) if bytes.len().is_multiple_of(2) => Ok(text.into()),
        _ => Err((0, "this is not UTF-16")),
    }
}

/// What `<?xml encoding="…"?>` says.
fn declared_encoding(input: &[u8]) -> Option<&[u8]> {
    let declaration = input.get(..input.len().min(DECLARATION))?.strip_prefix(b"<?xml")?;
    let declaration = declaration.get(..memmem::find(declaration, b"?>")?)?;
    let after = declaration.get(memmem::find(declaration, b"encoding")? + b"encoding".len()..)?;
    let value = after.trim_ascii_start().strip_prefix(b"=")?.trim_ascii_start();
    let (quote, value) = value.split_first()?;
    value.get(..memchr(*quote, value)?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn values(fields: &Fields) -> Vec<String> {
        fields.iter().map(|field| field.value.escape_ascii().to_string()).collect()
    }

    #[test]
    fn text_and_attributes_are_modsecuritys() {
        // Each was put to libmodsecurity 3.0.15.
        let cases: &[(&[u8], &str, &[&str])] = &[
            (b"<a>x</a>", "x", &[]),
            (b"<a b=\"1\" c='2'>x<d e=\"&lt;\">y &amp; z</d>\n <f/>t</a>", "xy & z\\n t", &["1", "2", "<"]),
            (b"<?xml version=\"1.0\"?><a>x</a>", "x", &[]),
            (b"<!DOCTYPE a SYSTEM \"file:///etc/passwd\"><a>z</a>", "z", &[]),
            (b"<a><![CDATA[<script>]]></a>", "<script>", &[]),
            (b"<a><!-- c --><?pi x?>t</a>", "t", &[]),
            (b"<a xmlns=\"urn:x\" xmlns:p=\"urn:p\" p:z=\"1\"><p:b>t</p:b></a>", "t", &["1"]),
            (b"<a>&#60;&#x41;&quot;&apos;</a>", "<A\\\"\\'", &[]),
            (b"\xef\xbb\xbf<a>x</a>", "x", &[]),
            (b"<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><a>\xe9</a>", "\\xc3\\xa9", &[]),
            (b"<a>x</a>\n  <!-- c --> ", "x", &[]),
            (b"<a> \r\n\r </a >", " \\n\\n ", &[]),
            (b"<a b=\"x\ny\" d=\"\"/>", "", &["x y", ""]),
        ];
        for (input, text, attributes) in cases {
            let document = parse(input, false, &Bounds::default());
            let name = input.escape_ascii();
            assert_eq!(document.outcome, Outcome::default(), "{name}");
            assert_eq!(document.text.escape_ascii().to_string(), *text, "{name}");
            assert_eq!(values(&document.attributes), *attributes, "{name}");
        }
    }

    #[test]
    fn utf_16_is_read() {
        let text = "<?xml version=\"1.0\" encoding=\"UTF-16\"?><a>h\u{e9}</a>";
        let little: Vec<u8> = [0xfeff].into_iter().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = [0xfeff].into_iter().chain(text.encode_utf16()).flat_map(u16::to_be_bytes).collect();
        for input in [&little, &big] {
            let document = parse(input, false, &Bounds::default());
            assert_eq!((document.text.as_slice(), document.outcome), ("h\u{e9}".as_bytes(), Outcome::default()));
        }
        assert!(parse(&little[..little.len() - 1], false, &Bounds::default()).outcome.fault.is_some());
    }

    #[test]
    fn what_is_not_well_formed_is_a_fault_and_what_came_before_stays() {
        let cases: &[(&[u8], usize, &str)] = &[
            (b"", 0, ""),
            (b" ", 1, ""),
            (b"x", 0, ""),
            (b"<a>x", 4, "x"),
            (b"<a>x</b>", 4, "x"),
            (b"<a>x</a><b/>", 8, "x"),
            (b"<a>x</a>y", 8, "x"),
            (b"<a>&nope;</a>", 3, ""),
            (b"<a>x & y</a>", 5, "x "),
            (b"<a>&#0;</a>", 3, ""),
            (b"<a>&#xd800;</a>", 3, ""),
            (b"<a>&#+65;</a>", 3, ""),
            (b"<a b='1' b='2'>x</a>", 15, ""),
            (b"<a b='1'c='2'>x</a>", 8, ""),
            (b"<a b=1/>", 5, ""),
            (b"<a b/>", 4, ""),
            (b"<a b=\"<\"/>", 6, ""),
            (b"<a b=\"", 6, ""),
            (b"<a>x\x01</a>", 4, "x"),
            (b"<a>\xff</a>", 3, ""),
            (b"<a>x]]></a>", 4, "x"),
            (b"<a><!-- -- --></a>", 10, ""),
            (b"<a><![CDATA[x</a>", 17, "x</a>"),
            (b" <?xml version=\"1.0\"?><a>x</a>", 1, ""),
            (b"<1/>", 1, ""),
            (b"<?xml version=\"1.0\" encoding=\"UTF-7\"?><a>+ADw-</a>", 0, ""),
            (b"<!DOCTYPE a [<!ENTITY x 'boo'>", 30, ""),
        ];
        for (input, at, text) in cases {
            let document = parse(input, false, &Bounds::default());
            let name = input.escape_ascii();
            assert_eq!(document.outcome.fault.map(|fault| fault.at), Some(*at), "{name}: {:?}", document.outcome);
            assert_eq!(document.text.escape_ascii().to_string(), *text, "{name}");
        }
    }

    #[test]
    fn nothing_of_a_document_type_is_expanded_and_its_literals_are_kept() {
        let twin = parse(b"<!DOCTYPE a [<!ELEMENT a ANY> <!-- '>] --> ]><a b='1'>x</a>", false, &Bounds::default());
        assert_eq!((twin.outcome, twin.text.as_slice(), twin.has_doctype), (Outcome::default(), &b"x"[..], true));
        assert!(twin.literals.is_empty());
        let bomb = b"<!DOCTYPE a [<!ENTITY x \"ha>]\"><!ENTITY y SYSTEM 'file:///etc/passwd'>]><a>1&x;2</a>";
        let document = parse(bomb, false, &Bounds::default());
        assert!(document.outcome.fault.is_some());
        assert_eq!(document.text, b"1");
        assert_eq!(values(&document.literals), ["ha>]", "file:///etc/passwd"]);
        assert!(parse(b"<a>x</a>", false, &Bounds::default()).literals.is_empty());
    }

    #[test]
    fn leaves_are_named_by_their_path() {
        let input = b"<order><item n='1'>soap</item><p:to xmlns:p='u'><name>\xc3\xa9</name> x <empty/></p:to>y</order>";
        let leaves = |wanted| {
            let document = parse(input, wanted, &Bounds::default());
            assert_eq!(document.outcome, Outcome::default());
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            document.leaves.iter().map(|field| (text(field.name), text(field.value))).collect::<Vec<_>>()
        };
        let expected = [("xml.order.item", "soap"), ("xml.order.to.name", "\u{e9}"), ("xml.order.to.empty", "")];
        assert_eq!(leaves(true), expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert!(leaves(false).is_empty());
    }

    #[test]
    fn depth_attributes_and_bytes_are_bounded() {
        let nested = |depth: usize| format!("{}{}", "<a>".repeat(depth), "</a>".repeat(depth));
        let bounds = Bounds { depth: 5, bytes: 10, fields: 2, ..Bounds::default() };
        let outcome = |text: &str| parse(text.as_bytes(), false, &bounds).outcome;
        assert_eq!(outcome(&nested(5)), Outcome::default());
        assert!(outcome(&nested(6)).fault.is_some());
        assert_eq!(outcome("<a>0123456789</a>"), Outcome::default());
        assert_eq!(outcome("<a>0123456789a</a>").fault.map(|fault| fault.why), Some(TOO_MANY_BYTES));
        assert_eq!(outcome("<a>123456789&lt;&lt;</a>").fault.map(|fault| fault.why), Some(TOO_MANY_BYTES));
        assert_eq!(outcome("<a b='1' c='2' d='3'/>"), Outcome { fault: None, cut: true });
        assert_eq!(outcome("<a b='0123456789'/>").fault.map(|fault| fault.why), Some(TOO_MANY_BYTES));
    }

    proptest! {
        #[test]
        fn any_bytes_end_within_the_bounds(input: Vec<u8>) {
            let document = parse(&input, true, &Bounds::default());
            prop_assert!(document.text.len() <= input.len() * 2);
        }

        #[test]
        fn what_is_written_is_read(text in "[ -~\\n\u{e9}]{0,40}", attribute in "[ -~]{0,40}", cdata in "[ -~]{0,20}") {
            let escape = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
            let inner = cdata.replace("]]>", "");
            let body = format!("<a b=\"{}\">{}<![CDATA[{inner}]]></a>", escape(&attribute), escape(&text));
            let document = parse(body.as_bytes(), false, &Bounds::default());
            prop_assert_eq!(document.outcome, Outcome::default());
            prop_assert_eq!(document.text, [text.as_bytes(), inner.as_bytes()].concat());
            prop_assert_eq!(document.attributes.get(0).map(|field| field.value), Some(attribute.as_bytes()));
        }

        #[test]
        fn markup_at_random_ends(input in "(<|>|/|a|b|=|\"|'| |!|-|\\[|\\]|\\?|&|;|#|x|1|DOCTYPE|CDATA|xml){0,30}") {
            let _ = parse(input.as_bytes(), true, &Bounds::default());
        }
    }
}
