//! HTTP/2 frames written by hand, and those that come back, taken apart.
//!
//! It never checks what it sends: breaking the protocol is its work. Header blocks are literal and without Huffman
//! coding, so a byte in a test is a byte on the wire.

use std::time::{Duration, Instant};

use crate::client::{Broken, Wire};

/// Type of a frame (RFC 9113 section 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind(pub u8);

impl Kind {
    /// DATA.
    pub const DATA: Self = Self(0);
    /// HEADERS.
    pub const HEADERS: Self = Self(1);
    /// PRIORITY.
    pub const PRIORITY: Self = Self(2);
    /// `RST_STREAM`.
    pub const RST_STREAM: Self = Self(3);
    /// SETTINGS.
    pub const SETTINGS: Self = Self(4);
    /// PING.
    pub const PING: Self = Self(6);
    /// GOAWAY.
    pub const GOAWAY: Self = Self(7);
    /// `WINDOW_UPDATE`.
    pub const WINDOW_UPDATE: Self = Self(8);
    /// CONTINUATION.
    pub const CONTINUATION: Self = Self(9);

    /// The type of that name, as the specification writes it.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let names = [
            "DATA",
            "HEADERS",
            "PRIORITY",
            "RST_STREAM",
            "SETTINGS",
            "PUSH_PROMISE",
            "PING",
            "GOAWAY",
            "WINDOW_UPDATE",
            "CONTINUATION",
        ];
        names.iter().position(|known| *known == name).and_then(|at| u8::try_from(at).ok()).map(Self)
    }
}

/// END_STREAM on DATA and HEADERS, ACK on SETTINGS and PING.
pub const END_STREAM: u8 = 1;
/// `END_HEADERS` on HEADERS and CONTINUATION.
pub const END_HEADERS: u8 = 4;

/// One frame.
#[derive(Debug, Clone)]
pub struct Frame {
    /// Its type.
    pub kind: Kind,
    /// Its flags.
    pub flags: u8,
    /// Its stream.
    pub stream: u32,
    /// What it carries.
    pub payload: Vec<u8>,
}

/// How a connection or a stream came to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// GOAWAY with this error code.
    Goaway(u32),
    /// The socket was closed or reset without one.
    Closed,
}

/// What one stream got back.
#[derive(Debug, Clone, Default)]
pub struct Reply {
    /// `:status` of the final response; 0 when none came.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
    /// The code of the `RST_STREAM`, if one came.
    pub reset: Option<u32>,
    /// How the connection ended, if it did before the stream.
    pub end: Option<End>,
}

/// A frame as bytes.
#[must_use]
pub fn frame(kind: Kind, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
    let mut bytes = length.get(1..).unwrap_or_default().to_vec();
    bytes.extend([kind.0, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// A header block: every field literal, never indexed, never compressed.
#[must_use]
pub fn block<N: AsRef<[u8]>, V: AsRef<[u8]>>(fields: &[(N, V)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in fields {
        bytes.push(0);
        for text in [name.as_ref(), value.as_ref()] {
            length(text.len(), &mut bytes);
            bytes.extend_from_slice(text);
        }
    }
    bytes
}

/// RFC 7541 section 5.1 with a prefix of seven bits.
fn length(mut value: usize, bytes: &mut Vec<u8>) {
    if value < 127 {
        bytes.push(u8::try_from(value).unwrap_or(0));
        return;
    }
    bytes.push(127);
    value -= 127;
    while value >= 128 {
        bytes.push(u8::try_from(value % 128).unwrap_or(0) | 128);
        value /= 128;
    }
    bytes.push(u8::try_from(value).unwrap_or(0));
}

/// The preface of a client.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A connection that speaks frames.
#[derive(Debug)]
pub struct Frames {
    wire: Wire,
    next: u32,
}

impl Frames {
    /// Sends the preface and SETTINGS with `settings`; the header table is always declared empty, so that what comes
    /// back can be read without one.
    ///
    /// # Errors
    /// When the other end has gone.
    pub fn open(wire: Wire, settings: &[(u16, u32)]) -> std::io::Result<Self> {
        let mut frames = Self { wire, next: 1 };
        let mut payload = Vec::new();
        for (name, value) in [(1, 0)].iter().chain(settings) {
            payload.extend(name.to_be_bytes());
            payload.extend(value.to_be_bytes());
        }
        frames.wire.send([PREFACE, &frame(Kind::SETTINGS, 0, 0, &payload)].concat())?;
        Ok(frames)
    }

    /// Sends nothing at all; the caller decides what comes first.
    #[must_use]
    pub fn silent(wire: Wire) -> Self {
        Self { wire, next: 1 }
    }

    /// The next stream of the client.
    pub fn stream(&mut self) -> u32 {
        let stream = self.next;
        self.next += 2;
        stream
    }

    /// Sends one frame.
    ///
    /// # Errors
    /// When the other end has gone.
    pub fn send(&mut self, kind: Kind, flags: u8, stream: u32, payload: &[u8]) -> std::io::Result<()> {
        self.wire.send(frame(kind, flags, stream, payload))
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// When the other end has gone.
    pub fn send_bytes(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.wire.send(bytes)
    }

    /// A request without a body on a new stream, which it returns.
    ///
    /// # Errors
    /// When the other end has gone.
    pub fn get(&mut self, host: &str, path: &str) -> std::io::Result<u32> {
        let stream = self.stream();
        let fields = [(":method", "GET"), (":scheme", "http"), (":authority", host), (":path", path)];
        self.send(Kind::HEADERS, END_STREAM | END_HEADERS, stream, &block(&fields))?;
        Ok(stream)
    }

    /// The next frame.
    ///
    /// # Errors
    /// [`Broken`], which says how.
    pub fn read(&mut self) -> Result<Frame, Broken> {
        let head = self.wire.take(9)?;
        let byte = |at: usize| head.get(at).copied().unwrap_or(0);
        let length = usize::from(byte(0)) << 16 | usize::from(byte(1)) << 8 | usize::from(byte(2));
        let stream = u32::from_be_bytes([byte(5) & 127, byte(6), byte(7), byte(8)]);
        Ok(Frame { kind: Kind(byte(3)), flags: byte(4), stream, payload: self.wire.take(length)? })
    }

    /// Reads until `stream` has ended one way or the other; acknowledges SETTINGS and PING, and gives back window.
    pub fn reply(&mut self, stream: u32) -> Reply {
        let mut reply = Reply::default();
        loop {
            let frame = match self.read() {
                Ok(frame) => frame,
                Err(_) => {
                    reply.end.get_or_insert(End::Closed);
                    return reply;
                }
            };
            let ended = frame.flags & END_STREAM != 0;
            match frame.kind {
                Kind::SETTINGS if !ended => {
                    self.send(Kind::SETTINGS, 1, 0, &[]).ok();
                }
                Kind::PING if !ended => {
                    self.send(Kind::PING, 1, 0, &frame.payload).ok();
                }
                Kind::GOAWAY => {
                    let code = code(frame.payload.get(4..8).unwrap_or_default());
                    // A polite GOAWAY (no error) still lets the stream finish.
                    if code != 0 {
                        reply.end = Some(End::Goaway(code));
                        return reply;
                    }
                }
                Kind::RST_STREAM if frame.stream == stream => {
                    reply.reset = Some(code(&frame.payload));
                    return reply;
                }
                Kind::HEADERS if frame.stream == stream => {
                    let status = status(&frame.payload);
                    if status >= 200 && reply.status == 0 {
                        reply.status = status;
                    }
                    if ended {
                        return reply;
                    }
                }
                Kind::DATA if frame.stream == stream => {
                    let given = u32::try_from(frame.payload.len()).unwrap_or(0).to_be_bytes();
                    // The connection's window outlives the stream, so it is given back for the last frame too.
                    if !frame.payload.is_empty() {
                        self.send(Kind::WINDOW_UPDATE, 0, 0, &given).ok();
                    }
                    reply.body.extend(&frame.payload);
                    if ended {
                        return reply;
                    }
                    if !frame.payload.is_empty() {
                        self.send(Kind::WINDOW_UPDATE, 0, stream, &given).ok();
                    }
                }
                _ => {}
            }
        }
    }

    /// How the connection ended within `patience`; `None` when it had not. A GOAWAY with an error counts; a polite one
    /// (no error) counts only once the socket is closed.
    pub fn end_within(&mut self, patience: Duration) -> Option<End> {
        let until = Instant::now() + patience;
        let mut polite = None;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                self.wire.patience(Duration::from_secs(20));
                return None;
            }
            self.wire.patience(left.max(Duration::from_millis(1)));
            match self.read() {
                Ok(frame) if frame.kind == Kind::GOAWAY => {
                    let code = code(frame.payload.get(4..8).unwrap_or_default());
                    if code != 0 {
                        return Some(End::Goaway(code));
                    }
                    polite = Some(End::Goaway(0));
                }
                Ok(_) | Err(Broken::Silent) => {}
                Err(_) => return Some(polite.unwrap_or(End::Closed)),
            }
        }
    }

    /// Whether the connection still serves: a fresh request gets this status.
    ///
    /// # Errors
    /// What came instead.
    pub fn serves(&mut self, host: &str, path: &str) -> Result<u16, Reply> {
        let reply = match self.get(host, path) {
            Ok(stream) => self.reply(stream),
            Err(_) => Reply { end: Some(End::Closed), ..Reply::default() },
        };
        if reply.end.is_none() && reply.status != 0 { Ok(reply.status) } else { Err(reply) }
    }

    /// The wire below.
    pub fn wire(&mut self) -> &mut Wire {
        &mut self.wire
    }
}

fn code(bytes: &[u8]) -> u32 {
    bytes.try_into().map(u32::from_be_bytes).unwrap_or(u32::MAX)
}

/// `:status` of a header block that an encoder without a dynamic table wrote; it always comes first.
fn status(block: &[u8]) -> u16 {
    // Size updates of the dynamic table (001xxxxx) may stand before the first field.
    let mut bytes = block.iter().copied().skip_while(|byte| byte >> 5 == 1);
    let Some(first) = bytes.next() else { return 0 };
    let known = [200, 204, 206, 304, 400, 404, 500];
    if let Some(status) = first.checked_sub(0x88).and_then(|at| known.get(usize::from(at))) {
        return *status;
    }
    let Some(length) = bytes.next() else { return 0 };
    let text: Vec<u8> = bytes.take(usize::from(length & 127)).collect();
    let digits = if length & 128 == 0 { text } else { huffman_digits(&text) };
    digits.iter().filter(|digit| digit.is_ascii_digit()).fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'))
}

/// Huffman codes of the digits (RFC 7541 appendix B): 0, 1, 2 have five bits, 3 to 9 six.
fn huffman_digits(bytes: &[u8]) -> Vec<u8> {
    let bits: Vec<u8> = bytes.iter().flat_map(|byte| (0..8).rev().map(move |shift| byte >> shift & 1)).collect();
    let mut digits = Vec::new();
    let mut rest = bits.as_slice();
    while digits.len() < 3 {
        let number = |count: usize| rest.get(..count).map(|bits| bits.iter().fold(0_u8, |sum, bit| sum << 1 | bit));
        match (number(5), number(6)) {
            (Some(five @ 0..=2), _) => {
                digits.push(b'0' + five);
                rest = rest.get(5..).unwrap_or_default();
            }
            (_, Some(six @ 25..=31)) => {
                digits.push(b'3' + six - 25);
                rest = rest.get(6..).unwrap_or_default();
            }
            _ => break,
        }
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_read_in_each_coding() {
        let table: &[(&[u8], u16)] = &[
            (&[0x88], 200),
            (&[0x20, 0x8c], 400),
            (&[0x48, 3, b'4', b'2', b'1'], 421),
            // 503 by Huffman: 011011 00000 011001, then ones.
            (&[0x48, 0x83, 0b0110_1100, 0b0000_1100, 0b1111_1111], 503),
            (&[], 0),
        ];
        for (block, expected) in table {
            assert_eq!(status(block), *expected, "{block:02x?}");
        }
    }

    #[test]
    fn frames_and_blocks_are_as_the_rfc_writes_them() {
        assert_eq!(frame(Kind::PING, 1, 0, &[7; 8]), [&[0, 0, 8, 6, 1, 0, 0, 0, 0][..], &[7; 8]].concat());
        let long = "a".repeat(300);
        let bytes = block(&[("x", long.as_str())]);
        assert_eq!(bytes.get(..5), Some(&[0, 1, b'x', 127, 173][..]), "300 - 127 = 173 = 128 + 45");
        assert_eq!(bytes.get(5), Some(&1));
    }
}
