//! The frame meter of an HTTP/2 connection: what the frames cost, counted as they pass between the socket and `h2`.
//!
//! It never buffers, changes or answers a frame, and takes no side in what a request means: the `h2` crate does that.
//! It sees the 24-byte preface and the 9-byte frame headers (RFC 9113 sections 3.4 and 4.1), looks at no more than
//! the first six bytes of a payload and skips the rest. It says when a client spends more than its budgets allow, or
//! breaks the order of header blocks, before `h2` has paid for the frame.
//!
//! Budgets are counted over two half windows of five seconds: this one and the one before. So a client that keeps to
//! a budget in every ten seconds is never refused, a burst beyond it is refused at the frame that exceeds it, and no
//! client gets more than twice its budget in any ten seconds.

use std::fmt;

use portcullis_types::{Limits, Reason, Tick};

/// What a client that speaks HTTP/2 sends first (RFC 9113 section 3.4).
pub const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// How long a settings print is at most.
pub const SETTINGS_PRINT_MAX: usize = 64;

const HALF_WINDOW: u64 = 5_000_000_000;
/// A WINDOW_UPDATE for each so many bytes of DATA that we wrote is never held against a client.
const BYTES_PER_WINDOW_UPDATE: u64 = 256;
const FRAME_HEADER: usize = 9;

const DATA: u8 = 0x0;
const HEADERS: u8 = 0x1;
const PRIORITY: u8 = 0x2;
const RST_STREAM: u8 = 0x3;
const SETTINGS: u8 = 0x4;
const PUSH_PROMISE: u8 = 0x5;
const PING: u8 = 0x6;
const GOAWAY: u8 = 0x7;
const WINDOW_UPDATE: u8 = 0x8;
const CONTINUATION: u8 = 0x9;

/// ACK on SETTINGS and PING, END_STREAM on DATA and HEADERS.
const ACK_OR_END_STREAM: u8 = 0x1;
const END_HEADERS: u8 = 0x4;
const PADDED: u8 = 0x8;
const WITH_PRIORITY: u8 = 0x20;

/// How much of each kind one connection may send. Rates are for ten seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budgets {
    /// RST_STREAM from the client (rapid reset).
    pub resets: u64,
    /// RST_STREAM that the client made us write (MadeYouReset).
    pub provoked_resets: u64,
    /// CONTINUATION in one header block; not a rate.
    pub continuations: u64,
    /// PING beyond one for each DATA frame that we wrote.
    pub pings: u64,
    /// SETTINGS.
    pub settings: u64,
    /// WINDOW_UPDATE beyond one for each 256 bytes of DATA that we wrote.
    pub window_updates: u64,
    /// Frames that carry nothing.
    pub empty_frames: u64,
    /// PRIORITY, PUSH_PROMISE, GOAWAY, acknowledgements and frames of unknown types.
    pub other_frames: u64,
    /// The SETTINGS_MAX_FRAME_SIZE that we announced; not a rate.
    pub max_frame_size: u32,
    /// Compressed bytes of one header block, padding included; not a rate.
    pub header_block_bytes: u64,
}

impl Budgets {
    /// The budgets that the operator set, for connections on which we announced `max_frame_size`.
    ///
    /// A header block may take twice `head_bytes`: below that, `h2` answers the stream with 431 and the connection
    /// lives; beyond it the sender does not mean to be answered.
    #[must_use]
    pub const fn new(limits: &Limits, max_frame_size: u32) -> Self {
        Self {
            resets: limits.h2_resets,
            provoked_resets: limits.h2_provoked_resets,
            continuations: limits.h2_continuations,
            pings: limits.h2_pings,
            settings: limits.h2_settings,
            window_updates: limits.h2_window_updates,
            empty_frames: limits.h2_empty_frames,
            other_frames: limits.h2_other_frames,
            max_frame_size,
            header_block_bytes: limits.head_bytes.saturating_mul(2),
        }
    }
}

/// Why the connection has to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Abuse {
    /// The budget or the rule.
    pub reason: Reason,
    /// What exactly, for the operator.
    pub detail: &'static str,
}

impl fmt::Display for Abuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason, self.detail)
    }
}

impl std::error::Error for Abuse {}

/// How many frames of each kind have passed. All but the last are the client's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "each is the frame type of its name")]
pub struct FrameCounts {
    pub data: u64,
    pub headers: u64,
    pub priority: u64,
    pub rst_stream: u64,
    pub settings: u64,
    pub push_promise: u64,
    pub ping: u64,
    pub goaway: u64,
    pub window_update: u64,
    pub continuation: u64,
    pub unknown: u64,
    /// Of the above, those that carried nothing.
    pub empty: u64,
    /// RST_STREAM that we wrote because of something that the client did.
    pub rst_written: u64,
}

/// Watches both directions of one connection, the server's side of it.
#[derive(Debug, Clone)]
pub struct FrameMeter {
    budgets: Budgets,
    read: Lane,
    written: Lane,
    windows: Windows,
    counts: FrameCounts,
    preface: usize,
    block: Option<Block>,
    last_stream: u32,
    streams_opened: u64,
    draft: PrintDraft,
    print: Option<SettingsPrint>,
    abuse: Option<Abuse>,
}

impl FrameMeter {
    /// A meter for a connection on which nothing has passed yet.
    #[must_use]
    pub fn new(budgets: Budgets) -> Self {
        Self {
            budgets,
            read: Lane::default(),
            written: Lane::default(),
            windows: Windows::default(),
            counts: FrameCounts::default(),
            preface: 0,
            block: None,
            last_stream: 0,
            streams_opened: 0,
            draft: PrintDraft::default(),
            print: None,
            abuse: None,
        }
    }

    /// Takes note of what the client sent: any run of bytes, as long as all of them come in order.
    ///
    /// # Errors
    /// The first abuse. The connection has to be closed: from then on the meter counts nothing and repeats itself.
    pub fn handle_read(&mut self, bytes: &[u8], now: Tick) -> Result<(), Abuse> {
        self.remembering(|meter| meter.watch_read(bytes, now), now)
    }

    /// Takes note of what we send: any run of bytes, as long as all of them come in order.
    ///
    /// # Errors
    /// As for [`handle_read`](Self::handle_read).
    pub fn handle_written(&mut self, bytes: &[u8], now: Tick) -> Result<(), Abuse> {
        self.remembering(|meter| meter.watch_written(bytes), now)
    }

    /// Whether the client has sent the whole preface.
    #[must_use]
    pub const fn preface_done(&self) -> bool {
        self.preface == PREFACE.len()
    }

    /// Since when the client has owed the rest of a header block, whether of its frames or of a frame's payload.
    #[must_use]
    pub fn header_block_open_since(&self) -> Option<Tick> {
        self.block.map(|block| block.since)
    }

    /// Since when the client has owed the rest of anything that is not DATA: part of a frame, or of a header block.
    #[must_use]
    pub fn unfinished_since(&self) -> Option<Tick> {
        self.header_block_open_since().or(self.read.since)
    }

    /// How many bytes the open header block has announced so far.
    #[must_use]
    pub fn header_block_bytes(&self) -> u64 {
        self.block.map_or(0, |block| block.bytes)
    }

    /// How many streams the client has opened.
    #[must_use]
    pub const fn streams_opened(&self) -> u64 {
        self.streams_opened
    }

    /// How many frames of each kind have passed since the connection began.
    #[must_use]
    pub const fn counts(&self) -> &FrameCounts {
        &self.counts
    }

    /// The client's settings print, as soon as it has opened its first stream.
    #[must_use]
    pub const fn settings_print(&self) -> Option<SettingsPrint> {
        self.print
    }

    fn remembering(&mut self, watch: impl FnOnce(&mut Self) -> Result<(), Abuse>, now: Tick) -> Result<(), Abuse> {
        if let Some(abuse) = self.abuse {
            return Err(abuse);
        }
        self.windows.turn(now);
        let outcome = watch(self);
        self.abuse = outcome.err();
        outcome
    }

    fn watch_read(&mut self, bytes: &[u8], now: Tick) -> Result<(), Abuse> {
        let mut rest = self.take_preface(bytes)?;
        while let Some(step) = self.read.step(&mut rest, now) {
            match step {
                Step::Frame(frame) => {
                    let look = self.judge(frame)?;
                    self.read.enter(frame, look);
                }
                Step::Looked(frame, payload) => self.judge_payload(frame, payload)?,
                Step::Entry([id_high, id_low, value @ ..]) => {
                    self.draft.add(u16::from_be_bytes([id_high, id_low]), u32::from_be_bytes(value));
                }
                Step::Passed => self.block = self.block.filter(|block| !block.complete),
            }
        }
        Ok(())
    }

    fn watch_written(&mut self, mut rest: &[u8]) -> Result<(), Abuse> {
        // Nobody waits for our own bytes, so when they came does not matter.
        while let Some(step) = self.written.step(&mut rest, Tick::ZERO) {
            match step {
                Step::Frame(frame) => {
                    if frame.kind == DATA {
                        self.windows.now.wrote(frame.length);
                    }
                    self.written.enter(frame, if frame.kind == RST_STREAM { Look::Bytes(4) } else { Look::No });
                }
                Step::Looked(_, [_, _, _, code, ..]) if is_provoked(code) => {
                    self.counts.rst_written += 1;
                    self.charge(Kind::ProvokedResets, "more streams than the budget had to be reset by us")?;
                }
                Step::Looked(..) | Step::Entry(_) | Step::Passed => {}
            }
        }
        Ok(())
    }

    fn take_preface<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], Abuse> {
        let expected = PREFACE.get(self.preface..).unwrap_or_default();
        let (here, rest) = bytes.split_at_checked(expected.len()).unwrap_or((bytes, &[]));
        if !expected.starts_with(here) {
            return protocol("not the HTTP/2 preface");
        }
        self.preface += here.len();
        Ok(rest)
    }

    /// Judges a frame by its header, and says how much of its payload has to be seen.
    fn judge(&mut self, frame: Frame) -> Result<Look, Abuse> {
        if frame.length > self.budgets.max_frame_size {
            return protocol("a frame larger than SETTINGS_MAX_FRAME_SIZE");
        }
        match self.block {
            Some(block) if frame.kind != CONTINUATION || frame.stream != block.stream => {
                return protocol("a header block that is interrupted by another frame");
            }
            None if frame.kind == CONTINUATION => return protocol("CONTINUATION without a header block"),
            _ => {}
        }
        let acknowledges = frame.has(ACK_OR_END_STREAM);
        match frame.kind {
            DATA => {
                self.counts.data += 1;
                return self.judge_emptiness(frame);
            }
            HEADERS => return self.begin_block(frame),
            CONTINUATION => return self.continue_block(frame),
            RST_STREAM => {
                self.counts.rst_stream += 1;
                self.charge(Kind::Resets, "more RST_STREAM frames than the budget")?;
            }
            SETTINGS => {
                self.counts.settings += 1;
                if !acknowledges {
                    self.charge(Kind::Settings, "more SETTINGS frames than the budget")?;
                    if self.draft.begin() {
                        return Ok(Look::Entries);
                    }
                } else {
                    self.charge(Kind::Other, "more acknowledgements than the budget")?;
                }
            }
            PING => {
                self.counts.ping += 1;
                if acknowledges {
                    self.charge(Kind::Other, "more acknowledgements than the budget")?;
                } else {
                    self.charge(Kind::Pings, "more PING frames than the budget")?;
                }
            }
            WINDOW_UPDATE => {
                self.counts.window_update += 1;
                self.charge(Kind::WindowUpdates, "more WINDOW_UPDATE frames than the budget")?;
                if self.print.is_none() && frame.stream == 0 {
                    return Ok(Look::Bytes(4));
                }
            }
            PRIORITY => {
                self.counts.priority += 1;
                self.draft.priority = true;
                self.charge(Kind::Other, "more PRIORITY frames than the budget")?;
            }
            PUSH_PROMISE => {
                self.counts.push_promise += 1;
                self.charge(Kind::Other, "more PUSH_PROMISE frames than the budget")?;
            }
            GOAWAY => {
                self.counts.goaway += 1;
                self.charge(Kind::Other, "more GOAWAY frames than the budget")?;
            }
            _ => {
                self.counts.unknown += 1;
                self.charge(Kind::Other, "more frames of unknown types than the budget")?;
            }
        }
        Ok(Look::No)
    }

    /// Goes on where the header did not suffice.
    fn judge_payload(&mut self, frame: Frame, payload: [u8; 6]) -> Result<(), Abuse> {
        let [first, second, third, fourth, ..] = payload;
        match frame.kind {
            WINDOW_UPDATE => {
                // The highest bit is reserved (section 6.9).
                self.draft.window.get_or_insert(u32::from_be_bytes([first & 0x7F, second, third, fourth]));
                Ok(())
            }
            _ => self.charge_if_empty(frame, u32::from(first) + 1),
        }
    }

    fn begin_block(&mut self, frame: Frame) -> Result<Look, Abuse> {
        self.counts.headers += 1;
        if self.print.is_none() {
            self.print = Some(self.draft.finish());
        }
        if frame.stream > self.last_stream && frame.stream % 2 == 1 {
            self.last_stream = frame.stream;
            self.streams_opened += 1;
        }
        self.block = Some(Block {
            stream: frame.stream,
            bytes: 0,
            continuations: 0,
            since: self.read.since.unwrap_or_default(),
            complete: false,
        });
        self.extend_block(frame, 0)
    }

    fn continue_block(&mut self, frame: Frame) -> Result<Look, Abuse> {
        self.counts.continuation += 1;
        self.extend_block(frame, 1)
    }

    fn extend_block(&mut self, frame: Frame, continuations: u64) -> Result<Look, Abuse> {
        if let Some(block) = &mut self.block {
            block.continuations += continuations;
            block.bytes += u64::from(frame.length);
            block.complete = frame.has(END_HEADERS);
            if block.continuations > self.budgets.continuations {
                let detail = "more CONTINUATION frames in one header block than the budget";
                return Err(Abuse { reason: Reason::Http2Continuations, detail });
            }
            if block.bytes > self.budgets.header_block_bytes {
                let detail = "a header block of more compressed bytes than twice `limits.head_bytes`";
                return Err(Abuse { reason: Reason::HeadTooLarge, detail });
            }
        }
        self.judge_emptiness(frame)
    }

    /// A frame that neither carries something nor ends something is only work. Padding is not something.
    fn judge_emptiness(&mut self, frame: Frame) -> Result<Look, Abuse> {
        let ends = if frame.kind == DATA { frame.has(ACK_OR_END_STREAM) } else { frame.has(END_HEADERS) };
        if ends {
            return Ok(Look::No);
        }
        if frame.has(PADDED) && frame.kind != CONTINUATION && frame.length > 0 {
            return Ok(Look::Bytes(1));
        }
        self.charge_if_empty(frame, 0)?;
        Ok(Look::No)
    }

    fn charge_if_empty(&mut self, frame: Frame, padding: u32) -> Result<(), Abuse> {
        let priority = if frame.kind == HEADERS && frame.has(WITH_PRIORITY) { 5 } else { 0 };
        if frame.length > padding + priority {
            return Ok(());
        }
        self.counts.empty += 1;
        self.charge(Kind::Empty, "more frames that carry nothing than the budget")
    }

    fn charge(&mut self, kind: Kind, detail: &'static str) -> Result<(), Abuse> {
        let (budget, reason) = match kind {
            Kind::Resets => (self.budgets.resets, Reason::Http2Resets),
            Kind::ProvokedResets => (self.budgets.provoked_resets, Reason::Http2ProvokedResets),
            Kind::Pings => {
                // gRPC clients time the path with a PING whenever DATA arrives and none is out, which makes a thousand
                // a second on a short path (grpc-java issue 8260).
                let earned = self.windows.recent(|half| half.data_frames);
                (self.budgets.pings.saturating_add(earned), Reason::Http2Pings)
            }
            Kind::Settings => (self.budgets.settings, Reason::Http2Settings),
            Kind::WindowUpdates => {
                let earned = self.windows.recent(|half| half.data_bytes) / BYTES_PER_WINDOW_UPDATE;
                (self.budgets.window_updates.saturating_add(earned), Reason::Http2WindowUpdates)
            }
            Kind::Empty => (self.budgets.empty_frames, Reason::Http2EmptyFrames),
            Kind::Other => (self.budgets.other_frames, Reason::Http2OtherFrames),
        };
        if self.windows.spend(kind) > budget { Err(Abuse { reason, detail }) } else { Ok(()) }
    }
}

fn protocol<T>(detail: &'static str) -> Result<T, Abuse> {
    Err(Abuse { reason: Reason::Http2Protocol, detail })
}

/// Whether a reset that we wrote answers an error of the client.
///
/// NO_ERROR, INTERNAL_ERROR, CANCEL, CONNECT_ERROR and HTTP_1_1_REQUIRED speak of us or of an upstream: a response
/// that was complete before the request, an upstream that broke off. Those must never end a client's connection.
const fn is_provoked(code: u8) -> bool {
    !matches!(code, 0x0 | 0x2 | 0x8 | 0xA | 0xD)
}

/// A header block of which something is still to come.
#[derive(Debug, Clone, Copy)]
struct Block {
    stream: u32,
    bytes: u64,
    continuations: u64,
    since: Tick,
    /// Its last frame has begun.
    complete: bool,
}

/// A frame header.
#[derive(Debug, Clone, Copy)]
struct Frame {
    length: u32,
    kind: u8,
    flags: u8,
    stream: u32,
}

impl Frame {
    fn parse(bytes: [u8; FRAME_HEADER]) -> Self {
        let [high, middle, low, kind, flags, stream @ ..] = bytes;
        Self {
            length: u32::from_be_bytes([0, high, middle, low]),
            kind,
            flags,
            stream: u32::from_be_bytes(stream) & 0x7FFF_FFFF,
        }
    }

    const fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// How much of a payload somebody wants to see.
#[derive(Debug, Clone, Copy)]
enum Look {
    No,
    /// The first so many bytes, at most six; fewer when the payload is shorter.
    Bytes(u8),
    /// All of it, as entries of six bytes.
    Entries,
}

/// What the next bytes of a direction amount to.
enum Step {
    /// The header of a frame is complete; [`Lane::enter`] says how to go on.
    Frame(Frame),
    /// The bytes that were asked for are there; behind the payload's end there are zeros.
    Looked(Frame, [u8; 6]),
    Entry([u8; 6]),
    /// A payload has passed.
    Passed,
}

/// One direction: cuts any runs of bytes into frames.
#[derive(Debug, Clone, Default)]
struct Lane {
    stage: Stage,
    held: [u8; FRAME_HEADER],
    filled: usize,
    /// When the first byte of the frame under way came; `None` between frames and within DATA.
    since: Option<Tick>,
}

#[derive(Debug, Clone, Copy, Default)]
enum Stage {
    #[default]
    Header,
    Look {
        frame: Frame,
        wanted: usize,
    },
    Entries {
        left: u32,
    },
    Skip {
        left: u32,
    },
}

impl Lane {
    /// Takes bytes until there is something to say; `None` when all are taken.
    fn step(&mut self, rest: &mut &[u8], now: Tick) -> Option<Step> {
        loop {
            match self.stage {
                Stage::Header => {
                    if !rest.is_empty() {
                        self.since.get_or_insert(now);
                    }
                    return self.fill::<FRAME_HEADER>(rest, FRAME_HEADER).map(|bytes| Step::Frame(Frame::parse(bytes)));
                }
                Stage::Look { frame, wanted } => {
                    let bytes = self.fill::<6>(rest, wanted)?;
                    self.stage = Stage::Skip { left: frame.length.saturating_sub(small(wanted)) };
                    return Some(Step::Looked(frame, bytes));
                }
                Stage::Entries { left } if left < 6 => self.stage = Stage::Skip { left },
                Stage::Entries { left } => {
                    let bytes = self.fill::<6>(rest, 6)?;
                    self.stage = Stage::Entries { left: left - 6 };
                    return Some(Step::Entry(bytes));
                }
                Stage::Skip { left: 0 } => {
                    self.stage = Stage::Header;
                    self.since = None;
                    return Some(Step::Passed);
                }
                Stage::Skip { left } => {
                    let here = rest.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                    if here == 0 {
                        return None;
                    }
                    *rest = rest.get(here..).unwrap_or_default();
                    self.stage = Stage::Skip { left: left.saturating_sub(small(here)) };
                }
            }
        }
    }

    /// Goes into the payload of the frame whose header [`Step::Frame`] gave.
    fn enter(&mut self, frame: Frame, look: Look) {
        if frame.kind == DATA {
            self.since = None;
        }
        self.stage = match look {
            Look::No => Stage::Skip { left: frame.length },
            Look::Entries => Stage::Entries { left: frame.length },
            Look::Bytes(wanted) => {
                let wanted = usize::from(wanted).min(usize::try_from(frame.length).unwrap_or(usize::MAX));
                Stage::Look { frame, wanted }
            }
        };
    }

    /// `wanted` bytes, at most `N`, held over from one run to the next; behind them zeros.
    fn fill<const N: usize>(&mut self, rest: &mut &[u8], wanted: usize) -> Option<[u8; N]> {
        if self.filled == 0
            && wanted == N
            && let Some((bytes, behind)) = rest.split_first_chunk::<N>()
        {
            *rest = behind;
            return Some(*bytes);
        }
        while self.filled < wanted {
            let (byte, behind) = rest.split_first()?;
            *rest = behind;
            if let Some(slot) = self.held.get_mut(self.filled) {
                *slot = *byte;
            }
            self.filled += 1;
        }
        let mut bytes = [0; N];
        for (to, from) in bytes.iter_mut().zip(self.held.iter().take(wanted)) {
            *to = *from;
        }
        self.filled = 0;
        Some(bytes)
    }
}

fn small(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// What is budgeted as a rate.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Resets,
    ProvokedResets,
    Pings,
    Settings,
    WindowUpdates,
    Empty,
    Other,
}

const KINDS: usize = Kind::Other as usize + 1;

/// Two half windows of five seconds: see the module's documentation.
#[derive(Debug, Clone, Copy, Default)]
struct Windows {
    /// Which half window `now` counts for.
    half: u64,
    now: Half,
    before: Half,
}

#[derive(Debug, Clone, Copy, Default)]
struct Half {
    spent: [u32; KINDS],
    data_frames: u64,
    data_bytes: u64,
}

impl Half {
    fn wrote(&mut self, bytes: u32) {
        self.data_frames = self.data_frames.saturating_add(1);
        self.data_bytes = self.data_bytes.saturating_add(u64::from(bytes));
    }
}

impl Windows {
    fn turn(&mut self, now: Tick) {
        let half = now.0 / HALF_WINDOW;
        if half <= self.half {
            return;
        }
        self.before = if half == self.half + 1 { self.now } else { Half::default() };
        self.now = Half::default();
        self.half = half;
    }

    /// Adds one, and returns how many there are in both halves.
    fn spend(&mut self, kind: Kind) -> u64 {
        let slot = &mut self.now.spent[kind as usize];
        *slot = slot.saturating_add(1);
        u64::from(*slot) + u64::from(self.before.spent[kind as usize])
    }

    /// What both halves hold together.
    fn recent(&self, of: impl Fn(&Half) -> u64) -> u64 {
        of(&self.now).saturating_add(of(&self.before))
    }
}

/// What a client's first frames say about its software, for example `1:65536;2:0;4:6291456;6:262144|15663105|-`.
///
/// The entries of its first SETTINGS frame in order, then the increment of its first WINDOW_UPDATE for the connection,
/// then `p` when it sent PRIORITY frames or else `-`; all of what came before the first HEADERS frame. When the entries are
/// too long, the rest of them is replaced by `~` and a checksum. A client can send whatever it likes: it is a
/// print of software that does not pretend, and nothing more.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SettingsPrint(Text<SETTINGS_PRINT_MAX>);

impl AsRef<str> for SettingsPrint {
    fn as_ref(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Display for SettingsPrint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_ref())
    }
}

impl fmt::Debug for SettingsPrint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SettingsPrint({self})")
    }
}

/// The longest that can stand behind the entries: `|4294967295|p`.
const PRINT_TAIL: usize = 13;
const PRINT_ENTRIES: usize = SETTINGS_PRINT_MAX - PRINT_TAIL;
/// `~` and eight hexadecimal digits.
const PRINT_CHECKSUM: usize = 9;

/// The print while it grows.
#[derive(Debug, Clone, Default)]
struct PrintDraft {
    begun: bool,
    entries: Text<PRINT_ENTRIES>,
    /// Where the last entry ends that leaves room for a checksum.
    cut: usize,
    /// FNV-1a of all that stands behind the cut, once that is too long. Nothing is gained by a collision: who wants
    /// the print of another client sends that client's settings.
    checksum: Option<u32>,
    window: Option<u32>,
    priority: bool,
}

impl PrintDraft {
    /// Whether this SETTINGS frame is the first.
    fn begin(&mut self) -> bool {
        !std::mem::replace(&mut self.begun, true)
    }

    fn add(&mut self, id: u16, value: u32) {
        // `;65535:4294967295`
        let mut entry = Text::<17>::default();
        let separator = if self.entries.len == 0 { "" } else { ";" };
        let _ = fmt::Write::write_fmt(&mut entry, format_args!("{separator}{id}:{value}"));
        if self.checksum.is_none() && !self.entries.push(entry.as_bytes()) {
            let behind = self.entries.as_bytes().get(self.cut..).unwrap_or_default();
            self.checksum = Some(fnv1a(0x811C_9DC5, behind));
            self.entries.truncate(self.cut);
        }
        if let Some(checksum) = &mut self.checksum {
            *checksum = fnv1a(*checksum, entry.as_bytes());
        } else if self.entries.len <= PRINT_ENTRIES - PRINT_CHECKSUM {
            self.cut = self.entries.len;
        }
    }

    fn finish(&self) -> SettingsPrint {
        let mut print = Text::default();
        print.push(self.entries.as_bytes());
        // It fits by the arithmetic of the constants; a `Text` would cut it if it did not.
        if let Some(checksum) = self.checksum {
            let _ = fmt::Write::write_fmt(&mut print, format_args!("~{checksum:08x}"));
        }
        let (window, priority) = (self.window.unwrap_or(0), if self.priority { 'p' } else { '-' });
        let _ = fmt::Write::write_fmt(&mut print, format_args!("|{window}|{priority}"));
        SettingsPrint(print)
    }
}

fn fnv1a(seed: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(seed, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

/// ASCII text that lives where it is declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Text<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Default for Text<N> {
    fn default() -> Self {
        Self { bytes: [0; N], len: 0 }
    }
}

impl<const N: usize> Text<N> {
    /// Whether it fits; nothing is added when it does not.
    fn push(&mut self, more: &[u8]) -> bool {
        let Some(slots) = self.bytes.get_mut(self.len..self.len + more.len()) else { return false };
        slots.copy_from_slice(more);
        self.len += more.len();
        true
    }

    /// Bytes behind the end are kept zero, so that equal texts are equal values.
    fn truncate(&mut self, len: usize) {
        self.bytes.iter_mut().skip(len).for_each(|byte| *byte = 0);
        self.len = self.len.min(len);
    }

    fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }
}

impl<const N: usize> fmt::Write for Text<N> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.push(text.as_bytes()) { Ok(()) } else { Err(fmt::Error) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SMALL: Budgets = Budgets {
        resets: 3,
        provoked_resets: 3,
        continuations: 3,
        pings: 3,
        settings: 3,
        window_updates: 3,
        empty_frames: 3,
        other_frames: 3,
        max_frame_size: 16_384,
        header_block_bytes: 20_000,
    };

    fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
        [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
    }

    fn settings(entries: &[(u16, u32)]) -> Vec<u8> {
        let entries = entries.iter().flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat());
        frame(SETTINGS, 0, 0, &entries.collect::<Vec<_>>())
    }

    fn window_update(stream: u32, increment: u32) -> Vec<u8> {
        frame(WINDOW_UPDATE, 0, stream, &increment.to_be_bytes())
    }

    fn begun() -> FrameMeter {
        let mut meter = FrameMeter::new(SMALL);
        meter.handle_read(PREFACE, Tick::ZERO).expect("the preface");
        meter
    }

    /// How many of `frames` pass before one is refused, and why.
    fn passes(frames: &[Vec<u8>], times: usize) -> (usize, Option<Reason>) {
        let mut meter = begun();
        for round in 0..times {
            for bytes in frames {
                if let Err(abuse) = meter.handle_read(bytes, Tick::ZERO) {
                    return (round, Some(abuse.reason));
                }
            }
        }
        (times, None)
    }

    #[test]
    fn every_budget_ends_at_its_limit() {
        let reset = frame(RST_STREAM, 0, 1, &[0, 0, 0, 8]);
        let open = frame(HEADERS, END_HEADERS, 1, b"abc");
        let padded_nothing = frame(DATA, PADDED, 1, &[3, 0, 0, 0]);
        let padded_priority_nothing = frame(HEADERS, PADDED | WITH_PRIORITY, 1, &[2, 0, 0, 0, 0, 16, 0, 0]);
        let end_of_block = frame(CONTINUATION, END_HEADERS, 1, b"x");
        let cases: &[(&str, Vec<Vec<u8>>, Reason)] = &[
            ("rapid reset", vec![open, reset], Reason::Http2Resets),
            ("PING", vec![frame(PING, 0, 0, &[0; 8])], Reason::Http2Pings),
            ("SETTINGS", vec![settings(&[(1, 0)])], Reason::Http2Settings),
            ("WINDOW_UPDATE", vec![window_update(0, 1)], Reason::Http2WindowUpdates),
            ("WINDOW_UPDATE on a stream", vec![window_update(5, 1)], Reason::Http2WindowUpdates),
            ("empty DATA", vec![frame(DATA, 0, 1, b"")], Reason::Http2EmptyFrames),
            ("DATA of padding", vec![padded_nothing], Reason::Http2EmptyFrames),
            ("DATA padded beyond its end", vec![frame(DATA, PADDED, 1, &[200])], Reason::Http2EmptyFrames),
            ("empty HEADERS", vec![frame(HEADERS, 0, 1, b""), end_of_block.clone()], Reason::Http2EmptyFrames),
            ("HEADERS of padding", vec![padded_priority_nothing, end_of_block.clone()], Reason::Http2EmptyFrames),
            (
                "empty CONTINUATION",
                vec![frame(HEADERS, 0, 1, b"x"), frame(CONTINUATION, 0, 1, b""), end_of_block],
                Reason::Http2EmptyFrames,
            ),
            ("PRIORITY", vec![frame(PRIORITY, 0, 1, &[0; 5])], Reason::Http2OtherFrames),
            ("PUSH_PROMISE", vec![frame(PUSH_PROMISE, END_HEADERS, 1, &[0, 0, 0, 2])], Reason::Http2OtherFrames),
            ("GOAWAY", vec![frame(GOAWAY, 0, 0, &[0; 8])], Reason::Http2OtherFrames),
            ("acknowledged SETTINGS", vec![frame(SETTINGS, ACK_OR_END_STREAM, 0, b"")], Reason::Http2OtherFrames),
            ("acknowledged PING", vec![frame(PING, ACK_OR_END_STREAM, 0, &[0; 8])], Reason::Http2OtherFrames),
            ("an unknown type", vec![frame(0xFA, 0, 0, b"")], Reason::Http2OtherFrames),
        ];
        for (name, frames, reason) in cases {
            assert_eq!(passes(frames, 10), (3, Some(*reason)), "{name}");
            assert_eq!(passes(frames, 3), (3, None), "{name}");
        }
    }

    #[test]
    fn what_clients_do_all_day_is_free() {
        let cases: &[(&str, Vec<Vec<u8>>)] = &[
            ("a request", vec![frame(HEADERS, END_HEADERS | ACK_OR_END_STREAM, 1, b"abc")]),
            ("DATA", vec![frame(DATA, 0, 1, b"a")]),
            ("padded DATA", vec![frame(DATA, PADDED, 1, &[1, b'a', 0])]),
            ("the empty end of a body", vec![frame(DATA, ACK_OR_END_STREAM, 1, b"")]),
            ("the padded end of a body", vec![frame(DATA, PADDED | ACK_OR_END_STREAM, 1, &[1, 0])]),
            ("HEADERS with a priority", vec![frame(HEADERS, END_HEADERS | WITH_PRIORITY, 1, &[0, 0, 0, 0, 16, 1])]),
            ("a long head", vec![frame(HEADERS, 0, 1, &[1; 9000]), frame(CONTINUATION, END_HEADERS, 1, &[1; 9000])]),
        ];
        for (name, frames) in cases {
            assert_eq!(passes(frames, 1000), (1000, None), "{name}");
        }
    }

    #[test]
    fn header_blocks_are_bounded_and_whole() {
        let part = |flags, stream| frame(CONTINUATION, flags, stream, b"x");
        let head = |flags| frame(HEADERS, flags, 1, b"x");
        type Case = (&'static str, Vec<Vec<u8>>, Option<Reason>);
        let cases: &[Case] = &[
            ("as many as allowed", vec![head(0), part(0, 1), part(0, 1), part(END_HEADERS, 1)], None),
            (
                "one more",
                vec![head(0), part(0, 1), part(0, 1), part(0, 1), part(END_HEADERS, 1)],
                Some(Reason::Http2Continuations),
            ),
            ("a block is counted alone", vec![[head(0), part(0, 1), part(END_HEADERS, 1)].concat().repeat(3)], None),
            ("CONTINUATION first", vec![part(END_HEADERS, 1)], Some(Reason::Http2Protocol)),
            ("CONTINUATION behind the end", vec![head(END_HEADERS), part(0, 1)], Some(Reason::Http2Protocol)),
            ("CONTINUATION of another stream", vec![head(0), part(0, 3)], Some(Reason::Http2Protocol)),
            ("DATA in between", vec![head(0), frame(DATA, 0, 1, b"x")], Some(Reason::Http2Protocol)),
            ("PING in between", vec![head(0), frame(PING, 0, 0, &[0; 8])], Some(Reason::Http2Protocol)),
            ("HEADERS in between", vec![head(0), head(END_HEADERS)], Some(Reason::Http2Protocol)),
            ("an unknown frame in between", vec![head(0), frame(0xFA, 0, 1, b"")], Some(Reason::Http2Protocol)),
            (
                "too many bytes",
                vec![frame(HEADERS, 0, 1, &[1; 10_001]), frame(CONTINUATION, END_HEADERS, 1, &[1; 10_000])],
                Some(Reason::HeadTooLarge),
            ),
            ("a frame too large", vec![frame(DATA, 0, 1, &[0; 16_385])], Some(Reason::Http2Protocol)),
            ("a frame as large as may be", vec![frame(DATA, 0, 1, &[0; 16_384])], None),
        ];
        for (name, frames, reason) in cases {
            assert_eq!(passes(frames, 1).1, *reason, "{name}");
        }
    }

    #[test]
    fn the_preface_comes_first() {
        let mut meter = FrameMeter::new(SMALL);
        for (position, byte) in PREFACE.iter().enumerate() {
            assert!(!meter.preface_done(), "{position}");
            meter.handle_read(&[*byte], Tick::ZERO).expect("the preface");
        }
        assert!(meter.preface_done());
        for bytes in [&b"GET / HTTP/1.1\r\n"[..], b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\r", b"\0\0\0\x04\0\0\0\0\0"] {
            let abuse = FrameMeter::new(SMALL).handle_read(bytes, Tick::ZERO).expect_err("not the preface");
            assert_eq!(abuse.reason, Reason::Http2Protocol);
        }
    }

    #[test]
    fn resets_that_we_write_count_when_the_client_provoked_them() {
        let provoked = [1, 3, 4, 5, 6, 7, 9, 11, 12];
        for code in 0..14 {
            let mut meter = begun();
            let written = (0..10).find(|round| {
                let reset = frame(RST_STREAM, 0, 2 * round + 1, &[0, 0, 0, code]);
                meter.handle_written(&reset, Tick::ZERO).is_err()
            });
            assert_eq!(written, provoked.contains(&code).then_some(3), "code {code}");
            assert_eq!(meter.counts().rst_written, if provoked.contains(&code) { 4 } else { 0 }, "code {code}");
        }
        // The connection is over for both directions.
        let mut meter = begun();
        let reset = frame(RST_STREAM, 0, 1, &[0, 0, 0, 1]);
        let abuse = meter.handle_written(&reset.repeat(4), Tick::ZERO).expect_err("one too many");
        assert_eq!(abuse.reason, Reason::Http2ProvokedResets);
        assert_eq!(meter.handle_read(&settings(&[]), Tick::ZERO), Err(abuse));
        assert_eq!(meter.counts().settings, 0);
    }

    #[test]
    fn data_that_we_write_earns_window_updates() {
        let mut meter = begun();
        meter.handle_written(&frame(DATA, 0, 1, &[0; 256 * 5]), Tick::ZERO).expect("our own");
        for _ in 0..3 + 5 {
            meter.handle_read(&window_update(1, 256), Tick::ZERO).expect("earned");
        }
        let abuse = meter.handle_read(&window_update(1, 256), Tick::ZERO).expect_err("not earned");
        assert_eq!(abuse.reason, Reason::Http2WindowUpdates);
    }

    #[test]
    fn data_that_we_write_earns_pings() {
        let mut meter = begun();
        let ping = frame(PING, 0, 0, &[0; 8]);
        for _ in 0..100 {
            meter.handle_written(&frame(DATA, 0, 1, b"x"), Tick::ZERO).expect("our own");
            meter.handle_read(&ping, Tick::ZERO).expect("earned");
        }
        meter.handle_read(&ping.repeat(3), Tick::ZERO).expect("the budget");
        let abuse = meter.handle_read(&ping, Tick::ZERO).expect_err("not earned");
        assert_eq!(abuse.reason, Reason::Http2Pings);
        let mut meter = begun();
        meter.handle_written(&frame(DATA, 0, 1, b"x").repeat(100), Tick::ZERO).expect("our own");
        assert!(meter.handle_read(&ping.repeat(4), Tick::from_millis(10_000)).is_err(), "what was earned is forgotten");
    }

    #[test]
    fn what_is_unfinished_is_dated() {
        let at = Tick::from_millis;
        let mut meter = begun();
        let mut feed = |bytes: &[u8], now: u64| {
            meter.handle_read(bytes, at(now)).expect("nothing wrong");
            (meter.header_block_open_since(), meter.unfinished_since())
        };
        assert_eq!(feed(b"", 1), (None, None));
        let head = frame(HEADERS, 0, 1, b"abcd");
        assert_eq!(feed(&head[..3], 2), (None, Some(at(2))), "part of a frame header");
        assert_eq!(feed(&head[3..9], 3), (Some(at(2)), Some(at(2))), "a frame header");
        assert_eq!(feed(&head[9..], 4), (Some(at(2)), Some(at(2))), "a whole frame, but not the last");
        let end = frame(CONTINUATION, END_HEADERS, 1, b"efgh");
        assert_eq!(feed(&end[..12], 5), (Some(at(2)), Some(at(2))), "part of the last frame");
        assert_eq!(feed(&end[12..], 6), (None, None), "all of it");
        let data = frame(DATA, 0, 1, b"body");
        assert_eq!(feed(&data[..8], 7), (None, Some(at(7))), "part of a header of DATA");
        assert_eq!(feed(&data[8..10], 8), (None, None), "bodies have a rule of their own");
        assert_eq!(feed(&data[10..], 9), (None, None));
        let ping = frame(PING, 0, 0, &[0; 8]);
        assert_eq!(feed(&ping[..16], 10), (None, Some(at(10))), "part of a PING");
        assert_eq!(feed(&ping[16..], 11), (None, None));
        assert_eq!(meter.streams_opened(), 1);
        assert_eq!(meter.header_block_bytes(), 0);
    }

    #[test]
    fn frames_are_counted_by_kind() {
        let mut meter = begun();
        for bytes in [
            settings(&[(3, 100)]),
            frame(SETTINGS, ACK_OR_END_STREAM, 0, b""),
            window_update(0, 9),
            frame(HEADERS, 0, 1, b"a"),
            frame(CONTINUATION, END_HEADERS, 1, b"b"),
            frame(HEADERS, END_HEADERS, 3, b"a"),
            frame(HEADERS, END_HEADERS, 3, b"trailers"),
            frame(DATA, 0, 1, b"x"),
            frame(DATA, 0, 1, b""),
            frame(RST_STREAM, 0, 1, &[0; 4]),
            frame(PRIORITY, 0, 3, &[0; 5]),
            frame(PING, 0, 0, &[0; 8]),
            frame(0x10, 0, 0, b"u=1"),
        ] {
            meter.handle_read(&bytes, Tick::ZERO).expect("within every budget");
        }
        let expected = FrameCounts {
            data: 2,
            headers: 3,
            priority: 1,
            rst_stream: 1,
            settings: 2,
            ping: 1,
            window_update: 1,
            continuation: 1,
            unknown: 1,
            empty: 1,
            ..FrameCounts::default()
        };
        assert_eq!(*meter.counts(), expected);
        assert_eq!(meter.streams_opened(), 2);
    }

    #[test]
    fn settings_prints() {
        let chrome = [(1, 65536), (2, 0), (4, 6_291_456), (6, 262_144)];
        let firefox = [(1, 65536), (2, 0), (4, 131_072), (5, 16384)];
        let longest = [(1, 4_294_967_295), (2, 4_294_967_295), (3, 4_294_967_295), (65535, 123_456)];
        let priority = frame(PRIORITY, 0, 3, &[0; 5]);
        let head = frame(HEADERS, END_HEADERS, 1, b"x");
        let print = |frames: &[Vec<u8>]| {
            let mut meter = begun();
            meter.handle_read(&frames.concat(), Tick::ZERO).expect("nothing wrong");
            assert_eq!(meter.settings_print(), None, "not before a stream is open");
            meter.handle_read(&head, Tick::ZERO).expect("nothing wrong");
            let print = meter.settings_print().expect("a print");
            for late in [settings(&[(9, 9)]), window_update(0, 77), frame(PRIORITY, 0, 3, &[0; 5]), head.clone()] {
                meter.handle_read(&late, Tick::ZERO).expect("nothing wrong");
            }
            assert_eq!(meter.settings_print(), Some(print), "nothing changes it later");
            assert!(print.as_ref().len() <= SETTINGS_PRINT_MAX);
            print.to_string()
        };
        let cases: &[(&str, Vec<Vec<u8>>, &str)] = &[
            (
                "Chrome",
                vec![settings(&chrome), window_update(0, 15_663_105)],
                "1:65536;2:0;4:6291456;6:262144|15663105|-",
            ),
            (
                "Firefox",
                vec![settings(&firefox), window_update(0, 12_517_377), priority.clone()],
                "1:65536;2:0;4:131072;5:16384|12517377|p",
            ),
            ("order", vec![settings(&[(4, 1), (1, 4)])], "4:1;1:4|0|-"),
            ("no settings", vec![settings(&[])], "|0|-"),
            ("half an entry", vec![frame(SETTINGS, 0, 0, &[0, 1, 0, 0, 0, 2, 0, 3, 0])], "1:2|0|-"),
            ("the window of a stream", vec![settings(&[(2, 0)]), window_update(1, 5)], "2:0|0|-"),
            ("a window without settings", vec![window_update(0, 5), window_update(0, 6)], "|5|-"),
            ("the reserved bit", vec![settings(&[]), window_update(0, 0x8000_0001)], "|1|-"),
            ("the first settings", vec![settings(&[(1, 1)]), settings(&[(2, 2)])], "1:1|0|-"),
            (
                "as long as it may be",
                vec![settings(&longest), window_update(0, 0x7FFF_FFFF), priority],
                "1:4294967295;2:4294967295;3:4294967295;65535:123456|2147483647|p",
            ),
        ];
        for (name, frames, expected) in cases {
            assert_eq!(print(frames), *expected, "{name}");
        }
    }

    #[test]
    fn long_settings_are_cut_and_still_told_apart() {
        let print = |entries: &[(u16, u32)]| {
            let mut meter = begun();
            meter.handle_read(&settings(entries), Tick::ZERO).expect("nothing wrong");
            meter.handle_read(&frame(HEADERS, END_HEADERS, 1, b"x"), Tick::ZERO).expect("nothing wrong");
            meter.settings_print().expect("a print").to_string()
        };
        let many: Vec<(u16, u32)> = (0..200).map(|id| (id, u32::from(id) * 7)).collect();
        let first = print(&many);
        assert!(first.starts_with("0:0;1:7;2:14;") && first.contains('~') && first.ends_with("|0|-"), "{first}");
        assert!(first.len() <= SETTINGS_PRINT_MAX);
        for at in 0..many.len() {
            let mut other = many.clone();
            other[at].1 ^= 1;
            assert_ne!(print(&other), first, "entry {at}");
        }
        assert_ne!(print(&many[..199]), first);
        // One character more than fits beside the longest tail.
        let longer = [(1, u32::MAX), (2, u32::MAX), (3, u32::MAX), (65535, 1_234_567)];
        assert!(print(&longer).starts_with("1:4294967295;2:4294967295;3:4294967295~"), "{}", print(&longer));
    }

    #[test]
    fn a_meter_is_small() {
        assert!(size_of::<FrameMeter>() <= 768, "{} bytes for each connection", size_of::<FrameMeter>());
    }

    /// Bytes in either direction at a time.
    type Script = Vec<(bool, Vec<u8>, Tick)>;

    type Outcome = (FrameCounts, u64, Option<SettingsPrint>, Option<Abuse>, bool, Option<Tick>);

    fn run(script: &Script, cut: &mut impl FnMut(usize) -> usize) -> Outcome {
        let mut meter = FrameMeter::new(SMALL);
        let mut outcome = Ok(());
        for (read, bytes, now) in script {
            let mut rest = bytes.as_slice();
            while !rest.is_empty() {
                let (here, behind) = rest.split_at(cut(rest.len()).clamp(1, rest.len()));
                rest = behind;
                outcome = if *read { meter.handle_read(here, *now) } else { meter.handle_written(here, *now) };
            }
        }
        let open = meter.unfinished_since();
        (*meter.counts(), meter.streams_opened(), meter.settings_print(), outcome.err(), meter.preface_done(), open)
    }

    fn any_frame() -> impl Strategy<Value = Vec<u8>> {
        let flags = prop_oneof![Just(0), Just(1), Just(4), Just(5), Just(8), Just(0x20), Just(0x2C), any::<u8>()];
        let payload = proptest::collection::vec(any::<u8>(), 0..30);
        (0u8..12, flags, 0u32..6, payload)
            .prop_map(|(kind, flags, stream, payload)| frame(kind, flags, stream, &payload))
    }

    fn script() -> impl Strategy<Value = Script> {
        let bytes = prop_oneof![4 => any_frame(), 1 => proptest::collection::vec(any::<u8>(), 0..20)];
        let step = (prop::bool::weighted(0.8), bytes, 0u64..4000);
        proptest::collection::vec(step, 0..40).prop_map(|steps| {
            let mut now = 0;
            let mut script = vec![(true, PREFACE.to_vec(), Tick::ZERO)];
            for (read, bytes, later) in steps {
                now += later;
                script.push((read, bytes, Tick::from_millis(now)));
            }
            script
        })
    }

    proptest! {
        #[test]
        fn every_split_gives_the_same_answer(script in script(), cuts in proptest::collection::vec(1usize..12, 1..50)) {
            let whole = run(&script, &mut |length| length);
            prop_assert_eq!(&run(&script, &mut |_| 1), &whole);
            let mut cuts = cuts.iter().cycle();
            prop_assert_eq!(&run(&script, &mut |_| *cuts.next().expect("endless")), &whole);
        }

        #[test]
        fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let script = vec![(true, [PREFACE.as_slice(), &bytes].concat(), Tick::ZERO), (false, bytes, Tick::ZERO)];
            prop_assert_eq!(run(&script, &mut |_| 1), run(&script, &mut |length| length));
        }

        #[test]
        fn budgets_hold_over_time(gaps in proptest::collection::vec(0u64..6_000, 1..60)) {
            let mut meter = begun();
            let ping = frame(PING, 0, 0, &[0; 8]);
            let mut now = 0;
            let mut passed: Vec<u64> = Vec::new();
            for gap in gaps {
                now += gap;
                let recent = passed.iter().filter(|then| now - **then < 10_000).count();
                if meter.handle_read(&ping, Tick::from_millis(now)).is_err() {
                    prop_assert!(recent + 1 > 3, "refused although the budget was kept");
                    return Ok(());
                }
                passed.push(now);
                prop_assert!(recent < 2 * 3, "let through more than twice the budget in ten seconds");
            }
        }
    }
}
