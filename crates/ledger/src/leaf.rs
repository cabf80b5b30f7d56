//! What a leaf says: whose record, which, when, how long its event is kept, and a salted digest of the event.
//!
//! The event itself is elsewhere and can be erased; without its salt, a digest of it can be guessed by nobody.

use std::borrow::Cow;

use sha2::{Digest, Sha256};

use crate::tree::{Hash, TILE};
use crate::{Retention, Sensor};

/// Of the format below.
const VERSION: u8 = 1;
/// A sensor's name at most, in bytes.
pub const SENSOR_BYTES: usize = 64;
/// An entry at most, in bytes.
pub const ENTRY_BYTES: usize = FIXED + SENSOR_BYTES;
/// Version, class, time, sequence, length of the name, digest.
const FIXED: usize = 1 + 1 + 8 + 8 + 1 + 32;

/// Drawn for each event.
pub type Salt = [u8; 16];

/// What a salted event comes to.
#[must_use]
pub fn commit(salt: &Salt, event: &[u8]) -> Hash {
    Sha256::new().chain_update(salt).chain_update(event).finalize().into()
}

/// A leaf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// Whose record it is.
    pub sensor: Sensor,
    /// One more than the sensor's record before.
    pub seq: u64,
    /// When it was made.
    pub unix_millis: u64,
    /// How long its event is kept.
    pub class: Retention,
    /// Of salt and event.
    pub digest: Hash,
}

impl Leaf {
    /// Its entry, behind what is in `out`: version, class, time and sequence as 64 bits (big endian), the name's length, the
    /// name, the digest.
    pub fn write(&self, out: &mut Vec<u8>) {
        let name = self.sensor.as_bytes();
        let name = name.get(..SENSOR_BYTES).unwrap_or(name);
        out.extend_from_slice(&[VERSION, self.class.code()]);
        out.extend_from_slice(&self.unix_millis.to_be_bytes());
        out.extend_from_slice(&self.seq.to_be_bytes());
        out.push(name.len() as u8);
        out.extend_from_slice(name);
        out.extend_from_slice(&self.digest);
    }

    /// Reads an entry. None where it is not one, to the byte.
    #[must_use]
    pub fn parse(entry: &[u8]) -> Option<Self> {
        let Seen { sensor, seq, unix_millis, class, digest } = Seen::parse(entry)?;
        Some(Self { sensor: Cow::Owned(sensor.to_owned()), seq, unix_millis, class, digest: *digest })
    }
}

/// A leaf where its entry lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen<'a> {
    /// As [`Leaf::sensor`].
    pub sensor: &'a str,
    /// As [`Leaf::seq`].
    pub seq: u64,
    /// As [`Leaf::unix_millis`].
    pub unix_millis: u64,
    /// As [`Leaf::class`].
    pub class: Retention,
    /// As [`Leaf::digest`].
    pub digest: &'a Hash,
}

impl<'a> Seen<'a> {
    /// Reads an entry. None where it is not one, to the byte.
    #[must_use]
    pub fn parse(entry: &'a [u8]) -> Option<Self> {
        let (head, rest) = entry.split_at_checked(FIXED - 32)?;
        let [VERSION, class, numbers @ .., length] = head else { return None };
        let (time, seq) = numbers.split_at_checked(8)?;
        let (name, digest) = rest.split_at_checked(usize::from(*length))?;
        if name.is_empty() || name.len() > SENSOR_BYTES || !name.iter().all(is_of_a_name) {
            return None;
        }
        Some(Self {
            sensor: str::from_utf8(name).ok()?,
            seq: u64::from_be_bytes(seq.try_into().ok()?),
            unix_millis: u64::from_be_bytes(time.try_into().ok()?),
            class: Retention::from_code(*class)?,
            digest: digest.try_into().ok()?,
        })
    }
}

/// Whether a sensor may be called so.
#[must_use]
pub fn is_sensor(name: &str) -> bool {
    !name.is_empty() && name.len() <= SENSOR_BYTES && name.as_bytes().iter().all(is_of_a_name)
}

const fn is_of_a_name(byte: &u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'/' | b'_')
}

impl Retention {
    /// All classes, in the order of their codes.
    pub const ALL: [Self; 4] = [Self::Figures, Self::Acts, Self::Personal, Self::Incident];

    /// Its number in a leaf.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Figures => 0,
            Self::Acts => 1,
            Self::Personal => 2,
            Self::Incident => 3,
        }
    }

    /// The class with this number.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code)).copied()
    }

    /// Its name in directories and in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Figures => "figures",
            Self::Acts => "acts",
            Self::Personal => "personal",
            Self::Incident => "incident",
        }
    }
}

/// Puts an entry behind others in a bundle: its length in 16 bits (big endian), and it.
pub fn bundle(out: &mut Vec<u8>, entry: &[u8]) {
    out.extend_from_slice(&(entry.len() as u16).to_be_bytes());
    out.extend_from_slice(entry);
}

/// The entries of a bundle.
///
/// None where it ends within one, has more than a tile's, or one that is longer than a leaf can be.
#[must_use]
pub fn unbundle(mut bytes: &[u8]) -> Option<Vec<&[u8]>> {
    let mut entries = Vec::new();
    while !bytes.is_empty() {
        let (length, rest) = bytes.split_first_chunk::<2>()?;
        let length = usize::from(u16::from_be_bytes(*length));
        if length > ENTRY_BYTES || entries.len() as u64 == TILE {
            return None;
        }
        let (entry, rest) = rest.split_at_checked(length)?;
        entries.push(entry);
        bytes = rest;
    }
    Some(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf() -> Leaf {
        Leaf {
            sensor: "http/public".into(),
            seq: 7,
            unix_millis: 1_763_850_000_123,
            class: Retention::Personal,
            digest: commit(&[9; 16], b"{}"),
        }
    }

    #[test]
    fn an_entry_reads_back_and_nothing_else_does() {
        let mut entry = Vec::new();
        leaf().write(&mut entry);
        assert_eq!(entry.len(), FIXED + 11);
        assert_eq!(Leaf::parse(&entry), Some(leaf()));
        for length in 0..entry.len() {
            assert_eq!(Leaf::parse(&entry[..length]), None, "{length} bytes of it");
        }
        let wrong = |at: usize, byte: u8| {
            let mut entry = entry.clone();
            entry[at] = byte;
            Leaf::parse(&entry)
        };
        assert_eq!(wrong(0, 2), None, "another version");
        assert_eq!(wrong(1, 4), None, "no class");
        assert_eq!(wrong(18, 12), None, "a longer name");
        assert_eq!(wrong(19, b'A'), None, "no name");
        assert_eq!(Leaf::parse(&[entry.as_slice(), b"x"].concat()), None, "something behind it");
    }

    #[test]
    fn bundles_are_taken_apart() {
        let mut bytes = Vec::new();
        let mut entry = Vec::new();
        leaf().write(&mut entry);
        for _ in 0..TILE {
            bundle(&mut bytes, &entry);
        }
        assert_eq!(unbundle(&bytes).map(|entries| entries.len()), Some(256));
        assert_eq!(unbundle(&bytes[..bytes.len() - 1]), None, "it ends within an entry");
        bundle(&mut bytes, &entry);
        assert_eq!(unbundle(&bytes), None, "one too many");
        assert_eq!(unbundle(&[0xff, 0xff]), None, "longer than a leaf can be");
    }
}
