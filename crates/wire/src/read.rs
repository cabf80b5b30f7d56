//! What a reader of hostile bytes says about the bytes it has been shown so far.
//!
//! It never borrows or keeps the bytes: a reader is called again with more of them until it no longer says
//! [`Read::Incomplete`], and it bounds by a named constant how many that can be.

/// The answer of a reader to a prefix of a stream.
///
/// More bytes change only `Incomplete`: what is `Done` or `Invalid` for a prefix stays so for all that begins with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Read<T> {
    /// Nothing is wrong yet, and nothing is complete: ask again with more bytes.
    Incomplete,
    /// The value.
    Done(T),
    /// No continuation can make it right; the rule that was broken, for the operator.
    Invalid(&'static str),
}

impl<T> Read<T> {
    /// The value, if it is there.
    #[must_use]
    pub fn done(self) -> Option<T> {
        match self {
            Self::Done(value) => Some(value),
            Self::Incomplete | Self::Invalid(_) => None,
        }
    }
}

/// Big-endian numbers and length-prefixed runs, taken from the front of a slice; `None` where it is too short.
pub(crate) struct Cursor<'a>(pub(crate) &'a [u8]);

impl<'a> Cursor<'a> {
    pub(crate) fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (front, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(front)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (front, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*front)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_be_bytes)
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    /// A run behind its length in one byte.
    pub(crate) fn run8(&mut self) -> Option<&'a [u8]> {
        let length = self.u8()?;
        self.take(usize::from(length))
    }

    /// A run behind its length in two bytes.
    pub(crate) fn run16(&mut self) -> Option<&'a [u8]> {
        let length = self.u16()?;
        self.take(usize::from(length))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
