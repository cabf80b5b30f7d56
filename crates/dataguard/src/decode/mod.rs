//! A copy of a message, brought into plain text as it passes: content codings, archives, messages, escapes.
//!
//! It never holds a message: what comes in goes out again within the same call, except for the few bytes of a header or an
//! escape that is not complete. It never fails a message either: what cannot be read is said as [`Unread`].
//!
//! What is bounded: text that comes out, what comes out for what went in, and how deep one thing lies in another.

mod coding;
mod escape;
mod messages;
mod zip;

pub use coding::{Coding, Codings};
pub use messages::{Grpc, WebSocket};

use coding::Decoder;
use escape::Escapes;
use zip::Zip;

/// Why bytes of a message were not looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Unread {
    /// Its content coding is not one that is known here.
    Coding,
    /// More text than is looked at.
    Size,
    /// It unpacks to more than it may for its size.
    Ratio,
    /// Packed into one another deeper than is followed.
    Nesting,
    /// It is not what it says it is.
    Broken,
    /// Part of something packed: it cannot be unpacked without its beginning.
    Range,
    /// Encrypted.
    Encrypted,
    /// A kind that holds no text of its own: pictures, sound, fonts, PDF.
    Kind,
    /// The route declares that nothing is looked at.
    Declared,
}

impl Unread {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 9] = [
        Self::Coding,
        Self::Size,
        Self::Ratio,
        Self::Nesting,
        Self::Broken,
        Self::Range,
        Self::Encrypted,
        Self::Kind,
        Self::Declared,
    ];

    /// Its name in metrics and records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Coding => "coding",
            Self::Size => "size",
            Self::Ratio => "ratio",
            Self::Nesting => "nesting",
            Self::Broken => "broken",
            Self::Range => "range",
            Self::Encrypted => "encrypted",
            Self::Kind => "kind",
            Self::Declared => "declared",
        }
    }
}

/// Where plain text goes.
pub trait Sink {
    /// More text of the same document.
    fn text(&mut self, bytes: &[u8]);
    /// The document is over; what follows is another one.
    fn end(&mut self);
}

/// How far one message is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes of text.
    pub text: u64,
    /// Bytes of text for each byte that came, beyond [`RATIO_FROM`].
    pub ratio: u64,
    /// Things packed into one another: codings, archives, archives in archives.
    pub nesting: u32,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { text: 8 << 20, ratio: 200, nesting: 4 }
    }
}

/// Below so much text no ratio is too much: a short message of zeros is no bomb.
pub const RATIO_FROM: u64 = 64 << 10;

/// What one message has used of its bounds.
#[derive(Debug)]
struct Meter {
    bounds: Bounds,
    came: u64,
    text: u64,
    depth: u32,
}

impl Meter {
    /// `bytes` of unpacked data are there, whatever they are.
    fn unpacked(&mut self, bytes: usize) -> Result<(), Unread> {
        self.text = self.text.saturating_add(bytes as u64);
        if self.text > RATIO_FROM && self.text > self.came.saturating_mul(self.bounds.ratio) {
            return Err(Unread::Ratio);
        }
        if self.text > self.bounds.text { Err(Unread::Size) } else { Ok(()) }
    }

    /// What was used is given back.
    const fn renew(&mut self) {
        self.text = 0;
        self.came = 0;
    }

    fn deeper(&mut self) -> Result<(), Unread> {
        if self.depth >= self.bounds.nesting {
            return Err(Unread::Nesting);
        }
        self.depth += 1;
        Ok(())
    }
}

/// A message on its way to plain text.
#[derive(Debug)]
pub struct Reader {
    codings: Codings,
    content: Content,
    meter: Meter,
    /// What came out before the bounds were renewed.
    text_before: u64,
    stopped: Option<Unread>,
}

impl Reader {
    /// Of a body with these content codings, outermost last, as `Content-Encoding` lists them.
    #[must_use]
    pub fn new(codings: Codings, bounds: Bounds) -> Self {
        let depth = u32::try_from(codings.len()).unwrap_or(u32::MAX);
        let stopped = (depth > bounds.nesting).then_some(Unread::Nesting);
        Self {
            codings,
            content: Content::new(),
            meter: Meter { bounds, came: 0, text: 0, depth },
            text_before: 0,
            stopped,
        }
    }

    /// More bytes of the body, as they travel.
    ///
    /// # Errors
    /// Why nothing more of it is looked at, from here on.
    pub fn push(&mut self, bytes: &[u8], sink: &mut dyn Sink) -> Result<(), Unread> {
        if let Some(unread) = self.stopped {
            return Err(unread);
        }
        self.meter.came += bytes.len() as u64;
        let Self { codings, content, meter, .. } = self;
        let outcome = codings.push(bytes, meter, &mut |plain, meter| content.push(plain, meter, sink));
        if let Err(unread) = outcome {
            self.stopped = Some(unread);
            sink.end();
        }
        outcome
    }

    /// The body is over.
    ///
    /// # Errors
    /// Where it ends too early to be what it says it is.
    pub fn finish(&mut self, sink: &mut dyn Sink) -> Result<(), Unread> {
        if let Some(unread) = self.stopped {
            return Err(unread);
        }
        self.content.finish(&mut self.meter, sink)?;
        sink.end();
        if self.meter.came > 0 && !self.codings.is_over() { Err(Unread::Broken) } else { Ok(()) }
    }

    /// Begins to count anew, for a body that has no end. Where it had come to its bounds and is plain text, it is read on from
    /// here.
    pub fn renew(&mut self) {
        self.text_before += self.meter.text;
        self.meter.renew();
        if self.codings.is_plain() && matches!(self.stopped, Some(Unread::Size | Unread::Ratio)) {
            self.stopped = None;
        }
    }

    /// Bytes of text that came out.
    #[must_use]
    pub const fn text(&self) -> u64 {
        self.text_before + self.meter.text
    }
}

/// What a body is, found out from its first bytes: text, an archive, or something packed once more.
#[derive(Debug)]
enum Content {
    /// Not enough has come to tell.
    Begun([u8; 4], usize),
    Text(Box<Escapes>),
    Zip(Box<Zip>),
    Packed(Box<Packed>),
    /// What holds no text.
    Media,
}

/// Something packed inside something else.
#[derive(Debug)]
struct Packed {
    decoder: Decoder,
    content: Content,
}

const ZIP: [u8; 4] = *b"PK\x03\x04";
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
const GZIP: [u8; 3] = [0x1f, 0x8b, 8];

impl Content {
    const fn new() -> Self {
        Self::Begun([0; 4], 0)
    }

    fn push(&mut self, bytes: &[u8], meter: &mut Meter, sink: &mut dyn Sink) -> Result<(), Unread> {
        match self {
            Self::Begun(first, count) => {
                let (mut first, mut count, mut rest) = (*first, *count, bytes);
                while let (Some(place), Some((byte, after))) = (first.get_mut(count), rest.split_first()) {
                    *place = *byte;
                    count += 1;
                    rest = after;
                }
                if count < first.len() {
                    *self = Self::Begun(first, count);
                    return Ok(());
                }
                *self = Self::of(first, meter)?;
                self.push(&first, meter, sink)?;
                if rest.is_empty() { Ok(()) } else { self.push(rest, meter, sink) }
            }
            Self::Text(escapes) => {
                if meter.depth == 0 {
                    meter.unpacked(bytes.len())?;
                }
                escapes.push(bytes, sink);
                Ok(())
            }
            Self::Media => Err(Unread::Kind),
            Self::Zip(zip) => zip.push(bytes, meter, sink),
            Self::Packed(packed) => {
                let Packed { decoder, content } = &mut **packed;
                decoder.push(bytes, meter, &mut |plain, meter| content.push(plain, meter, sink))
            }
        }
    }

    fn of(first: [u8; 4], meter: &mut Meter) -> Result<Self, Unread> {
        let coding = if first.starts_with(&GZIP) {
            Coding::Gzip
        } else if first == ZSTD {
            Coding::Zstd
        } else if first == ZIP {
            meter.deeper()?;
            return Ok(Self::Zip(Box::new(Zip::new())));
        } else if is_media(first) {
            return Ok(Self::Media);
        } else {
            return Ok(Self::Text(Box::new(Escapes::new(first))));
        };
        meter.deeper()?;
        let decoder = Decoder::new(coding).ok_or(Unread::Coding)?;
        Ok(Self::Packed(Box::new(Packed { decoder, content: Self::new() })))
    }

    fn finish(&mut self, meter: &mut Meter, sink: &mut dyn Sink) -> Result<(), Unread> {
        match self {
            Self::Begun(first, count) => {
                let mut escapes = Escapes::new(*first);
                if meter.depth == 0 {
                    meter.unpacked(*count)?;
                }
                escapes.push(first.get(..*count).unwrap_or_default(), sink);
                escapes.finish(sink);
                Ok(())
            }
            Self::Text(escapes) => {
                escapes.finish(sink);
                Ok(())
            }
            Self::Media => Err(Unread::Kind),
            Self::Zip(zip) => zip.finish(),
            Self::Packed(packed) => packed.content.finish(meter, sink),
        }
    }
}

/// Pictures, sound, fonts and PDF, which hold no text that could be read here, by their first bytes.
fn is_media(first: [u8; 4]) -> bool {
    const STARTS: [&[u8]; 12] = [
        b"\x89PNG",
        b"\xff\xd8\xff",
        b"GIF8",
        b"%PDF",
        b"OggS",
        b"ID3",
        b"wOFF",
        b"wOF2",
        b"\0\x01\0\0",
        b"OTTO",
        b"fLaC",
        b"\x1aE\xdf\xa3",
    ];
    STARTS.iter().any(|start| first.starts_with(start))
}

#[cfg(test)]
pub(crate) mod tests;
