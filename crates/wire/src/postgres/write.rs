//! Messages that a relay makes itself: refusals to the application, cancellations to the server.
//!
//! Never fails: what is too long is cut, and a zero byte in a text ends it.

/// How grave an error is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gravity {
    /// The statement is over.
    Error,
    /// The session is over.
    Fatal,
}

/// The longest text of a message of ours, in bytes.
const TEXT_BYTES: usize = 1024;

/// An `ErrorResponse`. `code` is an SQLSTATE; `hint` may be empty.
pub fn error(into: &mut Vec<u8>, gravity: Gravity, code: &str, message: &str, hint: &str) {
    let name = match gravity {
        Gravity::Error => "ERROR",
        Gravity::Fatal => "FATAL",
    };
    framed(into, b'E', |body| {
        // S is for people in their language, V for programs.
        for (field, value) in [(b'S', name), (b'V', name), (b'C', code), (b'M', message), (b'H', hint)] {
            if !value.is_empty() {
                body.push(field);
                text(body, value.as_bytes());
            }
        }
        body.push(0);
    });
}

/// A `Query`.
pub fn query(into: &mut Vec<u8>, statement: &str) {
    framed(into, b'Q', |body| text(body, statement.as_bytes()));
}

/// A `Parse` without types.
pub fn parse(into: &mut Vec<u8>, name: &[u8], statement: &str) {
    framed(into, b'P', |body| {
        text(body, name);
        text(body, statement.as_bytes());
        body.extend_from_slice(&[0, 0]);
    });
}

/// A `Terminate`.
pub const TERMINATE: [u8; 5] = *b"X\0\0\0\x04";

/// An `SSLRequest`.
pub const SSL_REQUEST: [u8; 8] = *b"\0\0\0\x08\x04\xd2\x16\x2f";

/// A `CancelRequest`. The key has at most 256 bytes.
#[must_use]
pub fn cancel(process: u32, key: &[u8]) -> Vec<u8> {
    let key = key.get(..256).unwrap_or(key);
    let length = u32::try_from(12 + key.len()).unwrap_or_default();
    [&length.to_be_bytes()[..], b"\x04\xd2\x16\x2e", &process.to_be_bytes(), key].concat()
}

fn framed(into: &mut Vec<u8>, tag: u8, body: impl FnOnce(&mut Vec<u8>)) {
    into.push(tag);
    let at = into.len();
    into.extend_from_slice(&[0; 4]);
    body(into);
    let length = u32::try_from(into.len() - at).unwrap_or(u32::MAX);
    if let Some(place) = into.get_mut(at..at + 4) {
        place.copy_from_slice(&length.to_be_bytes());
    }
}

/// A text up to its first zero byte, cut between characters, and a zero byte.
fn text(into: &mut Vec<u8>, value: &[u8]) {
    let end = value.iter().position(|byte| *byte == 0).unwrap_or(value.len());
    let mut end = end.min(TEXT_BYTES);
    while end < value.len() && end > 0 && value.get(end).is_some_and(|byte| byte & 0xc0 == 0x80) {
        end -= 1;
    }
    into.extend_from_slice(value.get(..end).unwrap_or_default());
    into.push(0);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::{Cancel, Opening, Side, backend, frontend, header, opening};
    use crate::read::Read;

    #[test]
    fn what_is_written_is_what_is_read() {
        let mut bytes = Vec::new();
        error(&mut bytes, Gravity::Error, "42501", "no\0body", "");
        let head = header(Side::Backend, &bytes).done().expect("a header");
        assert_eq!(head.message(), bytes.len() as u64);
        let fields: Vec<_> = backend::notice(&bytes[5..]).collect();
        assert_eq!(fields, [(b'S', &b"ERROR"[..]), (b'V', b"ERROR"), (b'C', b"42501"), (b'M', b"no")]);

        bytes.clear();
        parse(&mut bytes, b"name", ") no");
        let read = frontend::Parse::read(&bytes[5..]).expect("a whole message");
        assert_eq!((read.name, read.text), (&b"name"[..], &b") no"[..]));

        bytes.clear();
        query(&mut bytes, "select 1");
        assert_eq!(frontend::query(&bytes[5..]), Some(&b"select 1"[..]));

        let bytes = cancel(7, &[3; 256]);
        assert_eq!(opening(&bytes), Read::Done((Opening::Cancel(Cancel { process: 7, key: &[3; 256] }), bytes.len())));
        assert_eq!(opening(&SSL_REQUEST), Read::Done((Opening::Ssl, 8)));
        assert_eq!(header(Side::Frontend, &TERMINATE).done().map(|head| head.tag), Some(b'X'));
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let mut bytes = Vec::new();
        text(&mut bytes, "ä".repeat(TEXT_BYTES).as_bytes());
        assert!(std::str::from_utf8(&bytes).is_ok() && bytes.len() <= TEXT_BYTES + 1);
        bytes.clear();
        text(&mut bytes, format!("x{}", "ä".repeat(TEXT_BYTES)).as_bytes());
        assert!(std::str::from_utf8(&bytes).is_ok() && bytes.len() <= TEXT_BYTES + 1);
    }
}
