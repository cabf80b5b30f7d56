//! What somebody made of all records so far, kept in the file of the roll-ups: who comes next goes on from there.
//!
//! The records are the truth. What was folded is believed where the ledger that lies beside it had this root when it was of
//! this size: not beside another ledger, and not where the ledger has lost what was folded.

use std::io;
use std::path::Path;

use portcullis_ledger::tree::Hash;
use sha2::{Digest as _, Sha256};

use crate::disk::Directory;
use crate::reader::Snapshot;
use crate::rollups::{NAME, Reading, unread};

/// Bytes of one at most.
pub(crate) const FOLD_BYTES: u64 = 64 << 20;

/// A fold over the first records of a ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fold {
    /// How many records are in it.
    pub size: u64,
    /// The root that the tree had with so many.
    pub root: Hash,
    /// What came of them.
    pub state: Vec<u8>,
}

impl Fold {
    /// Over so many records of a directory.
    ///
    /// # Errors
    /// When its checkpoint does not reach so far or cannot be read, or the state is larger than any that is read again.
    pub fn of(directory: &Path, size: u64, state: Vec<u8>) -> io::Result<Self> {
        if state.len() as u64 > FOLD_BYTES {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "what was folded is too large to be kept"));
        }
        let root = Snapshot::open(Directory::at(directory))?.root(size)?;
        Ok(Self { size, root, state })
    }

    /// A sum over all of it: the file's own does not tell a flipped bit.
    pub(crate) fn digest(&self) -> Hash {
        let hash = Sha256::new().chain_update(self.size.to_be_bytes()).chain_update(self.root);
        hash.chain_update(&self.state).finalize().into()
    }
}

/// What was folded under that name from the records of this directory; none where nothing was.
///
/// # Errors
/// When it cannot be read, or belongs to another ledger, or to one that had more records than this one.
pub fn recall(directory: &Path, name: &str) -> io::Result<Option<Fold>> {
    if !directory.join(NAME).exists() {
        return Ok(None);
    }
    let Some(fold) = Reading::open(directory).and_then(|file| file.fold(name)).map_err(unread)? else {
        return Ok(None);
    };
    let snapshot = Snapshot::open(Directory::at(directory))?;
    if fold.size > snapshot.checkpoint.size {
        let (ahead, size) = (fold.size, snapshot.checkpoint.size);
        return Err(io::Error::other(format!("it is of {ahead} records, and the ledger has {size}")));
    }
    if snapshot.root(fold.size)? != fold.root {
        return Err(io::Error::other("it is of another ledger"));
    }
    Ok(Some(fold))
}
