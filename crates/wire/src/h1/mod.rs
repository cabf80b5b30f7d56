//! HTTP/1.1 (RFC 9112) as strictly as its text allows: no message that two parsers could read differently is accepted.
//!
//! Nothing here reads a socket. [`scan`] finds the end of a head in whatever has arrived, [`request`] and [`response`]
//! turn one complete head into values together with its [`Framing`], [`ChunkDecoder`] takes a chunked body apart, and
//! [`encode`] writes what the gate sends. After any refusal the connection must be closed, because where the next
//! message begins is no longer known.

mod chunk;
pub mod encode;
mod head;

pub use chunk::{ChunkBounds, ChunkDecoder, ChunkStep};
pub use head::{HeadBounds, Scan, request, response, scan, trailers};

use portcullis_types::Reason;

/// Why a message was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    /// The kind, which decides the status.
    pub reason: Reason,
    /// The rule that was broken, for the operator.
    pub detail: &'static str,
}

impl Refused {
    pub(crate) const fn new(reason: Reason, detail: &'static str) -> Self {
        Self { reason, detail }
    }
}

/// How long the body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// No body.
    None,
    /// So many bytes; more than zero.
    Length(u64),
    /// In chunks.
    Chunked,
    /// Until the connection closes; responses only.
    UntilClose,
}

impl Framing {
    /// The length where it is known before the body has been read.
    #[must_use]
    pub const fn length(self) -> Option<u64> {
        match self {
            Self::None => Some(0),
            Self::Length(length) => Some(length),
            Self::Chunked | Self::UntilClose => None,
        }
    }
}

/// What a head says about its message and connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message {
    /// How long the body is.
    pub framing: Framing,
    /// Whether the connection may carry another message after this one.
    pub keep_alive: bool,
    /// Whether `Expect: 100-continue` was sent.
    pub expects_continue: bool,
    /// Whether `Connection: upgrade` and `Upgrade` were sent.
    pub upgrade: bool,
}
