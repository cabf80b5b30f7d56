//! A case's request as go-ftw would put it on the wire.
//!
//! Never mends a request: many are broken on purpose.

use crate::case::Input;

/// The bytes of a case's request.
pub(crate) fn build(input: &Input) -> Result<Vec<u8>, String> {
    if let Some(encoded) = &input.encoded_request {
        return decode_base64(encoded).ok_or_else(|| "the encoded request is no base64".to_owned());
    }
    let word = |word: &Option<crate::case::Scalar>, default: &str| match word {
        Some(word) => word.0.clone(),
        None => default.to_owned(),
    };
    let method = word(&input.method, "GET");
    let mut fields: Vec<(String, String)> =
        input.headers.iter().map(|(name, value)| (name.clone(), value.0.clone())).collect();
    let mut data = match &input.data {
        Some(template) => expand(template)?,
        None => String::new(),
    };
    let complete = input.autocomplete_headers.unwrap_or(true) && !input.stop_magic;
    if complete && !data.is_empty() {
        if find(&fields, "content-type").is_none() {
            fields.push(("Content-Type".to_owned(), FORM.to_owned()));
        }
        if find(&fields, "content-type").is_some_and(|value| value.eq_ignore_ascii_case(FORM)) {
            data = encode_form(&data);
        }
    }
    if find(&fields, "content-type").is_some_and(|value| value.to_ascii_lowercase().contains("multipart/form-data;")) {
        data = data.replace('\n', "\r\n");
    }
    if complete {
        if find(&fields, "connection").is_none() {
            fields.push(("Connection".to_owned(), "close".to_owned()));
        }
        let may_have_body = method.starts_with("POST")
            || method.contains("PUT")
            || method.contains("PATCH")
            || method.ends_with("DELETE");
        if find(&fields, "content-length").is_none() && (!data.is_empty() || may_have_body) {
            fields.push(("Content-Length".to_owned(), data.len().to_string()));
        }
    }
    let mut bytes = format!("{method} {} {}\r\n", word(&input.uri, "/"), word(&input.version, "HTTP/1.1"));
    for (name, value) in &fields {
        bytes.push_str(&format!("{name}: {value}\r\n"));
    }
    bytes.push_str("\r\n");
    bytes.push_str(&data);
    Ok(bytes.into_bytes())
}

const FORM: &str = "application/x-www-form-urlencoded";

fn find<'a>(fields: &'a [(String, String)], wanted: &str) -> Option<&'a str> {
    fields.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.as_str())
}

/// The one template that the cases use: `{{ "1" | repeat 152 }}`. Another is an error rather than taken as it stands.
fn expand(template: &str) -> Result<String, String> {
    let mut text = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        let (action, after) = after.split_once("}}").ok_or("a template does not end")?;
        let repeated = action.trim().strip_prefix('"').and_then(|action| action.split_once('"'));
        let times = repeated.and_then(|(_, pipe)| {
            pipe.trim().strip_prefix('|')?.trim().strip_prefix("repeat")?.trim().parse::<usize>().ok()
        });
        let (Some((what, _)), Some(times)) = (repeated, times) else {
            return Err(format!("there is no such template here: {{{{{action}}}}}"));
        };
        text.push_str(before);
        text.push_str(&what.repeat(times));
        rest = after;
    }
    text.push_str(rest);
    Ok(text)
}

/// A form whose names and values are not encoded yet; one that is, as far as decoding changes it, stays.
fn encode_form(data: &str) -> String {
    if unescaped(data.as_bytes()).is_none_or(|plain| plain != data.as_bytes()) {
        return data.to_owned();
    }
    let pairs = data.split('&').map(|pair| match pair.split_once('=') {
        Some((name, value)) => format!("{}={}", escaped(name), escaped(value)),
        None => escaped(pair),
    });
    let joined = pairs.collect::<Vec<_>>().join("&");
    // An `&` at the end begins no further pair there.
    joined.strip_suffix('&').unwrap_or(&joined).to_owned()
}

/// Go's `QueryUnescape`: none where an escape is broken.
fn unescaped(data: &[u8]) -> Option<Vec<u8>> {
    let mut plain = Vec::new();
    let mut rest = data;
    loop {
        rest = match rest {
            [] => return Some(plain),
            [b'+', rest @ ..] => {
                plain.push(b' ');
                rest
            }
            [b'%', rest @ ..] => {
                let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
                if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                    return None;
                }
                plain.push(u8::from_str_radix(digits, 16).ok()?);
                &rest[2..]
            }
            [byte, rest @ ..] => {
                plain.push(*byte);
                rest
            }
        };
    }
}

/// Go's `QueryEscape`.
fn escaped(text: &str) -> String {
    let escape = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
        b' ' => "+".to_owned(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(escape).collect()
}

/// Line ends within it are left out.
pub(crate) fn decode_base64(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let (mut bits, mut held) = (0_u32, 0);
    let digits = text.bytes().filter(|byte| !byte.is_ascii_whitespace());
    for byte in digits.take_while(|byte| *byte != b'=') {
        let digit = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(digit);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held & 0xff) as u8);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built(yaml: &str) -> String {
        let input = serde_yaml_ng::from_str(yaml).unwrap();
        String::from_utf8(build(&input).unwrap()).unwrap()
    }

    #[test]
    fn requests_are_go_ftws() {
        let cases = [
            ("{}", "GET / HTTP/1.1\r\nConnection: close\r\n\r\n"),
            (
                "{method: POST, uri: /x, version: HTTP/1.0}",
                "POST /x HTTP/1.0\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
            ),
            (
                "{headers: {Z: 1, Host: h}, data: 'a=b c&d'}",
                "GET / HTTP/1.1\r\nHost: h\r\nZ: 1\r\nContent-Type: application/x-www-form-urlencoded\r\n\
                 Connection: close\r\nContent-Length: 7\r\n\r\na=b+c&d",
            ),
            ("{autocomplete_headers: false, data: 'a=b c'}", "GET / HTTP/1.1\r\n\r\na=b c"),
            (
                "{headers: {Content-Type: application/x-www-form-urlencoded}, data: 'a=%3c d'}",
                "GET / HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded\r\nConnection: close\r\n\
                 Content-Length: 7\r\n\r\na=%3c d",
            ),
            (
                "{headers: {content-type: multipart/form-data; boundary=b}, data: \"x\\ny\"}",
                "GET / HTTP/1.1\r\ncontent-type: multipart/form-data; boundary=b\r\nConnection: close\r\n\
                 Content-Length: 4\r\n\r\nx\r\ny",
            ),
            ("{encoded_request: R0VUIC8gSFRUUC8x\\nLjANCg==}".replace("\\n", "").leak(), "GET / HTTP/1.0\r\n"),
        ];
        for (yaml, expected) in cases {
            assert_eq!(built(yaml), expected, "{yaml}");
        }
    }

    #[test]
    fn templates_are_expanded_or_refused() {
        assert_eq!(expand("a={{ \"12\" | repeat 3 }}&b=}}").as_deref(), Ok("a=121212&b=}}"));
        assert!(expand("{{ env \"HOME\" }}").is_err());
        assert!(expand("{{").is_err());
    }
}
