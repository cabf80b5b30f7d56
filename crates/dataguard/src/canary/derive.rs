//! What a canary looks like: everything follows from the gate's key and its number.
//!
//! No telephone number here is anybody's (Ofcom keeps 07700 900000 to 900999 for drama), and mail goes to a domain of the
//! operator's own.

use std::fmt;

use sha2::{Digest, Sha256};

use super::registry::{Entry, EntryKind};

/// The key that all canaries of one organisation follow from.
#[derive(Clone)]
pub struct CanaryKey([u8; 32]);

impl fmt::Debug for CanaryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CanaryKey")
    }
}

/// What is planted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Values {
    /// Somebody who does not exist.
    Member(Member),
    /// An id, a UUID, that is nothing's.
    Id(String),
    /// A key that opens nothing.
    Key(String),
}

/// A member who does not exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// First name.
    pub first: String,
    /// Surname.
    pub last: String,
    /// What it is known by: nobody else has it.
    pub email: String,
    /// Of the range that is kept for drama, so that it is no mark of its own.
    pub phone: String,
    /// Of a district that has no streets.
    pub postcode: String,
    /// As an identifier; nobody else has it.
    pub uuid: String,
}

impl CanaryKey {
    /// From 32 bytes that nobody else knows.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// From the text of a key file: 64 hexadecimal digits, with white space around them.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let text = text.trim_ascii();
        let mut bytes = [0; 32];
        if text.len() != 64 {
            return None;
        }
        for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(Self(bytes))
    }

    /// What an entry of the registry looks like.
    #[must_use]
    pub fn values(&self, entry: &Entry) -> Values {
        let number = entry.id.0.to_be_bytes();
        let draw = |what: &[u8]| {
            let message = [b"portcullis canary ".as_slice(), what, &number].concat();
            Draw { bytes: hmac_sha256(&self.0, &message), at: 0 }
        };
        match &entry.kind {
            EntryKind::Member { domain } => {
                Values::Member(member(&mut draw(b"member"), uuid(&mut draw(b"uuid")), domain))
            }
            EntryKind::Id => Values::Id(uuid(&mut draw(b"id"))),
            EntryKind::Key { prefix } => {
                let mut draw = draw(b"key");
                let word: String = (0..30).map(|_| char::from(draw.one_of(WORD))).collect();
                Values::Key(format!("{prefix}{word}"))
            }
        }
    }
}

impl Values {
    /// What gives it away, as bytes: text, and for a UUID its sixteen bytes, as databases send them.
    pub(super) fn literals(&self) -> Vec<Vec<u8>> {
        let binary = |uuid: &str| -> Vec<u8> {
            let digits: Vec<u8> = uuid.bytes().filter(|byte| *byte != b'-').collect();
            let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap_or_default(), 16).ok();
            digits.chunks_exact(2).filter_map(pair).collect()
        };
        let plain = |uuid: &str| uuid.replace('-', "").into_bytes();
        match self {
            Self::Member(member) => vec![
                member.email.clone().into_bytes(),
                member.uuid.clone().into_bytes(),
                plain(&member.uuid),
                binary(&member.uuid),
            ],
            Self::Id(uuid) => vec![uuid.clone().into_bytes(), plain(uuid), binary(uuid)],
            Self::Key(key) => vec![key.clone().into_bytes()],
        }
    }
}

const FIRST: [&str; 32] = [
    "Margaret", "Alan", "Priya", "Thomas", "Siobhan", "Graham", "Fatima", "Keith", "Eleanor", "Rhys", "Doreen",
    "Imran", "Hazel", "Stuart", "Aoife", "Leonard", "Marcia", "Callum", "Beryl", "Nikhil", "Joanne", "Dermot",
    "Sheila", "Kwame", "Lorna", "Trevor", "Anjali", "Gareth", "Pauline", "Desmond", "Isla", "Malcolm",
];

const LAST: [&str; 32] = [
    "Holloway",
    "Pritchard",
    "Okafor",
    "Fairbairn",
    "Merriman",
    "Sandhu",
    "Tattersall",
    "Gallagher",
    "Whitlock",
    "Ahmed",
    "Brackley",
    "McIntosh",
    "Pemberton",
    "Osei",
    "Lathbury",
    "Rafferty",
    "Cheetham",
    "Dhillon",
    "Ashworth",
    "Kinsella",
    "Thornley",
    "Begum",
    "Rowntree",
    "Mensah",
    "Haverford",
    "Gilmour",
    "Patel",
    "Wainwright",
    "Sutcliffe",
    "Adeyemi",
    "Colquhoun",
    "Yarrow",
];

const AREA: [&str; 8] = ["LS", "NG", "BS", "CV", "DE", "NE", "SO", "PE"];
const WORD: &[u8] = b"abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
const UNIT: &[u8] = b"ABDEFGHJLNPQRSTUWXYZ";

fn member(draw: &mut Draw, uuid: String, domain: &str) -> Member {
    let (first, last) = (FIRST[draw.below(FIRST.len())], LAST[draw.below(LAST.len())]);
    let form = draw.below(3);
    let number = draw.below(9_000_000) + 1_000_000;
    let (short, small) = (first.to_ascii_lowercase(), last.to_ascii_lowercase());
    // The number is what nobody else has; it stands where people put the year of their birth and the like.
    let local = match form {
        0 => format!("{short}.{small}{number}"),
        1 => format!("{small}_{short}{number}"),
        _ => format!("{}{small}{number}", short.get(..1).unwrap_or_default()),
    };
    let area = AREA[draw.below(AREA.len())];
    let unit = [draw.one_of(UNIT), draw.one_of(UNIT)].map(char::from);
    Member {
        first: first.to_owned(),
        last: last.to_owned(),
        email: format!("{local}@{domain}"),
        phone: format!("07700 900{:03}", draw.below(1000)),
        postcode: format!("{area}99 {}{}{}", draw.below(9) + 1, unit[0], unit[1]),
        uuid,
    }
}

/// A UUID of version 4 as RFC 9562 writes it.
fn uuid(draw: &mut Draw) -> String {
    let mut bytes: [u8; 16] = std::array::from_fn(|_| draw.byte());
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let mut text = String::with_capacity(36);
    for (at, byte) in bytes.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

/// Bytes that follow from a key, in their order; more follow from those.
struct Draw {
    bytes: [u8; 32],
    at: usize,
}

impl Draw {
    fn byte(&mut self) -> u8 {
        if self.at == self.bytes.len() {
            self.bytes = hmac_sha256(&self.bytes, b"more");
            self.at = 0;
        }
        let byte = self.bytes.get(self.at).copied().unwrap_or_default();
        self.at += 1;
        byte
    }

    /// A number below `most`, which is far below 2^32: its bias is of no account here.
    fn below(&mut self, most: usize) -> usize {
        let number = u32::from_be_bytes([self.byte(), self.byte(), self.byte(), self.byte()]);
        number as usize % most.max(1)
    }

    fn one_of(&mut self, letters: &[u8]) -> u8 {
        letters.get(self.below(letters.len())).copied().unwrap_or(b'x')
    }
}

/// SHA-256, for who compares a key with the digest that was declared of it.
#[must_use]
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// HMAC with SHA-256 (RFC 2104).
#[must_use]
pub fn hmac_sha256(key: &[u8; 32], message: &[u8]) -> [u8; 32] {
    let mut pads = [[0x36u8; 64], [0x5c; 64]];
    for pad in &mut pads {
        pad.iter_mut().zip(key).for_each(|(pad, key)| *pad ^= key);
    }
    let inner = Sha256::new().chain_update(pads[0]).chain_update(message).finalize();
    Sha256::new().chain_update(pads[1]).chain_update(inner).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::super::{CanaryId, Registry};
    use super::*;

    #[test]
    fn hmac_is_that_of_rfc_4231() {
        // Test case 2's key is shorter than the block: zeros fill it up, here to 32 bytes and in the RFC to 64.
        let mut key = [0; 32];
        key[..4].copy_from_slice(b"Jefe");
        let tag = hmac_sha256(&key, b"what do ya want for nothing?");
        let text: String = tag.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(text, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    }

    #[test]
    fn a_member_looks_like_one_and_follows_from_the_key() {
        let mut registry = Registry::default();
        let kind = EntryKind::Member { domain: "post.example.org".to_owned() };
        let id = registry.add(kind, Vec::new(), "2026-11-22");
        let values = |byte: u8| CanaryKey::new([byte; 32]).values(&registry.entries()[0]);
        assert_eq!(id, CanaryId(1));
        assert_eq!(values(1), values(1));
        assert_ne!(values(1), values(2));
        let Values::Member(member) = values(1) else { panic!("a member") };
        assert!(member.email.ends_with("@post.example.org") && member.phone.starts_with("07700 900"), "{member:?}");
        assert_eq!(member.uuid.len(), 36);
    }

    #[test]
    fn a_key_file_holds_sixty_four_digits() {
        assert!(CanaryKey::parse(format!("{}\n", "ab".repeat(32)).as_bytes()).is_some());
        for wrong in ["", "ab", &"zz".repeat(32), &"ab".repeat(33)] {
            assert!(CanaryKey::parse(wrong.as_bytes()).is_none(), "{wrong}");
        }
    }
}
