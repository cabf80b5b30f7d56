//! Segments that grow no more: their frames in compressed blocks, each a frame of its own.

use std::io::{self, Cursor};

use portcullis_ledger::frame::{Frames, frame};

use crate::disk::Disk;
use crate::reader::broken;

/// Bytes of a block before it is compressed.
const BLOCK_BYTES: usize = 1024 * 1024;
/// A block at most, however it was made.
const UNSEALED_BYTES: usize = 64 * 1024 * 1024;
const LEVEL: i32 = 3;

/// Compresses a segment and puts it in the place of the open one.
///
/// # Errors
/// When the disk fails; the open one is there as before.
pub fn seal(disk: &impl Disk, open: &str) -> io::Result<()> {
    let Some(stem) = open.strip_suffix(".open") else { return Ok(()) };
    let bytes = match disk.read(open) {
        // It was erased meanwhile.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        read => read?,
    };
    let mut frames = Frames::new(&bytes);
    let (mut sealed, mut begin) = (Vec::new(), 0);
    loop {
        let more = frames.next().is_some();
        let end = frames.whole();
        if end - begin >= BLOCK_BYTES || (!more && end > begin) {
            let block = bytes.get(begin..end).unwrap_or_default();
            let packed = compress(block)?;
            frame(&mut sealed, |out| {
                out.extend_from_slice(&(block.len() as u32).to_le_bytes());
                out.extend_from_slice(&packed);
            });
            begin = end;
        }
        if !more {
            break;
        }
    }
    let (new, done) = (format!("{stem}.new"), format!("{stem}.seg"));
    disk.write(&new, &sealed)?;
    disk.sync(std::slice::from_ref(&new))?;
    disk.rename(&new, &done)?;
    disk.sync(&[done])?;
    disk.remove(open)
}

/// The frames of a sealed segment.
///
/// # Errors
/// When it is not whole.
pub fn unseal(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let length = |block: &[u8]| block.first_chunk().map_or(0, |length| u32::from_le_bytes(*length) as usize);
    let mut frames = Frames::new(bytes);
    // What it says that it comes to is room that is made at once, where it is no more than a segment ever was.
    let said = frames.clone().map(length).fold(0, usize::saturating_add);
    let mut out = Vec::with_capacity(said.min(UNSEALED_BYTES));
    for block in frames.by_ref() {
        let packed = block.get(4..).ok_or_else(|| broken("a block without its length"))?;
        decompress(packed, length(block), &mut out)?;
    }
    if frames.whole() == bytes.len() { Ok(out) } else { Err(broken("a sealed segment is not whole")) }
}

pub(crate) fn compress(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut packed = Vec::with_capacity(zstd_safe::compress_bound(bytes.len()));
    zstd_safe::compress(&mut packed, bytes, LEVEL).map_err(|code| broken(zstd_safe::get_error_name(code)))?;
    Ok(packed)
}

/// Puts what was compressed behind what is in `out`.
fn decompress(packed: &[u8], length: usize, out: &mut Vec<u8>) -> io::Result<()> {
    if length > UNSEALED_BYTES {
        return Err(broken("a block is longer than any that was ever made"));
    }
    let begin = out.len();
    out.reserve(length);
    let mut behind = Cursor::new(&mut *out);
    behind.set_position(begin as u64);
    zstd_safe::decompress(&mut behind, packed).map_err(|code| broken(zstd_safe::get_error_name(code)))?;
    if out.len() - begin == length { Ok(()) } else { Err(broken("a block is not as long as it says")) }
}
