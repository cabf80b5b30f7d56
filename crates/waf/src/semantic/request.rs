//! From the parts of a request to its values.
//!
//! For who has the head and the body of a request and nothing that takes them apart. Bodies other than forms are for the
//! processors in [`crate::body`], which hand out names and values.

use super::finding::{Findings, Place};
use super::text::{any, begins, from, part, skip_space};
use super::{Detector, decode, patches};

impl Detector {
    /// Looks at a request line: the path as it came, and each parameter of the query. Comes before all else of a request: what
    /// virtual patches wait for is known from here on.
    pub fn request_line(&self, method: &[u8], target: &[u8], findings: &mut Findings) {
        let (path, query) = match memchr::memchr(b'?', target) {
            Some(mark) => (part(target, 0, mark), from(target, mark + 1)),
            None => (target, &b""[..]),
        };
        let known = findings.list().len();
        self.begin(Place::Path, b"", path, findings);
        self.patched(method, target, findings);
        self.odd_target(target, findings);
        findings.stood(known, Place::Path, b"", path);
        self.value(Place::Path, b"", path, findings);
        self.pairs(query, Place::QueryName, Place::Query, findings);
    }

    /// Finds the virtual patches that could fit, with all layers of the target undone.
    fn patched(&self, method: &[u8], target: &[u8], findings: &mut Findings) {
        let (mut once, mut twice) = std::mem::take(&mut findings.pair);
        let mut plain = target;
        if memchr::memchr(b'%', target).is_some() {
            decode::layer(target, &mut once);
            decode::layer(&once, &mut twice);
            plain = &twice;
        }
        let path = part(plain, 0, memchr::memchr(b'?', plain).unwrap_or(plain.len()));
        patches::request_line(method, path, plain, findings);
        findings.pair = (once, twice);
    }

    /// Looks at a header field. Cookies are looked at one by one.
    pub fn header(&self, name: &[u8], value: &[u8], findings: &mut Findings) {
        if !name.eq_ignore_ascii_case(b"cookie") {
            let known = findings.list().len();
            self.begin(Place::Header, name, value, findings);
            self.odd_header(name, value, findings);
            findings.stood(known, Place::Header, name, value);
            self.value(Place::Header, name, value, findings);
            return;
        }
        let mut muted = 0;
        for pair in value.split(|byte| *byte == b';') {
            let pair = from(pair, skip_space(pair, 0));
            match memchr::memchr(b'=', pair) {
                Some(equals) => {
                    let (name, value) = (part(pair, 0, equals), from(pair, equals + 1));
                    self.value(Place::CookieName, b"", name, findings);
                    self.value(Place::Cookie, name, value, findings);
                }
                None => self.value(Place::Cookie, b"", pair, findings),
            }
            muted |= findings.muted;
        }
        // A separator inside of a value cuts it apart for us, and perhaps not for the application.
        if memchr::memchr2(b'\'', b'(', value).is_some() || memchr::memchr2(b'<', b'`', value).is_some() {
            let known = findings.list().len();
            self.begin(Place::Cookie, b"", value, findings);
            // What is left out of one of them is in the whole, too.
            findings.muted |= muted;
            self.whole(Place::Cookie, b"", value, findings);
            findings.stood(known, Place::Cookie, b"", value);
        }
    }

    /// Looks at a form, or at a query: names and values, decoded once.
    pub fn form(&self, form: &[u8], findings: &mut Findings) {
        self.pairs(form, Place::FormName, Place::Form, findings);
    }

    fn pairs(&self, text: &[u8], names: Place, values: Place, findings: &mut Findings) {
        let mut name_room = std::mem::take(&mut findings.pair.0);
        let mut value_room = std::mem::take(&mut findings.pair.1);
        let mut rest = text;
        while !rest.is_empty() {
            let end = memchr::memchr(b'&', rest).unwrap_or(rest.len());
            let pair = part(rest, 0, end);
            rest = from(rest, end + 1);
            if pair.is_empty() {
                continue;
            }
            let equals = memchr::memchr(b'=', pair).unwrap_or(pair.len());
            let name = decode::form(part(pair, 0, equals), &mut name_room);
            self.value(names, b"", name, findings);
            let value = decode::form(from(pair, equals + 1), &mut value_room);
            self.value(values, name, value, findings);
        }
        findings.pair = (name_room, value_room);
    }
}

/// Whether a body of this type is a form.
#[must_use]
pub fn is_form(content_type: &[u8]) -> bool {
    let start = skip_space(content_type, 0);
    begins(from(content_type, start), b"application/x-www-form-urlencoded")
}

/// Whether a body of this type is a file rather than values: nothing takes it apart, and only code in it is looked for.
#[must_use]
pub fn is_file(content_type: &[u8]) -> bool {
    let start = skip_space(content_type, 0);
    let kind = from(content_type, start);
    let own = [
        &b"image/"[..],
        b"audio/",
        b"video/",
        b"font/",
        b"application/octet-stream",
        b"application/pdf",
        b"application/zip",
        b"application/gzip",
        b"application/x-protobuf",
        b"application/grpc",
        b"application/wasm",
        b"application/msgpack",
        b"application/vnd.",
    ];
    let suffix = [&b"+json"[..], b"+xml"];
    own.iter().any(|known| begins(kind, known)) && !any(part(kind, 0, 96), &suffix)
}
