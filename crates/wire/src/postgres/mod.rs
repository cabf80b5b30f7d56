//! The messages of PostgreSQL's protocol, versions 3.0 to 3.2, in both directions.
//!
//! Nothing here keeps bytes: a relay forwards what it was handed, and looks at a message where it lies. Every length is
//! bounded before anybody waits for it. Start at [`opening`] for the first packet of a connection, at [`header`] for
//! all that follow.
//!
//! PostgreSQL documentation, chapters "Frontend/Backend Protocol" (13 to 18): message formats.

pub mod backend;
pub mod frontend;
mod opening;
pub mod write;

pub use opening::{Cancel, OPENING_BYTES, Opening, Startup, opening};

use crate::read::{Cursor, Read};

/// Who sends a message. The same letter means different things in the two directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The application.
    Frontend,
    /// The server.
    Backend,
}

/// A message's type and length; its body follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The letter.
    pub tag: u8,
    /// Bytes of the body, without the letter and without the length itself.
    pub body: u32,
}

impl Header {
    /// What stands before a body: the letter and four bytes of length.
    pub const BYTES: usize = 5;

    /// Bytes of the whole message.
    #[must_use]
    pub const fn message(self) -> u64 {
        self.body as u64 + Self::BYTES as u64
    }
}

/// The body of any message: the server allocates no more than this at once (`MaxAllocSize`).
pub const LARGE_BYTES: u32 = 0x3fff_ffff - 4;

/// The body of a message that names something and carries nothing (`PQ_SMALL_MESSAGE_LIMIT`).
pub const SMALL_BYTES: u32 = 10_000 - 4;

/// The body of a message of authentication, either way (`PG_MAX_AUTH_TOKEN_LENGTH`).
pub const TOKEN_BYTES: u32 = 65_535 - 4;

/// Reads the header at the front of `bytes`.
#[inline]
pub fn header(side: Side, bytes: &[u8]) -> Read<Header> {
    let Some(&tag) = bytes.first() else { return Read::Incomplete };
    let limit = match side {
        Side::Frontend => frontend_limit(tag),
        Side::Backend => backend_limit(tag),
    };
    let Some(limit) = limit else { return Read::Invalid("there is no message of this type") };
    let Some(&[a, b, c, d]) = bytes.get(1..).and_then(<[u8]>::first_chunk::<4>) else { return Read::Incomplete };
    let length = u32::from_be_bytes([a, b, c, d]);
    match length.checked_sub(4) {
        Some(body) if body <= limit => Read::Done(Header { tag, body }),
        Some(_) => Read::Invalid("the message is longer than its type may be"),
        None => Read::Invalid("the length does not even hold itself"),
    }
}

const fn frontend_limit(tag: u8) -> Option<u32> {
    match tag {
        b'Q' | b'P' | b'B' | b'F' | b'd' => Some(LARGE_BYTES),
        b'p' => Some(TOKEN_BYTES),
        b'C' | b'D' | b'E' | b'H' | b'S' | b'X' | b'c' | b'f' => Some(SMALL_BYTES),
        _ => None,
    }
}

/// What the server sends may be of any length that it can make; only what a relay must hold is bounded where it holds it.
const fn backend_limit(tag: u8) -> Option<u32> {
    match tag {
        b'R' | b'v' => Some(TOKEN_BYTES),
        b'K' => Some(4 + 256),
        b'Z' => Some(1),
        b'1' | b'2' | b'3' | b'n' | b's' | b'I' | b'c' => Some(0),
        b'D' | b'd' | b'T' | b't' | b'C' | b'E' | b'N' | b'S' | b'A' | b'G' | b'H' | b'W' | b'V' => Some(LARGE_BYTES),
        _ => None,
    }
}

impl<'a> Cursor<'a> {
    fn i16(&mut self) -> Option<i16> {
        self.array().map(i16::from_be_bytes)
    }

    fn i32(&mut self) -> Option<i32> {
        self.array().map(i32::from_be_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    /// A text up to its terminating zero byte, which is taken too.
    fn text(&mut self) -> Option<&'a [u8]> {
        let end = memchr::memchr(0, self.0)?;
        let text = self.take(end)?;
        self.take(1)?;
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_read_when_five_bytes_are_there_and_not_before() {
        let whole = *b"Q\0\0\0\x0cselect 1";
        for length in 0..5 {
            assert_eq!(header(Side::Frontend, &whole[..length]), Read::Incomplete);
        }
        assert_eq!(header(Side::Frontend, &whole), Read::Done(Header { tag: b'Q', body: 8 }));
        assert_eq!(Header { tag: b'Q', body: 8 }.message(), 13);
    }

    #[test]
    fn a_length_that_cannot_be_is_refused_before_anybody_waits_for_it() {
        let table: [(Side, &[u8], &str); 7] = [
            (Side::Frontend, b"Q\0\0\0\x03", "hold itself"),
            (Side::Frontend, b"Q\xff\xff\xff\xff", "longer"),
            (Side::Frontend, b"Q\x40\0\0\0", "longer"),
            (Side::Frontend, b"S\0\0\x27\x11", "longer"),
            (Side::Backend, b"Z\0\0\0\x06", "longer"),
            (Side::Frontend, b"G", "no message"),
            (Side::Backend, b"Q", "no message"),
        ];
        for (side, bytes, words) in table {
            let Read::Invalid(why) = header(side, bytes) else { panic!("{bytes:?} passes") };
            assert!(why.contains(words), "{bytes:?}: {why}");
        }
        assert_eq!(header(Side::Frontend, b"Q\x3f\xff\xff\xff"), Read::Done(Header { tag: b'Q', body: LARGE_BYTES }));
        assert_eq!(header(Side::Frontend, b"S\0\0\x27\x10"), Read::Done(Header { tag: b'S', body: SMALL_BYTES }));
    }
}
