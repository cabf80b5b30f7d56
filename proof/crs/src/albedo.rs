//! The back end that the cases were written for: it answers 200 with nothing, or what `POST /reflect` asks it to say.
//!
//! As coreruleset/albedo does, a server in Go, which adds a content type where none is given by looking at the body.

use portcullis_wire::recording::Recording;
use serde::Deserialize;

use crate::request::decode_base64;

/// What the back end answers.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

#[derive(Debug, Deserialize)]
struct Reflection {
    #[serde(default)]
    status: u16,
    #[serde(default)]
    headers: std::collections::BTreeMap<String, String>,
    #[serde(default)]
    body: String,
    #[serde(default, rename = "encodedBody")]
    encoded_body: String,
}

/// What is answered to a request.
pub(crate) fn answer(request: &Recording<'_>) -> Answer {
    let path = request.target.split(|byte| *byte == b'?').next().unwrap_or_default();
    let reflects = path == b"/reflect" || path.starts_with(b"/reflect/");
    if request.method != b"POST" || !reflects {
        return complete(200, Vec::new(), Vec::new());
    }
    let Ok(asked) = serde_json::from_slice::<Reflection>(&request.body) else {
        return complete(400, Vec::new(), b"Invalid JSON in request body".to_vec());
    };
    if asked.status != 0 && !(100..600).contains(&asked.status) {
        let text = format!("Invalid status code: {}", asked.status);
        return complete(400, Vec::new(), text.into_bytes());
    }
    let body = if asked.body.is_empty() {
        decode_base64(&asked.encoded_body).unwrap_or_default()
    } else {
        asked.body.into_bytes()
    };
    let status = if asked.status == 0 { 200 } else { asked.status };
    complete(status, asked.headers.into_iter().collect(), body)
}

/// Adds what the server adds by itself.
fn complete(status: u16, mut fields: Vec<(String, String)>, body: Vec<u8>) -> Answer {
    let has =
        |fields: &[(String, String)], wanted: &str| fields.iter().any(|(name, _)| name.eq_ignore_ascii_case(wanted));
    if !body.is_empty() && !has(&fields, "content-type") {
        fields.push(("Content-Type".to_owned(), content_type(&body).to_owned()));
    }
    if !has(&fields, "content-length") {
        fields.push(("Content-Length".to_owned(), body.len().to_string()));
    }
    if !has(&fields, "date") {
        fields.push(("Date".to_owned(), "Thu, 01 Jan 2026 00:00:00 GMT".to_owned()));
    }
    Answer { status, fields, body }
}

/// What a body looks like (WHATWG MIME sniffing, as far as text goes).
fn content_type(body: &[u8]) -> &'static str {
    let start = &body[..body.len().min(512)];
    let blank = |byte: &u8| matches!(byte, b'\t' | b'\n' | 0x0c | b'\r' | b' ');
    let text = &start[start.iter().position(|byte| !blank(byte)).unwrap_or(start.len())..];
    let is_html = HTML.iter().any(|tag| {
        let (head, rest) = text.split_at_checked(tag.len()).unwrap_or_default();
        !head.is_empty() && head.eq_ignore_ascii_case(tag.as_bytes()) && matches!(rest.first(), Some(b' ' | b'>'))
    });
    if is_html || text.starts_with(b"<!--") {
        "text/html; charset=utf-8"
    } else if text.starts_with(b"<?xml") {
        "text/xml; charset=utf-8"
    } else if start.starts_with(b"\x1f\x8b\x08") {
        "application/x-gzip"
    } else if start.starts_with(b"PK\x03\x04") {
        "application/zip"
    } else if start.iter().any(|byte| matches!(byte, 0..=8 | 0x0b | 0x0e..=0x1a | 0x1c..=0x1f)) {
        "application/octet-stream"
    } else {
        "text/plain; charset=utf-8"
    }
}

const HTML: [&str; 16] = [
    "<!DOCTYPE HTML",
    "<HTML",
    "<HEAD",
    "<SCRIPT",
    "<IFRAME",
    "<H1",
    "<DIV",
    "<FONT",
    "<TABLE",
    "<A",
    "<STYLE",
    "<TITLE",
    "<B",
    "<BODY",
    "<BR",
    "<P",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(request: &str) -> Answer {
        answer(&portcullis_wire::recording::read(request.as_bytes()).unwrap())
    }

    #[test]
    fn it_reflects_what_it_is_asked_to_and_otherwise_says_nothing() {
        let quiet = answered("GET /reflect HTTP/1.1\r\n\r\n");
        assert_eq!((quiet.status, quiet.body.len()), (200, 0));
        let asked = "POST /reflect?x HTTP/1.1\r\n\r\n{\"status\":503,\"headers\":{\"X\":\"y\"},\"body\":\" <html>\"}";
        let said = answered(asked);
        assert_eq!((said.status, said.body.as_slice()), (503, &b" <html>"[..]));
        assert!(said.fields.contains(&("Content-Type".to_owned(), "text/html; charset=utf-8".to_owned())));
        assert!(said.fields.contains(&("X".to_owned(), "y".to_owned())));
        assert_eq!(answered("POST /reflect HTTP/1.1\r\n\r\n{\"encodedBody\":\"aGk=\"}").body, b"hi");
        assert_eq!(answered("POST /reflect HTTP/1.1\r\n\r\n<%").status, 400);
        assert_eq!(answered("POST /reflect HTTP/1.1\r\n\r\n{\"status\":999}").status, 400);
        assert_eq!(answered("POST /reflected HTTP/1.1\r\n\r\n<%").status, 200);
    }

    #[test]
    fn a_content_type_is_what_the_body_looks_like() {
        let cases: &[(&[u8], &str)] = &[
            (b"<!doctype html>", "text/html; charset=utf-8"),
            (b"<bold>", "text/plain; charset=utf-8"),
            (b"<?xml version", "text/xml; charset=utf-8"),
            (b"\x1f\x8b\x08", "application/x-gzip"),
            (b"a\0", "application/octet-stream"),
            (b"Fatal error", "text/plain; charset=utf-8"),
        ];
        for (body, expected) in cases {
            assert_eq!(content_type(body), *expected);
        }
    }
}
