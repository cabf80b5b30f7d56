//! One raw HTTP/1 exchange out of a file: what a proxy, a browser or a test wrote down.
//!
//! Never in the path of traffic. A recording may be cut, edited or attack a parser, and its lengths may be wrong; it is
//! read as far as it makes sense, where [`crate::h1`] would refuse it. What a body is follows from where it stands more
//! than from what its head says.

use std::borrow::Cow;

use memchr::{memchr, memmem, memrchr};

/// A request, and the response if one follows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recording<'a> {
    /// The first word, spaces before it included.
    pub method: &'a [u8],
    /// What stands between the first and the last space of the first line.
    pub target: &'a [u8],
    /// Behind the last space; empty in HTTP/0.9.
    pub protocol: &'a [u8],
    /// In their order.
    pub fields: Vec<Line<'a>>,
    /// Chunks joined.
    pub body: Cow<'a, [u8]>,
    /// What answered it.
    pub response: Option<Response<'a>>,
}

/// A recorded response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response<'a> {
    /// `HTTP/1.1`.
    pub protocol: &'a [u8],
    /// Its code.
    pub status: u16,
    /// In their order.
    pub fields: Vec<Line<'a>>,
    /// Chunks joined.
    pub body: Cow<'a, [u8]>,
}

/// A field of a head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line<'a> {
    /// Before the colon; all of a line that has none.
    pub name: &'a [u8],
    /// Without white space around it; folded lines joined by a space.
    pub value: Cow<'a, [u8]>,
}

impl Line<'_> {
    fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }
}

/// Reads a recording; none where the first line is empty or missing.
#[must_use]
pub fn read(input: &[u8]) -> Option<Recording<'_>> {
    let (start, rest) = next_line(input);
    if start.trim_ascii().is_empty() {
        return None;
    }
    let (method, target, protocol) = request_line(start);
    let (fields, rest) = read_fields(rest);
    let (own, response) = split_response(rest, &fields);
    let body = body(own, &fields);
    Some(Recording { method, target, protocol, fields, body, response })
}

fn request_line(line: &[u8]) -> (&[u8], &[u8], &[u8]) {
    let blank = line.len() - line.trim_ascii_start().len();
    let Some(first) = memchr(b' ', &line[blank..]).map(|at| at + blank) else { return (line, b"", b"") };
    let (method, rest) = (&line[..first], &line[first + 1..]);
    match memrchr(b' ', rest) {
        Some(last) => (method, &rest[..last], &rest[last + 1..]),
        None => (method, rest, b""),
    }
}

/// The fields up to the empty line, and what comes after it.
fn read_fields(input: &[u8]) -> (Vec<Line<'_>>, &[u8]) {
    let mut fields: Vec<Line<'_>> = Vec::new();
    let mut rest = input;
    while !rest.is_empty() {
        let (line, after) = next_line(rest);
        rest = after;
        if line.is_empty() {
            break;
        }
        if matches!(line.first(), Some(b' ' | b'\t'))
            && let Some(last) = fields.last_mut()
        {
            let value = last.value.to_mut();
            value.push(b' ');
            value.extend_from_slice(line.trim_ascii());
            continue;
        }
        let (name, value) = match memchr(b':', line) {
            Some(at) => (&line[..at], line[at + 1..].trim_ascii()),
            None => (line, &b""[..]),
        };
        fields.push(Line { name, value: value.into() });
    }
    (fields, rest)
}

/// Where a request's body ends and a response begins, if one does.
fn split_response<'a>(input: &'a [u8], fields: &[Line<'_>]) -> (&'a [u8], Option<Response<'a>>) {
    let begins = |at: usize| input.get(at..).is_some_and(is_status_line);
    let declared = length(fields).filter(|length| *length <= input.len());
    // Directly after what was declared or an empty line behind that, and otherwise at the first line that is one.
    let at = declared
        .into_iter()
        .flat_map(|length| [length, length + 1, length + 2])
        .find(|at| begins(*at))
        .or_else(|| begins(0).then_some(0))
        .or_else(|| memmem::find_iter(input, b"\nHTTP/1").map(|at| at + 1).find(|at| begins(*at)));
    let Some(at) = at else { return (input, None) };
    let (own, answer) = input.split_at(at);
    let own = match declared {
        Some(length) if length <= at => &own[..length],
        // The line end that parts the two is no body.
        _ => own.strip_suffix(b"\r\n").or_else(|| own.strip_suffix(b"\n")).unwrap_or(own),
    };
    (own, response(answer))
}

fn response(input: &[u8]) -> Option<Response<'_>> {
    let (line, rest) = next_line(input);
    let (protocol, status) = status_line(line)?;
    let (fields, rest) = read_fields(rest);
    let body = body(rest, &fields);
    Some(Response { protocol, status, fields, body })
}

fn is_status_line(input: &[u8]) -> bool {
    status_line(next_line(input).0).is_some()
}

/// `HTTP/1.1 200 OK`.
fn status_line(line: &[u8]) -> Option<(&[u8], u16)> {
    let (protocol, rest) = line.split_at(memchr(b' ', line)?);
    let version = protocol.strip_prefix(b"HTTP/1.")?;
    let digits = rest.get(1..4)?;
    let ends = matches!(rest.get(4), None | Some(b' '));
    let good = version.len() == 1 && version[0].is_ascii_digit() && ends && digits.iter().all(u8::is_ascii_digit);
    let status = digits.iter().fold(0, |sum, digit| sum * 10 + u16::from(digit.wrapping_sub(b'0')));
    (good && (100..600).contains(&status)).then_some((protocol, status))
}

/// Chunks joined where it is chunked. Of a length that is declared only a line end beyond it is taken away: the rest of a
/// recording is the body, whatever was edited.
fn body<'a>(input: &'a [u8], fields: &[Line<'_>]) -> Cow<'a, [u8]> {
    let chunked = fields.iter().any(|line| {
        line.is("transfer-encoding") && memmem::find(&line.value.to_ascii_lowercase(), b"chunked").is_some()
    });
    if chunked && let Some(body) = join_chunks(input) {
        return body.into();
    }
    let over = length(fields).and_then(|length| input.get(length..));
    match over {
        Some(b"\n" | b"\r\n") => input[..input.len() - over.map_or(0, <[u8]>::len)].into(),
        _ => input.into(),
    }
}

/// None where it is not chunks from the first to the last.
fn join_chunks(input: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    let mut rest = input;
    loop {
        let (line, after) = next_line(rest);
        let digits = line.split(|byte| *byte == b';').next()?.trim_ascii();
        let size = usize::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
        if size == 0 {
            return Some(body);
        }
        let (data, after) = after.split_at_checked(size)?;
        body.extend_from_slice(data);
        let (end, after) = next_line(after);
        if !end.is_empty() {
            return None;
        }
        rest = after;
    }
}

/// The first `Content-Length` that is one.
fn length(fields: &[Line<'_>]) -> Option<usize> {
    let value = |line: &Line<'_>| std::str::from_utf8(&line.value).ok()?.parse().ok();
    fields.iter().filter(|line| line.is("content-length")).find_map(value)
}

/// A line without its end, and what comes after it.
fn next_line(input: &[u8]) -> (&[u8], &[u8]) {
    let (line, rest) = match memchr(b'\n', input) {
        Some(at) => (&input[..at], &input[at + 1..]),
        None => (input, &b""[..]),
    };
    (line.strip_suffix(b"\r").unwrap_or(line), rest)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(bytes: &[u8]) -> String {
        bytes.escape_ascii().to_string()
    }

    #[test]
    fn first_lines_are_read_as_they_stand() {
        let cases = [
            ("GET / HTTP/1.1", ("GET", "/", "HTTP/1.1")),
            ("GET /a b HTTP/1.1", ("GET", "/a b", "HTTP/1.1")),
            ("GET /", ("GET", "/", "")),
            ("GET / ", ("GET", "/", "")),
            ("GET", ("GET", "", "")),
            ("     GET /get HTTP/1.1", ("     GET", "/get", "HTTP/1.1")),
            ("GET / JUNK/1.0", ("GET", "/", "JUNK/1.0")),
        ];
        for (line, (method, target, protocol)) in cases {
            let input = format!("{line}\r\n\r\n");
            let found = read(input.as_bytes()).unwrap();
            let got = (text(found.method), text(found.target), text(found.protocol));
            assert_eq!(got, (method.to_owned(), target.to_owned(), protocol.to_owned()), "{line:?}");
        }
        for empty in ["", "\r\n", "  \nGET / HTTP/1.1\n\n"] {
            assert_eq!(read(empty.as_bytes()), None, "{empty:?}");
        }
    }

    #[test]
    fn fields_are_kept_in_order_and_folds_are_joined() {
        let found = read(b"GET / HTTP/1.1\nA:  1 \nB: 2\r\n  3\r\nnone\nA:4\n\nrest").unwrap();
        let fields: Vec<_> = found.fields.iter().map(|line| (text(line.name), text(&line.value))).collect();
        let expected = [("A", "1"), ("B", "2 3"), ("none", ""), ("A", "4")];
        assert_eq!(fields, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert_eq!(&*found.body, b"rest");
    }

    #[test]
    fn a_body_is_what_stands_there_whatever_its_length_says() {
        let cases: &[(&str, &str)] = &[
            ("Content-Length: 3\r\n\r\nabc", "abc"),
            ("Content-Length: 3\r\n\r\nabc\n", "abc"),
            ("Content-Length: 3\r\n\r\nabc\r\n", "abc"),
            ("Content-Length: 3\r\n\r\nabcdef", "abcdef"),
            ("Content-Length: 9\r\n\r\nabc", "abc"),
            ("Content-Length: many\r\n\r\nabc\n", "abc\\n"),
            ("\r\nabc", "abc"),
            ("Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n", "abcde"),
            ("Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n", "3\\r\\nabcd\\r\\n0\\r\\n\\r\\n"),
            ("Transfer-Encoding: chunked\r\n\r\nabc", "abc"),
            ("Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nabc", "fffffffffffffffff\\r\\nabc"),
        ];
        for (rest, body) in cases {
            let input = format!("POST / HTTP/1.1\r\n{rest}");
            let found = read(input.as_bytes()).unwrap();
            assert_eq!((text(&found.body).as_str(), found.response), (*body, None), "{rest:?}");
        }
    }

    #[test]
    fn a_response_that_follows_is_found() {
        let answer = "HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\n\r\n<p>none</p>";
        for (request, body) in [
            ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", ""),
            ("GET / HTTP/1.1\r\nHost: a\r\n\r\n\r\n", ""),
            ("POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", "abc"),
            ("POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc\r\n", "abc"),
            ("POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc\n", "abc"),
            ("POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc\n", "abc"),
        ] {
            let input = format!("{request}{answer}");
            let found = read(input.as_bytes()).unwrap();
            assert_eq!(text(&found.body), body, "{request:?}");
            let response = found.response.unwrap();
            assert_eq!(
                (response.status, response.protocol, &*response.body),
                (404, &b"HTTP/1.1"[..], &b"<p>none</p>"[..])
            );
            assert_eq!(
                (response.fields[0].name, &*response.fields[0].value),
                (&b"Content-Type"[..], &b"text/html"[..])
            );
        }
        // A line like the beginning of one is none.
        let twin = b"POST / HTTP/1.1\r\n\r\nHTTP/1.1 is old\nHTTP/1.1 2000\nHTTP/1.x 200 OK";
        assert_eq!(read(twin).unwrap().response, None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(input: Vec<u8>, pieces in "(GET|HTTP/1.1| |\r|\n|:|200|Content-Length|Transfer-Encoding|chunked|3|a){0,30}") {
            for input in [&input[..], pieces.as_bytes()] {
                if let Some(found) = read(input) {
                    prop_assert!(found.body.len() <= input.len());
                }
            }
        }

        #[test]
        fn what_is_written_is_read(
            target in "/[!-~]{0,20}",
            fields in proptest::collection::vec(("[A-Za-z-]{3,9}X", "[!-~]{1,9}"), 0..6),
            body in "[ -~\n]{0,40}",
        ) {
            let head: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
            let input = format!("POST {target} HTTP/1.1\r\n{head}Content-Length: {}\r\n\r\n{body}", body.len());
            let found = read(input.as_bytes()).unwrap();
            prop_assert_eq!((found.method, found.target, found.protocol), (&b"POST"[..], target.as_bytes(), &b"HTTP/1.1"[..]));
            prop_assert_eq!(found.fields.len(), fields.len() + 1);
            prop_assert_eq!(&*found.body, body.as_bytes());
        }
    }
}
