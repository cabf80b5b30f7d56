//! Content codings: gzip, deflate, br and zstd, one upon the other.
//!
//! Output is handed on in pieces of [`PIECE`], so that a bomb is stopped after one of them.

use std::fmt;

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};
use flate2::{Decompress, FlushDecompress, Status};
use smallvec::SmallVec;
use zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer};

use super::{Meter, Unread};

/// What is unpacked at once.
const PIECE: usize = 16 << 10;

/// The window that a zstd frame may ask for is 2 to this many bytes (RFC 9659 section 3).
const ZSTD_WINDOW: u32 = 23;

/// Members of one gzip body: more are no ordinary file.
const GZIP_MEMBERS: u32 = 1024;

/// A content coding that can be undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    /// RFC 1952.
    Gzip,
    /// RFC 1950, and RFC 1951 where senders leave its header out.
    Deflate,
    /// RFC 7932.
    Brotli,
    /// RFC 8878.
    Zstd,
    /// Something else.
    Unknown,
}

impl Coding {
    /// The name in `Content-Encoding`; `None` where nothing is coded.
    #[must_use]
    pub fn named(name: &[u8]) -> Option<Self> {
        let is = |other: &[u8]| name.eq_ignore_ascii_case(other);
        Some(if is(b"gzip") || is(b"x-gzip") {
            Self::Gzip
        } else if is(b"br") {
            Self::Brotli
        } else if is(b"zstd") {
            Self::Zstd
        } else if is(b"deflate") {
            Self::Deflate
        } else if is(b"identity") || name.is_empty() {
            return None;
        } else {
            Self::Unknown
        })
    }
}

/// Codings one upon the other, in the order in which they were put on.
pub struct Codings(SmallVec<[Decoder; 1]>);

impl fmt::Debug for Codings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} codings", self.0.len())
    }
}

impl Codings {
    /// Codings that `Content-Encoding` may name at most, so that a list of them costs nothing.
    const MOST: usize = 8;

    /// None at all.
    #[must_use]
    pub fn none() -> Self {
        Self(SmallVec::new())
    }

    /// As the values of `Content-Encoding` say.
    ///
    /// # Errors
    /// Where one is not known, or they are too many.
    pub fn of<'a>(values: impl Iterator<Item = &'a [u8]>) -> Result<Self, Unread> {
        let mut decoders = SmallVec::new();
        for name in values.flat_map(|value| value.split(|byte| *byte == b',')) {
            let Some(coding) = Coding::named(name.trim_ascii()) else { continue };
            if decoders.len() >= Self::MOST {
                return Err(Unread::Nesting);
            }
            decoders.push(Decoder::new(coding).ok_or(Unread::Coding)?);
        }
        Ok(Self(decoders))
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn push(&mut self, bytes: &[u8], meter: &mut Meter, out: &mut Plain<'_>) -> Result<(), Unread> {
        undo(&mut self.0, bytes, meter, out)
    }

    /// Whether each has come to its end.
    pub(super) fn is_over(&self) -> bool {
        self.0.iter().all(Decoder::is_over)
    }
}

/// Where unpacked bytes go.
pub(super) type Plain<'a> = dyn FnMut(&[u8], &mut Meter) -> Result<(), Unread> + 'a;

/// The last coding is the outermost.
fn undo(decoders: &mut [Decoder], bytes: &[u8], meter: &mut Meter, out: &mut Plain<'_>) -> Result<(), Unread> {
    match decoders.split_last_mut() {
        None => out(bytes, meter),
        Some((outer, inner)) => outer.push(bytes, meter, &mut |plain, meter| undo(inner, plain, meter, out)),
    }
}

/// One coding under way.
pub(super) enum Decoder {
    Gzip(Box<Gzip>),
    Deflate(Box<Deflate>),
    Brotli(Box<Brotli>),
    Zstd(Box<Zstd>),
}

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gzip(_) => "gzip",
            Self::Deflate(_) => "deflate",
            Self::Brotli(_) => "br",
            Self::Zstd(_) => "zstd",
        })
    }
}

impl Decoder {
    pub(super) fn new(coding: Coding) -> Option<Self> {
        Some(match coding {
            Coding::Gzip => Self::Gzip(Box::new(Gzip::new())),
            Coding::Deflate => Self::Deflate(Box::new(Deflate::either())),
            Coding::Brotli => Self::Brotli(Box::new(Brotli::new())),
            Coding::Zstd => Self::Zstd(Box::new(Zstd::new()?)),
            Coding::Unknown => return None,
        })
    }

    pub(super) fn push(&mut self, bytes: &[u8], meter: &mut Meter, out: &mut Plain<'_>) -> Result<(), Unread> {
        match self {
            Self::Gzip(gzip) => gzip.push(bytes, meter, out),
            Self::Deflate(deflate) => deflate.push(bytes, meter, out).map(|_| ()),
            Self::Brotli(brotli) => brotli.push(bytes, meter, out),
            Self::Zstd(zstd) => zstd.push(bytes, meter, out),
        }
    }

    fn is_over(&self) -> bool {
        match self {
            Self::Gzip(gzip) => matches!(gzip.at, Member::Head(ref head) if head.is_empty()),
            Self::Deflate(deflate) => deflate.over,
            Self::Brotli(brotli) => brotli.over,
            Self::Zstd(zstd) => zstd.over,
        }
    }
}

/// Raw deflate, or with the header of zlib before it.
pub(super) struct Deflate {
    state: Decompress,
    /// The first two bytes, until it is known whether they are zlib's header.
    first: Option<SmallVec<[u8; 2]>>,
    pub(super) over: bool,
}

impl Deflate {
    /// Without any header.
    pub(super) fn raw() -> Self {
        Self { state: Decompress::new(false), first: None, over: false }
    }

    fn either() -> Self {
        Self { state: Decompress::new(false), first: Some(SmallVec::new()), over: false }
    }

    /// Begins again.
    pub(super) fn restart(&mut self) {
        self.state.reset(false);
        self.over = false;
    }

    /// Unpacks, and says how many bytes it took: less than all only where it came to its end.
    pub(super) fn push(&mut self, bytes: &[u8], meter: &mut Meter, out: &mut Plain<'_>) -> Result<usize, Unread> {
        let Some(mut first) = self.first.take() else { return self.inflate(bytes, meter, out) };
        let missing = 2 - first.len().min(2);
        let (head, rest) = bytes.split_at(missing.min(bytes.len()));
        first.extend_from_slice(head);
        if let [method, check] = first[..] {
            let zlib = method & 15 == 8 && u16::from_be_bytes([method, check]) % 31 == 0;
            self.state = Decompress::new(zlib);
            self.inflate(&first, meter, out)?;
            return Ok(head.len() + self.inflate(rest, meter, out)?);
        }
        self.first = Some(first);
        Ok(bytes.len())
    }

    fn inflate(&mut self, bytes: &[u8], meter: &mut Meter, out: &mut Plain<'_>) -> Result<usize, Unread> {
        let mut piece = [0; PIECE];
        let mut at = 0;
        while !self.over {
            let (before_in, before_out) = (self.state.total_in(), self.state.total_out());
            let rest = bytes.get(at..).unwrap_or_default();
            let status = self.state.decompress(rest, &mut piece, FlushDecompress::None).map_err(|_| Unread::Broken)?;
            let took = usize::try_from(self.state.total_in() - before_in).unwrap_or_default();
            let made = usize::try_from(self.state.total_out() - before_out).unwrap_or_default();
            at += took;
            self.over = status == Status::StreamEnd;
            let plain = piece.get(..made).unwrap_or_default();
            if !plain.is_empty() {
                meter.unpacked(plain.len())?;
                out(plain, meter)?;
            }
            if took == 0 && made == 0 {
                break;
            }
        }
        Ok(if self.over { at } else { bytes.len() })
    }
}

/// gzip, of any number of members.
pub(super) struct Gzip {
    at: Member,
    deflate: Deflate,
    members: u32,
}

/// Where in a member it is.
enum Member {
    /// In its header, of which so much has come.
    Head(SmallVec<[u8; 16]>),
    /// In a field of the header that is skipped: so many bytes, then these fields.
    Skip(usize, u8),
    /// In a name or a comment, up to its zero.
    Name(u8),
    /// In the length of the extra field.
    Extra(SmallVec<[u8; 2]>, u8),
    Data,
    /// In checksum and length, of which so many bytes are left.
    Tail(usize),
}

const HEADER_CHECK: u8 = 2;
const EXTRA: u8 = 4;
const NAME: u8 = 8;
const COMMENT: u8 = 16;

impl Gzip {
    fn new() -> Self {
        Self { at: Member::Head(SmallVec::new()), deflate: Deflate::raw(), members: 0 }
    }

    fn push(&mut self, bytes: &[u8], meter: &mut Meter, out: &mut Plain<'_>) -> Result<(), Unread> {
        let mut rest = bytes;
        while !rest.is_empty() {
            match &mut self.at {
                Member::Data => {
                    let took = self.deflate.push(rest, meter, out)?;
                    rest = rest.get(took..).unwrap_or_default();
                    if self.deflate.over {
                        self.at = Member::Tail(8);
                    }
                }
                Member::Head(head) => {
                    let (more, after) = rest.split_at((10 - head.len().min(10)).min(rest.len()));
                    head.extend_from_slice(more);
                    rest = after;
                    if let [0x1f, 0x8b, 8, flags, _, _, _, _, _, _] = head[..] {
                        self.members += 1;
                        if self.members > GZIP_MEMBERS {
                            return Err(Unread::Nesting);
                        }
                        self.deflate.restart();
                        self.at = Self::after_head(flags);
                    } else if head.len() >= 10 || !b"\x1f\x8b\x08".starts_with(head.get(..3).unwrap_or(head)) {
                        // What follows a whole member and is none itself is padding, which programs ignore.
                        return if self.members > 0 { Ok(()) } else { Err(Unread::Broken) };
                    }
                }
                Member::Extra(length, flags) => {
                    length.push(rest[0]);
                    rest = &rest[1..];
                    if let [low, high] = length[..] {
                        self.at = Member::Skip(usize::from(u16::from_le_bytes([low, high])), *flags);
                    }
                }
                Member::Skip(left, flags) => {
                    let take = rest.len().min(*left);
                    rest = rest.get(take..).unwrap_or_default();
                    *left -= take;
                    if *left == 0 {
                        self.at = Self::after_head(*flags);
                    }
                }
                Member::Name(flags) => match memchr::memchr(0, rest) {
                    Some(end) => {
                        rest = rest.get(end + 1..).unwrap_or_default();
                        self.at = Self::after_head(*flags);
                    }
                    None => rest = &[],
                },
                Member::Tail(left) => {
                    let take = rest.len().min(*left);
                    rest = rest.get(take..).unwrap_or_default();
                    *left -= take;
                    if *left == 0 {
                        self.at = Member::Head(SmallVec::new());
                    }
                }
            }
        }
        Ok(())
    }

    /// The fields that are still to come, in their order.
    fn after_head(flags: u8) -> Member {
        if flags & EXTRA != 0 {
            Member::Extra(SmallVec::new(), flags & !EXTRA)
        } else if flags & NAME != 0 {
            Member::Name(flags & !NAME)
        } else if flags & COMMENT != 0 {
            Member::Name(flags & !COMMENT)
        } else if flags & HEADER_CHECK != 0 {
            Member::Skip(2, flags & !HEADER_CHECK)
        } else {
            Member::Data
        }
    }
}

/// Brotli.
pub(super) struct Brotli {
    state: BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>,
    over: bool,
}

impl Brotli {
    fn new() -> Self {
        let alloc = StandardAlloc::default;
        Self { state: BrotliState::new(alloc(), alloc(), alloc()), over: false }
    }

    fn push(&mut self, bytes: &[u8], meter: &mut Meter, out: &mut Plain<'_>) -> Result<(), Unread> {
        let mut piece = [0; PIECE];
        let (mut left, mut at) = (bytes.len(), 0);
        loop {
            if self.over {
                return Ok(());
            }
            let (mut room, mut made, mut total) = (PIECE, 0, 0);
            let result = BrotliDecompressStream(
                &mut left,
                &mut at,
                bytes,
                &mut room,
                &mut made,
                &mut piece,
                &mut total,
                &mut self.state,
            );
            let plain = piece.get(..made).unwrap_or_default();
            if !plain.is_empty() {
                meter.unpacked(plain.len())?;
                out(plain, meter)?;
            }
            match result {
                BrotliResult::NeedsMoreOutput => {}
                BrotliResult::NeedsMoreInput => return Ok(()),
                BrotliResult::ResultSuccess => self.over = true,
                BrotliResult::ResultFailure => return Err(Unread::Broken),
            }
        }
    }
}

/// Zstandard, of any number of frames.
pub(super) struct Zstd {
    state: DCtx<'static>,
    over: bool,
}

impl Zstd {
    fn new() -> Option<Self> {
        let mut state = DCtx::try_create()?;
        state.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW)).ok()?;
        Some(Self { state, over: false })
    }

    fn push(&mut self, bytes: &[u8], meter: &mut Meter, out: &mut Plain<'_>) -> Result<(), Unread> {
        let mut piece = [0; PIECE];
        let mut input = InBuffer::around(bytes);
        loop {
            let mut output = OutBuffer::around(&mut piece[..]);
            let before = input.pos();
            let hint = self.state.decompress_stream(&mut output, &mut input).map_err(|_| Unread::Broken)?;
            self.over = hint == 0;
            let made = output.pos();
            let plain = piece.get(..made).unwrap_or_default();
            if !plain.is_empty() {
                meter.unpacked(plain.len())?;
                out(plain, meter)?;
            }
            let stuck = made == 0 && input.pos() == before;
            if stuck || (input.pos() == bytes.len() && made < PIECE) {
                return Ok(());
            }
        }
    }
}
