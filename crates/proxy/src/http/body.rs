//! Bodies on their way through: one frame at a time, never held whole, pulled only when the other side has room.

use std::cell::Cell;
use std::fmt;
use std::io::{self, IoSlice};
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use portcullis_engine::Refusal;
use portcullis_types::{Limits, Reason};
use portcullis_wire::h1::{self, ChunkBounds, ChunkDecoder, ChunkStep, Framing, Refused, encode};
use portcullis_wire::http::{FieldRef, Fields, Name};

use super::leaving::Guarded;
use super::passing::Passing;
use super::upstream::UpstreamBody;
use crate::stream::SharedWire;

/// A piece of a body.
pub(crate) enum Frame {
    Data(Bytes),
    Trailers(Fields),
}

/// A body from a client, from an upstream, or made here.
pub(crate) enum Body {
    Empty,
    Full(Bytes),
    H1(Box<H1Body>),
    H2(Box<H2Body>),
    Upstream(Box<UpstreamBody>),
    Held(Box<Held>),
    Guarded(Box<Guarded>),
}

/// A body of which the beginning was read ahead.
pub(crate) struct Held {
    first: Bytes,
    rest: Body,
    trailers: Option<Fields>,
    /// Looks at the rest on its way.
    passing: Option<Passing>,
}

/// Why a body did not come to its end.
#[derive(Debug)]
pub(crate) enum BodyError {
    /// It broke a rule or a bound.
    Refused(Refused),
    /// Its sender went away or reset it.
    Gone(io::Error),
    /// Somebody was too slow.
    Slow(Reason),
    /// What was found in it must not go on, or not leave.
    Stopped(Box<Refusal>),
}

impl BodyError {
    /// The reason, where the sender is a client (`true`) or an upstream.
    pub(crate) fn reason(&self, client: bool) -> Reason {
        match self {
            Self::Refused(refused) if client => refused.reason,
            Self::Refused(_) => Reason::UpstreamProtocol,
            Self::Gone(_) if client => Reason::ClientClosed,
            Self::Gone(_) => Reason::UpstreamClosed,
            Self::Slow(reason) => *reason,
            Self::Stopped(refusal) => refusal.reason,
        }
    }
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refused) => f.write_str(refused.detail),
            Self::Gone(error) => error.fmt(f),
            Self::Slow(reason) => f.write_str(reason.description()),
            Self::Stopped(refusal) => refusal.detail.fmt(f),
        }
    }
}

impl Body {
    /// The length where it is known beforehand.
    pub(crate) fn length(&self) -> Option<u64> {
        match self {
            Self::Empty => Some(0),
            Self::Full(bytes) => Some(bytes.len() as u64),
            Self::H1(body) => body.declared.length(),
            Self::H2(body) => body.declared,
            Self::Upstream(body) => body.length(),
            Self::Held(held) => held.rest.length(),
            Self::Guarded(guarded) => guarded.length(),
        }
    }

    /// Whether there is nothing to read. A stream whose end has not come may hold more than it declared.
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::H2(body) => body.declared == Some(0) && body.stream.is_end_stream(),
            Self::Held(held) => held.first.is_empty() && held.trailers.is_none() && held.rest.is_empty(),
            _ => self.length() == Some(0),
        }
    }

    /// Refuses more than `limit` bytes of a body whose length was not declared.
    pub(crate) fn bound(&mut self, limit: u64) {
        match self {
            Self::H1(body) => body.room = limit,
            Self::H2(body) => body.room = limit,
            Self::Held(held) => held.rest.bound(limit),
            Self::Empty | Self::Full(_) | Self::Upstream(_) | Self::Guarded(_) => {}
        }
    }

    pub(crate) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, BodyError>>> {
        match self {
            Self::Empty => Poll::Ready(None),
            Self::Full(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Full(bytes) => Poll::Ready(Some(Ok(Frame::Data(std::mem::take(bytes))))),
            Self::H1(body) => body.poll_frame(cx),
            Self::H2(body) => body.poll_frame(cx),
            Self::Upstream(body) => body.poll_frame(cx),
            Self::Guarded(guarded) => guarded.poll_frame(cx),
            Self::Held(held) if !held.first.is_empty() => {
                Poll::Ready(Some(Ok(Frame::Data(std::mem::take(&mut held.first)))))
            }
            Self::Held(held) => match held.trailers.take() {
                Some(trailers) => Poll::Ready(Some(Ok(Frame::Trailers(trailers)))),
                None => match &mut held.passing {
                    Some(passing) => passing.poll_frame(&mut held.rest, cx),
                    None => held.rest.poll_frame(cx),
                },
            },
        }
    }

    /// Gives back what was read ahead, so that it comes first again; `passing` looks at what comes behind it.
    pub(crate) fn put_back(&mut self, first: Bytes, trailers: Option<Fields>, passing: Option<Passing>) {
        let rest = std::mem::replace(self, Self::Empty);
        *self = Self::Held(Box::new(Held { first, rest, trailers, passing }));
    }
}

/// A body that arrives on an HTTP/1.1 connection.
pub(crate) struct H1Body {
    wire: SharedWire,
    declared: Framing,
    state: Incoming,
    room: u64,
    /// `100 Continue` is owed before the first byte can be expected.
    interim: &'static [u8],
    header_count: usize,
}

enum Incoming {
    Length(u64),
    Chunked(ChunkDecoder),
    UntilClose,
    Done,
}

impl H1Body {
    /// The body that follows a head on `wire`.
    pub(crate) fn new(wire: &SharedWire, framing: Framing, limits: &Limits, expects_continue: bool) -> Self {
        let state = match framing {
            Framing::None => Incoming::Done,
            Framing::Length(length) => Incoming::Length(length),
            Framing::Chunked => Incoming::Chunked(ChunkDecoder::new(ChunkBounds {
                extension_bytes: size(limits.chunk_extension_bytes),
                trailer_bytes: size(limits.trailer_bytes),
            })),
            Framing::UntilClose => Incoming::UntilClose,
        };
        wire.borrow_mut().body_done = matches!(state, Incoming::Done);
        Self {
            wire: SharedWire::clone(wire),
            declared: framing,
            state,
            room: u64::MAX,
            interim: if expects_continue { b"HTTP/1.1 100 Continue\r\n\r\n" } else { b"" },
            header_count: size(limits.header_count),
        }
    }

    pub(crate) fn length(&self) -> Option<u64> {
        self.declared.length()
    }

    pub(crate) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, BodyError>>> {
        let mut wire = self.wire.borrow_mut();
        while !self.interim.is_empty() {
            match ready!(wire.poll_write(cx, &[IoSlice::new(self.interim)])) {
                Ok(count) => self.interim = self.interim.get(count..).unwrap_or_default(),
                Err(error) => return Poll::Ready(Some(Err(BodyError::Gone(error)))),
            }
            if self.interim.is_empty() {
                let _ = wire.poll_flush(cx);
            }
        }
        loop {
            let available = wire.arrived.len();
            let take = match &mut self.state {
                Incoming::Done => return Poll::Ready(None),
                Incoming::Length(left) if available > 0 => {
                    let take = size(*left).min(available);
                    *left -= take as u64;
                    if *left == 0 {
                        self.state = Incoming::Done;
                        wire.body_done = true;
                    }
                    take
                }
                Incoming::UntilClose if available > 0 => available,
                Incoming::Length(_) | Incoming::UntilClose => 0,
                Incoming::Chunked(decoder) => match decoder.step(&wire.arrived) {
                    Ok(ChunkStep::Data(take)) => take,
                    Ok(ChunkStep::Skip(count)) => {
                        bytes::Buf::advance(&mut wire.arrived, count);
                        continue;
                    }
                    Ok(ChunkStep::Incomplete) => 0,
                    Ok(ChunkStep::Done) => {
                        let mut trailers = Fields::default();
                        let outcome = h1::trailers(decoder.trailer_lines(), self.header_count, &mut trailers);
                        self.state = Incoming::Done;
                        // After a refusal the connection is not used again: `body_done` stays false.
                        wire.body_done = outcome.is_ok();
                        return Poll::Ready(match outcome {
                            Err(refused) => Some(Err(BodyError::Refused(refused))),
                            Ok(()) if trailers.is_empty() => None,
                            Ok(()) => Some(Ok(Frame::Trailers(trailers))),
                        });
                    }
                    Err(refused) => return Poll::Ready(Some(Err(BodyError::Refused(refused)))),
                },
            };
            if take > 0 {
                let Some(room) = self.room.checked_sub(take as u64) else {
                    return Poll::Ready(Some(Err(BodyError::Refused(Refused {
                        reason: Reason::BodyTooLarge,
                        detail: "the body exceeds what its route allows",
                    }))));
                };
                self.room = room;
                return Poll::Ready(Some(Ok(Frame::Data(wire.arrived.split_to(take).freeze()))));
            }
            match ready!(wire.poll_fill(cx)) {
                Ok(0) if matches!(self.state, Incoming::UntilClose) => {
                    self.state = Incoming::Done;
                    wire.body_done = true;
                    return Poll::Ready(None);
                }
                Ok(0) => return Poll::Ready(Some(Err(BodyError::Gone(io::ErrorKind::UnexpectedEof.into())))),
                Ok(_) => {}
                Err(error) => return Poll::Ready(Some(Err(BodyError::Gone(error)))),
            }
        }
    }
}

/// A body that arrives on an HTTP/2 stream.
pub(crate) struct H2Body {
    stream: h2::RecvStream,
    declared: Option<u64>,
    room: u64,
    /// Flow control is given back for a frame when the next one is asked for, which is the back-pressure.
    owed: usize,
    data_done: bool,
    /// Told of every byte that arrives.
    arrived: Rc<Cell<u64>>,
}

impl H2Body {
    pub(crate) fn new(stream: h2::RecvStream, declared: Option<u64>, arrived: Rc<Cell<u64>>) -> Self {
        Self { stream, declared, room: u64::MAX, owed: 0, data_done: false, arrived }
    }

    pub(crate) fn length(&self) -> Option<u64> {
        self.declared
    }

    pub(crate) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, BodyError>>> {
        if self.owed > 0 {
            let _ = self.stream.flow_control().release_capacity(std::mem::take(&mut self.owed));
        }
        while !self.data_done {
            match ready!(self.stream.poll_data(cx)) {
                Some(Ok(data)) if data.is_empty() => {}
                Some(Ok(data)) => {
                    let Some(room) = self.room.checked_sub(data.len() as u64) else {
                        return Poll::Ready(Some(Err(BodyError::Refused(Refused {
                            reason: Reason::BodyTooLarge,
                            detail: "the body exceeds what its route allows",
                        }))));
                    };
                    self.room = room;
                    self.owed = data.len();
                    self.arrived.set(self.arrived.get() + data.len() as u64);
                    return Poll::Ready(Some(Ok(Frame::Data(data))));
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(BodyError::Gone(io::Error::other(error))))),
                None => self.data_done = true,
            }
        }
        match ready!(self.stream.poll_trailers(cx)) {
            Ok(None) => Poll::Ready(None),
            Ok(Some(map)) => {
                let mut trailers = Fields::default();
                for (name, value) in &map {
                    let spelling = name.as_str().as_bytes();
                    let field = FieldRef { name: Name::of(spelling), spelling, value: value.as_bytes() };
                    if field.may_be_trailer() {
                        trailers.push_known(field.name, field.spelling, field.value);
                    }
                }
                Poll::Ready(if trailers.is_empty() { None } else { Some(Ok(Frame::Trailers(trailers))) })
            }
            Err(error) => Poll::Ready(Some(Err(BodyError::Gone(io::Error::other(error))))),
        }
    }
}

/// What stops a message on its way from a body to a connection.
#[derive(Debug)]
pub(crate) enum TransferError {
    /// The body.
    Source(BodyError),
    /// The connection that it goes to.
    Sink(io::Error),
}

/// What a transfer waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waiting {
    Source,
    Sink,
}

/// A message on its way to an HTTP/1.1 connection: head, then body, in as few writes as can be.
pub(crate) struct Outgoing {
    buffer: Vec<u8>,
    at: usize,
    data: Bytes,
    coding: Coding,
    finished: bool,
    /// Whether the last of what was declared waits until the source has ended.
    until_the_end: bool,
    /// What the last `Pending` waited for.
    pub(crate) waiting: Waiting,
    /// Bytes of body taken from the source so far.
    pub(crate) carried: u64,
}

/// How the body is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coding {
    /// As it is; exactly so many bytes where that was declared.
    Plain(Option<u64>),
    Chunked,
}

/// Data below this is copied behind the head, so that one write carries both.
const COPY_BYTES: usize = 8 * 1024;

/// Enough is buffered: write before taking more.
const BUFFER_BYTES: usize = 16 * 1024;

impl Outgoing {
    /// A message whose head is in `buffer`.
    pub(crate) fn new(buffer: Vec<u8>, coding: Coding) -> Self {
        Self {
            buffer,
            at: 0,
            data: Bytes::new(),
            coding,
            finished: false,
            until_the_end: false,
            waiting: Waiting::Source,
            carried: 0,
        }
    }

    /// The same, of which nobody gets the whole before its source has ended: a stream of HTTP/2 that brings more than it
    /// declared is malformed (RFC 9113, section 8.1.1), and what comes too late to be seen must not have been answered.
    pub(crate) fn until_the_end(self) -> Self {
        Self { until_the_end: true, ..self }
    }

    /// The buffer, for the next message.
    pub(crate) fn into_buffer(mut self) -> Vec<u8> {
        self.buffer.clear();
        self.buffer
    }

    /// Moves as much as can be moved; ready when the whole message is written.
    pub(crate) fn poll_send(
        &mut self,
        body: &mut Body,
        wire: &SharedWire,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), TransferError>> {
        loop {
            let pending = self.buffer.len() - self.at + self.data.len();
            let mut starved = false;
            let last = self.until_the_end && !self.finished && self.coding == Coding::Plain(Some(0));
            if last || (!self.finished && self.data.is_empty() && pending < BUFFER_BYTES) {
                match body.poll_frame(cx) {
                    Poll::Ready(Some(Ok(frame))) => {
                        self.take(frame)?;
                        continue;
                    }
                    Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(TransferError::Source(error))),
                    Poll::Ready(None) => {
                        self.finish()?;
                        continue;
                    }
                    Poll::Pending => starved = true,
                }
            }
            if pending == 0 || (last && starved) {
                if self.finished {
                    self.waiting = Waiting::Sink;
                    return wire.borrow_mut().poll_flush(cx).map_err(TransferError::Sink);
                }
                debug_assert!(starved, "nothing to write and nothing to wait for");
                self.waiting = Waiting::Source;
                if let Poll::Ready(Err(error)) = wire.borrow_mut().poll_flush(cx) {
                    return Poll::Ready(Err(TransferError::Sink(error)));
                }
                return Poll::Pending;
            }
            self.waiting = Waiting::Sink;
            ready!(self.poll_write(wire, cx)).map_err(TransferError::Sink)?;
        }
    }

    fn poll_write(&mut self, wire: &SharedWire, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let head = self.buffer.get(self.at..).unwrap_or_default();
        let mut wire = wire.borrow_mut();
        let count = if self.data.is_empty() {
            ready!(wire.poll_write(cx, &[IoSlice::new(head)]))?
        } else if head.is_empty() {
            ready!(wire.poll_write(cx, &[IoSlice::new(&self.data)]))?
        } else {
            ready!(wire.poll_write(cx, &[IoSlice::new(head), IoSlice::new(&self.data)]))?
        };
        let of_head = count.min(head.len());
        self.at += of_head;
        bytes::Buf::advance(&mut self.data, count - of_head);
        if self.at == self.buffer.len() {
            self.buffer.clear();
            self.at = 0;
        }
        Poll::Ready(Ok(()))
    }

    fn take(&mut self, frame: Frame) -> Result<(), TransferError> {
        match frame {
            Frame::Data(data) => {
                self.carried += data.len() as u64;
                match &mut self.coding {
                    Coding::Plain(left) => {
                        if let Some(left) = left {
                            *left = left.checked_sub(data.len() as u64).ok_or(TransferError::Source(WRONG_LENGTH))?;
                        }
                        if data.len() <= COPY_BYTES { self.buffer.extend_from_slice(&data) } else { self.data = data }
                    }
                    Coding::Chunked => {
                        encode::chunk_start(&mut self.buffer, data.len());
                        self.buffer.extend_from_slice(&data);
                        encode::chunk_end(&mut self.buffer);
                    }
                }
            }
            Frame::Trailers(trailers) => {
                if self.coding == Coding::Chunked {
                    encode::last_chunk(&mut self.buffer, Some(&trailers));
                    self.finished = true;
                }
            }
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), TransferError> {
        match self.coding {
            Coding::Plain(None | Some(0)) => {}
            Coding::Plain(Some(_)) => return Err(TransferError::Source(WRONG_LENGTH)),
            Coding::Chunked if self.finished => {}
            Coding::Chunked => encode::last_chunk(&mut self.buffer, None),
        }
        self.finished = true;
        Ok(())
    }
}

const WRONG_LENGTH: BodyError =
    BodyError::Refused(Refused { reason: Reason::AmbiguousFraming, detail: "the body is not as long as declared" });

/// A bound of the policy as a size in memory.
pub(crate) fn size(limit: u64) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}
