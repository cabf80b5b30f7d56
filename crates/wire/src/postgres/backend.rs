//! What the server says, as far as a relay looks at it.
//!
//! Never decodes a value: a field is its bytes and its column says how they are written.

use crate::read::Cursor;

/// How the server wants to know who the application is (`Authentication…`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authentication<'a> {
    /// It knows, or does not mind.
    Done,
    /// The password itself.
    CleartextPassword,
    /// The password hashed with MD5.
    Md5Password,
    /// One of several mechanisms; each name is ended by a zero byte.
    Sasl(&'a [u8]),
    /// A step of what has begun.
    Continue,
    /// GSSAPI, SSPI, or something that came later, by its number.
    Other(u32),
}

impl<'a> Authentication<'a> {
    /// Reads the body of an `R`.
    #[must_use]
    pub fn read(body: &'a [u8]) -> Option<Self> {
        let mut cursor = Cursor(body);
        Some(match cursor.u32()? {
            0 => Self::Done,
            3 => Self::CleartextPassword,
            5 => Self::Md5Password,
            8 | 11 | 12 => Self::Continue,
            10 => Self::Sasl(cursor.0),
            other => Self::Other(other),
        })
    }
}

/// Whether a session is inside a transaction (`ReadyForQuery`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Transaction {
    /// Outside.
    #[default]
    Idle,
    /// Inside.
    Open,
    /// Inside one that failed and waits for its end.
    Failed,
}

impl Transaction {
    /// Reads the body of a `Z`.
    #[must_use]
    pub fn read(body: &[u8]) -> Option<Self> {
        match body {
            b"I" => Some(Self::Idle),
            b"T" => Some(Self::Open),
            b"E" => Some(Self::Failed),
            _ => None,
        }
    }
}

/// What cancels this session's statements (`BackendKeyData`).
#[must_use]
pub fn key_data(body: &[u8]) -> Option<(u32, &[u8])> {
    let mut cursor = Cursor(body);
    let process = cursor.u32()?;
    (4..=256).contains(&cursor.0.len()).then_some((process, cursor.0))
}

/// The minor version that the server speaks instead of the one that was asked for (`NegotiateProtocolVersion`).
///
/// Servers say the minor version alone; the documentation of some says the whole version.
#[must_use]
pub fn negotiated_minor(body: &[u8]) -> Option<u16> {
    let version = Cursor(body).u32()?;
    u16::try_from(version & 0xffff).ok()
}

/// A setting that the server reports (`ParameterStatus`): name and value.
#[must_use]
pub fn parameter(body: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut cursor = Cursor(body);
    let pair = (cursor.text()?, cursor.text()?);
    cursor.is_empty().then_some(pair)
}

/// A notification: process, channel, payload (`NotificationResponse`).
#[must_use]
pub fn notification(body: &[u8]) -> Option<(u32, &[u8], &[u8])> {
    let mut cursor = Cursor(body);
    let found = (cursor.u32()?, cursor.text()?, cursor.text()?);
    cursor.is_empty().then_some(found)
}

/// What ran and how many rows it touched, in words (`CommandComplete`): `SELECT 5`.
#[must_use]
pub fn command(body: &[u8]) -> Option<&[u8]> {
    let mut cursor = Cursor(body);
    let tag = cursor.text()?;
    cursor.is_empty().then_some(tag)
}

/// The fields of an `ErrorResponse` or a `NoticeResponse`: a letter and a text. Ends where the message is malformed.
pub fn notice(body: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    let mut cursor = Cursor(body);
    std::iter::from_fn(move || match cursor.u8()? {
        0 => None,
        field => Some((field, cursor.text()?)),
    })
}

/// A column of a result (`RowDescription`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column<'a> {
    /// Its name in the result.
    pub name: &'a [u8],
    /// The relation that it comes from; 0 where it is computed.
    pub relation: u32,
    /// Its number in that relation; 0 where it is computed.
    pub attribute: i16,
    /// The object of its type.
    pub type_of: u32,
    /// Whether its values are written in binary.
    pub binary: bool,
}

/// The columns of a `RowDescription`. Ends where the message is malformed.
pub fn columns(body: &[u8]) -> impl Iterator<Item = Column<'_>> {
    let mut cursor = Cursor(body);
    let count = cursor.u16().unwrap_or_default();
    (0..count).map_while(move |_| {
        let name = cursor.text()?;
        let (relation, attribute, type_of) = (cursor.u32()?, cursor.i16()?, cursor.u32()?);
        let _size = cursor.i16()?;
        let _modifier = cursor.i32()?;
        Some(Column { name, relation, attribute, type_of, binary: cursor.i16()? == 1 })
    })
}

/// The values of a `DataRow`, `None` for null. Ends where the message is malformed, or where `front` ends.
pub fn fields(front: &[u8]) -> impl Iterator<Item = Option<&[u8]>> {
    let mut cursor = Cursor(front);
    let count = cursor.u16().unwrap_or_default();
    (0..count).map_while(move |_| match cursor.i32()? {
        -1 => Some(None),
        length => cursor.take(usize::try_from(length).ok()?).map(Some),
    })
}

/// Whether `COPY` is binary as a whole, and its number of columns (`CopyInResponse`, `CopyOutResponse`).
#[must_use]
pub fn copy(body: &[u8]) -> Option<(bool, u16)> {
    let mut cursor = Cursor(body);
    Some((cursor.u8()? == 1, cursor.u16()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authentication_is_told_by_its_number() {
        assert_eq!(Authentication::read(b"\0\0\0\0"), Some(Authentication::Done));
        assert_eq!(Authentication::read(b"\0\0\0\x05salt"), Some(Authentication::Md5Password));
        assert_eq!(
            Authentication::read(b"\0\0\0\x0aSCRAM-SHA-256\0\0"),
            Some(Authentication::Sasl(b"SCRAM-SHA-256\0\0"))
        );
        assert_eq!(Authentication::read(b"\0\0\0\x07"), Some(Authentication::Other(7)));
        assert_eq!(Authentication::read(b"\0\0\0"), None);
    }

    #[test]
    fn small_messages_are_read_whole() {
        assert_eq!(Transaction::read(b"T"), Some(Transaction::Open));
        assert_eq!(Transaction::read(b"x"), None);
        assert_eq!(key_data(b"\0\0\0\x09abcd"), Some((9, &b"abcd"[..])));
        assert_eq!(key_data(b"\0\0\0\x09abc"), None);
        assert_eq!(key_data(&[0; 4 + 257]), None);
        assert_eq!(negotiated_minor(b"\0\0\0\x02\0\0\0\0"), Some(2));
        assert_eq!(negotiated_minor(b"\0\x03\0\x02\0\0\0\0"), Some(2));
        assert_eq!(parameter(b"TimeZone\0UTC\0"), Some((&b"TimeZone"[..], &b"UTC"[..])));
        assert_eq!(notification(b"\0\0\0\x07news\0hello\0"), Some((7, &b"news"[..], &b"hello"[..])));
        assert_eq!(command(b"SELECT 5\0"), Some(&b"SELECT 5"[..]));
        assert_eq!(copy(b"\x01\0\x02\0\x01\0\x01"), Some((true, 2)));
        let error: Vec<_> = notice(b"SERROR\0C42501\0Mno\0\0").collect();
        assert_eq!(error, [(b'S', &b"ERROR"[..]), (b'C', b"42501"), (b'M', b"no")]);
    }

    #[test]
    fn columns_and_values_end_where_the_message_does() {
        let column = b"email\0\0\0\x40\x01\0\x03\0\0\0\x19\xff\xff\xff\xff\xff\xff\0\x01";
        let body = [&b"\0\x02"[..], column, b"half\0\0"].concat();
        let email = Column { name: b"email", relation: 16_385, attribute: 3, type_of: 25, binary: true };
        assert_eq!(columns(&body).collect::<Vec<_>>(), [email]);

        let row = b"\0\x03\0\0\0\x02ab\xff\xff\xff\xff\0\0\0\x05cd";
        assert_eq!(fields(row).collect::<Vec<_>>(), [Some(&b"ab"[..]), None]);
        assert_eq!(fields(b"\xff\xff").count(), 0);
        assert_eq!(fields(b"\0\x01\x80\0\0\0").count(), 0, "a negative length other than null");
    }
}
