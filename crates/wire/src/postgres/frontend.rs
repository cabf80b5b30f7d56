//! What the application says, as far as a relay looks at it.
//!
//! Never reads the values of parameters: a `Bind` is known by the names at its front.

use crate::read::{Cursor, Read};

/// A whole `Query`: one text, perhaps with several statements.
#[must_use]
pub fn query(body: &[u8]) -> Option<&[u8]> {
    let mut cursor = Cursor(body);
    let text = cursor.text()?;
    cursor.is_empty().then_some(text)
}

/// A whole `Parse`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parse<'a> {
    /// The statement's name; empty for the unnamed one.
    pub name: &'a [u8],
    /// Its text, one statement.
    pub text: &'a [u8],
}

impl<'a> Parse<'a> {
    /// Reads the whole body.
    #[must_use]
    pub fn read(body: &'a [u8]) -> Option<Self> {
        let mut cursor = Cursor(body);
        let (name, text) = (cursor.text()?, cursor.text()?);
        let types = usize::from(cursor.u16()?);
        (cursor.0.len() == types * 4).then_some(Self { name, text })
    }
}

/// The front of a `Bind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bind<'a> {
    /// The portal's name; empty for the unnamed one.
    pub portal: &'a [u8],
    /// Which statement it is of.
    pub statement: &'a [u8],
}

impl<'a> Bind<'a> {
    /// Reads the names at the front of a body, of which `front` has arrived. Names together have at most `limit` bytes.
    pub fn read(front: &'a [u8], limit: usize) -> Read<Self> {
        let mut cursor = Cursor(front.get(..limit).unwrap_or(front));
        match cursor.text().and_then(|portal| Some((portal, cursor.text()?))) {
            Some((portal, statement)) => Read::Done(Self { portal, statement }),
            None if front.len() < limit => Read::Incomplete,
            None => Read::Invalid("the names of a portal and its statement are longer than names may be"),
        }
    }
}

/// What a `Describe` or `Close` is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Named<'a> {
    /// A prepared statement.
    Statement(&'a [u8]),
    /// A portal.
    Portal(&'a [u8]),
}

impl<'a> Named<'a> {
    /// Reads the whole body.
    #[must_use]
    pub fn read(body: &'a [u8]) -> Option<Self> {
        let (kind, rest) = body.split_first()?;
        let mut cursor = Cursor(rest);
        let name = cursor.text().filter(|_| cursor.is_empty())?;
        match kind {
            b'S' => Some(Self::Statement(name)),
            b'P' => Some(Self::Portal(name)),
            _ => None,
        }
    }
}

/// A whole `Execute`: the portal and how many rows are wanted, 0 for all.
#[must_use]
pub fn execute(body: &[u8]) -> Option<(&[u8], u32)> {
    let mut cursor = Cursor(body);
    let found = (cursor.text()?, cursor.u32()?);
    cursor.is_empty().then_some(found)
}

/// The function that a `FunctionCall` calls, from the front of its body.
#[must_use]
pub fn function(front: &[u8]) -> Option<u32> {
    Cursor(front).u32()
}

/// The mechanism that a `SASLInitialResponse` chose; `None` for what else has the same letter.
#[must_use]
pub fn sasl_mechanism(body: &[u8]) -> Option<&[u8]> {
    let mut cursor = Cursor(body);
    let name = cursor.text()?;
    let length = cursor.i32()?;
    let fits = length == -1 && cursor.is_empty() || usize::try_from(length) == Ok(cursor.0.len());
    fits.then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_message_is_read_to_its_last_byte() {
        assert_eq!(query(b"select 1\0"), Some(&b"select 1"[..]));
        assert_eq!(Parse::read(b"s\0select $1\0\0\x01\0\0\0\x17"), Some(Parse { name: b"s", text: b"select $1" }));
        assert_eq!(Named::read(b"Sx\0"), Some(Named::Statement(b"x")));
        assert_eq!(Named::read(b"P\0"), Some(Named::Portal(b"")));
        assert_eq!(execute(b"c\0\0\0\0\x05"), Some((&b"c"[..], 5)));
        assert_eq!(function(b"\0\0\x04\xd2\0\0"), Some(1234));
        assert_eq!(sasl_mechanism(b"SCRAM-SHA-256\0\0\0\0\x02n,"), Some(&b"SCRAM-SHA-256"[..]));
        assert_eq!(sasl_mechanism(b"SCRAM-SHA-256\0\xff\xff\xff\xff"), Some(&b"SCRAM-SHA-256"[..]));
    }

    /// A text that the server would read differently must not be judged.
    #[test]
    fn what_lies_behind_the_end_is_refused() {
        assert_eq!(query(b"select 1\0drop table t\0"), None);
        assert_eq!(query(b"select 1"), None);
        assert_eq!(Parse::read(b"\0select 1\0drop table t\0\0\0"), None);
        assert_eq!(Parse::read(b"\0select 1\0\0\x01"), None);
        assert_eq!(Named::read(b"Sx\0y"), None);
        assert_eq!(Named::read(b"Qx\0"), None);
        assert_eq!(execute(b"c\0\0\0\0\x05\0"), None);
        assert_eq!(sasl_mechanism(b"md5abcdef\0"), None);
    }

    #[test]
    fn a_bind_is_known_by_its_front() {
        let body = b"portal\0statement\0\0\0\0\0";
        for length in 0..17 {
            assert_eq!(Bind::read(&body[..length], 64), Read::Incomplete, "{length}");
        }
        for length in 17..=body.len() {
            assert_eq!(
                Bind::read(&body[..length], 64),
                Read::Done(Bind { portal: b"portal", statement: b"statement" })
            );
        }
        assert!(matches!(Bind::read(body, 16), Read::Invalid(_)));
        assert!(matches!(Bind::read(body, 17), Read::Done(_)));
    }
}
