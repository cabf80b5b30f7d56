//! Signed notes and cosignatures (C2SP signed-note, tlog-cosignature): a text, an empty line, and lines with signatures.
//!
//! Keys are handed in. A signature by a key that nobody handed in says nothing and is passed over.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature as Ed25519Signature, Signer, SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};

/// A note at most, in bytes.
pub const NOTE_BYTES: usize = 64 * 1024;
/// Signatures in a note at most.
pub const SIGNATURES: usize = 64;
/// A key's name at most, in bytes.
pub const NAME_BYTES: usize = 255;

/// How a key signs. The numbers are C2SP's; ML-DSA-44 (6) has its place here once its library is ripe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Algorithm {
    /// A log: Ed25519 over the text.
    Ed25519 = 1,
    /// A witness: Ed25519 over a time and the text (`cosignature/v1`).
    Cosignature = 4,
}

impl Algorithm {
    const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Ed25519),
            4 => Some(Self::Cosignature),
            _ => None,
        }
    }
}

/// A note as it was read, with signatures that nobody has looked at yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note<'a> {
    /// What is signed, with its last newline.
    pub text: &'a str,
    /// In the order of their lines.
    pub signatures: Vec<Signature<'a>>,
}

/// A line with a signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature<'a> {
    /// Whose it claims to be.
    pub name: &'a str,
    /// By which of their keys.
    pub id: u32,
    /// What that key made.
    pub bytes: Vec<u8>,
}

/// What is wrong with a note or a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Malformed {
    /// It is longer than a note may be.
    TooLong,
    /// No text, no empty line, or no signature.
    NoNote,
    /// A line where a signature should be is none.
    NoSignature,
    /// A key is not `NAME+ID+KEY`.
    NoKey,
    /// A key's id is not what name and key make.
    WrongId,
    /// Nobody here knows how the key signs.
    Unknown,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLong => "it is longer than a note may be",
            Self::NoNote => "it is no signed note",
            Self::NoSignature => "a line where a signature should be is none",
            Self::NoKey => "it is no key of the form NAME+ID+KEY",
            Self::WrongId => "the key's id is not what its name and bytes make",
            Self::Unknown => "nobody here knows how this key signs",
        })
    }
}

impl<'a> Note<'a> {
    /// Reads a note.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        if bytes.len() > NOTE_BYTES {
            return Err(Malformed::TooLong);
        }
        let whole = std::str::from_utf8(bytes).map_err(|_| Malformed::NoNote)?;
        if whole.bytes().any(|byte| byte < b' ' && byte != b'\n') {
            return Err(Malformed::NoNote);
        }
        let split = whole.rfind("\n\n").ok_or(Malformed::NoNote)?;
        let (text, rest) = whole.split_at(split + 1);
        let lines = rest.strip_prefix('\n').and_then(|lines| lines.strip_suffix('\n')).ok_or(Malformed::NoNote)?;
        let signatures = lines.split('\n').map(signature).collect::<Option<Vec<_>>>().ok_or(Malformed::NoSignature)?;
        if signatures.len() > SIGNATURES {
            return Err(Malformed::TooLong);
        }
        Ok(Self { text, signatures })
    }

    /// Whether this key signed it: the time of it where the key is a witness's, else 0. None where it did not.
    #[must_use]
    pub fn signed_by(&self, key: &VerifierKey) -> Option<u64> {
        self.signatures
            .iter()
            .filter(|signature| signature.name == key.name && signature.id == key.id)
            .find_map(|signature| key.check(self.text, &signature.bytes))
    }
}

fn signature(line: &str) -> Option<Signature<'_>> {
    let (name, encoded) = line.strip_prefix("— ")?.split_once(' ')?;
    if !is_name(name) {
        return None;
    }
    let bytes = STANDARD.decode(encoded).ok()?;
    let (id, bytes) = bytes.split_first_chunk::<4>()?;
    if bytes.is_empty() {
        return None;
    }
    Some(Signature { name, id: u32::from_be_bytes(*id), bytes: bytes.to_vec() })
}

/// Whether a key, and with it a log or a witness, may be called so.
#[must_use]
pub fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= NAME_BYTES
        && !name.chars().any(|char| char.is_whitespace() || char.is_control() || char == '+')
}

/// Whoever signs, as others know them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    id: u32,
    algorithm: Algorithm,
    key: VerifyingKey,
}

impl VerifierKey {
    /// Reads `NAME+ID+KEY`: the id as eight hexadecimal digits, the key in base64 behind the number of its algorithm.
    ///
    /// # Errors
    /// When it is none, its id is wrong, or its algorithm unknown.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let mut parts = text.trim().splitn(3, '+');
        let (Some(name), Some(id), Some(encoded)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(Malformed::NoKey);
        };
        let id = Some(id).filter(|id| id.len() == 8).and_then(|id| u32::from_str_radix(id, 16).ok());
        let (Some(id), true) = (id, is_name(name)) else { return Err(Malformed::NoKey) };
        let bytes = STANDARD.decode(encoded).map_err(|_| Malformed::NoKey)?;
        let (&code, key) = bytes.split_first().ok_or(Malformed::NoKey)?;
        if id != key_id(name, &bytes) {
            return Err(Malformed::WrongId);
        }
        let algorithm = Algorithm::from_code(code).ok_or(Malformed::Unknown)?;
        let key = <&[u8; 32]>::try_from(key).map_err(|_| Malformed::NoKey)?;
        let key = VerifyingKey::from_bytes(key).map_err(|_| Malformed::NoKey)?;
        Ok(Self { name: name.to_owned(), id, algorithm, key })
    }

    /// What it is called; of a log, its origin.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How it signs.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    fn check(&self, text: &str, bytes: &[u8]) -> Option<u64> {
        match self.algorithm {
            Algorithm::Ed25519 => self.verifies(text.as_bytes(), bytes).then_some(0),
            Algorithm::Cosignature => {
                let (time, signature) = bytes.split_first_chunk::<8>()?;
                let time = u64::from_be_bytes(*time);
                self.verifies(cosigned(time, text).as_bytes(), signature).then_some(time)
            }
        }
    }

    fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        Ed25519Signature::from_slice(signature)
            .is_ok_and(|signature| self.key.verify_strict(message, &signature).is_ok())
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{:08x}+{}", self.name, self.id, STANDARD.encode(tagged(self.algorithm, self.key.as_bytes())))
    }
}

/// Whoever signs.
#[derive(Clone)]
pub struct SignerKey {
    public: VerifierKey,
    key: SigningKey,
}

impl SignerKey {
    /// A key from 32 random bytes.
    ///
    /// # Errors
    /// When nobody may be called so.
    pub fn new(name: &str, algorithm: Algorithm, seed: &[u8; 32]) -> Result<Self, Malformed> {
        if !is_name(name) {
            return Err(Malformed::NoKey);
        }
        let key = SigningKey::from_bytes(seed);
        let public = key.verifying_key();
        let id = key_id(name, &tagged(algorithm, public.as_bytes()));
        Ok(Self { public: VerifierKey { name: name.to_owned(), id, algorithm, key: public }, key })
    }

    /// Reads `PRIVATE+KEY+NAME+ID+SEED`.
    ///
    /// # Errors
    /// As of [`VerifierKey::parse`].
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let rest = text.trim().strip_prefix("PRIVATE+KEY+").ok_or(Malformed::NoKey)?;
        let mut parts = rest.splitn(3, '+');
        let (Some(name), Some(id), Some(encoded)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(Malformed::NoKey);
        };
        let bytes = STANDARD.decode(encoded).map_err(|_| Malformed::NoKey)?;
        let (&code, seed) = bytes.split_first().ok_or(Malformed::NoKey)?;
        let algorithm = Algorithm::from_code(code).ok_or(Malformed::Unknown)?;
        let key = Self::new(name, algorithm, seed.try_into().map_err(|_| Malformed::NoKey)?)?;
        if u32::from_str_radix(id, 16) != Ok(key.public.id) {
            return Err(Malformed::WrongId);
        }
        Ok(key)
    }

    /// As it is kept: whoever has this text can sign.
    #[must_use]
    pub fn secret(&self) -> String {
        let public = &self.public;
        let seed = STANDARD.encode(tagged(public.algorithm, &self.key.to_bytes()));
        format!("PRIVATE+KEY+{}+{:08x}+{seed}", public.name, public.id)
    }

    /// As others know it.
    #[must_use]
    pub const fn public(&self) -> &VerifierKey {
        &self.public
    }

    /// The line with its signature under a text; a witness signs the time (seconds since 1970) too.
    #[must_use]
    pub fn line(&self, text: &str, unix_seconds: u64) -> String {
        let mut bytes = self.public.id.to_be_bytes().to_vec();
        match self.public.algorithm {
            Algorithm::Ed25519 => bytes.extend_from_slice(&self.key.sign(text.as_bytes()).to_bytes()),
            Algorithm::Cosignature => {
                bytes.extend_from_slice(&unix_seconds.to_be_bytes());
                bytes.extend_from_slice(&self.key.sign(cosigned(unix_seconds, text).as_bytes()).to_bytes());
            }
        }
        format!("— {} {}\n", self.public.name, STANDARD.encode(bytes))
    }
}

impl fmt::Debug for SignerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignerKey").field("public", &self.public.to_string()).finish_non_exhaustive()
    }
}

fn cosigned(unix_seconds: u64, text: &str) -> String {
    format!("cosignature/v1\ntime {unix_seconds}\n{text}")
}

fn tagged(algorithm: Algorithm, key: &[u8]) -> Vec<u8> {
    [&[algorithm as u8], key].concat()
}

fn key_id(name: &str, tagged: &[u8]) -> u32 {
    let digest: [u8; 32] = Sha256::new().chain_update(name).chain_update(b"\n").chain_update(tagged).finalize().into();
    let [one, two, three, four, ..] = digest;
    u32::from_be_bytes([one, two, three, four])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_of_others_verifies() {
        // The example of C2SP signed-note and of golang.org/x/mod/sumdb/note.
        let key = VerifierKey::parse("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW").unwrap();
        let note = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n\
                    — PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
        let parsed = Note::parse(note.as_bytes()).unwrap();
        assert_eq!(parsed.signed_by(&key), Some(0));
        let other = note.replace("answer", "anwser");
        assert_eq!(Note::parse(other.as_bytes()).unwrap().signed_by(&key), None);
        assert_eq!(key.to_string(), "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW");
    }

    #[test]
    fn keys_read_back_and_sign() {
        for algorithm in [Algorithm::Ed25519, Algorithm::Cosignature] {
            let key = SignerKey::new("example.org/log", algorithm, &[7; 32]).unwrap();
            let again = SignerKey::parse(&key.secret()).unwrap();
            let public = VerifierKey::parse(&again.public().to_string()).unwrap();
            let note = format!("text\n\n{}", again.line("text\n", 1_763_850_000));
            let expected = if algorithm == Algorithm::Cosignature { 1_763_850_000 } else { 0 };
            assert_eq!(Note::parse(note.as_bytes()).unwrap().signed_by(&public), Some(expected));
            let stranger = SignerKey::new("example.org/log", algorithm, &[8; 32]).unwrap();
            assert_eq!(Note::parse(note.as_bytes()).unwrap().signed_by(stranger.public()), None);
            assert!(!format!("{key:?}").contains("PRIVATE"), "a key does not print itself");
        }
    }

    #[test]
    fn what_is_no_note_is_refused() {
        let table: [(&[u8], Malformed); 7] = [
            (b"", Malformed::NoNote),
            (b"text\n", Malformed::NoNote),
            (b"text\n\n", Malformed::NoNote),
            (b"text\n\nname AAAAAAA=\n", Malformed::NoSignature),
            ("text\n\n— name AAAA\n".as_bytes(), Malformed::NoSignature),
            ("te\rxt\n\n— name AAAAAAA=\n".as_bytes(), Malformed::NoNote),
            (&[b'a'; NOTE_BYTES + 1], Malformed::TooLong),
        ];
        for (bytes, expected) in table {
            assert_eq!(
                Note::parse(bytes),
                Err(expected),
                "{:?}",
                String::from_utf8_lossy(&bytes[..bytes.len().min(40)])
            );
        }
        assert_eq!(
            VerifierKey::parse("a+00000000+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"),
            Err(Malformed::WrongId)
        );
        assert_eq!(VerifierKey::parse("a+b"), Err(Malformed::NoKey));
    }
}
