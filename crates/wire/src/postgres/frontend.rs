//! What the application says, as far as a relay looks at it.
//!
//! Never decodes a value: a `Bind` is known by the names at its front, and its values are bytes.

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

/// The values of a whole `Bind`, as they lie in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Values<'a> {
    /// Two bytes for each: none at all, one for all values, or one for each.
    formats: &'a [u8],
    values: &'a [u8],
}

/// The value of a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Value<'a> {
    /// `None` is null.
    pub bytes: Option<&'a [u8]>,
    /// Whether it is written in binary, as the type of its parameter has it.
    pub binary: bool,
}

impl<'a> Values<'a> {
    /// Reads the whole body.
    #[must_use]
    pub fn read(body: &'a [u8]) -> Option<Self> {
        let mut cursor = Cursor(body);
        let (_portal, _statement) = (cursor.text()?, cursor.text()?);
        let count = usize::from(cursor.u16()?);
        let formats = cursor.take(count * 2)?;
        let count = usize::from(cursor.u16()?);
        let values = cursor.0;
        for _ in 0..count {
            match cursor.i32()? {
                -1 => {}
                length => cursor.take(usize::try_from(length).ok()?).map(drop)?,
            }
        }
        let values = values.get(..values.len() - cursor.0.len())?;
        let results = usize::from(cursor.u16()?);
        let fits = matches!(formats.len() / 2, 0 | 1) || formats.len() / 2 == count;
        (cursor.0.len() == results * 2 && fits).then_some(Self { formats, values })
    }

    /// The values in order; the first is `$1`.
    pub fn iter(&self) -> impl Iterator<Item = Value<'a>> + use<'a> {
        let (formats, mut cursor) = (self.formats, Cursor(self.values));
        let mut at = 0;
        std::iter::from_fn(move || {
            let bytes = match cursor.i32()? {
                -1 => None,
                length => Some(cursor.take(usize::try_from(length).ok()?)?),
            };
            let format = if formats.len() == 2 { Some(formats) } else { formats.get(at..at + 2) };
            at += 2;
            Some(Value { bytes, binary: format.is_some_and(|format| format == [0, 1]) })
        })
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

    #[test]
    fn values_have_the_format_of_their_own_or_of_all() {
        let read = |formats: &[u8]| {
            let values = b"\0\x02\0\0\0\x02ab\xff\xff\xff\xff\0\0";
            let body = [&b"p\0s\0"[..], formats, values].concat();
            Values::read(&body).map(|values| {
                values.iter().map(|value| (value.bytes.map(<[u8]>::to_vec), value.binary)).collect::<Vec<_>>()
            })
        };
        let expect = |first, second| Some(vec![(Some(b"ab".to_vec()), first), (None, second)]);
        assert_eq!(read(b"\0\0"), expect(false, false));
        assert_eq!(read(b"\0\x01\0\x01"), expect(true, true));
        assert_eq!(read(b"\0\x02\0\0\0\x01"), expect(false, true));
        assert_eq!(read(b"\0\x03\0\0\0\0\0\0"), None, "three formats for two values");
        assert_eq!(Values::read(b"\0\0\0\0\0\x01\0\0\0\x05ab\0\0"), None, "a value longer than the message");
        assert_eq!(Values::read(b"\0\0\0\0\0\0\0\0x"), None, "something behind the end");
    }
}
