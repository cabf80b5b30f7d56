//! What a witness is asked and what it answers (C2SP tlog-witness): a log's new checkpoint, and the proof that it continues the
//! one that the witness signed last.
//!
//! It remembers nothing: what was signed last is handed in, and must be durable before what comes of it is signed.

use std::fmt::Write as _;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::checkpoint::{Checkpoint, decimal};
use crate::note::{NOTE_BYTES, Note, VerifierKey};
use crate::tree::{self, Hash, PROOF_HASHES};

/// A request at most, in bytes.
pub const REQUEST_BYTES: usize = NOTE_BYTES + 8 * 1024;

/// What a log asks of a witness.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The size that the witness signed last, as far as the log knows.
    pub old: u64,
    /// From that size to the checkpoint's.
    pub proof: Vec<Hash>,
    /// The signed checkpoint.
    pub note: String,
}

/// Why a witness does not sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The request is none.
    Malformed,
    /// It knows no such log.
    UnknownLog,
    /// The log did not sign it.
    Unsigned,
    /// It last signed this size, and not the one that the log said.
    Behind(u64),
    /// It signed the same size with another root: the log forks.
    Fork,
    /// The proof shows nothing: the log forks, or errs.
    Unproven,
}

impl Refusal {
    /// Its status in HTTP.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::Malformed => 400,
            Self::UnknownLog => 404,
            Self::Unsigned => 403,
            Self::Behind(_) | Self::Fork => 409,
            Self::Unproven => 422,
        }
    }

    /// In words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Malformed => "the request is malformed",
            Self::UnknownLog => "this log is not known here",
            Self::Unsigned => "the log did not sign this checkpoint",
            Self::Behind(_) => "another size was signed last",
            Self::Fork => "the same size was signed with another root: the log forks",
            Self::Unproven => "the proof does not show that it continues what was signed last",
        }
    }
}

impl Request {
    /// Its text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!("old {}\n", self.old);
        for hash in &self.proof {
            let _ = writeln!(text, "{}", STANDARD.encode(hash));
        }
        text.push('\n');
        text.push_str(&self.note);
        text
    }

    /// Reads one.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        if bytes.len() > REQUEST_BYTES {
            return None;
        }
        let text = std::str::from_utf8(bytes).ok()?;
        let (old, mut rest) = text.strip_prefix("old ")?.split_once('\n')?;
        let mut proof = Vec::new();
        let note = loop {
            let (line, below) = rest.split_once('\n')?;
            if line.is_empty() {
                break below;
            }
            if proof.len() == PROOF_HASHES {
                return None;
            }
            proof.push(STANDARD.decode(line).ok()?.try_into().ok()?);
            rest = below;
        };
        Some(Self { old: decimal(old)?, proof, note: note.to_owned() })
    }

    /// Whether a witness may sign it: what it is about. `last` is what it signed last of the log with this origin.
    ///
    /// # Errors
    /// With the reason why not.
    pub fn judge(
        &self,
        logs: &[VerifierKey],
        last: impl FnOnce(&str) -> Option<Checkpoint>,
    ) -> Result<Checkpoint, Refusal> {
        let note = Note::parse(self.note.as_bytes()).map_err(|_| Refusal::Malformed)?;
        let checkpoint = Checkpoint::parse(note.text).ok_or(Refusal::Malformed)?;
        let mut known = logs.iter().filter(|log| log.name() == checkpoint.origin).peekable();
        known.peek().ok_or(Refusal::UnknownLog)?;
        known.find_map(|log| note.signed_by(log)).ok_or(Refusal::Unsigned)?;
        if self.old > checkpoint.size {
            return Err(Refusal::Malformed);
        }
        let before = last(&checkpoint.origin).map_or((0, tree::empty_root()), |before| (before.size, before.root));
        if self.old != before.0 {
            return Err(Refusal::Behind(before.0));
        }
        if self.old == checkpoint.size && checkpoint.root != before.1 {
            return Err(Refusal::Fork);
        }
        if !tree::consistent(before.0, &before.1, checkpoint.size, &checkpoint.root, &self.proof) {
            return Err(Refusal::Unproven);
        }
        Ok(checkpoint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::note::{Algorithm, SignerKey};
    use crate::tree::{Tree, leaf_hash, node_hash};

    #[test]
    fn only_what_continues_is_signed() {
        let key = SignerKey::new("log.example", Algorithm::Ed25519, &[1; 32]).unwrap();
        let root = |leaves: &[&[u8]]| {
            let mut tree = Tree::default();
            leaves.iter().for_each(|leaf| tree.push(leaf_hash(leaf), |_, _| ()));
            tree.root()
        };
        let at = |size, root| Checkpoint { origin: "log.example".to_owned(), size, root };
        let two = at(2, root(&[b"a", b"b"]));
        let three = at(3, root(&[b"a", b"b", b"c"]));
        let forked = at(3, root(&[b"a", b"x", b"c"]));
        let proof = vec![leaf_hash(b"c")];
        let logs = [key.public().clone()];
        let ask = |old, proof: &[Hash], checkpoint: &Checkpoint| {
            let request = Request { old, proof: proof.to_vec(), note: checkpoint.sign(&key) };
            assert_eq!(Request::parse(request.text().as_bytes()).as_ref(), Some(&request));
            request
        };
        let last = |_: &str| Some(two.clone());
        assert_eq!(ask(2, &proof, &three).judge(&logs, last), Ok(three.clone()));
        assert_eq!(ask(2, &[], &two).judge(&logs, last), Ok(two.clone()), "the same again");
        assert_eq!(ask(0, &[], &three).judge(&logs, |_| None), Ok(three.clone()), "the first");
        assert_eq!(ask(0, &[], &three).judge(&logs, last), Err(Refusal::Behind(2)));
        assert_eq!(ask(2, &proof, &forked).judge(&logs, last), Err(Refusal::Unproven));
        let other = at(2, node_hash(&leaf_hash(b"x"), &leaf_hash(b"y")));
        assert_eq!(ask(2, &[], &other).judge(&logs, last), Err(Refusal::Fork));
        assert_eq!(ask(4, &[], &three).judge(&logs, last), Err(Refusal::Malformed));
        assert_eq!(ask(2, &proof, &three).judge(&[], last), Err(Refusal::UnknownLog));
        let stranger = SignerKey::new("log.example", Algorithm::Ed25519, &[2; 32]).unwrap();
        assert_eq!(ask(2, &proof, &three).judge(&[stranger.public().clone()], last), Err(Refusal::Unsigned));
        assert_eq!(Request::parse(b"old 01\n\nx\n"), None);
    }
}
