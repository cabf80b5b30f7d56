//! A connection as both protocols see it: plain or TLS, read in pieces that hold no memory while nothing arrives.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::tls::Rewind;

/// How much one read takes from the kernel at most.
const READ_BYTES: usize = 16 * 1024;

thread_local! {
    /// Where reads land before what arrived is copied to a buffer of its own size: an idle connection owns no buffer.
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_BYTES].into_boxed_slice());
}

/// A connection to a client or to an upstream.
pub(crate) enum Stream {
    Plain(TcpStream),
    Server(Box<tokio_rustls::server::TlsStream<Rewind>>),
    Client(Box<tokio_rustls::client::TlsStream<TcpStream>>),
}

impl Stream {
    /// The socket below.
    pub(crate) fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(tcp) => tcp,
            Self::Server(tls) => tls.get_ref().0.get_ref(),
            Self::Client(tls) => tls.get_ref().0,
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_read(cx, into),
            Self::Server(tls) => Pin::new(tls).poll_read(cx, into),
            Self::Client(tls) => Pin::new(tls).poll_read(cx, into),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_write(cx, bytes),
            Self::Server(tls) => Pin::new(tls).poll_write(cx, bytes),
            Self::Client(tls) => Pin::new(tls).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_write_vectored(cx, parts),
            Self::Server(tls) => Pin::new(tls).poll_write_vectored(cx, parts),
            Self::Client(tls) => Pin::new(tls).poll_write_vectored(cx, parts),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Self::Server(tls) => Pin::new(tls).poll_flush(cx),
            Self::Client(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Self::Server(tls) => Pin::new(tls).poll_shutdown(cx),
            Self::Client(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }
}

/// An HTTP/1.1 connection: the stream and what has arrived on it but was not yet taken.
pub(crate) struct Wire {
    pub(crate) stream: Stream,
    /// Arrived, not taken.
    pub(crate) arrived: BytesMut,
    /// Bytes read so far.
    pub(crate) read: u64,
    /// Bytes written so far.
    pub(crate) written: u64,
    /// The other side will send nothing more.
    pub(crate) ended: bool,
    /// The body under way on this connection has been read to its end.
    pub(crate) body_done: bool,
}

/// Reading a request body and writing its response go on at once, in one task; no borrow lives across a poll.
pub(crate) type SharedWire = Rc<RefCell<Wire>>;

impl Wire {
    pub(crate) fn new(stream: Stream) -> Self {
        Self { stream, arrived: BytesMut::new(), read: 0, written: 0, ended: false, body_done: true }
    }

    pub(crate) fn shared(stream: Stream) -> SharedWire {
        Rc::new(RefCell::new(Self::new(stream)))
    }

    /// Reads once; zero means that the other side has ended.
    pub(crate) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.ended {
            return Poll::Ready(Ok(0));
        }
        SCRATCH.with_borrow_mut(|scratch| {
            let mut into = ReadBuf::new(scratch);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut into))?;
            let count = into.filled().len();
            if count == 0 {
                self.ended = true;
            } else {
                self.arrived.extend_from_slice(into.filled());
                self.read += count as u64;
            }
            Poll::Ready(Ok(count))
        })
    }

    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>, parts: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let count = match parts {
            [one] => ready!(Pin::new(&mut self.stream).poll_write(cx, one))?,
            _ => ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, parts))?,
        };
        self.written += count as u64;
        if count == 0 { Poll::Ready(Err(io::ErrorKind::WriteZero.into())) } else { Poll::Ready(Ok(count)) }
    }

    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(_) => Poll::Ready(Ok(())),
            stream => Pin::new(stream).poll_flush(cx),
        }
    }

    /// Whether the other side has gone while nothing is expected of it. What it sends ahead of time (a pipelined
    /// request) is kept, up to `room`; beyond that nobody looks until it is wanted.
    pub(crate) fn poll_gone(&mut self, cx: &mut Context<'_>, room: usize) -> Poll<()> {
        while self.arrived.len() < room {
            match ready!(self.poll_fill(cx)) {
                Ok(0) | Err(_) => return Poll::Ready(()),
                Ok(_) => {}
            }
        }
        Poll::Pending
    }

    /// Gives back the buffer if it is empty, so that an idle connection holds none.
    pub(crate) fn rest(&mut self) {
        if self.arrived.is_empty() {
            self.arrived = BytesMut::new();
        }
    }
}

/// Reads once.
pub(crate) async fn fill(wire: &SharedWire) -> io::Result<usize> {
    std::future::poll_fn(|cx| wire.borrow_mut().poll_fill(cx)).await
}

/// Writes all of `bytes` and flushes.
pub(crate) async fn write_all(wire: &SharedWire, bytes: &[u8]) -> io::Result<()> {
    let mut rest = bytes;
    while !rest.is_empty() {
        let count = std::future::poll_fn(|cx| wire.borrow_mut().poll_write(cx, &[IoSlice::new(rest)])).await?;
        rest = rest.get(count..).unwrap_or_default();
    }
    std::future::poll_fn(|cx| wire.borrow_mut().poll_flush(cx)).await
}

/// Says that nothing more will be written, best effort.
pub(crate) async fn shutdown(wire: &SharedWire) {
    let _ = std::future::poll_fn(|cx| Pin::new(&mut wire.borrow_mut().stream).poll_shutdown(cx)).await;
}
