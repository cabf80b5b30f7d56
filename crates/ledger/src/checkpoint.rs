//! A checkpoint: a log's size and root, as a note that it signed and witnesses cosigned (C2SP tlog-checkpoint).
//!
//! And what of it is enough: the log's own signature, and as many witnesses as were asked for.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::note::{Malformed, Note, SignerKey, VerifierKey, is_name};
use crate::tree::Hash;

/// What the text of a checkpoint says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log.
    pub origin: String,
    /// How many leaves it had.
    pub size: u64,
    /// What stood for all of them.
    pub root: Hash,
}

impl Checkpoint {
    /// Reads the text of one. Lines behind the third are somebody's extension and are passed over.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut lines = text.strip_suffix('\n')?.split('\n');
        let (origin, size, root) = (lines.next()?, lines.next()?, lines.next()?);
        if origin.is_empty() || lines.any(str::is_empty) {
            return None;
        }
        let root = STANDARD.decode(root).ok()?.try_into().ok()?;
        Some(Self { origin: origin.to_owned(), size: decimal(size)?, root })
    }

    /// Its text.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, STANDARD.encode(self.root))
    }

    /// The note with the log's own signature.
    #[must_use]
    pub fn sign(&self, key: &SignerKey) -> String {
        let text = self.text();
        format!("{text}\n{}", key.line(&text, 0))
    }
}

/// A number without sign and without a leading zero.
pub(crate) fn decimal(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| plain)
}

/// Whom to believe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trust {
    /// The log's key. None where only witnesses are believed.
    pub log: Option<VerifierKey>,
    /// Witnesses.
    pub witnesses: Vec<VerifierKey>,
    /// How many of them at least.
    pub quorum: usize,
}

/// Why a checkpoint is not to be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Untrusted {
    /// It is none.
    Malformed(Malformed),
    /// Its text is no checkpoint's.
    NoCheckpoint,
    /// It is another log's.
    OtherLog,
    /// The log did not sign it.
    Unsigned,
    /// Too few witnesses signed it.
    Witnesses {
        /// How many did.
        signed: usize,
        /// How many should have.
        wanted: usize,
    },
    /// Nobody was named whom to believe.
    Nobody,
}

impl fmt::Display for Untrusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(why) => why.fmt(f),
            Self::NoCheckpoint => f.write_str("its text is no checkpoint's"),
            Self::OtherLog => f.write_str("it is another log's"),
            Self::Unsigned => f.write_str("the log did not sign it"),
            Self::Witnesses { signed, wanted } => write!(f, "{signed} witnesses signed it, and {wanted} are wanted"),
            Self::Nobody => f.write_str("no key was given to believe it by"),
        }
    }
}

impl Trust {
    /// Reads a signed checkpoint and says how many of the witnesses signed it.
    ///
    /// # Errors
    /// When it is none, or not enough of those who are believed signed it.
    pub fn check(&self, note: &[u8]) -> Result<(Checkpoint, usize), Untrusted> {
        let note = Note::parse(note).map_err(Untrusted::Malformed)?;
        let checkpoint = Checkpoint::parse(note.text).ok_or(Untrusted::NoCheckpoint)?;
        if self.log.is_none() && self.quorum == 0 {
            return Err(Untrusted::Nobody);
        }
        if let Some(log) = &self.log {
            if log.name() != checkpoint.origin {
                return Err(Untrusted::OtherLog);
            }
            note.signed_by(log).ok_or(Untrusted::Unsigned)?;
        }
        // Two lines by one key are one witness.
        let signed = self.witnesses.iter().filter(|key| note.signed_by(key).is_some()).count();
        if signed < self.quorum {
            return Err(Untrusted::Witnesses { signed, wanted: self.quorum });
        }
        Ok((checkpoint, signed))
    }
}

/// Whether a log may be called so: it must do as a key's name too.
#[must_use]
pub fn is_origin(name: &str) -> bool {
    is_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::note::Algorithm;

    fn checkpoint() -> Checkpoint {
        Checkpoint { origin: "example.org/log".to_owned(), size: 300, root: [5; 32] }
    }

    #[test]
    fn a_checkpoint_reads_back_and_nothing_else_does() {
        let text = checkpoint().text();
        assert_eq!(Checkpoint::parse(&text), Some(checkpoint()));
        assert_eq!(Checkpoint::parse(&format!("{text}an extension\n")), Some(checkpoint()));
        let wrong = [
            text.replace("300", "0300"),
            text.replace("300", "+300"),
            text.replace("300", "18446744073709551616"),
            text.replace("BQU", "*"),
            text.replace("example.org/log", ""),
            format!("{text}\n"),
            text.trim_end().to_owned(),
        ];
        for text in wrong {
            assert_eq!(Checkpoint::parse(&text), None, "{text:?}");
        }
    }

    #[test]
    fn as_many_witnesses_as_were_asked_for() {
        let log = SignerKey::new("example.org/log", Algorithm::Ed25519, &[1; 32]).unwrap();
        let witness = |seed| SignerKey::new("w.example", Algorithm::Cosignature, &[seed; 32]).unwrap();
        let (one, two) = (witness(2), witness(3));
        let signed = checkpoint().sign(&log);
        let trust = |quorum| Trust {
            log: Some(log.public().clone()),
            witnesses: vec![one.public().clone(), two.public().clone()],
            quorum,
        };
        assert_eq!(trust(0).check(signed.as_bytes()), Ok((checkpoint(), 0)));
        let cosigned = format!("{signed}{}", one.line(&checkpoint().text(), 9));
        assert_eq!(trust(1).check(cosigned.as_bytes()), Ok((checkpoint(), 1)));
        let twice = format!("{cosigned}{}", one.line(&checkpoint().text(), 10));
        assert_eq!(trust(2).check(twice.as_bytes()), Err(Untrusted::Witnesses { signed: 1, wanted: 2 }));
        let stranger = Trust { log: Some(witness(1).public().clone()), ..trust(0) };
        assert_eq!(stranger.check(signed.as_bytes()), Err(Untrusted::OtherLog));
        let alone = Trust { log: None, ..trust(1) };
        assert_eq!(alone.check(cosigned.as_bytes()), Ok((checkpoint(), 1)));
        assert_eq!(Trust { log: None, ..trust(0) }.check(cosigned.as_bytes()), Err(Untrusted::Nobody));
    }
}
