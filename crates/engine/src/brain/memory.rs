//! What survives a restart, as bytes: checked on the way back, and never more than it may be.

use std::hash::Hasher;

use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher13;

use super::channels::Ordinary;
use super::events::Events;
use super::posture::SavedStance;
use super::rules::SavedRules;
use crate::admission::control::Borne;
use crate::senses::harvest::{OutcomeRow, Row};
use crate::senses::sight::{ATTRIBUTES, Attributes, Business};

/// What the bytes begin with; the last character is the version.
const MAGIC: &[u8; 8] = b"pcbrain3";
const HEAD: usize = MAGIC.len() + size_of::<u64>();
/// No honest memory is larger.
const MOST: usize = 512 << 20;
/// What was going on when it was saved is still going on when no more milliseconds have passed: as long as recovery takes.
const STILL: u64 = 600_000;
const ROW: usize = ATTRIBUTES * size_of::<u32>() + size_of::<u64>() + size_of::<u32>();

/// Everything that is kept.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Memory {
    /// Names the secret under which rows and rules were hashed; under another one they mean nothing.
    pub(crate) secret: u64,
    /// When it was saved, in Unix milliseconds.
    pub(crate) saved: u64,
    /// The last rule's number.
    pub(crate) last_rule: u32,
    pub(crate) events: Events,
    pub(crate) platforms: Vec<PlatformMemory>,
}

/// What is kept of one platform.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct PlatformMemory {
    pub(crate) name: String,
    /// Its position then.
    pub(crate) position: u32,
    /// Paths of its routes, by position.
    pub(crate) routes: Vec<String>,
    pub(crate) ordinary: Ordinary,
    pub(crate) rows: Packed,
    pub(crate) protected: Packed,
    pub(crate) outcomes: Packed,
    /// Seconds of learning behind the rows.
    pub(crate) age: f64,
    pub(crate) rules: SavedRules,
    pub(crate) stance: SavedStance,
    /// What the platform is known to bear.
    pub(crate) borne: Borne,
}

/// Rows as bytes, one after the other.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Packed(Vec<u8>);

impl Packed {
    pub(crate) fn rows(rows: &[Row]) -> Self {
        let mut bytes = Vec::with_capacity(rows.len() * ROW);
        rows.iter().for_each(|row| pack(row, &mut bytes));
        Self(bytes)
    }

    pub(crate) fn outcomes(outcomes: &[OutcomeRow]) -> Self {
        let mut bytes = Vec::with_capacity(outcomes.len() * (ROW + 1));
        for outcome in outcomes {
            pack(&outcome.row, &mut bytes);
            bytes.push(match outcome.business {
                Business::Nothing => 0,
                Business::Done => 1,
                Business::Failed => 2,
                Business::CodeSent => 3,
            });
        }
        Self(bytes)
    }

    /// At most `most`; an incomplete one at the end is left out.
    pub(crate) fn unpack_rows(&self, most: usize) -> impl Iterator<Item = Row> {
        self.0.chunks_exact(ROW).take(most).filter_map(unpack)
    }

    pub(crate) fn unpack_outcomes(&self, most: usize) -> impl Iterator<Item = OutcomeRow> {
        self.0.chunks_exact(ROW + 1).take(most).filter_map(|bytes| {
            let (business, row) = bytes.split_last()?;
            let business = match business {
                0 => Business::Nothing,
                1 => Business::Done,
                2 => Business::Failed,
                3 => Business::CodeSent,
                _ => return None,
            };
            Some(OutcomeRow { row: unpack(row)?, business })
        })
    }
}

fn pack(row: &Row, bytes: &mut Vec<u8>) {
    for value in row.attributes.0 {
        bytes.extend_from_slice(&value.to_le_bytes());
    }
    bytes.extend_from_slice(&row.visitor.to_le_bytes());
    bytes.extend_from_slice(&row.cost_us.to_le_bytes());
}

fn unpack(bytes: &[u8]) -> Option<Row> {
    let (attributes, rest) = bytes.split_at_checked(ATTRIBUTES * size_of::<u32>())?;
    let mut values = [0; ATTRIBUTES];
    for (value, bytes) in values.iter_mut().zip(attributes.chunks_exact(size_of::<u32>())) {
        *value = u32::from_le_bytes(bytes.try_into().ok()?);
    }
    let (visitor, cost) = rest.split_at_checked(size_of::<u64>())?;
    let visitor = u64::from_le_bytes(visitor.try_into().ok()?);
    Some(Row { attributes: Attributes(values), visitor, cost_us: u32::from_le_bytes(cost.try_into().ok()?) })
}

impl Memory {
    /// Whether what was going on when it was saved is still going on at `wall`.
    pub(crate) const fn is_of_now(&self, wall: u64) -> bool {
        wall.abs_diff(self.saved) <= STILL
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let body = postcard::to_allocvec(self).unwrap_or_default();
        let mut bytes = Vec::with_capacity(HEAD + body.len());
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&checksum(&body).to_le_bytes());
        bytes.extend_from_slice(&body);
        bytes
    }

    /// # Errors
    /// When the bytes are not what [`Memory::to_bytes`] writes.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        if bytes.len() > MOST {
            return Err(format!("a memory of {} bytes is larger than any that is written", bytes.len()));
        }
        let (head, body) = bytes.split_at_checked(HEAD).ok_or("the memory is cut off")?;
        let (magic, sum) = head.split_at(MAGIC.len());
        if magic != MAGIC {
            return Err("not a memory of the brain, or one of another version".to_owned());
        }
        if sum != checksum(body).to_le_bytes() {
            return Err("the memory is damaged: its checksum does not fit".to_owned());
        }
        let memory: Self = postcard::from_bytes(body).map_err(|error| format!("the memory is damaged: {error}"))?;
        let sound = |platform: &PlatformMemory| {
            platform.ordinary.is_sound() && platform.borne.is_sound() && platform.age.is_finite() && platform.age >= 0.0
        };
        if !memory.events.is_sound() || !memory.platforms.iter().all(sound) {
            return Err("the memory holds numbers that cannot be".to_owned());
        }
        Ok(memory)
    }
}

/// Against damage, not against forgery: whoever may write the file may write anything.
fn checksum(body: &[u8]) -> u64 {
    let mut hasher = SipHasher13::new();
    hasher.write(body);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn row(number: u32) -> Row {
        let mut values = [0; ATTRIBUTES];
        values.iter_mut().zip(number..).for_each(|(value, number)| *value = number);
        Row { attributes: Attributes(values), visitor: u64::from(number) << 33, cost_us: number }
    }

    fn memory() -> Memory {
        let outcome = |(number, business)| OutcomeRow { row: row(number), business };
        let kinds = [Business::Nothing, Business::Done, Business::Failed, Business::CodeSent];
        let outcomes: Vec<_> = (0..).zip(kinds).map(outcome).collect();
        let rows: Vec<_> = (0..50).map(row).collect();
        let public = PlatformMemory {
            name: "public".to_owned(),
            routes: vec!["/".to_owned()],
            rows: Packed::rows(&rows),
            outcomes: Packed::outcomes(&outcomes),
            age: 12.5,
            ..PlatformMemory::default()
        };
        Memory { secret: 7, last_rule: 81, platforms: vec![public], ..Memory::default() }
    }

    #[test]
    fn what_was_written_is_read() {
        let read = Memory::from_bytes(&memory().to_bytes()).expect("what was written");
        let public = read.platforms.first().expect("a platform");
        assert_eq!((read.secret, read.last_rule, public.name.as_str(), public.age), (7, 81, "public", 12.5));
        let rows: Vec<_> = public.rows.unpack_rows(1000).collect();
        assert_eq!(rows.len(), 50);
        for (row, number) in rows.iter().zip(0..) {
            let expected = self::row(number);
            assert_eq!((row.attributes, row.visitor, row.cost_us), (expected.attributes, expected.visitor, number));
        }
        let outcomes: Vec<_> = public.outcomes.unpack_outcomes(3).map(|outcome| outcome.business).collect();
        assert_eq!(outcomes, [Business::Nothing, Business::Done, Business::Failed], "no more than asked for");
    }

    #[test]
    fn what_is_wrong_is_told() {
        let bytes = memory().to_bytes();
        let mut newer = bytes.clone();
        newer[7] = MAGIC[7] + 1;
        let mut damaged = bytes.clone();
        *damaged.last_mut().expect("bytes") ^= 1;
        let mut absurd = memory();
        absurd.platforms[0].age = f64::NAN;
        for (bytes, says) in [
            (Vec::new(), "cut off"),
            (bytes[..bytes.len() - 1].to_vec(), "damaged"),
            (newer, "another version"),
            (damaged, "checksum"),
            (absurd.to_bytes(), "cannot be"),
        ] {
            let error = Memory::from_bytes(&bytes).expect_err("refused");
            assert!(error.contains(says), "{error}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(body in prop::collection::vec(any::<u8>(), 0..400), honest in any::<bool>()) {
            let mut bytes = body.clone();
            if honest {
                // With a checksum that fits, so that the decoder itself sees the nonsense.
                bytes = MAGIC.to_vec();
                bytes.extend_from_slice(&checksum(&body).to_le_bytes());
                bytes.extend_from_slice(&body);
            }
            if let Ok(memory) = Memory::from_bytes(&bytes) {
                for platform in &memory.platforms {
                    platform.rows.unpack_rows(10).for_each(drop);
                    platform.outcomes.unpack_outcomes(10).for_each(drop);
                }
            }
        }

        #[test]
        fn one_wrong_byte_is_found(at in any::<prop::sample::Index>(), with in 1u8..) {
            let mut bytes = memory().to_bytes();
            let at = at.index(bytes.len());
            bytes[at] ^= with;
            prop_assert!(Memory::from_bytes(&bytes).is_err());
        }
    }
}
