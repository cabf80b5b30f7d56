//! Heads of requests and responses: lines to fields, and the one reading of how the body is framed.

use memchr::memchr;
use portcullis_types::Reason;

use super::{Framing, Message, Refused};
use crate::http::{
    FieldRef, Fields, Name, RequestHead, ResponseHead, Version, is_disguised, is_field_value, is_plain_authority,
    is_target, is_token, trim,
};

/// Bounds of one head.
#[derive(Debug, Clone, Copy)]
pub struct HeadBounds {
    /// Of the whole head, its last line end included.
    pub head_bytes: usize,
    /// Of header fields.
    pub header_count: usize,
    /// Of the request target.
    pub uri_bytes: usize,
}

/// Longest method that is carried; the longest registered one has 17 characters.
const METHOD_BYTES: usize = 24;

/// What [`scan`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scan {
    /// The head ends before this offset.
    Complete(usize),
    /// More bytes are needed; give this offset back with them.
    Incomplete(usize),
}

/// Looks for the empty line that ends a head. `from` is 0 at first, then what [`Scan::Incomplete`] said; `bytes` always
/// begins with the first byte of the head, and lines that have been looked at are not looked at again.
///
/// # Errors
/// As soon as a line does not end in CRLF or the head exceeds its bound, without waiting for the rest.
pub fn scan(bytes: &[u8], from: usize, head_bytes: usize) -> Result<Scan, Refused> {
    let mut line = from;
    loop {
        let rest = bytes.get(line..).unwrap_or_default();
        let Some(at) = memchr(b'\n', rest) else {
            if bytes.len() >= head_bytes {
                return Err(Refused::new(Reason::HeadTooLarge, "the head exceeds limits.head_bytes"));
            }
            return Ok(Scan::Incomplete(line));
        };
        if at == 0 || rest.get(at - 1) != Some(&b'\r') {
            return Err(Refused::new(Reason::MalformedRequest, "a line ends in LF without CR"));
        }
        let end = line + at + 1;
        if end > head_bytes {
            return Err(Refused::new(Reason::HeadTooLarge, "the head exceeds limits.head_bytes"));
        }
        if at == 1 {
            return Ok(Scan::Complete(end));
        }
        line = end;
    }
}

/// Reads one complete request head, as [`scan`] delimited it, into `head`.
///
/// # Errors
/// Whatever RFC 9112 does not allow, and whatever two parsers could read differently; the reason says which.
pub fn request(bytes: &[u8], bounds: &HeadBounds, head: &mut RequestHead) -> Result<Message, Refused> {
    head.clear();
    let mut lines = Lines { rest: bytes };
    let line = lines.next().unwrap_or_default();
    let (method, target, version) = request_line(line)?;
    if target.len() > bounds.uri_bytes {
        return Err(Refused::new(Reason::UriTooLong, "the target exceeds limits.uri_bytes"));
    }
    head.version = version;

    let mut seen = Seen::default();
    fields(&mut lines, bounds.header_count, &mut head.fields, |field| seen.note(field))?;
    let framing = seen.request_framing(version)?;
    resolve_target(method, target, seen.hosts, head)?;

    let expects_continue = match head.fields.get(Name::Expect) {
        None => false,
        Some(value) if value.eq_ignore_ascii_case(b"100-continue") => {
            version == Version::Http11 && framing != Framing::None
        }
        Some(_) => return Err(Refused::new(Reason::ExpectationFailed, "an expectation other than 100-continue")),
    };
    Ok(Message {
        framing,
        keep_alive: seen.keep_alive(version, &head.fields),
        expects_continue,
        upgrade: seen.upgrade && version == Version::Http11 && connection_has(&head.fields, b"upgrade"),
    })
}

/// Reads one complete response head, as [`scan`] delimited it, into `head`. `method` is that of the request.
///
/// # Errors
/// With [`Reason::UpstreamProtocol`] whatever is not HTTP/1, and whatever two parsers could read differently.
pub fn response(bytes: &[u8], header_count: usize, method: &[u8], head: &mut ResponseHead) -> Result<Message, Refused> {
    let upstream = |refused: Refused| Refused::new(Reason::UpstreamProtocol, refused.detail);
    head.fields.clear();
    let mut lines = Lines { rest: bytes };
    let (version, status) = status_line(lines.next().unwrap_or_default())?;
    head.status = status;

    let mut seen = Seen::default();
    fields(&mut lines, header_count, &mut head.fields, |field| seen.note(field)).map_err(upstream)?;
    let declared = seen.response_framing(version).map_err(upstream)?;
    let framing = if head.is_bodiless(method) { Framing::None } else { declared };
    Ok(Message {
        framing,
        keep_alive: framing != Framing::UntilClose && seen.keep_alive(version, &head.fields),
        expects_continue: false,
        upgrade: status == 101,
    })
}

/// Reads the trailer fields of a chunked body; `bytes` are their lines without the empty one at the end.
///
/// # Errors
/// When a field is malformed, or is one that decides framing, routing or identity (RFC 9110 section 6.5.1).
pub fn trailers(bytes: &[u8], header_count: usize, into: &mut Fields) -> Result<(), Refused> {
    let mut lines = Lines { rest: bytes };
    fields(&mut lines, header_count, into, |field| {
        if field.may_be_trailer() {
            Ok(())
        } else {
            Err(Refused::new(Reason::BadChunk, "a trailer field that belongs into the head"))
        }
    })
    .map_err(|refused| Refused::new(Reason::BadChunk, refused.detail))
}

/// Lines of a head whose line ends [`scan`] has already checked.
struct Lines<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        let end = memchr(b'\n', self.rest).map_or(self.rest.len(), |at| at + 1);
        let (line, rest) = self.rest.split_at(end);
        self.rest = rest;
        Some(line.strip_suffix(b"\r\n").unwrap_or(line))
    }
}

fn request_line(line: &[u8]) -> Result<(&[u8], &[u8], Version), Refused> {
    const BAD: fn(&'static str) -> Refused = |detail| Refused::new(Reason::MalformedRequest, detail);
    let method_end = memchr(b' ', line).ok_or(BAD("the request line has no target"))?;
    let (method, rest) = (line.get(..method_end).unwrap_or_default(), line.get(method_end + 1..).unwrap_or_default());
    let target_end = memchr(b' ', rest).ok_or(BAD("the request line has no version"))?;
    let (target, version) =
        (rest.get(..target_end).unwrap_or_default(), rest.get(target_end + 1..).unwrap_or_default());
    if !is_token(method) {
        return Err(BAD("the method is not a token"));
    }
    if method.len() > METHOD_BYTES {
        return Err(Refused::new(Reason::NotSupported, "the method is longer than 24 characters"));
    }
    let version = match version {
        b"HTTP/1.1" => Version::Http11,
        b"HTTP/1.0" => Version::Http10,
        _ if version.starts_with(b"HTTP/") && version.len() == 8 => {
            return Err(Refused::new(Reason::NotSupported, "a version other than HTTP/1.0 and HTTP/1.1"));
        }
        _ => return Err(BAD("the request line does not end in a version")),
    };
    if !is_target(target) {
        return Err(BAD("the target holds a character that a URI cannot hold"));
    }
    if matches!(method, b"CONNECT" | b"TRACE" | b"TRACK") {
        return Err(Refused::new(Reason::NotSupported, "CONNECT and TRACE are not carried"));
    }
    Ok((method, target, version))
}

fn status_line(line: &[u8]) -> Result<(Version, u16), Refused> {
    const BAD: Refused = Refused::new(Reason::UpstreamProtocol, "the status line is not HTTP/1");
    let version = match line.get(..9) {
        Some(b"HTTP/1.1 ") => Version::Http11,
        Some(b"HTTP/1.0 ") => Version::Http10,
        _ => return Err(BAD),
    };
    let digits = line.get(9..12).filter(|digits| digits.iter().all(u8::is_ascii_digit)).ok_or(BAD)?;
    let reason = line.get(12..).unwrap_or_default();
    if !(reason.is_empty() || reason.starts_with(b" ")) || !is_field_value(reason) {
        return Err(BAD);
    }
    let status = digits.iter().fold(0_u16, |value, digit| value * 10 + u16::from(digit - b'0'));
    if (100..=599).contains(&status) { Ok((version, status)) } else { Err(BAD) }
}

fn fields(
    lines: &mut Lines<'_>,
    header_count: usize,
    into: &mut Fields,
    mut note: impl FnMut(FieldRef<'_>) -> Result<(), Refused>,
) -> Result<(), Refused> {
    const BAD: fn(&'static str) -> Refused = |detail| Refused::new(Reason::MalformedRequest, detail);
    for line in lines {
        if line.is_empty() {
            return Ok(());
        }
        if into.len() >= header_count {
            return Err(Refused::new(Reason::TooManyHeaders, "more fields than limits.header_count"));
        }
        if matches!(line.first(), Some(b' ' | b'\t')) {
            return Err(BAD("a field is folded over two lines, or the first line is indented"));
        }
        let colon = memchr(b':', line).ok_or(BAD("a field has no colon"))?;
        let (spelling, value) = (line.get(..colon).unwrap_or_default(), line.get(colon + 1..).unwrap_or_default());
        if !is_token(spelling) {
            return Err(BAD("a field name is not a token, or a space stands before its colon"));
        }
        if !is_field_value(value) {
            return Err(BAD("a field value holds a control character"));
        }
        let name = Name::of(spelling);
        if name == Name::Other && is_disguised(spelling) {
            return Err(Refused::new(Reason::AmbiguousFraming, "an underscore makes the field look like another"));
        }
        let value = trim(value);
        note(FieldRef { name, spelling, value })?;
        into.push_known(name, spelling, value);
    }
    Ok(())
}

/// What the fields say about framing and connection, gathered while they are read.
#[derive(Default)]
struct Seen {
    length: Option<u64>,
    transfer_encoding: Option<bool>,
    hosts: u32,
    connection: bool,
    upgrade: bool,
}

impl Seen {
    fn note(&mut self, field: FieldRef<'_>) -> Result<(), Refused> {
        const AMBIGUOUS: fn(&'static str) -> Refused = |detail| Refused::new(Reason::AmbiguousFraming, detail);
        match field.name {
            Name::ContentLength => {
                if self.length.is_some() {
                    return Err(AMBIGUOUS("Content-Length is repeated"));
                }
                self.length =
                    Some(content_length(field.value).ok_or(AMBIGUOUS("Content-Length is not a plain number"))?);
            }
            Name::TransferEncoding => {
                if self.transfer_encoding.is_some() {
                    return Err(AMBIGUOUS("Transfer-Encoding is repeated"));
                }
                self.transfer_encoding = Some(field.value.eq_ignore_ascii_case(b"chunked"));
            }
            Name::Host => self.hosts += 1,
            Name::Connection => self.connection = true,
            Name::Upgrade => self.upgrade = true,
            _ => {}
        }
        Ok(())
    }

    fn request_framing(&self, version: Version) -> Result<Framing, Refused> {
        if self.transfer_encoding.is_some() && version == Version::Http10 {
            return Err(Refused::new(Reason::AmbiguousFraming, "Transfer-Encoding in HTTP/1.0"));
        }
        Ok(self.declared()?.unwrap_or(Framing::None))
    }

    fn response_framing(&self, version: Version) -> Result<Framing, Refused> {
        if self.transfer_encoding.is_some() && version == Version::Http10 {
            return Err(Refused::new(Reason::AmbiguousFraming, "Transfer-Encoding in HTTP/1.0"));
        }
        Ok(self.declared()?.unwrap_or(Framing::UntilClose))
    }

    fn declared(&self) -> Result<Option<Framing>, Refused> {
        match (self.transfer_encoding, self.length) {
            (Some(_), Some(_)) => {
                Err(Refused::new(Reason::AmbiguousFraming, "both Transfer-Encoding and Content-Length"))
            }
            (Some(true), None) => Ok(Some(Framing::Chunked)),
            (Some(false), None) => {
                Err(Refused::new(Reason::AmbiguousFraming, "Transfer-Encoding is not exactly `chunked`"))
            }
            (None, Some(0)) => Ok(Some(Framing::None)),
            (None, Some(length)) => Ok(Some(Framing::Length(length))),
            (None, None) => Ok(None),
        }
    }

    fn keep_alive(&self, version: Version, fields: &Fields) -> bool {
        match version {
            Version::Http10 => self.connection && connection_has(fields, b"keep-alive"),
            _ => !(self.connection && connection_has(fields, b"close")),
        }
    }
}

/// Whether a `Connection` field names `option`.
fn connection_has(fields: &Fields, option: &[u8]) -> bool {
    fields
        .all(Name::Connection)
        .any(|value| value.split(|byte| *byte == b',').any(|item| trim(item).eq_ignore_ascii_case(option)))
}

/// Digits alone, no sign, no list, no leading zero, at most 18 of them.
fn content_length(value: &[u8]) -> Option<u64> {
    let plain = (1..=18).contains(&value.len())
        && value.iter().all(u8::is_ascii_digit)
        && (value.len() == 1 || value.first() != Some(&b'0'));
    plain.then(|| value.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0')))
}

fn resolve_target(method: &[u8], target: &[u8], hosts: u32, head: &mut RequestHead) -> Result<(), Refused> {
    const HOST: fn(&'static str) -> Refused = |detail| Refused::new(Reason::BadHost, detail);
    if hosts != 1 {
        return Err(HOST(if hosts == 0 { "no Host field" } else { "more than one Host field" }));
    }
    let host = head.fields.get(Name::Host).unwrap_or_default().to_vec();
    if !is_plain_authority(&host) {
        return Err(HOST("the Host field is not a plain host with optional port"));
    }
    head.set_authority(&host);
    if target.first() == Some(&b'/') || (target == b"*" && method == b"OPTIONS") {
        head.set_line(method, target);
        return Ok(());
    }
    let rest = match (strip_scheme(target, b"http://"), strip_scheme(target, b"https://")) {
        (Some(rest), _) | (None, Some(rest)) => rest,
        (None, None) => return Err(Refused::new(Reason::MalformedRequest, "the target is neither a path nor a URL")),
    };
    let path_at = rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(path_at);
    if !authority.eq_ignore_ascii_case(&host) {
        return Err(HOST("the target names another host than the Host field"));
    }
    match path.first() {
        Some(b'/') => head.set_line(method, path),
        Some(_) => return Err(Refused::new(Reason::MalformedRequest, "the target has a query without a path")),
        None => head.set_line(method, b"/"),
    }
    Ok(())
}

fn strip_scheme<'a>(target: &'a [u8], scheme: &[u8]) -> Option<&'a [u8]> {
    let (start, rest) = target.split_at_checked(scheme.len())?;
    start.eq_ignore_ascii_case(scheme).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BOUNDS: HeadBounds = HeadBounds { head_bytes: 4096, header_count: 16, uri_bytes: 256 };

    fn read(text: &str) -> Result<(Message, RequestHead), Refused> {
        let bytes = text.as_bytes();
        match scan(bytes, 0, BOUNDS.head_bytes)? {
            Scan::Complete(end) => {
                assert_eq!(end, bytes.len(), "one head: {text:?}");
                let mut head = RequestHead::default();
                request(bytes, &BOUNDS, &mut head).map(|message| (message, head))
            }
            Scan::Incomplete(_) => panic!("incomplete: {text:?}"),
        }
    }

    #[test]
    fn framing_has_one_reading() {
        let table: &[(&str, Result<Framing, Reason>)] = &[
            ("", Ok(Framing::None)),
            ("Content-Length: 0\r\n", Ok(Framing::None)),
            ("Content-Length: 5\r\n", Ok(Framing::Length(5))),
            ("Content-Length:5  \r\n", Ok(Framing::Length(5))),
            ("Transfer-Encoding: chunked\r\n", Ok(Framing::Chunked)),
            ("Transfer-Encoding: Chunked\r\n", Ok(Framing::Chunked)),
            ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", Err(Reason::AmbiguousFraming)),
            ("Content-Length: 5\r\nContent-Length: 5\r\n", Err(Reason::AmbiguousFraming)),
            ("Content-Length: 5, 5\r\n", Err(Reason::AmbiguousFraming)),
            ("Content-Length: +5\r\n", Err(Reason::AmbiguousFraming)),
            ("Content-Length: 05\r\n", Err(Reason::AmbiguousFraming)),
            ("Content-Length: 0x5\r\n", Err(Reason::AmbiguousFraming)),
            ("Content-Length: \r\n", Err(Reason::AmbiguousFraming)),
            ("Content-Length: 9999999999999999999\r\n", Err(Reason::AmbiguousFraming)),
            ("Content_Length: 5\r\n", Err(Reason::AmbiguousFraming)),
            ("Transfer-Encoding: gzip, chunked\r\n", Err(Reason::AmbiguousFraming)),
            ("Transfer-Encoding: chunked, chunked\r\n", Err(Reason::AmbiguousFraming)),
            ("Transfer-Encoding: identity\r\n", Err(Reason::AmbiguousFraming)),
            ("Transfer-Encoding: \"chunked\"\r\n", Err(Reason::AmbiguousFraming)),
            ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", Err(Reason::AmbiguousFraming)),
            ("Transfer-Encoding : chunked\r\n", Err(Reason::MalformedRequest)),
            ("Transfer-Encoding:\u{b}chunked\r\n", Err(Reason::MalformedRequest)),
            ("A: b\r\n c\r\n", Err(Reason::MalformedRequest)),
            ("A: b\rc\r\n", Err(Reason::MalformedRequest)),
            ("A: b\0\r\n", Err(Reason::MalformedRequest)),
            (": b\r\n", Err(Reason::MalformedRequest)),
            ("A\r\n", Err(Reason::MalformedRequest)),
            ("Expect: 200-ok\r\n", Err(Reason::ExpectationFailed)),
        ];
        for (fields, expected) in table {
            let got = read(&format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n"));
            assert_eq!(
                got.map(|(message, _)| message.framing).map_err(|refused| refused.reason),
                *expected,
                "{fields:?}"
            );
        }
    }

    type Line = (&'static str, Result<(&'static str, &'static str), Reason>);

    #[test]
    fn lines_and_hosts_have_one_reading() {
        let table: &[Line] = &[
            ("GET / HTTP/1.1\r\nHost: a\r\n", Ok(("/", "a"))),
            ("GET /x?y=/z HTTP/1.1\r\nHost: A:80\r\n", Ok(("/x?y=/z", "A:80"))),
            ("GET http://a/x HTTP/1.1\r\nHost: a\r\n", Ok(("/x", "a"))),
            ("GET http://a HTTP/1.1\r\nHost: A\r\n", Ok(("/", "A"))),
            ("OPTIONS * HTTP/1.1\r\nHost: a\r\n", Ok(("*", "a"))),
            ("GET http://b/ HTTP/1.1\r\nHost: a\r\n", Err(Reason::BadHost)),
            ("GET http://u@a/ HTTP/1.1\r\nHost: a\r\n", Err(Reason::BadHost)),
            ("GET http://a?x HTTP/1.1\r\nHost: a\r\n", Err(Reason::MalformedRequest)),
            ("GET * HTTP/1.1\r\nHost: a\r\n", Err(Reason::MalformedRequest)),
            ("GET / HTTP/1.1\r\n", Err(Reason::BadHost)),
            ("GET / HTTP/1.0\r\n", Err(Reason::BadHost)),
            ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n", Err(Reason::BadHost)),
            ("GET / HTTP/1.1\r\nHost: a, b\r\n", Err(Reason::BadHost)),
            ("GET / HTTP/1.1\r\nHost:\r\n", Err(Reason::BadHost)),
            ("GET  / HTTP/1.1\r\nHost: a\r\n", Err(Reason::MalformedRequest)),
            ("GET /\tHTTP/1.1\r\nHost: a\r\n", Err(Reason::MalformedRequest)),
            ("GET / HTTP/1.1 \r\nHost: a\r\n", Err(Reason::MalformedRequest)),
            ("GET / http/1.1\r\nHost: a\r\n", Err(Reason::MalformedRequest)),
            ("GET / HTTP/2.0\r\nHost: a\r\n", Err(Reason::NotSupported)),
            ("GET /\r\nHost: a\r\n", Err(Reason::MalformedRequest)),
            ("GET /a#b HTTP/1.1\r\nHost: a\r\n", Err(Reason::MalformedRequest)),
            ("GET /\u{e4} HTTP/1.1\r\nHost: a\r\n", Err(Reason::MalformedRequest)),
            ("CONNECT a:443 HTTP/1.1\r\nHost: a\r\n", Err(Reason::NotSupported)),
            ("TRACE / HTTP/1.1\r\nHost: a\r\n", Err(Reason::NotSupported)),
            ("G(T / HTTP/1.1\r\nHost: a\r\n", Err(Reason::MalformedRequest)),
            (" GET / HTTP/1.1\r\nHost: a\r\n", Err(Reason::MalformedRequest)),
        ];
        for (text, expected) in table {
            let got = read(&format!("{text}\r\n"));
            let got = got.as_ref().map(|(_, head)| {
                (
                    std::str::from_utf8(head.target()).unwrap_or("?"),
                    std::str::from_utf8(head.authority()).unwrap_or("?"),
                )
            });
            assert_eq!(got.map_err(|refused| refused.reason), *expected, "{text:?}");
        }
    }

    #[test]
    fn bounds_hold() {
        let long = "x".repeat(300);
        let reason = |text: String| read(&text).map(|_| ()).map_err(|refused| refused.reason);
        assert_eq!(reason(format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n")), Err(Reason::UriTooLong));
        let many = "A: b\r\n".repeat(16);
        assert_eq!(reason(format!("GET / HTTP/1.1\r\nHost: a\r\n{many}\r\n")), Err(Reason::TooManyHeaders));
        assert_eq!(
            scan("x".repeat(4096).as_bytes(), 0, 4096).map_err(|refused| refused.reason),
            Err(Reason::HeadTooLarge),
            "refused before its end has come"
        );
        assert!(scan(b"GET / HTTP/1.1\n", 0, 4096).is_err(), "refused at once, not at the deadline");
    }

    #[test]
    fn connections_persist_as_their_version_says() {
        for (text, keep) in [
            ("GET / HTTP/1.1\r\nHost: a\r\n", true),
            ("GET / HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n", false),
            ("GET / HTTP/1.0\r\nHost: a\r\n", false),
            ("GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n", true),
        ] {
            assert_eq!(read(&format!("{text}\r\n")).map(|(message, _)| message.keep_alive), Ok(keep), "{text:?}");
        }
    }

    type Response = (&'static str, &'static str, Result<(Framing, bool), Reason>);

    #[test]
    fn responses_are_framed_by_their_request_too() {
        let table: &[Response] = &[
            ("GET", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n", Ok((Framing::Length(3), true))),
            ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n", Ok((Framing::None, true))),
            ("GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n", Ok((Framing::None, true))),
            ("GET", "HTTP/1.1 204\r\n", Ok((Framing::None, true))),
            ("GET", "HTTP/1.1 200 OK\r\n", Ok((Framing::UntilClose, false))),
            ("GET", "HTTP/1.0 200 OK\r\nContent-Length: 3\r\n", Ok((Framing::Length(3), false))),
            ("GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n", Ok((Framing::Chunked, true))),
            (
                "GET",
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n",
                Err(Reason::UpstreamProtocol),
            ),
            ("GET", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n", Err(Reason::UpstreamProtocol)),
            ("GET", "HTTP/1.1 99 Low\r\n", Err(Reason::UpstreamProtocol)),
            ("GET", "HTTP/1.1 2000 OK\r\n", Err(Reason::UpstreamProtocol)),
            ("GET", "SSH-2.0-OpenSSH\r\n", Err(Reason::UpstreamProtocol)),
        ];
        for (method, text, expected) in table {
            let bytes = format!("{text}\r\n");
            let got = response(bytes.as_bytes(), 16, method.as_bytes(), &mut ResponseHead::default());
            let got = got.map(|message| (message.framing, message.keep_alive)).map_err(|refused| refused.reason);
            assert_eq!(got, *expected, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn scanning_in_any_pieces_finds_the_same_end(
            bytes in proptest::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'a'), any::<u8>()], 0..200),
            cut in 0_usize..200,
        ) {
            let whole = scan(&bytes, 0, 150);
            let cut = cut.min(bytes.len());
            let in_two = match scan(&bytes[..cut], 0, 150) {
                Ok(Scan::Incomplete(from)) => scan(&bytes, from, 150),
                other => other,
            };
            prop_assert_eq!(whole, in_two);
        }

        #[test]
        fn whatever_is_accepted_says_the_same_when_written_and_read_again(bytes in "(GET|POST) /[ -~]{0,20} HTTP/1.1\r\nHost: [a-z.:0-9]{1,8}\r\n([A-Za-z-]{1,18}: ?[ -~]{0,20}\r\n){0,6}\r\n") {
            let mut head = RequestHead::default();
            if let Ok(Scan::Complete(end)) = scan(bytes.as_bytes(), 0, 4096)
                && let Ok(message) = request(&bytes.as_bytes()[..end], &BOUNDS, &mut head)
            {
                let mut again = Vec::new();
                super::super::encode::request_line(&mut again, head.method(), head.target());
                for field in head.fields.iter() {
                    super::super::encode::field(&mut again, field.spelling, field.value);
                }
                super::super::encode::end(&mut again);
                let mut second = RequestHead::default();
                prop_assert_eq!(request(&again, &BOUNDS, &mut second), Ok(message));
                prop_assert!(head.fields.iter().eq(second.fields.iter()));
                prop_assert_eq!(head.authority(), second.authority());
            }
        }
    }
}
