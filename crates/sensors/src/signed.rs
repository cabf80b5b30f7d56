//! A manifest with its signatures: a signed note (C2SP) whose text may be long.
//!
//! It never decides whose signature is enough.

use portcullis_ledger::note::{Note, Signature, VerifierKey};

/// Signatures that a manifest may bear.
pub const SIGNATURES: usize = 16;

/// A text with its signatures, none of them checked yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed<'a>(Note<'a>);

impl<'a> Signed<'a> {
    /// Parts the text from its signatures. A text without signatures is one that nobody signed.
    ///
    /// # Errors
    /// In words.
    pub fn parse(whole: &'a str) -> Result<Self, String> {
        let Some(at) = whole.rfind("\n\n") else {
            return Ok(Self(Note { text: whole, signatures: Vec::new() }));
        };
        let (text, lines) = (whole.get(..=at).unwrap_or_default(), whole.get(at..).unwrap_or_default());
        // The text is as long as there are files; the lines below it are a note's.
        let note = Note::parse(lines.as_bytes()).map_err(|error| error.to_string())?;
        if note.signatures.len() > SIGNATURES {
            return Err(format!("it bears more than {SIGNATURES} signatures"));
        }
        Ok(Self(Note { text, signatures: note.signatures }))
    }

    /// What is signed, its last line break included.
    #[must_use]
    pub const fn text(&self) -> &'a str {
        self.0.text
    }

    /// Whose of `keys` signed it, each person once, in the order of `keys`. Signatures of unknown keys say nothing, nor do wrong
    /// ones.
    #[must_use]
    pub fn signers<'k>(&self, keys: &'k [VerifierKey]) -> Vec<&'k str> {
        let mut signers = Vec::new();
        for key in keys.iter().filter(|key| self.0.signed_by(key).is_some()) {
            if !signers.contains(&key.name()) {
                signers.push(key.name());
            }
        }
        signers
    }

    /// The names on it, checked or not.
    pub fn names(&self) -> impl Iterator<Item = &'a str> {
        self.0.signatures.iter().map(|Signature { name, .. }| *name)
    }
}

#[cfg(test)]
mod tests {
    use portcullis_ledger::note::{Algorithm, SignerKey};

    use super::*;

    fn key(name: &str, seed: u8) -> SignerKey {
        SignerKey::new(name, Algorithm::Ed25519, &[seed; 32]).expect("a key")
    }

    #[test]
    fn the_example_of_the_specification_is_verified() {
        // As the documentation of golang.org/x/mod/sumdb/note has it.
        let keys =
            [VerifierKey::parse("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW").expect("a key")];
        let note = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n\
                    \u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
        assert_eq!(Signed::parse(note).expect("a note").signers(&keys), ["PeterNeumann"]);
        let changed = note.replace("answer", "Answer");
        assert!(Signed::parse(&changed).expect("a note").signers(&keys).is_empty());
    }

    #[test]
    fn a_person_counts_once_and_only_for_what_they_signed() {
        let (alice, bob, text) = (key("alice", 1), key("bob", 2), "what is signed\n");
        // Somebody with two keys is one person all the same.
        let keys = [alice.public().clone(), bob.public().clone(), key("alice", 9).public().clone()];
        let table = [
            (vec![alice.line(text, 0)], vec!["alice"]),
            (vec![alice.line(text, 0), alice.line(text, 0), key("alice", 9).line(text, 0)], vec!["alice"]),
            (vec![bob.line(text, 0), alice.line(text, 0)], vec!["alice", "bob"]),
            (vec![key("mallory", 3).line(text, 0)], vec![]),
            (vec![key("alice", 3).line(text, 0)], vec![]),
            (vec![alice.line("something else\n", 0), bob.line(text, 0)], vec!["bob"]),
            (vec![], vec![]),
        ];
        for (lines, expected) in table {
            let note = if lines.is_empty() { text.to_owned() } else { format!("{text}\n{}", lines.concat()) };
            assert_eq!(Signed::parse(&note).expect("a note").signers(&keys), expected, "{lines:?}");
        }
        assert!(Signed::parse("text\n\nno signature\n").is_err());
        let many = alice.line(text, 0).repeat(SIGNATURES + 1);
        assert!(Signed::parse(&format!("{text}\n{many}")).is_err());
    }
}
