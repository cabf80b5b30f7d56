//! From a body to its values, by the type that it claims to have.

use smallvec::SmallVec;

use super::finding::{Findings, Place};
use super::nested::{Json, might_be_base64};
use super::scan::scan;
use super::text::{begins, from};
use super::{Detector, decode, is_file, is_form, is_quiet, patches};
use crate::body::multipart::Multipart;
use crate::body::{Bounds, Fields, xml};

/// How a body is taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Not at all: only code is looked for.
    File,
    Form,
    Json,
    Multipart,
    Xml,
    /// As it is.
    Text,
}

impl Kind {
    /// By what it claims to be. `packed`: it has a content coding, so that nothing in it can be read.
    pub(super) fn of(content_type: &[u8], packed: bool) -> Self {
        let kind = content_type.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        let is = |known: &[u8]| kind.eq_ignore_ascii_case(known);
        let ends = |suffix: &[u8]| kind.len() >= suffix.len() && begins(from(kind, kind.len() - suffix.len()), suffix);
        if packed || is_file(content_type) {
            Self::File
        } else if is_form(content_type) {
            Self::Form
        } else if is(b"application/json") || is(b"text/json") || ends(b"+json") {
            Self::Json
        } else if is(b"multipart/form-data") {
            Self::Multipart
        } else if is(b"application/xml") || is(b"text/xml") || ends(b"+xml") {
            Self::Xml
        } else {
            Self::Text
        }
    }
}

impl Detector {
    /// Looks at a body, or at the beginning of one: what its type says is taken apart, and what cannot be is looked at as it is.
    /// `fields` is room to take it apart in; `packed` says that it has a content coding, so that nothing in it can be read.
    pub fn body(
        &self,
        content_type: &[u8],
        packed: bool,
        body: &[u8],
        bounds: &Bounds,
        fields: &mut Fields,
        findings: &mut Findings,
    ) {
        if body.is_empty() {
            return;
        }
        fields.clear();
        match Kind::of(content_type, packed) {
            Kind::File => self.value(Place::File, b"", body, findings),
            Kind::Form => self.form(body, findings),
            Kind::Json => {
                if !self.document(body, findings) {
                    self.value(Place::Body, b"", body, findings);
                }
            }
            Kind::Multipart => self.multipart(content_type, body, bounds, findings),
            Kind::Xml => {
                let document = xml::parse(body, true, bounds);
                for leaf in document.leaves.iter().chain(document.attributes.iter()) {
                    self.value(Place::Xml, leaf.name, leaf.value, findings);
                }
                // What it declares is not in its values.
                if document.has_doctype || document.outcome.fault.is_some() {
                    self.value(Place::Body, b"", body, findings);
                }
            }
            Kind::Text => self.value(Place::Body, b"", body, findings),
        }
    }

    fn multipart(&self, content_type: &[u8], body: &[u8], bounds: &Bounds, findings: &mut Findings) {
        let mut reader = Multipart::new(content_type, Bounds { file_bytes: body.len(), ..*bounds });
        reader.push(body);
        let parts = reader.finish();
        for field in parts.fields.iter() {
            self.value(Place::FormName, b"", field.name, findings);
            self.value(Place::Form, field.name, field.value, findings);
        }
        for file in parts.files.iter().chain(parts.extended_names.iter()) {
            self.value(Place::FormName, b"", file.name, findings);
            self.value(Place::FileName, file.name, file.value, findings);
        }
        for file in parts.contents.iter() {
            self.value(Place::File, file.name, file.value, findings);
        }
        if parts.outcome.fault.is_some() && parts.fields.is_empty() && parts.files.is_empty() {
            self.value(Place::Body, b"", body, findings);
        }
    }

    /// Looks at the strings of a document of JSON where they stand. False: it is none, or not to its end.
    fn document(&self, text: &[u8], findings: &mut Findings) -> bool {
        let Some(mut strings) = Json::new(text) else { return false };
        let plain = !patches::wait_for_plain(findings);
        let mut keys: SmallVec<[Key<'_>; 16]> = SmallVec::new();
        for string in strings.by_ref() {
            let seen = scan(string.text);
            let quiet = is_quiet(seen) && !might_be_base64(string.text, seen);
            // A name holds for what is deeper, and until the next one beside it.
            let left = |key: &Key<'_>| key.depth > string.depth || string.is_key && key.depth == string.depth;
            while keys.last().is_some_and(left) {
                keys.pop();
            }
            if string.is_key && keys.len() < KEYS_MAX {
                keys.push(Key { text: string.text, quiet, depth: string.depth });
            }
            if quiet && plain && (string.is_key || keys.iter().all(|key| key.quiet)) {
                continue;
            }
            let (mut name, mut room) = std::mem::take(&mut findings.pair);
            let value = if string.escaped && decode::json(string.text, &mut room) { &room } else { string.text };
            if string.is_key {
                self.value(Place::JsonName, b"", value, findings);
            } else {
                name.clear();
                name.extend_from_slice(b"json");
                for key in &keys {
                    name.push(b'.');
                    name.extend_from_slice(key.text);
                }
                self.value(Place::Json, &name, value, findings);
            }
            findings.pair = (name, room);
        }
        strings.was_whole()
    }
}

/// A name of JSON that a value stands under.
struct Key<'a> {
    text: &'a [u8],
    quiet: bool,
    depth: usize,
}

/// Most names of JSON that a value's own is made of; deeper ones are left out of it.
const KEYS_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::semantic::Settings;

    #[test]
    fn a_body_is_read_as_what_it_claims_to_be() {
        let table: &[(&str, &str, bool)] = &[
            ("application/x-www-form-urlencoded", "q=1'+union+select+password+from+users--+-", true),
            ("application/x-www-form-urlencoded", "q=the+credit+union+has+a+select+few", false),
            ("application/json", r#"{"a":{"b":["1' union select password from users-- -"]}}"#, true),
            (
                "application/vnd.api+json; charset=utf-8",
                r#"{"a":"1\u0027 union select password from users-- -"}"#,
                true,
            ),
            ("application/json", r#"{"a":"a union of select few"}"#, false),
            (
                "multipart/form-data; boundary=x",
                "--x\r\nContent-Disposition: form-data; name=\"q\"\r\n\r\n<script>alert(1)</script>\r\n--x--\r\n",
                true,
            ),
            (
                "multipart/form-data; boundary=x",
                "--x\r\nContent-Disposition: form-data; name=\"q\"\r\n\r\nhello\r\n--x--\r\n",
                false,
            ),
            ("text/xml", "<a><b>1' union select password from users-- -</b></a>", true),
            ("text/xml", "<a><b c=\"hello\">world</b></a>", false),
            ("text/plain", "; cat /etc/passwd", true),
        ];
        let detector = Detector::new(Settings::default());
        for (kind, body, expected) in table {
            let (mut fields, mut findings) = (Fields::new(), Findings::new());
            detector.body(kind.as_bytes(), false, body.as_bytes(), &Bounds::default(), &mut fields, &mut findings);
            assert_eq!(detector.blocks(&findings), *expected, "{kind}: {body}: {:?}", findings.list());
        }
    }
}
