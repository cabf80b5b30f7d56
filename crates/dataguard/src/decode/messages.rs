//! Messages on a connection that stays open: WebSocket frames (RFC 6455, with RFC 7692) and gRPC messages.
//!
//! It never waits for a message to be whole: what has come of it goes on as text.

use smallvec::SmallVec;

use super::coding::{Decoder, Deflate};
use super::escape::Escapes;
use super::{Bounds, Codings, Meter, Sink, Unread};

/// What a server sends over a WebSocket.
pub struct WebSocket {
    head: SmallVec<[u8; 14]>,
    left: u64,
    masked: Option<([u8; 4], usize)>,
    /// What the message that is under way is.
    kind: Kind,
    last: bool,
    /// The frame that is under way is a ping, a pong or a close, which may stand between the frames of a message.
    control: bool,
    inflate: Option<Box<Deflate>>,
    escapes: Escapes,
    meter: Meter,
}

impl std::fmt::Debug for WebSocket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "WebSocket, {} bytes left of a frame", self.left)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    /// Compressed by permessage-deflate.
    Packed,
}

impl WebSocket {
    /// At its first frame.
    #[must_use]
    pub fn new(bounds: Bounds) -> Self {
        Self {
            head: SmallVec::new(),
            left: 0,
            masked: None,
            kind: Kind::Text,
            last: true,
            control: false,
            inflate: None,
            escapes: Escapes::new([0; 4]),
            meter: Meter { bounds, came: 0, text: 0, depth: 0 },
        }
    }

    /// More bytes of the connection.
    ///
    /// # Errors
    /// Why nothing more is looked at of it.
    pub fn push(&mut self, bytes: &[u8], sink: &mut dyn Sink) -> Result<(), Unread> {
        self.meter.came += bytes.len() as u64;
        let mut rest = bytes;
        while let Some((byte, after)) = rest.split_first() {
            if self.left == 0 {
                self.head.push(*byte);
                rest = after;
                if let Some(length) = self.read_head()? {
                    self.left = length;
                    if length == 0 {
                        self.frame_over(sink)?;
                    }
                }
                continue;
            }
            let take = rest.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
            let (data, after) = rest.split_at(take);
            self.left -= take as u64;
            rest = after;
            let unmasked: Vec<u8>;
            let data = match &mut self.masked {
                None => data,
                Some((mask, at)) => {
                    unmasked = data.iter().zip(mask.iter().cycle().skip(*at)).map(|(byte, mask)| byte ^ mask).collect();
                    *at = (*at + data.len()) % 4;
                    &unmasked
                }
            };
            let Self { inflate, escapes, meter, .. } = self;
            match (self.kind, inflate) {
                _ if self.control => {}
                (Kind::Packed, Some(inflate)) => {
                    let mut packed = data;
                    while !packed.is_empty() {
                        let took = inflate.push(packed, meter, &mut |plain, _| {
                            escapes.push(plain, sink);
                            Ok(())
                        })?;
                        packed = packed.get(took.max(1)..).unwrap_or_default();
                        // Whoever ends a stream within a message begins another (RFC 7692 section 7.2.3.4).
                        if inflate.over {
                            inflate.restart();
                        }
                    }
                }
                _ => {
                    meter.unpacked(data.len())?;
                    escapes.push(data, sink);
                }
            }
            if self.left == 0 {
                self.frame_over(sink)?;
            }
        }
        Ok(())
    }

    /// The length of the frame's data, once its head is there.
    fn read_head(&mut self) -> Result<Option<u64>, Unread> {
        let [first, second, ..] = self.head[..] else { return Ok(None) };
        let masked = second & 0x80 != 0;
        let wide = match second & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        if self.head.len() < 2 + wide + if masked { 4 } else { 0 } {
            return Ok(None);
        }
        let digits = self.head.get(2..2 + wide).unwrap_or_default();
        let length = match wide {
            0 => u64::from(second & 0x7f),
            _ => digits.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)),
        };
        let mask = self.head.get(2 + wide..6 + wide).filter(|_| masked);
        self.masked = mask.and_then(|mask| Some((mask.try_into().ok()?, 0)));
        self.head.clear();
        if first & 0x30 != 0 {
            return Err(Unread::Coding);
        }
        self.control = first & 8 != 0;
        match first & 15 {
            0 => self.last = first & 0x80 != 0,
            1 | 2 => {
                self.kind = if first & 0x40 != 0 { Kind::Packed } else { Kind::Text };
                self.last = first & 0x80 != 0;
                if self.kind == Kind::Packed && self.inflate.is_none() {
                    self.inflate = Some(Box::new(Deflate::raw()));
                }
            }
            8..=10 => {}
            _ => return Err(Unread::Broken),
        }
        Ok(Some(length))
    }

    fn frame_over(&mut self, sink: &mut dyn Sink) -> Result<(), Unread> {
        if self.control || !self.last {
            return Ok(());
        }
        let Self { inflate, escapes, meter, .. } = self;
        if let (Kind::Packed, Some(inflate)) = (self.kind, inflate) {
            // What a sender leaves out at the end of a message (RFC 7692 section 7.2.2).
            inflate.push(&[0, 0, 0xff, 0xff], meter, &mut |plain, _| {
                escapes.push(plain, sink);
                Ok(())
            })?;
        }
        escapes.finish(sink);
        sink.end();
        Ok(())
    }

    /// Begins to count anew: a connection that stays open for days has its bounds again and again, not once.
    pub const fn renew(&mut self) {
        self.meter.renew();
    }
}

/// What a server sends as gRPC: length-prefixed messages, each perhaps packed.
#[derive(Debug)]
pub struct Grpc {
    coding: Option<super::Coding>,
    head: SmallVec<[u8; 5]>,
    left: u64,
    packed: Option<Decoder>,
    escapes: Escapes,
    meter: Meter,
}

impl Grpc {
    /// With the coding that `grpc-encoding` names.
    #[must_use]
    pub fn new(encoding: &[u8], bounds: Bounds) -> Self {
        Self {
            coding: super::Coding::named(encoding),
            head: SmallVec::new(),
            left: 0,
            packed: None,
            escapes: Escapes::new([0; 4]),
            meter: Meter { bounds, came: 0, text: 0, depth: 0 },
        }
    }

    /// More bytes of the stream.
    ///
    /// # Errors
    /// Why nothing more is looked at of it.
    pub fn push(&mut self, bytes: &[u8], sink: &mut dyn Sink) -> Result<(), Unread> {
        self.meter.came += bytes.len() as u64;
        let mut rest = bytes;
        while let Some((byte, after)) = rest.split_first() {
            if self.left == 0 {
                self.head.push(*byte);
                rest = after;
                if let [flag, a, b, c, d] = self.head[..] {
                    self.left = u64::from(u32::from_be_bytes([a, b, c, d]));
                    self.head.clear();
                    self.packed = match (flag, self.coding) {
                        (0, _) => None,
                        (1, Some(coding)) => Some(Decoder::new(coding).ok_or(Unread::Coding)?),
                        _ => return Err(Unread::Coding),
                    };
                }
                continue;
            }
            let take = rest.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
            let (data, after) = rest.split_at(take);
            self.left -= take as u64;
            rest = after;
            let Self { packed, escapes, meter, .. } = self;
            match packed {
                Some(decoder) => decoder.push(data, meter, &mut |plain, _| {
                    escapes.push(plain, sink);
                    Ok(())
                })?,
                None => {
                    meter.unpacked(data.len())?;
                    escapes.push(data, sink);
                }
            }
            if self.left == 0 {
                escapes.finish(sink);
                sink.end();
            }
        }
        Ok(())
    }

    /// Begins to count anew, as [`WebSocket::renew`] does.
    pub const fn renew(&mut self) {
        self.meter.renew();
    }
}

impl Codings {
    /// Whether nothing is coded.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.len() == 0
    }
}
