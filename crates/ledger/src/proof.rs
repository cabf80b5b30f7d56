//! The proof of one record, as a text that stands alone (C2SP tlog-proof): where it is, the way to the root, the checkpoint,
//! and as its extra data the entry, the salt and the event.
//!
//! Whoever has it and a key to believe needs nothing else.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::checkpoint::{Checkpoint, Trust, Untrusted, decimal};
use crate::leaf::{self, ENTRY_BYTES, Leaf, Salt};
use crate::note::NOTE_BYTES;
use crate::tree::{self, Hash, PROOF_HASHES};

/// A proof at most, in bytes.
pub const PROOF_BYTES: usize = 4 * 1024 * 1024;
const HEADER: &str = "c2sp.org/tlog-proof@v1\n";

/// A proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// The leaf's place.
    pub index: u64,
    /// From it to the root.
    pub hashes: Vec<Hash>,
    /// The leaf's entry.
    pub entry: Vec<u8>,
    /// What was salted and digested; none where it was erased.
    pub event: Option<(Salt, Vec<u8>)>,
    /// The signed checkpoint.
    pub checkpoint: String,
}

/// What a proof shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// The tree that it is about.
    pub checkpoint: Checkpoint,
    /// How many witnesses signed it.
    pub witnesses: usize,
    /// The leaf.
    pub leaf: Leaf,
}

/// Why a proof shows nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unproven {
    /// It is no proof.
    Malformed,
    /// Its checkpoint is not to be believed.
    Checkpoint(Untrusted),
    /// Its entry is no leaf.
    Entry,
    /// The leaf is not in the tree.
    NotIncluded,
    /// The event is not the leaf's.
    Event,
}

impl fmt::Display for Unproven {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => f.write_str("it is no proof"),
            Self::Checkpoint(why) => write!(f, "its checkpoint: {why}"),
            Self::Entry => f.write_str("its entry is no leaf"),
            Self::NotIncluded => f.write_str("the leaf is not in the tree of its checkpoint"),
            Self::Event => f.write_str("the event is not the one that the leaf commits to"),
        }
    }
}

impl Proof {
    /// Its text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut extra = Vec::new();
        leaf::bundle(&mut extra, &self.entry);
        if let Some((salt, event)) = &self.event {
            extra.extend_from_slice(salt);
            extra.extend_from_slice(event);
        }
        let mut text = format!("{HEADER}extra {}\nindex {}\n", STANDARD.encode(extra), self.index);
        for hash in &self.hashes {
            text.push_str(&STANDARD.encode(hash));
            text.push('\n');
        }
        text.push('\n');
        text.push_str(&self.checkpoint);
        text
    }

    /// Reads the text of one. None where it is none of ours: C2SP's form, with an entry as its extra data.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > PROOF_BYTES {
            return None;
        }
        let (extra, rest) = text.strip_prefix(HEADER)?.strip_prefix("extra ")?.split_once('\n')?;
        let (index, mut rest) = rest.strip_prefix("index ")?.split_once('\n')?;
        let mut hashes = Vec::new();
        let checkpoint = loop {
            let (line, below) = rest.split_once('\n')?;
            if line.is_empty() {
                break below;
            }
            if hashes.len() == PROOF_HASHES {
                return None;
            }
            hashes.push(STANDARD.decode(line).ok()?.try_into().ok()?);
            rest = below;
        };
        if checkpoint.len() > NOTE_BYTES {
            return None;
        }
        let extra = STANDARD.decode(extra).ok()?;
        let (length, extra) = extra.split_first_chunk::<2>()?;
        let length = usize::from(u16::from_be_bytes(*length));
        let (entry, event) = extra.split_at_checked(length).filter(|_| length <= ENTRY_BYTES)?;
        let event = match event.split_first_chunk::<16>() {
            Some((salt, event)) => Some((*salt, event.to_vec())),
            None if event.is_empty() => None,
            None => return None,
        };
        let (entry, checkpoint) = (entry.to_vec(), checkpoint.to_owned());
        Some(Self { index: decimal(index)?, hashes, entry, event, checkpoint })
    }

    /// What it shows to somebody who believes these keys.
    ///
    /// # Errors
    /// When it shows nothing.
    pub fn check(&self, trust: &Trust) -> Result<Shown, Unproven> {
        let (checkpoint, witnesses) = trust.check(self.checkpoint.as_bytes()).map_err(Unproven::Checkpoint)?;
        let leaf = Leaf::parse(&self.entry).ok_or(Unproven::Entry)?;
        let hash = tree::leaf_hash(&self.entry);
        if !tree::included(&hash, self.index, checkpoint.size, &self.hashes, &checkpoint.root) {
            return Err(Unproven::NotIncluded);
        }
        if self.event.as_ref().is_some_and(|(salt, event)| leaf::commit(salt, event) != leaf.digest) {
            return Err(Unproven::Event);
        }
        Ok(Shown { checkpoint, witnesses, leaf })
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;
    use crate::Retention;
    use crate::note::{Algorithm, SignerKey};
    use crate::tree::{Tile, Tree};

    #[test]
    fn a_proof_stands_alone() {
        let key = SignerKey::new("example.org/log", Algorithm::Ed25519, &[1; 32]).unwrap();
        let (mut tree, mut entries, mut hashes) = (Tree::default(), Vec::new(), Vec::new());
        for seq in 0..5_u64 {
            let digest = leaf::commit(&[seq as u8; 16], b"{}");
            let leaf = Leaf { sensor: "gate".into(), seq, unix_millis: 9, class: Retention::Acts, digest };
            let mut entry = Vec::new();
            leaf.write(&mut entry);
            hashes.push(tree::leaf_hash(&entry));
            tree.push(tree::leaf_hash(&entry), |_, _| ());
            entries.push(entry);
        }
        let signed = Checkpoint { origin: "example.org/log".to_owned(), size: 5, root: tree.root() }.sign(&key);
        let mut read = |_: Tile| Ok::<_, Infallible>(hashes.clone());
        let proof = Proof {
            index: 3,
            hashes: tree::inclusion(3, 5, &mut read).unwrap(),
            entry: entries[3].clone(),
            event: Some(([3; 16], b"{}".to_vec())),
            checkpoint: signed,
        };
        let trust = Trust { log: Some(key.public().clone()), witnesses: Vec::new(), quorum: 0 };
        let read = Proof::parse(&proof.text()).unwrap();
        assert_eq!(read, proof);
        assert_eq!(read.check(&trust).map(|shown| shown.leaf.seq), Ok(3));
        let erased = Proof { event: None, ..proof.clone() };
        assert_eq!(Proof::parse(&erased.text()).unwrap().check(&trust).map(|shown| shown.leaf.seq), Ok(3));
        let other = |change: fn(&mut Proof)| {
            let mut proof = proof.clone();
            change(&mut proof);
            proof.check(&trust)
        };
        assert_eq!(other(|proof| proof.index = 2), Err(Unproven::NotIncluded));
        assert_eq!(other(|proof| proof.event = Some(([3; 16], b"{ }".to_vec()))), Err(Unproven::Event));
        assert_eq!(other(|proof| proof.entry[1] = 0), Err(Unproven::NotIncluded));
        assert_eq!(other(|proof| proof.entry.clear()), Err(Unproven::Entry));
        let forged = other(|proof| proof.checkpoint = proof.checkpoint.replace("\n5\n", "\n6\n"));
        assert_eq!(forged, Err(Unproven::Checkpoint(Untrusted::Unsigned)));
        assert_eq!(Proof::parse("c2sp.org/tlog-proof@v1\nindex 0\n\n"), None, "nothing that it would be about");
    }
}
