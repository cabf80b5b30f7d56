//! How anything lies in a file that is appended to: its length and its CRC-32, each in 32 bits (little endian), and it.
//!
//! A file ends where a frame is not whole; what a crash left behind that is nobody's.

use crate::leaf::Salt;

/// What a frame holds at most, in bytes.
pub const FRAME_BYTES: usize = 64 * 1024 * 1024;
/// Length and checksum.
pub const FRAME_HEAD: usize = 8;

/// Puts a frame behind what is in `out`; its content is what `write` appends.
pub fn frame(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let begin = out.len();
    out.extend_from_slice(&[0; FRAME_HEAD]);
    write(out);
    let content = out.get(begin + FRAME_HEAD..).unwrap_or_default();
    let (length, sum) = (content.len() as u32, crc32fast::hash(content));
    if let Some(head) = out.get_mut(begin..begin + FRAME_HEAD) {
        head[..4].copy_from_slice(&length.to_le_bytes());
        head[4..].copy_from_slice(&sum.to_le_bytes());
    }
}

/// The frames of a file from its beginning; ends where one is not whole.
#[derive(Debug, Clone)]
pub struct Frames<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Frames<'a> {
    /// Of these bytes.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Where the frames that were whole end.
    #[must_use]
    pub const fn whole(&self) -> usize {
        self.at
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let content = Unchecked::at(self.bytes, self.at)?.checked()?;
        self.at += FRAME_HEAD + content.len();
        Some(content)
    }
}

/// A frame of which nobody has compared the checksum yet: for whoever steps over most of them.
#[derive(Debug, Clone, Copy)]
pub struct Unchecked<'a> {
    content: &'a [u8],
    sum: u32,
}

impl<'a> Unchecked<'a> {
    /// The one that begins at this place.
    #[must_use]
    pub fn at(bytes: &'a [u8], at: usize) -> Option<Self> {
        let (length, rest) = bytes.get(at..)?.split_first_chunk::<4>()?;
        let (sum, rest) = rest.split_first_chunk::<4>()?;
        let length = u32::from_le_bytes(*length) as usize;
        // Nothing is never framed: zeros, which a disk without power may leave, would be a frame of nothing.
        let content = rest.get(..length).filter(|_| (1..=FRAME_BYTES).contains(&length))?;
        Some(Self { content, sum: u32::from_le_bytes(*sum) })
    }

    /// Where the next one begins, from the beginning of this one.
    #[must_use]
    pub const fn length(&self) -> usize {
        FRAME_HEAD + self.content.len()
    }

    /// The index that it begins with, if it is of an event ([`Kept`]).
    #[must_use]
    pub fn index(&self) -> Option<u64> {
        self.content.first_chunk().map(|index| u64::from_le_bytes(*index))
    }

    /// What it holds, where that is what was written.
    #[must_use]
    pub fn checked(&self) -> Option<&'a [u8]> {
        (crc32fast::hash(self.content) == self.sum).then_some(self.content)
    }
}

/// An event as it lies in a frame: the leaf's index (little endian), the salt, the event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept<'a> {
    /// The leaf's place.
    pub index: u64,
    /// Drawn for it.
    pub salt: Salt,
    /// JSON.
    pub event: &'a [u8],
}

impl<'a> Kept<'a> {
    /// Appends the content of its frame.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.index.to_le_bytes());
        out.extend_from_slice(&self.salt);
        out.extend_from_slice(self.event);
    }

    /// Reads the content of a frame.
    #[must_use]
    pub fn parse(content: &'a [u8]) -> Option<Self> {
        let (index, rest) = content.split_first_chunk::<8>()?;
        let (salt, event) = rest.split_first_chunk::<16>()?;
        Some(Self { index: u64::from_le_bytes(*index), salt: *salt, event })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_end_where_one_is_not_whole() {
        let mut bytes = Vec::new();
        for text in ["one", "2", "three"] {
            frame(&mut bytes, |out| out.extend_from_slice(text.as_bytes()));
        }
        let all: Vec<&[u8]> = Frames::new(&bytes).collect();
        assert_eq!(all, [b"one".as_slice(), b"2", b"three"]);
        for length in 0..bytes.len() {
            let mut frames = Frames::new(&bytes[..length]);
            let whole = frames.by_ref().count();
            assert_eq!(whole, [11, 20, 33].iter().filter(|end| **end <= length).count(), "{length}");
        }
        let mut spoilt = bytes.clone();
        spoilt[9] ^= 1;
        assert_eq!(Frames::new(&spoilt).count(), 0);
        assert_eq!(Frames::new(&[0; 64]).count(), 0, "what a disk leaves that lost its power");
        let mut frames = Frames::new(&[0xff; 64]);
        assert_eq!((frames.next(), frames.whole()), (None, 0));
    }

    #[test]
    fn what_is_kept_reads_back() {
        let kept = Kept { index: 9, salt: [3; 16], event: b"{}" };
        let mut bytes = Vec::new();
        kept.write(&mut bytes);
        assert_eq!(Kept::parse(&bytes), Some(kept));
        assert_eq!(Kept::parse(&bytes[..23]), None);
    }
}
