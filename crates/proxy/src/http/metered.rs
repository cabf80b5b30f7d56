//! The connection below h2: every frame is counted as it passes, and what h2 writes is gathered.
//!
//! It never answers a client; it says what the client did, and the connection's loop acts on it.

use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use bytes::{Buf as _, Bytes, BytesMut};
use portcullis_types::{Limits, Reason, Tick};
use portcullis_wire::h2::{Abuse, Budgets, FrameMeter, SettingsPrint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::stream::Stream;
use crate::watch::Watchers;
use crate::worker::Worker;

/// The frame size that we announce, which is HTTP/2's least.
pub(super) const FRAME_BYTES: u32 = 16_384;

/// The meter of a connection and what it has found.
pub(super) struct Metering {
    meter: RefCell<FrameMeter>,
    abuse: Cell<Option<Abuse>>,
    waker: RefCell<Option<Waker>>,
}

impl Metering {
    pub(super) fn new(limits: &Limits) -> Rc<Self> {
        Rc::new(Self {
            meter: RefCell::new(FrameMeter::new(Budgets::new(limits, FRAME_BYTES))),
            abuse: Cell::new(None),
            waker: RefCell::new(None),
        })
    }

    /// What the client did, if it abused the protocol.
    pub(super) fn abuse(&self) -> Option<Abuse> {
        self.abuse.get()
    }

    pub(super) fn abuse_reason(&self, otherwise: Reason) -> Reason {
        self.abuse.get().map_or(otherwise, |abuse| abuse.reason)
    }

    pub(super) fn block_open_since(&self) -> Option<Tick> {
        self.meter.borrow().unfinished_since()
    }

    pub(super) fn print(&self) -> Option<SettingsPrint> {
        self.meter.borrow().settings_print()
    }

    fn remember(&self, cx: &Context<'_>) {
        let mut known = self.waker.borrow_mut();
        if !known.as_ref().is_some_and(|known| known.will_wake(cx.waker())) {
            *known = Some(cx.waker().clone());
        }
    }

    pub(super) fn wake(&self) {
        if let Some(waker) = self.waker.borrow().as_ref() {
            waker.wake_by_ref();
        }
    }

    pub(super) fn report(&self, worker: &Worker) {
        let meter = self.meter.borrow();
        let counts = meter.counts();
        let by_type = [
            counts.data,
            counts.headers,
            counts.priority,
            counts.rst_stream,
            counts.settings,
            counts.push_promise,
            counts.ping,
            counts.goaway,
            counts.window_update,
            counts.continuation,
            counts.unknown,
        ];
        for (kind, count) in (0_u8..).zip(by_type).filter(|(_, count)| *count > 0) {
            worker.counters().h2_frames(kind, count);
        }
    }
}

/// A connection whose frames are counted as they pass, and whose writes are gathered. After an abuse nothing more is read.
pub(super) struct Channel {
    stream: Stream,
    ahead: Bytes,
    /// Written by h2, not yet by us.
    gathered: BytesMut,
    meter: Rc<Metering>,
    watchers: Rc<Watchers>,
}

/// So much is gathered before h2 has to wait: one TLS record.
const GATHER_BYTES: usize = 16 * 1024;

impl Channel {
    pub(super) fn new(stream: Stream, ahead: Bytes, meter: Rc<Metering>, watchers: Rc<Watchers>) -> Rc<RefCell<Self>> {
        Rc::new(RefCell::new(Self { stream, ahead, gathered: BytesMut::new(), meter, watchers }))
    }

    /// Writes what was gathered.
    pub(super) fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.gathered.is_empty() {
            let count = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.gathered))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.gathered.advance(count);
        }
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        // An idle connection owns no buffer.
        self.gathered = BytesMut::new();
        Poll::Ready(Ok(()))
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.meter.remember(cx);
        if self.meter.abuse.get().is_some() {
            return Poll::Pending;
        }
        let before = into.filled().len();
        if self.ahead.is_empty() {
            ready!(Pin::new(&mut self.stream).poll_read(cx, into))?;
        } else {
            let piece = self.ahead.split_to(self.ahead.len().min(into.remaining()));
            into.put_slice(&piece);
        }
        let fresh = into.filled().get(before..).unwrap_or_default();
        if fresh.is_empty() {
            return Poll::Ready(Ok(()));
        }
        if let Err(abuse) = self.meter.meter.borrow_mut().handle_read(fresh, self.watchers.now()) {
            self.meter.abuse.set(Some(abuse));
            into.set_filled(before);
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, parts: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        if self.gathered.len() >= GATHER_BYTES {
            ready!(self.poll_send(cx))?;
        }
        let mut count = 0;
        for part in parts {
            let room = GATHER_BYTES.saturating_sub(self.gathered.len());
            let piece = part.get(..room.min(part.len())).unwrap_or_default();
            self.gathered.extend_from_slice(piece);
            count += piece.len();
            if !piece.is_empty()
                && let Err(abuse) = self.meter.meter.borrow_mut().handle_written(piece, self.watchers.now())
            {
                self.meter.abuse.set(Some(abuse));
            }
        }
        Poll::Ready(Ok(count))
    }
}

/// The connection as h2 holds it. A flush only promises: the connection's own loop keeps the promise at the end of its
/// turn, because h2 flushes after each frame and every flush would be a TLS record, a system call and a packet.
pub(super) struct Metered(pub(super) Rc<RefCell<Channel>>);

impl AsyncRead for Metered {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.0.borrow_mut().poll_read(cx, into)
    }
}

impl AsyncWrite for Metered {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.borrow_mut().poll_write(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.0.borrow_mut().poll_write(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut channel = self.0.borrow_mut();
        ready!(channel.poll_send(cx))?;
        Pin::new(&mut channel.stream).poll_shutdown(cx)
    }
}
