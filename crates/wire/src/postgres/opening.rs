//! The first packet of a connection, which has no letter: a wish for TLS, a cancellation, or the beginning of a session.
//!
//! Never answers; what is offered is for the shell to know.

use crate::read::{Cursor, Read};

/// The longest packet before a session has begun (`MAX_STARTUP_PACKET_LENGTH`).
pub const OPENING_BYTES: usize = 10_000;

const SSL: u32 = 80_877_103;
const GSS: u32 = 80_877_104;
const CANCEL: u32 = 80_877_102;

/// The first byte of a TLS record that carries a handshake: TLS without a word before it, from PostgreSQL 17 on.
const TLS_HANDSHAKE: u8 = 0x16;

/// The keys that a cancellation may carry: four bytes up to 3.0, any number up to this from 3.2 on.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 4..=256;

/// What a connection begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening<'a> {
    /// A ClientHello; nothing of it is taken.
    DirectTls,
    /// `SSLRequest`: one letter is waited for.
    Ssl,
    /// `GSSENCRequest`: one letter is waited for.
    Gss,
    /// `CancelRequest`: nothing is answered.
    Cancel(Cancel<'a>),
    /// `StartupMessage`.
    Startup(Startup<'a>),
}

/// Whose statement is to be given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cancel<'a> {
    /// The server's process.
    pub process: u32,
    /// What only who began the session knows.
    pub key: &'a [u8],
}

/// The beginning of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Startup<'a> {
    /// The minor version that is asked for; the major one is 3.
    pub minor: u16,
    /// Names and values, each ended by a zero byte. Checked when it was read.
    parameters: &'a [u8],
}

impl<'a> Startup<'a> {
    /// Names and values as they were sent. A name may come twice; the server takes the last.
    pub fn parameters(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        let mut rest = Cursor(self.parameters);
        std::iter::from_fn(move || Some((rest.text()?, rest.text()?)))
    }

    /// The last value of a name.
    #[must_use]
    pub fn parameter(&self, name: &[u8]) -> Option<&'a [u8]> {
        self.parameters().filter(|(known, _)| *known == name).last().map(|(_, value)| value)
    }
}

/// Reads the packet at the front of `bytes`, and how many of them it takes.
pub fn opening(bytes: &[u8]) -> Read<(Opening<'_>, usize)> {
    if bytes.first() == Some(&TLS_HANDSHAKE) {
        return Read::Done((Opening::DirectTls, 0));
    }
    let mut cursor = Cursor(bytes);
    let Some(length) = cursor.u32() else { return Read::Incomplete };
    let Some(length) = usize::try_from(length).ok().filter(|length| (8..=OPENING_BYTES).contains(length)) else {
        return Read::Invalid("this is not how a session of PostgreSQL begins");
    };
    let Some(packet) = bytes.get(..length) else { return Read::Incomplete };
    let mut cursor = Cursor(packet.get(4..).unwrap_or_default());
    let Some(code) = cursor.u32() else { return Read::Incomplete };
    let rest = cursor.0;
    let opening = match code {
        SSL | GSS if !rest.is_empty() => return Read::Invalid("a wish for encryption carries nothing"),
        SSL => Opening::Ssl,
        GSS => Opening::Gss,
        CANCEL => {
            let Some(process) = cursor.u32() else { return Read::Invalid("a cancellation names no process") };
            if !KEY_BYTES.contains(&cursor.0.len()) {
                return Read::Invalid("the key of a cancellation has 4 to 256 bytes");
            }
            Opening::Cancel(Cancel { process, key: cursor.0 })
        }
        _ if code >> 16 != 3 => return Read::Invalid("the protocol is not of version 3"),
        _ => match parameters(rest) {
            #[expect(clippy::cast_possible_truncation, reason = "the lower half")]
            Some(parameters) => Opening::Startup(Startup { minor: code as u16, parameters }),
            None => return Read::Invalid("the parameters of the startup message are not pairs up to its end"),
        },
    };
    Read::Done((opening, length))
}

/// The pairs without the zero byte behind them: pairs up to an empty name, which is the last byte of the packet.
fn parameters(rest: &[u8]) -> Option<&[u8]> {
    let (end, pairs) = rest.split_last()?;
    let mut cursor = Cursor(pairs);
    while !cursor.is_empty() {
        let name = cursor.text()?;
        let _value = cursor.text()?;
        if name.is_empty() {
            return None;
        }
    }
    (*end == 0).then_some(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(code: u32, rest: &[u8]) -> Vec<u8> {
        let length = u32::try_from(8 + rest.len()).unwrap();
        [&length.to_be_bytes()[..], &code.to_be_bytes(), rest].concat()
    }

    #[test]
    fn a_session_begins_with_its_parameters_and_takes_the_last_of_a_name() {
        let bytes = packet(3 << 16 | 2, b"user\0anna\0database\0\0user\0bert\0\0");
        let Read::Done((Opening::Startup(startup), taken)) = opening(&bytes) else { panic!("it is one") };
        assert_eq!((startup.minor, taken), (2, bytes.len()));
        assert_eq!(startup.parameter(b"user"), Some(&b"bert"[..]));
        assert_eq!(startup.parameter(b"database"), Some(&b""[..]));
        assert_eq!(startup.parameter(b"replication"), None);
        assert_eq!(startup.parameters().count(), 3);
        for length in 1..bytes.len() {
            assert_eq!(opening(&bytes[..length]), Read::Incomplete, "{length}");
        }
    }

    #[test]
    fn wishes_and_cancellations_are_told_apart() {
        assert_eq!(opening(&packet(SSL, b"")), Read::Done((Opening::Ssl, 8)));
        assert_eq!(opening(&packet(GSS, b"")), Read::Done((Opening::Gss, 8)));
        assert_eq!(opening(&[TLS_HANDSHAKE]), Read::Done((Opening::DirectTls, 0)));
        for length in [4, 32, 256] {
            let key = vec![7; length];
            let bytes = packet(CANCEL, &[&9_u32.to_be_bytes()[..], &key].concat());
            assert_eq!(opening(&bytes), Read::Done((Opening::Cancel(Cancel { process: 9, key: &key }), bytes.len())));
        }
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        let table: [(Vec<u8>, &str); 11] = [
            (packet(SSL, b"x"), "carries nothing"),
            (packet(CANCEL, b"\0\0"), "names no process"),
            (packet(CANCEL, b"\0\0\0\x01abc"), "4 to 256"),
            (packet(CANCEL, &[0; 4 + 257]), "4 to 256"),
            (packet(2 << 16, b"user\0a\0\0"), "version 3"),
            (packet(3 << 16, b""), "pairs"),
            (packet(3 << 16, b"user\0a\0"), "pairs"),
            (packet(3 << 16, b"user\0\0"), "pairs"),
            (packet(3 << 16, b"user\0a\0\0database\0b\0\0"), "pairs"),
            (b"\0\0\0\x07\0\0\0".to_vec(), "not how"),
            (b"GET / HTTP/1.1\r\n".to_vec(), "not how"),
        ];
        for (bytes, words) in table {
            let Read::Invalid(why) = opening(&bytes) else { panic!("{bytes:?} passes") };
            assert!(why.contains(words), "{bytes:?}: {why}");
        }
    }
}
