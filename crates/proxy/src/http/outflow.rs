//! Bodies on their way to an HTTP/2 stream, a client's or an upstream's.

use std::io;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::SendStream;
use http::{HeaderMap, HeaderName, HeaderValue};
use portcullis_types::Reason;
use portcullis_wire::h1::Refused;

use super::body::{Body, BodyError, Frame, TransferError, Waiting};

/// A body on its way to an HTTP/2 stream, taken from its source only as the window allows.
pub(crate) struct Outflow {
    pub(super) stream: SendStream<Bytes>,
    data: Bytes,
    next: Next,
    left: Option<u64>,
    done: bool,
    /// What the last `Pending` waited for.
    pub(crate) waiting: Waiting,
    /// Bytes of body handed to h2 so far.
    pub(crate) carried: u64,
}

/// What is known to follow the data in hand.
enum Next {
    Unknown,
    Data(Bytes),
    Trailers(HeaderMap),
    End,
}

impl Outflow {
    pub(crate) fn new(stream: SendStream<Bytes>, declared: Option<u64>) -> Self {
        Self {
            stream,
            data: Bytes::new(),
            next: Next::Unknown,
            left: declared,
            done: false,
            waiting: Waiting::Source,
            carried: 0,
        }
    }

    /// A stream whose head said already that nothing follows.
    pub(crate) fn sent(stream: SendStream<Bytes>) -> Self {
        Self { done: true, ..Self::new(stream, None) }
    }

    /// Moves as much as can be moved; ready when the whole body has been handed over.
    pub(crate) fn poll_send(&mut self, body: &mut Body, cx: &mut Context<'_>) -> Poll<Result<(), TransferError>> {
        loop {
            if self.done {
                return Poll::Ready(Ok(()));
            }
            // Looking one frame ahead lets the last data carry END_STREAM, and lets a body finish its own business.
            let mut starved = false;
            if matches!(self.next, Next::Unknown) {
                match body.poll_frame(cx) {
                    Poll::Ready(Some(Ok(Frame::Data(data)))) => {
                        if let Some(left) = &mut self.left {
                            *left = left.checked_sub(data.len() as u64).ok_or_else(wrong_length)?;
                        }
                        self.next = Next::Data(data);
                    }
                    Poll::Ready(Some(Ok(Frame::Trailers(trailers)))) => {
                        let mut map = HeaderMap::new();
                        for field in trailers.iter() {
                            append(&mut map, field.spelling, field.value);
                        }
                        self.next = Next::Trailers(map);
                    }
                    Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(TransferError::Source(error))),
                    Poll::Ready(None) if self.left.is_none_or(|left| left == 0) => self.next = Next::End,
                    Poll::Ready(None) => return Poll::Ready(Err(wrong_length())),
                    Poll::Pending => starved = true,
                }
            }
            if self.data.is_empty() {
                match std::mem::replace(&mut self.next, Next::Unknown) {
                    Next::Data(data) => self.data = data,
                    Next::Trailers(map) => {
                        self.done = true;
                        return Poll::Ready(self.stream.send_trailers(map).map_err(gone));
                    }
                    Next::End => {
                        self.done = true;
                        return Poll::Ready(self.stream.send_data(Bytes::new(), true).map_err(gone));
                    }
                    Next::Unknown if starved => {
                        self.waiting = Waiting::Source;
                        return match self.stream.poll_reset(cx) {
                            Poll::Ready(_) => {
                                Poll::Ready(Err(TransferError::Sink(io::ErrorKind::ConnectionReset.into())))
                            }
                            Poll::Pending => Poll::Pending,
                        };
                    }
                    Next::Unknown => {}
                }
                continue;
            }
            self.stream.reserve_capacity(self.data.len());
            let mut room = self.stream.capacity();
            if room == 0 {
                self.waiting = Waiting::Sink;
                room = match ready!(self.stream.poll_capacity(cx)) {
                    Some(Ok(room)) => room,
                    Some(Err(error)) => return Poll::Ready(Err(gone(error))),
                    None => return Poll::Ready(Err(TransferError::Sink(io::ErrorKind::BrokenPipe.into()))),
                };
            }
            let piece = self.data.split_to(room.min(self.data.len()));
            self.carried += piece.len() as u64;
            let last = self.data.is_empty() && matches!(self.next, Next::End);
            self.stream.send_data(piece, last).map_err(gone)?;
            self.done = last;
        }
    }
}

fn gone(error: h2::Error) -> TransferError {
    TransferError::Sink(io::Error::other(error))
}

fn wrong_length() -> TransferError {
    TransferError::Source(BodyError::Refused(Refused {
        reason: Reason::AmbiguousFraming,
        detail: "the body is not as long as declared",
    }))
}

/// Adds a field; one that http's types refuse cannot be said in HTTP/2 and is left out.
pub(crate) fn append(headers: &mut HeaderMap, name: &[u8], value: &[u8]) {
    if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
        headers.append(name, value);
    }
}
